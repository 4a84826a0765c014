"""The ledger of disclosures: what was handed to whom, under which agreement, provable and erasable."""
