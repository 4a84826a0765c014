"""What the proxy says in its own name."""

import json
from datetime import UTC, datetime
from http import HTTPStatus

from ocn_permission_agent.proxy.answers import is_inert, ocpi_body, own_answer

NOW = datetime(2026, 3, 1, 10, 0, 0, 7_000, tzinfo=UTC)


def test_body_is_ocpis() -> None:
    assert json.loads(ocpi_body(2001, "no", NOW)) == {
        "status_code": 2001,
        "status_message": "no",
        "timestamp": "2026-03-01T10:00:00.007Z",
    }


def test_answer_is_framed_by_its_length() -> None:
    data = own_answer(http_status=413, status_code=2001, status_message="no", now=NOW, close=True)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 413 %b" % HTTPStatus(413).phrase.encode(),  # Python 3.13 has another than 3.11
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]
    kept = own_answer(http_status=502, status_code=4003, status_message="no", now=NOW, close=False, bodiless=True)
    assert kept.endswith(b"\r\n\r\n")
    assert b"Connection" not in kept


def test_inert_is_a_folder_of_its_own() -> None:
    assert [is_inert(path) for path in ("/ocn-agent/inert", "/ocn-agent/inert/", "/ocn-agent/inertx", "/")] == [
        True,
        True,
        False,
        False,
    ]
