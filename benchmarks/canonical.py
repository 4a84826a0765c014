"""Canonical text against the standard library.

A ratio of 1.0 is as fast as ``json.loads`` plus ``json.dumps``; twice their time is the bar for sessions and CDRs,
which take the short cut. What only the long way can write (here: a control character) is shown for comparison.
"""

import json
import timeit
from typing import Any

from benchmarks.figures import Figure
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.ocn.version import NodeVersion

ROUNDS = 15
SECONDS_PER_ROUND = 0.02
BAR = 2.0

TOKEN = {
    "country_code": "NL",
    "party_id": "MSP",
    "uid": "012345678",
    "type": "RFID",
    "contract_id": "NL-MSP-C12345678-X",
}
SESSION: dict[str, Any] = {
    "country_code": "DE",
    "party_id": "CPO",
    "id": "c0ffee00-0000-4000-8000-000000000001",
    "start_date_time": "2026-03-01T10:00:00Z",
    "kwh": 15.342,
    "cdr_token": TOKEN,
    "auth_method": "WHITELIST",
    "location_id": "LOC1",
    "evse_uid": "3256",
    "connector_id": "1",
    "currency": "EUR",
    "total_cost": {"excl_vat": 4.0, "incl_vat": 4.76},
    "status": "ACTIVE",
    "last_updated": "2026-03-01T10:30:00Z",
}
PERIODS = [
    {
        "start_date_time": f"2026-03-01T10:{minute:02}:00Z",
        "dimensions": [{"type": "ENERGY", "volume": 0.25 + minute / 8}, {"type": "TIME", "volume": 0.25}],
        "tariff_id": "T12",
    }
    for minute in range(0, 60, 5)
]
CDR: dict[str, Any] = {
    **{name: SESSION[name] for name in ("country_code", "party_id", "id", "start_date_time", "cdr_token", "currency")},
    "end_date_time": "2026-03-01T11:00:00Z",
    "auth_method": "AUTH_REQUEST",
    "cdr_location": {
        "id": "LOC1",
        "name": "Straße am Köllnischen Park",
        "address": "Musterstraße 1",
        "city": "Köln",
        "postal_code": "50667",
        "country": "DEU",
        "coordinates": {"latitude": "50.9375", "longitude": "6.9603"},
        "evse_uid": "3256",
        "evse_id": "DE*CPO*E3256",
        "connector_id": "1",
        "connector_standard": "IEC_62196_T2",
        "connector_format": "SOCKET",
        "connector_power_type": "AC_3_PHASE",
    },
    "charging_periods": PERIODS,
    "total_cost": {"excl_vat": 4.0, "incl_vat": 4.76},
    "total_energy": 15.342,
    "total_time": 1.0,
    "total_parking_time": 0.0,
    "last_updated": "2026-03-01T11:00:05Z",
}
#: name, text, whether the bar holds for it
TEXTS: tuple[tuple[str, bytes, bool], ...] = (
    ("session PUT", json.dumps(SESSION, ensure_ascii=False).encode(), True),
    ("session PUT, with periods", json.dumps({**SESSION, "charging_periods": PERIODS}).encode(), True),
    ("session PATCH", b'{"kwh":16.5,"last_updated":"2026-03-01T10:45:00Z"}', True),
    ("CDR POST", json.dumps(CDR, ensure_ascii=False).encode(), True),
    ("CDR POST, escaped umlauts", json.dumps(CDR).encode(), True),
    ("CDR POST, a tiny number", json.dumps({**CDR, "x": 0.00001}, ensure_ascii=False).encode(), True),
    ("CDR POST, the long way", json.dumps({**CDR, "x": "\x1f"}).encode(), False),
)


def measure() -> list[Figure]:
    """A ratio below 2 is more than half as fast as ``json.loads`` plus ``json.dumps``."""
    return [
        Figure(
            name=f"canonical text ÷ json.loads and dumps: {name}",
            unit="µs",
            rounds=ours,
            others=library,
            bar=BAR if barred else None,
        )
        for name, text, barred in TEXTS
        for ours, library in (_rounds(text),)
    ]


def _rounds(text: bytes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Microseconds of ours and of the standard library, taking turns."""

    def library() -> None:
        json.dumps(json.loads(text))

    def ours() -> None:
        canonical(text, version=NodeVersion.V1)

    calls = max(1, int(SECONDS_PER_ROUND / (timeit.timeit(library, number=20) / 20)))
    found = [
        (timeit.timeit(ours, number=calls) / calls * 1e6, timeit.timeit(library, number=calls) / calls * 1e6)
        for _ in range(ROUNDS)
    ]
    return tuple(mine for mine, _ in found), tuple(theirs for _, theirs in found)
