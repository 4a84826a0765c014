"""One entry of the ledger as the text that is hashed. Pure. The format is final: docs/reference/ledger.md."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

SALT_BYTES = 16
#: of the text below; another format would be another number
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one delivery.

    Texts are those of the store: ``DE*CPO`` for parties, ``0x…`` for addresses, ``0x…:3`` for the agreement (the
    transaction of the grant and the log in it). `sent_as` is ``PUT`` or ``PATCH`` where the copy stood for several
    requests and was sent in another form than the customer's. `started_at` is when the newest attempt began, None
    without any; `agreement_block` 0 where it is not known. `size` counts bytes of the customer's original body, and
    `body_hash` is SHA-256 of salt and body, hexadecimal.
    """

    outcome: str
    customer: str
    customer_address: str
    provider: str
    provider_address: str
    module: str
    interface_role: str
    method: str
    sent_as: str | None
    owner: str
    object_id: str
    correlation_id: str
    size: int
    body_hash: str
    recorded_at: datetime
    started_at: datetime | None
    ended_at: datetime
    attempts: int
    agreement: str
    agreement_block: int


class _Text(msgspec.Struct, kw_only=True):
    """The members in the order of the text."""

    format: int
    outcome: str
    customer: str
    customer_address: str
    provider: str
    provider_address: str
    module: str
    interface_role: str
    method: str
    sent_as: str | None
    owner: str
    object_id: str
    correlation_id: str
    size: int
    body_hash: str
    recorded_at: str
    started_at: str | None
    ended_at: str
    attempts: int
    agreement: str
    agreement_block: int


_DECODER = msgspec.json.Decoder(_Text)
_ENCODER = msgspec.json.Encoder()


class Told(Protocol):
    """What became of a delivery, as whoever ends it tells it: an `Entry` without what is said of the body."""

    @property
    def outcome(self) -> str: ...  # noqa: D102
    @property
    def customer(self) -> str: ...  # noqa: D102
    @property
    def customer_address(self) -> str: ...  # noqa: D102
    @property
    def provider(self) -> str: ...  # noqa: D102
    @property
    def provider_address(self) -> str: ...  # noqa: D102
    @property
    def module(self) -> str: ...  # noqa: D102
    @property
    def interface_role(self) -> str: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def sent_as(self) -> str | None: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def object_id(self) -> str: ...  # noqa: D102
    @property
    def correlation_id(self) -> str: ...  # noqa: D102
    @property
    def recorded_at(self) -> datetime: ...  # noqa: D102
    @property
    def started_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def ended_at(self) -> datetime: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def agreement(self) -> str: ...  # noqa: D102
    @property
    def agreement_block(self) -> int: ...  # noqa: D102


def entry_text(told: Told, *, size: int, body_hash: str) -> bytes:
    """The JSON text of an entry, UTF-8, without blanks, members in the fixed order.

    Args:
        told: what became of a delivery; an `Entry` itself is that, too.
        size: see `Entry`.
        body_hash: see `Entry`.
    """
    return _ENCODER.encode(
        _Text(
            format=_FORMAT,
            outcome=told.outcome,
            customer=told.customer,
            customer_address=told.customer_address,
            provider=told.provider,
            provider_address=told.provider_address,
            module=told.module,
            interface_role=told.interface_role,
            method=told.method,
            sent_as=told.sent_as,
            owner=told.owner,
            object_id=told.object_id,
            correlation_id=told.correlation_id,
            size=size,
            body_hash=body_hash,
            recorded_at=_instant(told.recorded_at),
            started_at=None if told.started_at is None else _instant(told.started_at),
            ended_at=_instant(told.ended_at),
            attempts=told.attempts,
            agreement=told.agreement,
            agreement_block=told.agreement_block,
        )
    )


def read_entry(text: bytes) -> Entry:
    """Read the text back.

    Raises:
        ValueError: not an entry of this format.
    """
    try:
        found = _DECODER.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an entry of the ledger: {error}") from error
    if found.format != _FORMAT:
        raise ValueError(f"an entry of format {found.format}, this agent knows {_FORMAT}")
    members = {name: getattr(found, name) for name in _Text.__struct_fields__ if name != "format"}
    members["recorded_at"] = datetime.fromisoformat(found.recorded_at)
    members["started_at"] = None if found.started_at is None else datetime.fromisoformat(found.started_at)
    members["ended_at"] = datetime.fromisoformat(found.ended_at)
    return Entry(**members)


def body_hash(salt: bytes, body: bytes) -> str:
    """SHA-256 of salt and the customer's original body, hexadecimal: proves the body to whoever still has it."""
    return hashlib.sha256(salt + body).hexdigest()


def _instant(at: datetime) -> Any:
    """``2026-03-01T10:00:00.000000Z``, always with microseconds; the instant itself where the encoder writes that."""
    if at.tzinfo is UTC and at.microsecond:
        return at
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
