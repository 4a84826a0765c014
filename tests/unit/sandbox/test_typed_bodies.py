"""Typed bodies come out as the node's data classes write them (vectors: tests/vectors/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Route, find_route
from ocn_permission_agent.sandbox.node.shapes import session, shape_of
from ocn_permission_agent.sandbox.node.typed import Shape, rebound
from ocn_permission_agent.sandbox.parties import objects

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ocn_message.json").read_text())
OWNER = Party("DE", "CPO")


@pytest.mark.parametrize("vector", VECTORS["typed_bodies"], ids=lambda vector: str(vector["name"]))
def test_session_of_1_x_comes_out_as_its_class_writes_it(vector: dict[str, str]) -> None:
    assert rebound(vector["raw"].encode(), session(NodeVersion.V1), NodeVersion.V1) == vector["text"].encode()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", objects.a_session(OWNER, "s1")),
        ("POST", "/ocpi/receiver/2.2/cdrs", objects.a_cdr(OWNER, "c1")),
        ("PUT", "/ocpi/receiver/2.2/locations/DE/CPO/L1", objects.a_location(OWNER, "L1")),
        ("PUT", "/ocpi/receiver/2.2/tariffs/DE/CPO/T1", objects.a_tariff(OWNER, "T1")),
        ("PUT", "/ocpi/receiver/2.2/tokens/DE/CPO/U1", objects.a_token(OWNER, "U1")),
        ("POST", "/ocpi/receiver/2.2/commands/START_SESSION", objects.a_start_session(OWNER, "http://x.example")),
    ],
)
def test_ordinary_objects_survive_in_2_x(method: str, path: str, body: dict[str, Any]) -> None:
    shape = shape_of(method, _route(method, path), NodeVersion.V2)
    assert shape is not None
    assert json.loads(rebound(json.dumps(body).encode(), shape, NodeVersion.V2)) == body


@pytest.mark.parametrize(
    "changed", [{"id": None}, {"kwh": "much"}, {"kwh": True}, {"status": "SLEEPING"}, {"cdr_token": "U1"}, {"id": {}}]
)
def test_object_that_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    body = json.dumps(objects.a_session(OWNER, "s1") | changed).encode()
    with pytest.raises(CanonicalError):
        rebound(body, session(NodeVersion.V1), NodeVersion.V1)


def test_owner_of_a_token_is_wanted_in_2_x_and_dropped_in_1_x() -> None:
    body = json.dumps(objects.a_session(OWNER, "s1")).encode()
    assert b'"cdr_token":{"uid"' in rebound(body, session(NodeVersion.V1), NodeVersion.V1)
    assert b'"cdr_token":{"country_code"' in rebound(body, session(NodeVersion.V2), NodeVersion.V2)
    without = objects.a_session(OWNER, "s1", cdr_token={"uid": "U1", "type": "RFID", "contract_id": "C"})
    with pytest.raises(CanonicalError, match="country_code"):
        rebound(json.dumps(without).encode(), session(NodeVersion.V2), NodeVersion.V2)


def test_evse_and_connector_have_shapes_of_their_own_and_patches_none() -> None:
    def shape(method: str, path: str) -> Shape | None:
        return shape_of(method, _route(method, f"/ocpi/receiver/2.2/{path}"), NodeVersion.V1)

    evse, connector = shape("PUT", "locations/DE/CPO/L1/E1"), shape("PUT", "locations/DE/CPO/L1/E1/1")
    assert evse is not None
    assert connector is not None
    assert "uid" in evse.members
    assert "max_voltage" in connector.members
    assert shape("PATCH", "sessions/DE/CPO/s1") is None


def _route(method: str, path: str) -> Route:
    route = find_route(method, path)
    assert isinstance(route, Route)
    return route


def test_missing_numbers_and_flags_are_filled_in() -> None:
    body = json.dumps(objects.a_session(OWNER, "s1") | {"kwh": None}).encode()
    assert b'"kwh":0.0' in rebound(body, session(NodeVersion.V1), NodeVersion.V1)
    location = objects.a_location(OWNER, "L1")
    del location["publish"]
    shape = shape_of("PUT", _route("PUT", "/ocpi/receiver/2.2/locations/DE/CPO/L1"), NodeVersion.V1)
    assert shape is not None
    assert b'"publish":false' in rebound(json.dumps(location).encode(), shape, NodeVersion.V1)


@pytest.mark.parametrize("version", list(NodeVersion))
def test_a_charging_profile_keeps_its_nulls_and_stands_before_its_response_url(version: NodeVersion) -> None:
    shape = shape_of("PUT", _route("PUT", "/ocpi/2.2/receiver/chargingprofiles/s1"), version)
    assert shape is not None
    body = b'{"response_url":"https://a","charging_profile":{"charging_rate_unit":"W"}}'
    assert rebound(body, shape, version) == (
        b'{"charging_profile":{"start_date_time":null,"duration":null,"charging_rate_unit":"W",'
        b'"min_charging_rate":null,"charging_profile_period":null},"response_url":"https://a"}'
    )
