import pytest

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import ROUTING_HEADERS, parse_request
from tests.factories import HEADERS, a_request


def test_a_session_put_is_read_whole() -> None:
    request = a_request("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", body=b"{}", ocn_signature="abc")
    assert (request.sender, request.receiver) == (Party("DE", "CPO"), Party("NL", "MSP"))
    assert request.correlation_id == HEADERS["x-correlation-id"]
    assert request.request_id == HEADERS["x-request-id"]
    assert (request.body, request.ocn_signature, request.carries_data) == (b"{}", "abc", True)


def test_query_keeps_order_repetition_and_empty_values() -> None:
    request = a_request("GET", "/ocpi/sender/2.2/cdrs", query="limit=10&date_from=2026-01-01T00%3A00%3A00Z&x=&limit=2")
    assert request.query == (("limit", "10"), ("date_from", "2026-01-01T00:00:00Z"), ("x", ""), ("limit", "2"))
    assert not request.carries_data


@pytest.mark.parametrize("name", ROUTING_HEADERS)
def test_a_request_without_a_routing_header_is_not_ours(name: str) -> None:
    headers = {key: value for key, value in HEADERS.items() if key != name}
    path = "/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    assert parse_request(method="PUT", raw_path=path, raw_query="", headers=headers, body=b"") is None


@pytest.mark.parametrize("name", ["x-request-id", "x-correlation-id"])
def test_an_id_that_is_empty_is_one_all_the_same(name: str) -> None:
    """A node asks for the header, not for anything in it, and passes the request on."""
    path = "/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    request = parse_request(method="PUT", raw_path=path, raw_query="", headers=HEADERS | {name: ""}, body=b"{}")
    assert request is not None
    assert "" in (request.request_id, request.correlation_id)


@pytest.mark.parametrize(("name", "value"), [("ocpi-from-country-code", "DEU"), ("ocpi-to-party-id", "X")])
def test_a_party_of_wrong_length_is_not_ours(name: str, value: str) -> None:
    path = "/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    assert parse_request(method="PUT", raw_path=path, raw_query="", headers=HEADERS | {name: value}, body=b"") is None


def test_what_is_no_route_is_not_ours() -> None:
    assert parse_request(method="POST", raw_path="/ocn/message", raw_query="", headers=HEADERS, body=b"") is None


def test_authorization_is_never_kept() -> None:
    request = a_request(authorization="Token very-secret")
    assert "very-secret" not in repr(request)


def test_party_text_form() -> None:
    assert str(Party.parse("DE*CPO")) == "DE*CPO"
    assert Party("de", "cPo").folded == Party("DE", "CPO")
    assert Party("ß1", "abé").folded == Party("ß1", "ABé")
    for text in ("", "DECPO", "DE*CP", "D*CPO", "DE-CPO"):
        with pytest.raises(ValueError, match="is not a party"):
            Party.parse(text)
