"""Outgoing connections to addresses that strangers chose."""
