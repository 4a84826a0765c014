"""The composition root: builds every part from the configuration and gives each task a parent."""
