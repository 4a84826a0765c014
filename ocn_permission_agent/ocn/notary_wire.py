"""The text form of a notary: base64 of compressed JSON, Brotli for 1.x and platforms, GZIP for 2.x (d.1)."""

import base64
import gzip
import re
import zlib

import brotli

from ocn_permission_agent.errors import CanonicalError, SignatureError
from ocn_permission_agent.ocn.json_text import JsonValue, parse_json, write_json
from ocn_permission_agent.ocn.notary import Notary, Rewrite
from ocn_permission_agent.ocn.version import NodeVersion

#: far above the paths of the largest location; a header of a few bytes can unpack to gigabytes
UNPACKED_LIMIT_BYTES = 1024 * 1024
#: one per node on the way, and one per answer rewritten
REWRITE_LIMIT = 16

_GZIP_MAGIC = b"\x1f\x8b"
_BROTLI_QUALITY = 4
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def parse_notary(header: str) -> Notary:
    """Read an OCN-Signature, whichever of the two compressions it has. Every call gives a notary of its own.

    Raises:
        SignatureError: no such thing, or beyond our limits.
    """
    packed = _decode(header)
    unpacked = _unzipped(packed) if packed.startswith(_GZIP_MAGIC) else _unbrotlied(packed)
    try:
        value = parse_json(unpacked.decode())
    except (UnicodeDecodeError, CanonicalError) as error:
        raise SignatureError("OCN-Signature holds no JSON") from error
    if not isinstance(value, dict):
        raise SignatureError("OCN-Signature holds no notary")
    rewrites = value.get("rewrites")
    if rewrites is None:
        rewrites = []
    if not isinstance(rewrites, list) or len(rewrites) > REWRITE_LIMIT:
        raise SignatureError(f"OCN-Signature holds no list of at most {REWRITE_LIMIT} rewrites")
    return Notary(
        fields=_read_fields(value),
        hash=_read_text(value, "hash"),
        rsv=_read_text(value, "rsv"),
        signatory=_read_text(value, "signatory"),
        rewrites=tuple(_read_rewrite(rewrite) for rewrite in rewrites),
    )


def notary_header(notary: Notary, version: NodeVersion) -> str:
    """Write an OCN-Signature for a node of that version; platforms read the form of 1.x."""
    text = notary_json(notary)
    if version is NodeVersion.V2:
        return base64.b64encode(gzip.compress(text, mtime=0)).decode()
    return base64.b64encode(brotli.compress(text, quality=_BROTLI_QUALITY)).decode()


def notary_json(notary: Notary) -> bytes:
    """The JSON inside an OCN-Signature."""
    value: JsonValue = {
        "fields": list(notary.fields),
        "hash": notary.hash,
        "rsv": notary.rsv,
        "signatory": notary.signatory,
        "rewrites": [
            {
                "rewrittenFields": dict(rewrite.rewritten_fields),
                "hash": rewrite.hash,
                "rsv": rewrite.rsv,
                "signatory": rewrite.signatory,
            }
            for rewrite in notary.rewrites
        ],
    }
    return write_json(value, NodeVersion.V2).encode()


def _decode(header: str) -> bytes:
    """Base64 as forgiving as the JavaScript notary's: either alphabet, strangers skipped, padding optional."""
    text = header.partition("=")[0].replace("-", "+").replace("_", "/")
    text = _NOT_BASE64.sub("", text)
    if len(text) % 4 == 1:
        text = text[:-1]
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _unzipped(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(packed, UNPACKED_LIMIT_BYTES + 1)
    except zlib.error as error:
        raise SignatureError("Decompression failed") from error
    return _checked(unpacked, complete=unpacker.eof)


def _unbrotlied(packed: bytes) -> bytes:
    unpacker = brotli.Decompressor()
    try:
        unpacked = unpacker.process(packed, output_buffer_limit=UNPACKED_LIMIT_BYTES + 1)
    except brotli.error as error:
        raise SignatureError("Decompression failed") from error
    return _checked(unpacked, complete=unpacker.is_finished())


def _checked(unpacked: bytes, *, complete: bool) -> bytes:
    if len(unpacked) > UNPACKED_LIMIT_BYTES:
        raise SignatureError(f"OCN-Signature unpacks to more than {UNPACKED_LIMIT_BYTES} bytes")
    if not complete:
        raise SignatureError("Decompression failed")
    return unpacked


def _read_fields(members: dict[str, JsonValue]) -> tuple[str, ...]:
    fields = members.get("fields")
    if not isinstance(fields, list):
        raise SignatureError("OCN-Signature has no fields")
    return tuple(_text(field, "fields") for field in fields)


def _read_rewrite(value: JsonValue) -> Rewrite:
    if not isinstance(value, dict):
        raise SignatureError("a rewrite in OCN-Signature is no object")
    rewritten = value.get("rewrittenFields")
    if not isinstance(rewritten, dict):
        raise SignatureError("a rewrite in OCN-Signature has no rewrittenFields")
    return Rewrite(
        rewritten_fields=tuple(rewritten.items()),
        hash=_read_text(value, "hash"),
        rsv=_read_text(value, "rsv"),
        signatory=_read_text(value, "signatory"),
    )


def _read_text(members: dict[str, JsonValue], name: str) -> str:
    return _text(members.get(name), name)


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str):
        raise SignatureError(f"{name} in OCN-Signature is no text")
    return value
