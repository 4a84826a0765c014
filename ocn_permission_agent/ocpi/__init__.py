"""OCPI as it is said on the wire: parties, requests, replies. Pure."""
