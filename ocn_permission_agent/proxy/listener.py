"""The proxy as the agent sees it: something that listens, drains and stops."""

import asyncio
from collections.abc import Callable
from typing import Any

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireTimes
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.proxy.copier import Copier, Gaps, Intents, Notes, Recorder, View
from ocn_permission_agent.proxy.handler import Handler
from ocn_permission_agent.proxy.held import Holds
from ocn_permission_agent.proxy.intake import Intake
from ocn_permission_agent.proxy.passage import Passages
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.server import HttpServer
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings
from ocn_permission_agent.proxy.short_way import ShortWay
from ocn_permission_agent.proxy.tls import ServerCertificate, node_context

_BACKLOG = 4096
#: how often a stopping proxy looks whether the last request is answered
_STOP_POLL_SECONDS = 0.02
#: OCPI version of a path and the node software that serves it (ocn-protocol.md a.1)
_VERSIONS = {"2.2": NodeVersion.V1, "2.2.1": NodeVersion.V2}


class Proxy:
    """Listens in front of the node.

    Args:
        settings: address, limits and habits.
        node: where the node is.
        view: what the chain says about consent.
        recorder: where copies become durable.
        gaps: counts those that could not.
        intents: notes what may be due before the node is asked.
        clock: time.
        metrics: instruments.
        log: a bound logger.
        notes: keeps for a while why requests were not copied; None keeps nothing.
    """

    def __init__(
        self,
        *,
        settings: ProxySettings,
        node: NodeSettings,
        view: View,
        recorder: Recorder,
        gaps: Gaps,
        intents: Intents,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        notes: Notes | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._refusals = Refusals(clock=clock, metrics=metrics, log=log)
        self._draining = False
        self._upstream = NodeConnections(
            url=node.url,
            tls=node_context(node.ca_file) if node.url.startswith("https:") else None,
            times=WireTimes(answer=settings.node_answer_timeout_seconds, body_idle=settings.body_idle_timeout_seconds),
            connect_seconds=settings.connect_timeout_seconds,
            idle_seconds=settings.node_idle_seconds,
            clock=clock,
        )
        copier = Copier(
            view=view,
            recorder=recorder,
            gaps=gaps,
            intents=intents,
            node=node,
            settings=settings,
            clock=clock,
            metrics=metrics,
            notes=notes,
        )
        self._holds = Holds(settings=settings, copier=copier)
        self._passages = Passages(clock=clock, metrics=metrics, log=log)
        self._intake = Intake(settings=settings, node=node, node_host=self._upstream.authority, copier=copier)
        self._handler = Handler(
            settings=settings,
            intake=self._intake,
            upstream=self._upstream,
            holds=self._holds,
            passages=self._passages,
            refusals=self._refusals,
            draining=lambda: self._draining,
            clock=clock,
        )
        self._http: HttpServer | None = None
        self._listening: asyncio.Server | None = None
        self._certificate: ServerCertificate | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address cannot be listened on, the certificate cannot be used, or aiohttp lacks its C
                parser.
        """
        host, port, tls = self._settings.listen_host, self._settings.listen_port, self._settings.tls
        if tls is not None:
            self._certificate = ServerCertificate(tls, clock=self._clock, metrics=self._metrics, log=self._log)
        self._http = HttpServer(
            self._handler,
            short_way=ShortWay(
                settings=self._settings,
                intake=self._intake,
                upstream=self._upstream,
                holds=self._holds,
                passages=self._passages,
                refusals=self._refusals,
                draining=lambda: self._draining,
            ).begin,
            settings=self._settings,
            refusals=self._refusals,
            on_malformed=self._count_malformed,
        )
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                self._http, host, port, backlog=_BACKLOG, reuse_address=True, **self._tls_options()
            )
        except OSError as error:
            raise ConfigError([f"[proxy] listen: cannot listen on {host}:{port}: {error.strerror}"]) from error

    def _tls_options(self) -> dict[str, Any]:
        """Those of `create_server`; none for plain http."""
        if self._certificate is None:
            return {}
        return {
            "ssl": self._certificate.context,
            "ssl_handshake_timeout": self._settings.headers_timeout_seconds,
            # a platform that does not say goodbye must not hold up the end
            "ssl_shutdown_timeout": self._settings.linger_seconds,
        }

    async def follow_certificate(self) -> None:
        """Renew the certificate whenever its files change, until cancelled; without TLS just wait."""
        if self._certificate is None:
            await asyncio.Event().wait()
        else:
            await self._certificate.follow()

    def _count_malformed(self, status: int) -> None:
        self._metrics.requests.labels("other", "none", "other", str(status)).inc()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on, after `start`."""
        if self._listening is None:
            raise RuntimeError("the proxy has not been started")
        host, port = self._listening.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def listening(self) -> bool:
        """Whether requests are taken and no drain has begun: what readiness means."""
        return self._listening is not None and self._listening.is_serving() and not self._draining

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._passages.in_flight

    @property
    def connections(self) -> int:
        """Connections of platforms that are open."""
        return 0 if self._http is None else len(self._http.connections)

    @property
    def node_version_seen(self) -> NodeVersion | None:
        """The version of the node by the last request that it took; None before the first."""
        return _VERSIONS.get(self._passages.version_seen or "")

    async def tend(self) -> None:
        """Tell in time how many refusals a flood had, until cancelled."""
        await self._refusals.tend()

    def drain(self) -> None:
        """Go on serving, but end every connection with its next answer."""
        self._draining = True

    async def stop(self, *, grace_seconds: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Take no new connections, finish what is in flight, then end all connections.

        Args:
            grace_seconds: for what is in flight, at most.
            hurried: cuts that short.
        """
        self._draining = True
        if self._listening is None or self._http is None:
            return
        self._listening.close()
        deadline = self._clock.monotonic() + grace_seconds
        while self._clock.monotonic() < deadline and not hurried():
            # first of all time for what was accepted last to be read
            await self._clock.sleep(_STOP_POLL_SECONDS)
            if not self._passages.in_flight:
                break
        await self._http.shutdown(0.1)
        await self._listening.wait_closed()
        self._upstream.close()
