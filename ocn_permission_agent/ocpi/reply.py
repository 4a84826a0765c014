"""What a node's reply to a request says about the request: accepted, refused, or nobody knows (consent.md).

The facts behind the table are the error forms of both nodes, ocn-protocol.md b.1 and b.3: 1.x answers client errors
with HTTP 400, 2.x with HTTP 200, hub errors (4xxx) always come with HTTP 200, and a crash of the node is a 500 in the
framework's own JSON.
"""

from enum import Enum

import msgspec

#: Text that both nodes put into a 3000 after the receiver has processed the request
#: (ocn-protocol.md b.1 row 19; OCN Node 1.1.2 and 2.x).
RESPONSE_SIGNATURE_TEXT = "Unable to verify response signature"


class Outcome(Enum):
    """What happened to a request."""

    #: the receiver processed it: copies are due
    ACCEPTED = "accepted"
    #: node or receiver said no: nothing is due
    REFUSED = "receiver_refused"
    #: it may or may not have been processed: a gap, never a copy
    UNKNOWN = "unknown_outcome"


class _Envelope(msgspec.Struct):
    """The members of an OCPI reply that decide; `data` is left alone."""

    status_code: int
    status_message: str | None = None


class OcpiReply(msgspec.Struct, frozen=True, kw_only=True):
    """HTTP status, and the OCPI status where the body had one."""

    http_status: int
    status_code: int | None
    status_message: str


_DECODER = msgspec.json.Decoder(_Envelope)
#: Hub and server codes that leave open whether the receiver has seen the request: 3000 and 4000 wrap replies the node
#: could not read or time-outs it did not foresee (b.1 rows 14, 16, 18), 4002 is a time-out.
_UNCERTAIN_CODES = frozenset({3000, 4000, 4002})


def read_reply(http_status: int, body: bytes) -> OcpiReply:
    """Read the OCPI status of a reply.

    Args:
        http_status: of the reply.
        body: plain bytes, any `Content-Encoding` already undone; may be anything at all.
    """
    try:
        envelope = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return OcpiReply(http_status=http_status, status_code=None, status_message="")
    return OcpiReply(
        http_status=http_status,
        status_code=envelope.status_code,
        status_message=envelope.status_message or "",
    )


def outcome_of(reply: OcpiReply) -> Outcome:
    """Decide what a node's reply says about the request it answers."""
    code = reply.status_code
    if code == 3000 and RESPONSE_SIGNATURE_TEXT in reply.status_message:
        return Outcome.ACCEPTED
    if reply.http_status >= 500:
        return Outcome.UNKNOWN
    if 200 <= reply.http_status < 300:
        if code is None or code in _UNCERTAIN_CODES:
            return Outcome.UNKNOWN
        return Outcome.ACCEPTED if 1000 <= code < 2000 else Outcome.REFUSED
    return Outcome.UNKNOWN if code in _UNCERTAIN_CODES else Outcome.REFUSED
