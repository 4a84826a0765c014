"""A plan as a record of the spool. Pure. There is no place for `Authorization` in a plan."""

import msgspec

from ocn_permission_agent.outbox.model import CopyPlan

#: the first byte of a record; another one is another version's
_VERSION = b"\x01"
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(CopyPlan)


def packed(plan: CopyPlan) -> bytes:
    """The plan as bytes."""
    return _VERSION + _ENCODER.encode(plan)


def unpacked(record: bytes) -> CopyPlan | None:
    """The plan of a record; None when it is none that this version can read."""
    if not record.startswith(_VERSION):
        return None
    try:
        return _DECODER.decode(memoryview(record)[1:])
    except (msgspec.MsgspecError, ValueError):
        return None
