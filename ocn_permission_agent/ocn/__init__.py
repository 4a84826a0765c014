"""What OCN nodes say to each other: canonical text, messages, notary, keys."""
