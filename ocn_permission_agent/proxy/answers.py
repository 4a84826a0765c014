"""What the proxy says in its own name, always as an OCPI body. Pure."""

from datetime import datetime
from http import HTTPStatus

import msgspec

#: the harmless `response_url` in copies of commands points below it; answered by the proxy, reaches nobody
INERT_PATH = "/ocn-agent/inert"


class _Body(msgspec.Struct):
    status_code: int
    status_message: str
    timestamp: str


def is_inert(path: str) -> bool:
    """Whether the proxy answers this path itself."""
    return path == INERT_PATH or path.startswith(INERT_PATH + "/")


def ocpi_body(status_code: int, status_message: str, now: datetime) -> bytes:
    """An OCPI reply without data (OCPI 2.2.1 §4.1.7).

    Args:
        status_code: OCPI's.
        status_message: a sentence without secrets.
        now: aware UTC.
    """
    timestamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    return msgspec.json.encode(_Body(status_code=status_code, status_message=status_message, timestamp=timestamp))


def own_answer(
    *, http_status: int, status_code: int, status_message: str, now: datetime, close: bool, bodiless: bool = False
) -> bytes:
    """A whole HTTP answer.

    Args:
        http_status: of the status line.
        status_code: OCPI's.
        status_message: a sentence without secrets.
        now: aware UTC.
        close: the connection ends with it.
        bodiless: the request was a HEAD.
    """
    body = ocpi_body(status_code, status_message, now)
    head = (
        f"HTTP/1.1 {http_status} {HTTPStatus(http_status).phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n"
    )
    return head.encode() + (b"" if bodiless else body)
