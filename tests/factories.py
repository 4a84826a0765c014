"""Arranging: the ordinary thing, changed only where a test says so."""

from typing import Any

from ocn_permission_agent.ocpi.request import OcpiRequest, parse_request

HEADERS = {
    "x-request-id": "0a0a0a0a-0000-4000-8000-000000000001",
    "x-correlation-id": "c0ffee00-0000-4000-8000-000000000001",
    "ocpi-from-country-code": "DE",
    "ocpi-from-party-id": "CPO",
    "ocpi-to-country-code": "NL",
    "ocpi-to-party-id": "MSP",
}


def a_request(
    method: str = "PUT",
    path: str = "/ocpi/receiver/2.2/sessions/DE/CPO/s1",
    *,
    body: bytes = b'{"country_code":"DE","party_id":"CPO","id":"s1","kwh":1.5}',
    query: str = "",
    **changed_headers: str,
) -> OcpiRequest:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed_headers.items()}
    fields: dict[str, Any] = {"method": method, "raw_path": path, "raw_query": query, "headers": headers, "body": body}
    request = parse_request(**fields)
    assert request is not None, f"{method} {path} is no OCPI request"
    return request
