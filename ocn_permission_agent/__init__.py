"""A consent-following sidecar for nodes of the Open Charging Network."""

__version__ = "0.1.0"
