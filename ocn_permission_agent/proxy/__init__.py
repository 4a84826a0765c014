"""The way of every request to the node and back."""
