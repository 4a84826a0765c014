"""The demo network: chain, contracts, OCN nodes, parties."""
