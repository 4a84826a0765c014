import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.outbox.answer import EXCERPT_LIMIT, excerpt, read_answer, read_no_answer
from ocn_permission_agent.outbox.model import AttemptVerdict

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def ocpi(http_status: int, code: int, message: str = "", **headers: str) -> Answer:
    body = json.dumps({"status_code": code, "status_message": message, "timestamp": "2026-03-01T10:00:00Z"}).encode()
    return Answer(
        status=http_status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


def other(http_status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(
        status=http_status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (ocpi(200, 1000), "accepted"),
        (ocpi(201, 1000), "accepted"),
        (ocpi(200, 1001), "accepted"),
        # ocn-protocol.md b.1 row 19: processed, the answer withheld
        (ocpi(200, 3000, "Unable to verify response signature: Missing OCN signature"), "unconfirmed"),
        # what the service says about the message
        (ocpi(200, 2001, "kwh is missing"), "refused"),
        (ocpi(400, 2001, "kwh is missing"), "refused"),
        (ocpi(404, 2003, "Unknown session"), "refused"),
        (other(400, b"no"), "refused"),
        (other(413), "refused"),
        (ocpi(422, 2000), "refused"),
        # rows 9, 10, 12 and c.4 step 6: never sent on
        (ocpi(400, 2001, "Receiver does not support the requested module"), "setup"),
        (ocpi(200, 2001, "Receiver does not support the requested module"), "setup"),
        (ocpi(400, 2000, "Message receiver not in sender's whitelist."), "setup"),
        (ocpi(200, 2000, "Sender not whitelisted to request sessions from receiver."), "setup"),
        (ocpi(400, 2001, "Missing OCN Signature"), "setup"),
        (ocpi(200, 4003, "Could not verify OCN-Signature of request"), "setup"),
        (other(401), "setup"),
        (ocpi(403, 2000), "setup"),
        # no route there: a wrong prefix, no service has spoken
        (other(404, b'{"status":404,"error":"Not Found","path":"/ocn/message"}'), "setup"),
        (other(405), "setup"),
        # surely not processed
        (ocpi(200, 4003, "Connection refused (Connection refused)"), "not_processed"),
        (ocpi(200, 4002, "Connect timed out"), "not_processed"),
        (ocpi(200, 4002, "connect timed out"), "not_processed"),
        (ocpi(200, 4003, "Connect timeout has expired [url=x, connect_timeout=unknown ms]"), "not_processed"),
        (ocpi(200, 4001, "Recipient unknown to OCN Node entered in Registry"), "not_processed"),
        (ocpi(200, 4001, "Role DE-CPO not registered on OCN Registry"), "not_processed"),
        (other(429), "not_processed"),
        (other(425), "not_processed"),
        (other(301, location="https://elsewhere.example/"), "not_processed"),
        (other(503, retry_after="30"), "not_processed"),
        # nobody knows
        (ocpi(200, 4002, "Read timed out"), "unknown_outcome"),
        (ocpi(200, 4003, "Connection reset"), "unknown_outcome"),
        (ocpi(200, 4000, "Could not parse JSON response of forwarded OCPI request: x"), "unknown_outcome"),
        (ocpi(200, 3000, "Could not parse JSON response of forwarded OCPI request: x"), "unknown_outcome"),
        (ocpi(200, 3001), "unknown_outcome"),
        (ocpi(400, 3001), "unknown_outcome"),
        (
            other(500, b'{"timestamp":"t","status":500,"error":"e","message":"m","path":"/ocn/message"}'),
            "unknown_outcome",
        ),
        (ocpi(500, 1000), "unknown_outcome"),
        (other(502), "unknown_outcome"),
        (other(503), "unknown_outcome"),
        (other(408), "unknown_outcome"),
        (other(204), "unknown_outcome"),
        # a 2.x node whose service closed the connection without an answer
        (other(200), "unknown_outcome"),
        (other(500, b'{"status":500,"error":"","path":"/ocn-v2/ocn/message"}'), "unknown_outcome"),
        (ocpi(200, 3000, ""), "unknown_outcome"),
        (other(200, b"<html>Welcome</html>"), "unknown_outcome"),
        (other(200, b"\xff\xfe"), "unknown_outcome"),
        (ocpi(200, 0), "unknown_outcome"),
        (other(200, b'{"status_code":"1000"}'), "unknown_outcome"),
        (other(200, b"[1000]"), "unknown_outcome"),
    ],
)
def test_reading_the_answer(answer: Answer, verdict: str) -> None:
    assert read_answer(answer, now=NOW).verdict.value == verdict


@pytest.mark.parametrize(
    ("answer", "unreachable"),
    [
        (ocpi(200, 4003, "Connection refused (Connection refused)"), True),
        (other(502, b"<html>Bad Gateway</html>"), True),
        (other(503), True),
        (other(503, retry_after="30"), False),
        (ocpi(502, 3000), False),
        (ocpi(200, 4002, "Read timed out"), False),
        (ocpi(200, 1000), False),
        (other(500), False),
    ],
)
def test_who_is_not_there_at_all(answer: Answer, unreachable: bool) -> None:
    assert read_answer(answer, now=NOW).unreachable is unreachable


def test_a_call_that_never_connected_was_not_processed() -> None:
    reading = read_no_answer(NoAnswer(sent=Sent.NO, detail="connection refused"))
    assert (reading.verdict, reading.unreachable) == (AttemptVerdict.NOT_PROCESSED, True)
    assert (reading.http_status, reading.detail) == (None, "connection refused")


def test_a_call_that_was_cut_has_an_unknown_outcome() -> None:
    reading = read_no_answer(NoAnswer(sent=Sent.MAYBE, detail="no answer within 45 s"))
    assert (reading.verdict, reading.unreachable) == (AttemptVerdict.UNKNOWN, False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("Sun, 01 Mar 2026 10:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2020 10:02:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Sun, 01 Mar 2026 10:02:00 -0000", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert read_answer(other(429, retry_after=value), now=NOW).retry_after_seconds == seconds


def test_only_429_and_503_can_ask_for_patience() -> None:
    assert read_answer(other(500, retry_after="30"), now=NOW).retry_after_seconds is None


def test_an_endless_answer_is_cut_before_it_is_read() -> None:
    body = b'{"status_code":1000,"data":"' + b"x" * ANSWER_LIMIT_BYTES + b'"}'
    reading = read_answer(other(200, body), now=NOW)
    assert (reading.verdict, len(reading.detail)) == (AttemptVerdict.UNKNOWN, EXCERPT_LIMIT)


def test_nothing_is_kept_of_an_answer_that_accepts() -> None:
    assert read_answer(ocpi(200, 1000, "thank you"), now=NOW).detail == ""


@given(st.binary(max_size=5000))
def test_an_excerpt_is_short_and_harmless(body: bytes) -> None:
    text = excerpt(body)
    assert len(text) <= EXCERPT_LIMIT
    assert text.isascii()
    assert text.isprintable()


@given(st.integers(min_value=100, max_value=599), st.binary(max_size=200))
def test_every_answer_can_be_read(status: int, body: bytes) -> None:
    assert read_answer(other(status, body), now=NOW).http_status == status


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (ocpi(400, 2001, "Missing OCN Signature"), "notary_missing"),
        (ocpi(200, 4003, "Could not verify OCN-Signature of request"), "signature_refused"),
        (other(500, b'{"timestamp":"t","status":500,"error":"e","message":"m","path":"/ocn/message"}'), "crashed"),
        (other(500, b'{"status":500,"error":"","path":"/ocn-v2/ocn/message"}'), "crashed"),
        (other(502), None),
        (ocpi(500, 3000), None),
        (ocpi(200, 1000), None),
    ],
)
def test_what_a_node_has_against_the_message_itself(answer: Answer, fault: str | None) -> None:
    found = read_answer(answer, now=NOW).fault
    assert (None if found is None else found.value) == fault
    assert read_answer(answer, now=NOW, direct=True).fault is None
