import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.ocpi.route import InterfaceRole, Module, PathFault, Route, RouteKind, find_route

# method, path below /ocpi, kind, url_path: the table of ocn-protocol.md a.2, row by row
TABLE = [
    *[
        ("GET", f"/sender/2.2/{module}", RouteKind.LIST, None)
        for module in ("cdrs", "sessions", "locations", "tariffs", "tokens")
    ],
    *[
        ("GET", f"/sender/2.2/{module}/page/7", RouteKind.PROXIED, "7")
        for module in ("cdrs", "sessions", "locations", "tariffs", "tokens")
    ],
    ("PUT", "/sender/2.2/sessions/s1/charging_preferences", RouteKind.PREFERENCES, "/s1/charging_preferences"),
    ("GET", "/sender/2.2/locations/l1", RouteKind.OBJECT, "l1"),
    ("GET", "/sender/2.2/locations/l1/e1", RouteKind.OBJECT, "/l1/e1"),
    ("GET", "/sender/2.2/locations/l1/e1/1", RouteKind.OBJECT, "/l1/e1/1"),
    ("POST", "/sender/2.2/tokens/u1/authorize", RouteKind.AUTHORIZE, "u1/authorize"),
    ("POST", "/sender/2.2/commands/START_SESSION/u1", RouteKind.RESULT, "u1"),
    ("GET", "/receiver/2.2/cdrs/12", RouteKind.PROXIED, "12"),
    ("POST", "/receiver/2.2/cdrs", RouteKind.CDR, None),
    *[(m, "/receiver/2.2/sessions/DE/CPO/s1", RouteKind.OBJECT, "/DE/CPO/s1") for m in ("GET", "PUT", "PATCH")],
    *[
        (m, f"/receiver/2.2/locations/DE/CPO/l1{tail}", RouteKind.OBJECT, f"/DE/CPO/l1{tail}")
        for m in ("GET", "PUT", "PATCH")
        for tail in ("", "/e1", "/e1/1")
    ],
    *[(m, "/receiver/2.2/tariffs/DE/CPO/t1", RouteKind.OBJECT, "/DE/CPO/t1") for m in ("GET", "PUT", "DELETE")],
    *[(m, "/receiver/2.2/tokens/DE/MSP/u1", RouteKind.OBJECT, "/DE/MSP/u1") for m in ("GET", "PUT", "PATCH")],
    *[
        ("POST", f"/receiver/2.2/commands/{command}", RouteKind.COMMAND, command)
        for command in ("CANCEL_RESERVATION", "RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
    ],
    ("POST", "/2.2/sender/chargingprofiles/result/u1", RouteKind.RESULT, "u1"),
    ("PUT", "/2.2/sender/chargingprofiles/s1", RouteKind.PROFILE, "s1"),
    *[(m, "/2.2/receiver/chargingprofiles/s1", RouteKind.PROFILE, "s1") for m in ("GET", "PUT", "DELETE")],
]


@pytest.mark.parametrize(("method", "tail", "kind", "url_path"), TABLE)
def test_every_route_of_a_node_is_known_in_both_layouts(
    method: str, tail: str, kind: RouteKind, url_path: str | None
) -> None:
    for version, prefix, start in (
        ("2.2", "", "/ocpi"),
        ("2.2.1", "ocn-v2", "/ocn-v2/ocpi"),
        ("2.2.1", "a/b", "/a/b/ocpi"),
    ):
        route = find_route(method, start + tail.replace("/2.2/", f"/{version}/"), api_prefix=prefix)
        assert isinstance(route, Route)
        assert (route.kind, route.url_path, route.version) == (kind, url_path, version)
        assert route.module.value in tail
        assert f"/{route.interface_role.value}/" in tail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/ocpi/receiver/2.2/tariffs/DE/CPO/t1"),
        ("DELETE", "/ocpi/receiver/2.2/sessions/DE/CPO/s1"),
        ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO"),
        ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1/more"),
        ("PUT", "/ocpi/receiver/2.1.1/sessions/DE/CPO/s1"),
        ("POST", "/ocpi/receiver/2.2/commands/DANCE"),
        ("PUT", "/ocpi/receiver/2.2/chargingprofiles/s1"),
        ("GET", "/ocpi/2.2/hubclientinfo"),
        ("POST", "/ocpi/2.2/credentials"),
        ("GET", "/ocpi/versions"),
        ("POST", "/ocn/message"),
        ("POST", "/ocpi/custom/sender/foo"),
        ("PUT", "/ocpi/receiver/2.2/ocnrules/whitelist"),
        ("PUT", "/elsewhere/ocpi/receiver/2.2/sessions/DE/CPO/s1"),
        ("put", "/ocpi/receiver/2.2/sessions/DE/CPO/s1"),
        ("PUT", "/ocpi/receiver/2.2/Sessions/DE/CPO/s1"),
        ("GET", "/"),
    ],
)
def test_what_no_handler_of_a_node_takes_is_unknown(method: str, path: str) -> None:
    assert find_route(method, path) is PathFault.UNKNOWN


@pytest.mark.parametrize(
    "path",
    [
        "/ocpi/receiver/2.2/sessions//DE/CPO/s1",
        "//ocpi/receiver/2.2/sessions/DE/CPO/s1",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%2f1",
        "/ocpi/receiver/2.2/sessions/DE/CPO/a%5cb",
        "/ocpi/receiver/2.2/sessions/DE/CPO/../s1",
        "/ocpi/receiver/2.2/sessions/DE/CPO/%2e%2e",
        "/ocpi/receiver/2.2/sessions/DE/CPO/.",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s1;v=2",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%251",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%ff",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%00",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%0d%0aX-Injected: 1",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%3Fx",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s%23x",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s1/",
        "/%6fcpi/receiver/2.2/sessions/DE/CPO/s1",
        "http://elsewhere/ocpi/receiver/2.2/sessions/DE/CPO/s1",
    ],
)
def test_a_path_that_servers_may_read_differently_is_unclear(path: str) -> None:
    assert find_route("PUT", path) is PathFault.UNCLEAR


def test_percent_encoding_is_decoded_as_the_node_does() -> None:
    route = find_route("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s%201%C3%A4")
    assert isinstance(route, Route)
    assert route.url_path == "/DE/CPO/s 1ä"


def test_prefix_of_a_2x_node_is_required() -> None:
    assert find_route("GET", "/ocpi/sender/2.2.1/cdrs", api_prefix="ocn-v2") is PathFault.UNKNOWN
    route = find_route("GET", "/ocn-v2/ocpi/sender/2.2.1/cdrs", api_prefix="ocn-v2")
    assert isinstance(route, Route)
    assert (route.module, route.interface_role) == (Module.CDRS, InterfaceRole.SENDER)


@given(st.text(), st.text(), st.text(max_size=8))
def test_no_request_line_makes_it_fail(method: str, path: str, prefix: str) -> None:
    assert isinstance(find_route(method, path, api_prefix=prefix), Route | PathFault)
