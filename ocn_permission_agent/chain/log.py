"""What the watcher needs of a logger; structlog's bound loggers fit."""

from typing import Protocol


class Log(Protocol):
    """Events as ``noun.past_participle`` with flat fields."""

    def info(self, event: str, /, **fields: object) -> object:
        """The ordinary course."""
        ...

    def warning(self, event: str, /, **fields: object) -> object:
        """Somebody should look at it."""
        ...

    def error(self, event: str, /, **fields: object) -> object:
        """An alarm."""
        ...
