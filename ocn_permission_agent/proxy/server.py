"""All connections of platforms together: they have a limit, and what goes wrong is told without a request's bytes."""

import asyncio
from collections.abc import Callable
from itertools import islice

from aiohttp import web
from aiohttp.http import HttpRequestParser

from ocn_permission_agent.errors import ConfigError, Refusal
from ocn_permission_agent.proxy.connection import Begin, Connection, Handle
from ocn_permission_agent.proxy.guarded import GuardedConnection
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.settings import ProxySettings

OnMalformed = Callable[[int], None]

#: how many connections are looked at when one has to go: a new one must cost little
_LOOK_AT = 64


class HttpServer(web.Server):
    """Makes a connection for each platform that comes.

    Args:
        handle: the long way.
        short_way: the short one.
        settings: the limits.
        refusals: told of malformed requests, faults and limits.
        on_malformed: told the status of each answer that neither way had a part in.

    Raises:
        ConfigError: aiohttp was built without its C parser, whose strictness the proxy relies on.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        short_way: Begin,
        settings: ProxySettings,
        refusals: Refusals,
        on_malformed: OnMalformed,
    ) -> None:
        if not HttpRequestParser.__module__.endswith("._http_parser"):
            raise ConfigError(["aiohttp is installed without its C parser; install a wheel of it"])
        super().__init__(handle)
        self._handle = handle
        self._short_way = short_way
        self.refusals = refusals
        self._settings = settings
        self._on_malformed = on_malformed
        #: all of them, first the one that sent its last request longest ago
        self._order: dict[GuardedConnection, None] = {}

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return Connection(
            self,
            hall=self,
            handle=self._handle,
            begin=self._short_way,
            loop=asyncio.get_running_loop(),
            settings=self._settings,
        )

    def enter(self, connection: GuardedConnection) -> None:
        """One more; where there are too many, one of those goes that keep us waiting, at worst the newcomer."""
        self._order[connection] = None
        if len(self._order) <= self._settings.max_connections:
            return
        oldest = islice(self._order, _LOOK_AT)
        leaving = next((each for each in oldest if each.waits_for_peer), connection)
        self.leave(leaving)
        leaving.cut()
        self.refusals.note(Refusal.CROWDED)

    def leave(self, connection: GuardedConnection) -> None:
        """One less."""
        self._order.pop(connection, None)

    def hear(self, connection: GuardedConnection) -> None:
        """A request came in."""
        if self._order.pop(connection, connection) is None:
            self._order[connection] = None

    def tell(self, cause: Refusal, exc: object = None) -> None:
        """Log and count an answer that neither way had a part in."""
        if cause is Refusal.FAULT and isinstance(exc, BaseException):
            self.refusals.note(cause, error=type(exc).__name__, where=_innermost(exc))
        else:
            self.refusals.note(cause)
        self._on_malformed(cause.http_status or 500)


def _innermost(exc: BaseException) -> str:
    """File and line where an exception was raised; its text may hold anything and is left out."""
    traceback = exc.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "unknown"
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
