"""What came of one outgoing call: an answer, or the reason why there is none. Pure.

Whether anything was sent decides what may be tried again (delivery.md), so the two ways of having no answer are kept
apart.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec

#: an answer's body is read up to here and no further
ANSWER_LIMIT_BYTES = 64 * 1024


class Sent(Enum):
    """How far a call without an answer got."""

    #: no connection was made (name, refused, TLS, forbidden address, connect time-out): surely not processed
    NO = "not_connected"
    #: bytes may have left: nobody knows whether they were processed
    MAYBE = "sent_without_answer"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer of any status.

    `headers` has names in lower case, the first value of each. `body` is the plain bytes, any content coding undone,
    cut at `ANSWER_LIMIT_BYTES`; `cut` tells that there was more.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    cut: bool = False


class NoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """No HTTP answer. `detail` is one plain sentence without secrets and without any part of the message."""

    sent: Sent
    detail: str
