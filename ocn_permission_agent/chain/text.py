"""Foreign bytes as text that can be shown, logged and compared without harm (consent.md C10).

Names, urls and domains are whatever anybody wrote into a contract. Parties are two and three raw bytes.
"""

import re

from ocn_permission_agent.ocpi.party import Party

#: characters shown of a name or url
SHOWN_LIMIT = 256
_PIECE = re.compile(r"\\x([0-9a-f]{2})|([^\\])")


def shown(raw: bytes) -> str:
    """At most 256 characters; what is not UTF-8 or not printable is escaped."""
    # Four bytes per character at most, so that a megabyte is not decoded for the sake of its first characters.
    text = raw[: SHOWN_LIMIT * 4].decode("utf-8", "backslashreplace")[:SHOWN_LIMIT]
    return "".join(char if char.isprintable() else _escape(char) for char in text)[:SHOWN_LIMIT]


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def readable_domain(raw: bytes) -> str | None:
    """A node's domain exactly as registered; None when it is no printable text of at most 256 bytes."""
    if len(raw) > SHOWN_LIMIT:
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def party_from_bytes(country_code: bytes, party_id: bytes) -> Party:
    r"""A party of the registry. Bytes outside printable ASCII are written ``\xNN``: no OCPI header can equal that."""
    return Party(_escape_bytes(country_code), _escape_bytes(party_id))


def party_bytes(party: Party) -> tuple[bytes, bytes]:
    """The bytes that `party_from_bytes` was given."""
    return _unescape_bytes(party.country_code), _unescape_bytes(party.party_id)


def _escape_bytes(raw: bytes) -> str:
    return "".join(chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in raw)


def _unescape_bytes(text: str) -> bytes:
    return b"".join(
        bytes.fromhex(escaped) if escaped else plain.encode("ascii") for escaped, plain in _PIECE.findall(text)
    )
