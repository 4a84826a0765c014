import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.consent.address import address
from ocn_permission_agent.outbox.lane import cdr_id, lane_of
from ocn_permission_agent.outbox.model import Lane
from tests.factories import a_request

CUSTOMER = address("0x" + "c1" * 20)
PROVIDER = address("0x" + "51" * 20)


def lane(method: str, path: str, body: bytes = b"{}") -> Lane:
    return lane_of(a_request(method, path, body=body), customer_address=CUSTOMER, provider_address=PROVIDER)


def test_put_and_patch_of_one_session_ride_in_one_lane() -> None:
    path = "/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    assert lane("PUT", path) == lane("PATCH", path)
    assert (lane("PUT", path).owner, lane("PUT", path).object_id) == ("DE*CPO", "s1")


def test_evse_and_connector_ride_with_their_location() -> None:
    location = lane("PUT", "/ocpi/receiver/2.2/locations/DE/CPO/l1")
    assert lane("PATCH", "/ocpi/receiver/2.2/locations/DE/CPO/l1/e1") == location
    assert lane("PUT", "/ocpi/receiver/2.2/locations/DE/CPO/l1/e1/1") == location
    assert lane("PUT", "/ocpi/receiver/2.2/locations/DE/CPO/l2") != location


@pytest.mark.parametrize(
    ("method", "path", "object_id"),
    [
        ("PUT", "/ocpi/sender/2.2/sessions/s1/charging_preferences", "s1"),
        ("POST", "/ocpi/sender/2.2/tokens/u1/authorize", "u1"),
        ("PUT", "/ocpi/2.2/receiver/chargingprofiles/s9", "s9"),
        ("POST", "/ocpi/receiver/2.2/commands/START_SESSION", "c0ffee00-0000-4000-8000-000000000001"),
        ("POST", "/ocpi/sender/2.2/commands/START_SESSION/7", "c0ffee00-0000-4000-8000-000000000001"),
        ("GET", "/ocpi/sender/2.2/locations/l1", "l1"),
    ],
)
def test_what_has_no_owner_in_its_path(method: str, path: str, object_id: str) -> None:
    assert (lane(method, path).owner, lane(method, path).object_id) == ("", object_id)


def test_a_cdr_has_its_id_in_the_body() -> None:
    assert lane("POST", "/ocpi/receiver/2.2/cdrs", b'{"country_code":"DE","id":"cdr-1","x":1.0}').object_id == "cdr-1"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":7}', b"\xff", b'{"id":"c","x":' + b"[" * 100_000])
def test_a_cdr_without_an_id_still_is_one_thing(body: bytes) -> None:
    assert cdr_id(body) == cdr_id(bytes(body))
    assert cdr_id(body) != cdr_id(body + b" ")


parts = st.text(alphabet="ab:1*", max_size=4)


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_different_lanes_have_different_keys(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    def made(of: tuple[str, str, str]) -> Lane:
        module, owner, object_id = of
        return Lane(
            provider_address=PROVIDER, customer_address=CUSTOMER, module=module, owner=owner, object_id=object_id
        )

    assert (made(one).key == made(other).key) == (one == other)
