"""A small EVM chain of the sandbox: blocks from py-evm, JSON-RPC from our own loopback listener.

It exists because eth-tester's own front stalls an event loop, has no batches, no calls at a block hash and a log
search that grows faster than the chain (permissions-contract.md §1). What is here, from the inside out:

* `values`: transactions, logs, receipts, blocks: frozen values
* `evm`: py-evm behind four verbs: genesis, build a block, call, look at state (the only importer of py-evm)
* `history`: which blocks are on the chain, where each transaction is, which logs match
* `pool`: transactions that wait for a block
* `chain`: the three together: send, mine, snapshot, revert
* `params`, `render`, `rpc`: JSON-RPC: reading parameters, writing answers, the table of methods
* `listener`: HTTP on 127.0.0.1 and the miner that makes a block every interval
* `server`: `ChainServer`: the listener in its own thread (tests) or its own process (demo)
* `client`, `calls`, `actors`: the other side: a JSON-RPC client, contract calls, parties that sign and send them

py-evm is in the extra `demo`; only `evm` needs it and nothing imports `evm` before a chain is started.
"""
