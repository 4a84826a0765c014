"""Who may be told what, by the facts of the chain. Pure."""
