"""One copy per (content, provider): what repeats an earlier copy is noted, not sent (consent.md). Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.policy import DeliveryClass, brings_periods, class_of

#: charging periods that were appended once are not appended again within this time
PERIODS_SPAN = timedelta(hours=24)


class Repetition(Enum):
    """What a new copy is to those that were recorded in its lane before; the values label `copies_total`."""

    #: something new: it is due
    NEW = "recorded"
    #: the same again
    DUPLICATE = "duplicate"
    #: a CDR with a known id and another content: shown, not sent
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A copy recorded before in the same lane, and neither withdrawn nor expired: those never arrived."""

    delivery_id: int
    recorded_at: datetime


def content_digest(request: OcpiRequest) -> bytes:
    """16 bytes that are equal for equal method, URL and body bytes. Outlives the payload."""
    head = msgspec.json.encode((request.method, request.url_path, request.query))
    return hashlib.blake2b(head + b"\n" + request.body, digest_size=16).digest()


def judge_repetition(
    request: OcpiRequest, *, alike: Earlier | None, newest: int | None, any_earlier: bool, now: datetime
) -> Repetition:
    """Tell what a new copy is.

    Args:
        request: the new one.
        alike: the newest earlier copy with the same content.
        newest: delivery id of the newest earlier copy of any content.
        any_earlier: whether the lane has any earlier copy.
        now: when the new one is recorded.
    """
    if class_of(request) is DeliveryClass.CDR:
        if alike is not None:
            return Repetition.DUPLICATE
        return Repetition.CONFLICT if any_earlier else Repetition.NEW
    if alike is None:
        return Repetition.NEW
    repeats = alike.delivery_id == newest or (brings_periods(request) and now - alike.recorded_at <= PERIODS_SPAN)
    return Repetition.DUPLICATE if repeats else Repetition.NEW
