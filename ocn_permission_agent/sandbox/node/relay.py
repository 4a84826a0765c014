"""Replies of receivers, read and written again as a node does it (ocn-protocol.md b.1 rows 16-18, b.4). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.outgoing import RawReply
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal

#: in the order they are written; the last is 2.x's
_MEMBERS = ("status_code", "status_message", "data", "timestamp", "ocn_signature", "ocn_verification_status")
_ABSENT = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class OcpiReplyText:
    """A receiver's reply: HTTP status, headers as they came, and the members of its body as JSON text."""

    http_status: int
    headers: Mapping[str, str]
    members: Mapping[str, msgspec.Raw]

    @property
    def succeeded(self) -> bool:
        """Whether the node treats its headers as worth relaying: HTTP 200 and OCPI 1000, exactly."""
        return self.http_status == 200 and bytes(self.members["status_code"]) == b"1000"

    @property
    def signed_headers(self) -> dict[str, str]:
        """All headers, names in lower case, as signatures know them."""
        return {name.lower(): value for name, value in self.headers.items()}

    def headers_to_verify(self, dialect: Dialect) -> dict[str, str]:
        """The same as the node verifies them: 2.x with the brackets that it put around some of them itself."""
        if not dialect.mangles_headers:
            return self.signed_headers
        mangled = ("X-Limit", "X-Total-Count", "Link")
        return self.signed_headers | {
            name.lower(): f"[{self.headers[name]}]" for name in mangled if name in self.headers
        }

    def header(self, name: str, dialect: Dialect) -> str | None:
        """A header as the node gets hold of it: 2.x by exact spelling only, and in square brackets (b.4)."""
        if dialect.mangles_headers:
            return f"[{self.headers[name]}]" if name in self.headers else None
        return next((value for given, value in self.headers.items() if given.lower() == name.lower()), None)


def read_reply_text(raw: RawReply, *, dialect: Dialect, remote: bool, now: datetime) -> OcpiReplyText:
    """Read what a receiver, or the node of a remote one, answered.

    Raises:
        Refusal: a local receiver's answer is no JSON.
        Crash: it is something the node did not foresee (rows 17, 18).
    """
    if not raw.body.strip():
        raise Crash("No content to map due to end-of-input")
    try:
        text = canonical(raw.body, version=dialect.version)
    except CanonicalError as error:
        if remote:
            what = "Non-OCPI response received — verify this is a valid OCPI-compliant endpoint"
            raise Crash(what) from error
        message = f"Could not parse JSON response of forwarded OCPI request: {error}"
        raise Refusal(200, dialect.unreadable_code, message) from error
    if not text.startswith(b"{"):
        raise Crash("Cannot deserialize instance out of this token")
    given = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    known = _MEMBERS if dialect.tells_verification else _MEMBERS[:-1]
    unknown = [name for name in given if name not in known]
    if unknown and dialect.unknown_members_crash:
        raise Crash(f'Unrecognized field "{unknown[0]}"')
    given.setdefault("status_code", msgspec.Raw(b"0"))
    if given.get("timestamp", _ABSENT) == _ABSENT:
        given["timestamp"] = msgspec.Raw(msgspec.json.encode(timestamp(now)))
    members = {name: given[name] for name in known if given.get(name, _ABSENT) != _ABSENT}
    return OcpiReplyText(http_status=raw.http_status, headers=raw.headers, members=members)


def write_reply_text(members: Mapping[str, msgspec.Raw]) -> bytes:
    """A body as the node writes it; the members are in their order already."""
    return msgspec.json.encode(members)


def node_body(status_code: int, *, now: datetime, message: str | None = None, data: object = None) -> bytes:
    """A body of the node's own: `data` only for its own successes, never with an error (b.3)."""
    members: dict[str, object] = {"status_code": status_code}
    if message is not None:
        members["status_message"] = message
    if data is not None:
        members["data"] = data
    members["timestamp"] = timestamp(now)
    return msgspec.json.encode(members)


def timestamp(now: datetime) -> str:
    """An instant as both nodes print it, UTC with milliseconds and Z."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
