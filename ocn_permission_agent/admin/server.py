"""The second listener: health, metrics and the reading API, never on the proxy's port."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
from aiohttp import web

from ocn_permission_agent.admin.access import OPEN_PATHS, host_allowed, token_accepted
from ocn_permission_agent.admin.asked import Asked, BadQuestion, read_question
from ocn_permission_agent.admin.backup_routes import BackUp, backup_routes
from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.admin.decision_routes import decision_routes
from ocn_permission_agent.admin.delivery_routes import delivery_routes
from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import Status, status_document
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.errors import AgentError, ConfigError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Metrics(Protocol):
    def exposition(self) -> bytes: ...


class _Consent(Protocol):
    @property
    def index(self) -> ConsentIndex: ...

    @property
    def fresh(self) -> bool: ...


class AdminServer:
    """Serves `/livez`, `/readyz`, `/metrics` to everybody who reaches it, all else against the bearer token.

    Args:
        settings: `[admin]` of the configuration.
        ready: whether the proxy listens and is not draining; must not ask the node (proxy.md "Fail open").
        status: makes the facts of the status document; its `AgentError` becomes a 503.
        consent: who agreed to what, as it is known now.
        desk: takes the operator's decisions.
        clerk: looks deliveries up, retries and discards them; None where there are none.
        backup: copies the store into a new file; None where there is no store to copy.
        metrics: what `/metrics` shows.
    """

    def __init__(
        self,
        *,
        settings: AdminSettings,
        ready: Callable[[], bool],
        status: Callable[[], Awaitable[Status]],
        consent: _Consent,
        desk: Desk,
        metrics: _Metrics,
        clerk: Clerk | None = None,
        backup: BackUp | None = None,
    ) -> None:
        self._settings = settings
        self._ready = ready
        self._status = status
        self._consent = consent
        self._desk = desk
        self._metrics = metrics
        self._clerk = clerk
        self._backup = backup
        self._allowed = frozenset({"localhost", settings.listen_host.lower(), *settings.allow_hosts})
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        application = web.Application(middlewares=[self._guard], client_max_size=64 * 1024)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/api/v1/status", self._show_status)
        application.router.add_routes(decision_routes(self._desk))
        if self._clerk is not None:
            application.router.add_routes(delivery_routes(self._clerk))
        if self._backup is not None:
            application.router.add_routes(backup_routes(self._backup))
        for kind in Asked:
            application.router.add_get(f"/api/v1/{kind.value}", self._listing(kind))
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(
                runner, self._settings.listen_host, self._settings.listen_port, reuse_address=True
            ).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError([_cannot_listen(self._settings, error)]) from error
        self._runner = runner

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on; after `start`."""
        if self._runner is None:
            raise RuntimeError("the admin listener was not started")
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def stop(self) -> None:
        """Stop listening; doing it twice is fine."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            answer = await self._answer(request, handler)
        except web.HTTPException as refusal:
            answer = _json({"error": refusal.reason}, status=refusal.status)
            if "Allow" in refusal.headers:
                answer.headers["Allow"] = refusal.headers["Allow"]
        except AgentError as error:
            answer = _json({"error": str(error)}, status=503)
        answer.headers.update(_HEADERS)
        return answer

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not host_allowed(request.headers.get("Host", ""), allowed=self._allowed):
            return _json({"error": "This host name is not served; see admin.allow_hosts."}, status=421)
        authorization = request.headers.get("Authorization", "")
        if request.path not in OPEN_PATHS and not token_accepted(authorization, token=self._settings.token):
            refusal = _json({"error": "A bearer token is needed; see admin.token_file."}, status=401)
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        return await handler(request)

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(text="not ready\n", status=503)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": _METRICS_TYPE})

    async def _show_status(self, _: web.Request) -> web.Response:
        return _json(status_document(await self._status()))

    def _listing(self, kind: Asked) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                question = read_question(kind, {**request.query, **request.match_info})
            except BadQuestion as error:
                return _json({"error": str(error)}, status=400)
            # An index never changes, so a long list can be made beside the event loop.
            document = await asyncio.to_thread(question.answer, self._consent.index, fresh=self._consent.fresh)
            return _json({"error": question.nobody}, status=404) if document is None else _json(document)

        return handle


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


def _cannot_listen(settings: AdminSettings, error: OSError) -> str:
    where = f"{settings.listen_host}:{settings.listen_port}"
    if error.errno == errno.EADDRINUSE:
        return f"admin.listen: {where} is in use by another program."
    return f"admin.listen: cannot listen on {where}: {error.strerror or error}."
