"""Reading the answer to ``POST /ocn/message``: was it processed, refused, or does nobody know? Pure.

The receiving node relays the service's reply, or answers itself; no header tells which (ocn-protocol.md b.3). What it
says before it calls the service means "surely not processed" (b.1 rows 1-12, c.4 steps 1-6), what it says afterwards
is ambiguous (rows 13-19). Some of its texts must be recognised: they stand in `NODE_TEXTS` and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum

import msgspec

from ocn_permission_agent.hiding import hide
from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.ocpi.reply import RESPONSE_SIGNATURE_TEXT, OcpiReply, read_reply
from ocn_permission_agent.outbox.model import AttemptVerdict

#: of what is kept of an answer
EXCERPT_LIMIT = 1024
#: HTTP client errors that say nothing about the message, by what they do say
_HTTP_CLIENT_ERRORS = {
    401: AttemptVerdict.SETUP,
    403: AttemptVerdict.SETUP,
    408: AttemptVerdict.UNKNOWN,
    425: AttemptVerdict.NOT_PROCESSED,
    429: AttemptVerdict.NOT_PROCESSED,
}
#: a framework's own "no such route": the path of ``/ocn/message`` is wrong, no service has spoken
_NO_ROUTE = frozenset({404, 405})
#: a server in front of the node that finds nobody behind it
_NOBODY_BEHIND = frozenset({502, 503})


class NodeFault(Enum):
    """What a node has against a message itself; another message may be what it wants."""

    #: it lacks an OCN-Signature; never sent on
    NOTARY_MISSING = "notary_missing"
    #: the node verifies another text than was signed, or expects another key; never sent on
    SIGNATURE_REFUSED = "signature_refused"
    #: the node fell over: it could not read it, or what came afterwards
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeText:
    """A text that a node itself puts into `status_message`, and what it means."""

    ocpi_status: int
    fragment: str
    verdict: AttemptVerdict
    unreachable: bool = False
    fault: NodeFault | None = None


#: Read in order, first match counts. Sources: the status texts of OCN Node 1.1.2 and of the 2.x fork, as collected in
#: ocn-protocol.md b.1 and c.4; both lines use the same words unless told.
NODE_TEXTS = (
    # b.1 row 19: response signature missing or wrong; the service has processed the message.
    NodeText(ocpi_status=3000, fragment=RESPONSE_SIGNATURE_TEXT, verdict=AttemptVerdict.UNCONFIRMED),
    # b.1 row 12: the service has registered no endpoint for this module and interface.
    NodeText(
        ocpi_status=2001,
        fragment="Receiver does not support the requested module",
        verdict=AttemptVerdict.SETUP,
    ),
    # b.1 row 9: white and black lists (OcnRules) of the service.
    NodeText(ocpi_status=2000, fragment="not in sender's whitelist", verdict=AttemptVerdict.SETUP),
    NodeText(ocpi_status=2000, fragment="Sender not whitelisted", verdict=AttemptVerdict.SETUP),
    # b.1 row 10: the service, or its node, demands an OCN-Signature; never sent on.
    NodeText(
        ocpi_status=2001,
        fragment="Missing OCN Signature",
        verdict=AttemptVerdict.SETUP,
        fault=NodeFault.NOTARY_MISSING,
    ),
    # c.4 step 6: the node does not accept our key for this customer, or writes another text than we signed.
    NodeText(
        ocpi_status=4003,
        fragment="Could not verify OCN-Signature",
        verdict=AttemptVerdict.SETUP,
        fault=NodeFault.SIGNATURE_REFUSED,
    ),
    # b.1 row 13: the text of the Java exception; nobody listened at the service's address.
    NodeText(
        ocpi_status=4003,
        fragment="Connection refused",
        verdict=AttemptVerdict.NOT_PROCESSED,
        unreachable=True,
    ),
    # b.1 row 14, seen on 1.1.2 (Java 8 writes a small c) and on 2.x: the connection was never made.
    NodeText(ocpi_status=4002, fragment="onnect timed out", verdict=AttemptVerdict.NOT_PROCESSED, unreachable=True),
    NodeText(
        ocpi_status=4003,
        fragment="Connect timeout has expired",
        verdict=AttemptVerdict.NOT_PROCESSED,
        unreachable=True,
    ),
    # b.1 row 8, c.4 steps 4 and 5: sender or receiver not known there (yet), whatever the words (1.x, 2.x differ).
    NodeText(ocpi_status=4001, fragment="", verdict=AttemptVerdict.NOT_PROCESSED),
)
#: no other answer can hold one of them
_STATUSES_WITH_TEXTS = frozenset(text.ocpi_status for text in NODE_TEXTS)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says. `detail` is an escaped excerpt of at most `EXCERPT_LIMIT` characters, all ASCII."""

    verdict: AttemptVerdict
    http_status: int | None = None
    ocpi_status: int | None = None
    detail: str = ""
    retry_after_seconds: float | None = None
    unreachable: bool = False
    fault: NodeFault | None = None


