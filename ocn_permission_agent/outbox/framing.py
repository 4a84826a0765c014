"""Records in a file that may end in the middle of one: length, CRC-32, payload. Pure.

::

    "OCNSPOOL" 1 id(15) │ length(4) crc(4) payload │ length(4) crc(4) payload │ …

Numbers are big-endian. The id is new whenever the file begins anew, so that an offset can be told from the same offset
of an earlier filling.
"""

import struct
import zlib
from dataclasses import dataclass

_MAGIC = b"OCNSPOOL\x01"
_ID_BYTES = 15
_HEAD = struct.Struct(">II")

#: bytes before the first record
HEADER_BYTES = len(_MAGIC) + _ID_BYTES
#: bytes before each payload
HEAD_BYTES = _HEAD.size
#: no payload is longer; a length beyond it was never written by us
PAYLOAD_LIMIT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before a payload."""

    length: int
    checksum: int

    def fits(self, payload: bytes) -> bool:
        """Whether this is the payload that was written."""
        return len(payload) == self.length and zlib.crc32(payload) == self.checksum


def header(unique: bytes) -> bytes:
    """The first bytes of a file.

    Args:
        unique: 15 random bytes.
    """
    if len(unique) != _ID_BYTES:
        raise ValueError(f"{_ID_BYTES} bytes are needed, not {len(unique)}")
    return _MAGIC + unique


def name_in(start: bytes) -> str | None:
    """The id of a file as hexadecimal text; None when it is not, or not completely, begun by us."""
    if len(start) < HEADER_BYTES or not start.startswith(_MAGIC):
        return None
    return start[len(_MAGIC) : HEADER_BYTES].hex()


def framed(payload: bytes) -> bytes:
    """A record as it is written; a payload is never empty."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_head(data: bytes) -> Head | None:
    """The head of a record; None where no record was written, or only a piece of its head."""
    if len(data) < HEAD_BYTES:
        return None
    length, checksum = _HEAD.unpack_from(data)
    return Head(length, checksum) if 0 < length <= PAYLOAD_LIMIT_BYTES else None
