import json

import pytest

from ocn_permission_agent.ocpi.reply import Outcome, outcome_of, read_reply


def outcome(http_status: int, status_code: int | None, message: str = "") -> Outcome:
    body = b"" if status_code is None else json.dumps({"status_code": status_code, "status_message": message}).encode()
    return outcome_of(read_reply(http_status, body))


@pytest.mark.parametrize(("http_status", "code"), [(200, 1000), (201, 1000), (200, 1001), (202, 1999)])
def test_a_success_is_accepted(http_status: int, code: int) -> None:
    assert outcome(http_status, code) is Outcome.ACCEPTED


@pytest.mark.parametrize("http_status", [200, 500])
def test_an_unverifiable_response_signature_means_the_receiver_has_processed_it(http_status: int) -> None:
    # ocn-protocol.md b.1 row 19
    assert outcome(http_status, 3000, "Unable to verify response signature: x") is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("http_status", "code"),
    [
        (400, 2001),  # 1.x: rows 1-8, 10, 12
        (200, 2001),  # 2.x: the same with HTTP 200
        (400, 2000),  # 1.x whitelist
        (200, 2000),  # 2.x whitelist
        (404, 2003),  # 1.x proxied resource
        (200, 4001),  # receiver not registered
        (200, 4003),  # connection refused
        (200, 2002),  # relayed from the receiver
        (200, 3001),
        (404, None),  # unknown path, framework JSON
        (405, None),
        (400, None),  # 1.x row 4: empty body
        (401, None),
    ],
)
def test_a_refusal_is_a_refusal_in_each_form(http_status: int, code: int | None) -> None:
    assert outcome(http_status, code) is Outcome.REFUSED


@pytest.mark.parametrize(
    ("http_status", "code"),
    [
        (504, None),
        (502, None),
        (500, None),  # the node crashed, rows 15, 17a, 18
        (500, 1000),
        (200, 4002),  # time-out, row 14
        (200, 3000),  # rows 13, 16 of 1.x, fallback of 2.x
        (200, 4000),  # row 16 of 2.x
        (200, None),
        (400, 4002),
    ],
)
def test_what_nobody_knows_is_unknown(http_status: int, code: int | None) -> None:
    assert outcome(http_status, code) is Outcome.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b"{}", b'{"status_code":"1000"}', b"\xff", b'{"status_code":1000'])
def test_a_body_that_is_no_ocpi_reply_has_no_status(body: bytes) -> None:
    assert read_reply(200, body).status_code is None


def test_data_of_a_reply_is_left_alone() -> None:
    reply = read_reply(200, b'{"data":[{"status_code":2001}],"status_code":1000,"timestamp":"x"}')
    assert (reply.status_code, reply.status_message) == (1000, "")


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_a_reply_without_end_of_nesting_is_unreadable(opening: bytes) -> None:
    assert outcome_of(read_reply(200, opening * 100_000)) is Outcome.UNKNOWN
    assert read_reply(200, b'{"data":' + opening * 100_000 + b"1").status_code is None
