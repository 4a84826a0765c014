"""A request that is held because somebody may be owed a copy of it: what becomes of that, whichever way it takes.

::

    held ──▶ intended ──▶ the node has accepted it: recorded ─────────────┐
                │    └──▶ it has not, or it is told beforehand: not copied ├──▶ known: the intent ends
                │    └──▶ nobody knows: a gap ────────────────────────────┘
                └─ the process ends ──▶ the intent stays open, and becomes a gap at the next start
"""

from typing import Self

from ocn_permission_agent.errors import AgentError, UpstreamBroken, UpstreamTimeout
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.buffers import Budget, Share
from ocn_permission_agent.proxy.client import Client
from ocn_permission_agent.proxy.copier import Candidate, Copier
from ocn_permission_agent.proxy.relay import Gathered, arrived, gather
from ocn_permission_agent.proxy.settings import ProxySettings


class Holds:
    """Holds requests, and counts what that takes.

    Args:
        settings: limits.
        copier: records copies.
    """

    def __init__(self, *, settings: ProxySettings, copier: Copier) -> None:
        self._body_limit_bytes = settings.body_limit_bytes
        self._budget = Budget(settings.buffer_total_bytes)
        self._copier = copier

    def begin(self, candidate: Candidate) -> "Held":
        """Hold a request; takes nothing yet.

        Raises:
            RequestRefused: 503, `strict`; the node must not be asked.
        """
        self._copier.demand_recording()
        return Held(candidate, copier=self._copier, share=self._budget.share(), limit_bytes=self._body_limit_bytes)


class Held:
    """One of them. `end` it, with what went wrong if something did, or use it in a ``with``.

    Args:
        candidate: what may be due.
        copier: records it.
        share: of all that is held.
        limit_bytes: of a body.
    """

    __slots__ = ("_body", "_candidate", "_copier", "_known", "_limit_bytes", "_share", "copies")

    def __init__(self, candidate: Candidate, *, copier: Copier, share: Share, limit_bytes: int) -> None:
        self._candidate = candidate
        self._copier = copier
        self._share = share
        self._limit_bytes = limit_bytes
        self._body = Gathered(b"", whole=False)
        #: whether it is written down what became of the request
        self._known = False
        #: that were recorded
        self.copies = 0

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a body that is here already can be held."""
        return size_bytes <= min(self._share.free_bytes, self._limit_bytes)

    async def gather(self, client: Client, *, announced_bytes: int | None) -> Gathered:
        """Read a request's body to its end, or as far as there is room for it; see `relay.gather`."""
        return await gather(client, self._share, announced_bytes=announced_bytes, limit_bytes=self._limit_bytes)

    def take(self, body: bytes) -> Gathered:
        """Hold a request's body that is here as a whole, and for which there is room."""
        self._share.take(len(body))
        return Gathered(body, whole=True)

    def intend(self, body: Gathered) -> None:
        """Note that the request goes to the node now, before it does."""
        self._body = body
        self._candidate = self._copier.intend(self._candidate, body.data)

    async def record(self, reply: WireReply) -> Gathered:
        """Read the node's answer and record what is due by it, durable on return; what was read of it.

        Raises:
            UpstreamBroken: the node cut it.
            UpstreamTimeout: the node stopped in the middle.
        """
        start = await self._recorded(reply)
        self._settle()
        return start

    async def _recorded(self, reply: WireReply) -> Gathered:
        if not self._body.whole:
            if 200 <= reply.status < 300:
                self._copier.missed(self._candidate, "buffer_full")
            return arrived(reply)
        start = await gather(reply, self._share, announced_bytes=reply.length, limit_bytes=self._limit_bytes)
        if not start.whole:
            self._copier.missed(self._candidate, "unknown_outcome")
            return start
        self.copies = await self._copier.record(
            self._candidate,
            body=self._body.data,
            http_status=reply.status,
            reply=start.data,
            reply_encoding=reply.header(b"content-encoding"),
        )
        return start

    def end(self, error: BaseException | None = None) -> None:
        """Hold it no longer; what nobody can know any more becomes a gap.

        Args:
            error: what kept it from being answered. One that is no `Exception` ends the process, and leaves the intent
                open: it becomes a gap at the next start.
        """
        self.leave()
        if self._known or not (error is None or isinstance(error, Exception)):
            return
        if isinstance(error, UpstreamTimeout | UpstreamBroken):
            self._copier.missed(self._candidate, "unknown_outcome")
        was_open = self._settle()
        if was_open and error is not None and not isinstance(error, AgentError):
            self._copier.missed(self._candidate, "internal_error")

    def leave(self) -> None:
        """Hold it no longer, and leave open what is not known of it."""
        self._share.give_back()

    def _settle(self) -> bool:
        """It is known, and written down; whether that is new."""
        self._known = True
        return self._copier.settle(self._candidate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end(error)
