"""Ordinary OCPI 2.2 objects, complete enough for every node to bind them; change what a story needs by keyword."""

from collections.abc import Mapping
from typing import Any

from ocn_permission_agent.ocpi.party import Party

STARTED = "2026-03-01T10:00:00Z"
UPDATED = "2026-03-01T10:30:00Z"
DRIVER = {"country_code": "NL", "party_id": "MSP", "uid": "U1", "type": "RFID", "contract_id": "NL-MSP-C1"}


def a_session(owner: Party, session_id: str, **changed: Any) -> dict[str, Any]:
    """A session that is going on."""
    return {
        **_key(owner, session_id),
        "start_date_time": STARTED,
        "kwh": 1.5,
        "cdr_token": DRIVER,
        "auth_method": "WHITELIST",
        "location_id": "L1",
        "evse_uid": "E1",
        "connector_id": "1",
        "currency": "EUR",
        "status": "ACTIVE",
        "last_updated": UPDATED,
    } | changed


def a_charging_period(volume: float, *, start: str = STARTED) -> dict[str, Any]:
    """A period of a session or CDR, `volume` in kWh."""
    return {"start_date_time": start, "dimensions": [{"type": "ENERGY", "volume": volume}]}


def a_cdr(owner: Party, cdr_id: str, **changed: Any) -> dict[str, Any]:
    """A charge detail record."""
    location = {
        "id": "L1",
        "address": "Marktplatz 1",
        "city": "Stuttgart",
        "postal_code": "70173",
        "country": "DEU",
        "coordinates": {"latitude": "48.775846", "longitude": "9.182932"},
        "evse_uid": "E1",
        "evse_id": "DE*CPO*E1",
        "connector_id": "1",
        "connector_standard": "IEC_62196_T2",
        "connector_format": "SOCKET",
        "connector_power_type": "AC_3_PHASE",
    }
    return {
        **_key(owner, cdr_id),
        "start_date_time": STARTED,
        "end_date_time": UPDATED,
        "session_id": "s1",
        "cdr_token": DRIVER,
        "auth_method": "WHITELIST",
        "cdr_location": location,
        "currency": "EUR",
        "charging_periods": [a_charging_period(15.25)],
        "total_cost": {"excl_vat": 4.57, "incl_vat": 5.44},
        "total_energy": 15.25,
        "total_time": 0.5,
        "last_updated": UPDATED,
    } | changed


def a_location(owner: Party, location_id: str, **changed: Any) -> dict[str, Any]:
    """A location with one EVSE and one connector."""
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "max_voltage": 400,
        "max_amperage": 32,
        "last_updated": UPDATED,
    }
    return {
        **_key(owner, location_id),
        "publish": True,
        "address": "Marktplatz 1",
        "city": "Stuttgart",
        "country": "DEU",
        "coordinates": {"latitude": "48.775846", "longitude": "9.182932"},
        "evses": [{"uid": "E1", "status": "AVAILABLE", "connectors": [connector], "last_updated": UPDATED}],
        "time_zone": "Europe/Berlin",
        "last_updated": UPDATED,
    } | changed


def a_tariff(owner: Party, tariff_id: str, **changed: Any) -> dict[str, Any]:
    """A tariff by energy."""
    component = {"type": "ENERGY", "price": 0.45, "step_size": 1}
    return {
        **_key(owner, tariff_id),
        "currency": "EUR",
        "elements": [{"price_components": [component]}],
        "last_updated": UPDATED,
    } | changed


def a_token(owner: Party, uid: str, **changed: Any) -> dict[str, Any]:
    """A driver's card."""
    return {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "uid": uid,
        "type": "RFID",
        "contract_id": f"{owner.country_code}-{owner.party_id}-{uid}",
        "issuer": "Sandbox",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": UPDATED,
    } | changed


def a_start_session(owner: Party, response_url: str, **changed: Any) -> dict[str, Any]:
    """The START_SESSION command of an eMSP."""
    return {
        "response_url": response_url,
        "token": a_token(owner, "U1"),
        "location_id": "L1",
        "evse_uid": "E1",
    } | changed


def _key(owner: Party, object_id: str) -> Mapping[str, str]:
    return {"country_code": owner.country_code, "party_id": owner.party_id, "id": object_id}
