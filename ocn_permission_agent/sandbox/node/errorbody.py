"""The bodies of a node's own errors (ocn-protocol.md b.3)."""

from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.sandbox.node.refusal import Refusal
from ocn_permission_agent.sandbox.node.relay import node_body


class SignsResponses(Protocol):
    """Adds `ocn_signature` to a node's own body."""

    def __call__(self, body: bytes) -> bytes:
        """The body with its signature as the last member."""
        ...


class ErrorBodies:
    """Writes them; `sign` is None where the node signs nothing."""

    def __init__(self, *, sign: SignsResponses | None, clock: Clock) -> None:
        self._sign = sign
        self._clock = clock

    def write(self, refusal: Refusal) -> bytes:
        """Status, message and time, never data."""
        body = node_body(refusal.status_code, now=self._clock.now(), message=refusal.message)
        return body if self._sign is None else self._sign(body)
