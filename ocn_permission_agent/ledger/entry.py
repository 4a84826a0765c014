"""One entry of the ledger as the text that is hashed. Pure. The format is final: docs/reference/ledger.md."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

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


def entry_text(entry: Entry) -> bytes:
    """The JSON text of an entry, UTF-8, without blanks, members in the fixed order."""
    return msgspec.json.encode(
        _Text(
            format=_FORMAT,
            outcome=entry.outcome,
            customer=entry.customer,
            customer_address=entry.customer_address,
            provider=entry.provider,
            provider_address=entry.provider_address,
            module=entry.module,
            interface_role=entry.interface_role,
            method=entry.method,
            sent_as=entry.sent_as,
            owner=entry.owner,
            object_id=entry.object_id,
            correlation_id=entry.correlation_id,
            size=entry.size,
            body_hash=entry.body_hash,
            recorded_at=_instant(entry.recorded_at),
            started_at=None if entry.started_at is None else _instant(entry.started_at),
            ended_at=_instant(entry.ended_at),
            attempts=entry.attempts,
            agreement=entry.agreement,
            agreement_block=entry.agreement_block,
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


def _instant(at: datetime) -> str:
    """``2026-03-01T10:00:00.000000Z``, always with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
