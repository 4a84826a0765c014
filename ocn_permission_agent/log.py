"""What the parts of the agent need of a logger; structlog's bound loggers fit."""

from typing import Any, Protocol


class Log(Protocol):
    """Events as ``noun.past_participle`` with flat fields; never a body, a token or a key."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Detail."""
        ...

    def info(self, event: str, **fields: Any) -> Any:
        """The ordinary course."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Somebody should look at it."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """An alarm."""
        ...
