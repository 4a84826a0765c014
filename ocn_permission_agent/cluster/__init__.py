"""Several agents on one store: whose turn it is to watch the chain, who is there, and who brings a spool."""
