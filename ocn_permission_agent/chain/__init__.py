"""Following the contracts: JSON-RPC, decoding, the watcher."""
