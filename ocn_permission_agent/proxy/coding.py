"""Undo a `Content-Encoding`, only to read what it says; what is passed on keeps its bytes. Pure."""

import zlib

import brotli

#: more than anybody applies in good faith; each step may take as long as the limit allows
_MOST_CODINGS = 3


def plain(body: bytes, content_encoding: str, *, limit_bytes: int) -> bytes | None:
    """The decoded bytes, or None if they cannot be read or would be more than `limit_bytes`.

    Args:
        body: as sent.
        content_encoding: the header's value, empty for none; codings in the order they were applied.
        limit_bytes: for every step of the decoding.
    """
    if not content_encoding:
        return body
    if content_encoding.count(",") >= _MOST_CODINGS:
        return None
    codings = [word.strip().lower() for word in content_encoding.split(",") if word.strip()]
    for coding in reversed(codings):
        decoded = _undo(coding, body, limit_bytes)
        if decoded is None:
            return None
        body = decoded
    return body


def _undo(coding: str, body: bytes, limit_bytes: int) -> bytes | None:
    match coding:
        case "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflate(body, zlib.MAX_WBITS | 16, limit_bytes)
        case "deflate":
            # Some senders leave out the zlib wrapper that RFC 9110 §8.4.1.2 asks for.
            wrapped = _inflate(body, zlib.MAX_WBITS, limit_bytes)
            return _inflate(body, -zlib.MAX_WBITS, limit_bytes) if wrapped is None else wrapped
        case "br":
            return _unbrotli(body, limit_bytes)
        case _:
            return None


def _inflate(body: bytes, window: int, limit_bytes: int) -> bytes | None:
    decoder = zlib.decompressobj(window)
    try:
        decoded = decoder.decompress(body, limit_bytes)
    except zlib.error:
        return None
    return decoded if decoder.eof else None


def _unbrotli(body: bytes, limit_bytes: int) -> bytes | None:
    decoder = brotli.Decompressor()
    try:
        decoded: bytes = decoder.process(body, output_buffer_limit=limit_bytes)
        return decoded if decoder.is_finished() else None
    except brotli.error:
        return None