def read_answer(answer: Answer, *, now: datetime, direct: bool = False, secrets: Sequence[str] = ()) -> Reading:
    """Read an HTTP answer.

    Args:
        answer: of the receiving node, or of the service itself.
        now: aware UTC; a `Retry-After` may be a date.
        direct: it is the service's own: a 404 is about the object, and no text is a node's.
        secrets: that the request held; an answer may repeat them.
    """
    reply = read_reply(answer.status, answer.body[:ANSWER_LIMIT_BYTES])
    retry_after = _retry_after(answer, now) if answer.status in (429, 503) else None
    text = None if direct else _known_text(reply)
    if text is not None:
        verdict, unreachable, fault = text.verdict, text.unreachable, text.fault
    else:
        verdict = _verdict(answer.status, reply.status_code, put_off=retry_after is not None, direct=direct)
        unreachable = answer.status in _NOBODY_BEHIND and reply.status_code is None and retry_after is None
        fault = NodeFault.CRASHED if answer.status == 500 and reply.status_code is None and not direct else None
    return Reading(
        verdict=verdict,
        http_status=answer.status,
        ocpi_status=reply.status_code,
        detail="" if verdict is AttemptVerdict.ACCEPTED else excerpt(answer.body, secrets=secrets),
        retry_after_seconds=retry_after,
        unreachable=unreachable,
        fault=fault,
    )


def read_no_answer(no_answer: NoAnswer) -> Reading:
    """Read a call that ended without an answer."""
    connected = no_answer.sent is not Sent.NO
    return Reading(
        verdict=AttemptVerdict.UNKNOWN if connected else AttemptVerdict.NOT_PROCESSED,
        detail=excerpt(no_answer.detail.encode()),
        unreachable=not connected,
    )


def excerpt(body: bytes, *, secrets: Sequence[str] = ()) -> str:
    """The beginning of a foreign text, harmless on any screen and in any log: printable ASCII, the rest escaped."""
    text = hide(body.decode("utf-8", errors="backslashreplace"), secrets)[:EXCERPT_LIMIT]
    return text.encode("unicode_escape").decode("ascii")[:EXCERPT_LIMIT]


def _known_text(reply: OcpiReply) -> NodeText | None:
    if reply.status_code not in _STATUSES_WITH_TEXTS:
        return None
    for text in NODE_TEXTS:
        if text.ocpi_status == reply.status_code and text.fragment in reply.status_message:
            return text
    return None


def _verdict(http_status: int, code: int | None, *, put_off: bool, direct: bool) -> AttemptVerdict:
    """By the two statuses alone."""
    if http_status >= 500:
        return AttemptVerdict.NOT_PROCESSED if put_off else AttemptVerdict.UNKNOWN
    if 300 <= http_status < 400:
        return AttemptVerdict.NOT_PROCESSED  # never followed; it only says "not here"
    if http_status in _HTTP_CLIENT_ERRORS:
        return _HTTP_CLIENT_ERRORS[http_status]
    if code is not None and code >= 3000:
        return AttemptVerdict.UNKNOWN
    if 200 <= http_status < 300:
        return _by_code(code)
    if code is None and http_status in _NO_ROUTE and not direct:
        return AttemptVerdict.SETUP
    return AttemptVerdict.REFUSED


def _by_code(code: int | None) -> AttemptVerdict:
    if code is not None and 1000 <= code < 2000:
        return AttemptVerdict.ACCEPTED
    if code is not None and 2000 <= code < 3000:
        return AttemptVerdict.REFUSED
    # A 204, a page of HTML, a code of nobody's, or nothing at all, which is what a 2.x node answers (HTTP 200) when the
    # service closes without an answer: processed or not, it does not say.
    return AttemptVerdict.UNKNOWN


def _retry_after(answer: Answer, now: datetime) -> float | None:
    """Seconds that the answer asks for, never negative (RFC 9110 §10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wished = parsedate_to_datetime(value)
    except ValueError:
        return None
    if wished.tzinfo is None:
        return None
    return max(0.0, (wished - now).total_seconds())
