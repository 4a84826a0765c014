"""What the proxy needs of a logger; structlog's bound loggers fit."""

from typing import Protocol


class Log(Protocol):
    """Events as ``noun.past_participle`` with flat fields; never a body, a token or a key."""

    def debug(self, event: str, /, **fields: object) -> object:
        """Detail."""
        ...

    def info(self, event: str, /, **fields: object) -> object:
        """The ordinary course."""
        ...

    def warning(self, event: str, /, **fields: object) -> object:
        """Somebody should look at it."""
        ...

    def error(self, event: str, /, **fields: object) -> object:
        """A fault of ours."""
        ...
