"""Load by wrk: as many requests as the other side takes, over 64 connections that stay open."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 64
#: which of the benchmark's two parties a request comes from is decided per request: every n-th is the customer's
_SCRIPT = """
local share, run, number, id = {share}, "{run}", 0, 0
local padding = string.rep("x", 700)
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("id", threads)
end

local function text(party, number)
  local session = id .. "-" .. number
  local body = '{{"country_code":"DE","party_id":"' .. party .. '","id":"' .. run .. session ..
    '","start_date_time":"2026-03-01T10:00:00Z","kwh":15.342,"cdr_token":{{"country_code":"NL","party_id":"MSP",' ..
    '"uid":"012345678","type":"RFID","contract_id":"NL-MSP-C12345678-X"}},"auth_method":"WHITELIST",' ..
    '"location_id":"LOC1","evse_uid":"3256","connector_id":"1","meter_id":"' .. padding .. '","currency":"EUR",' ..
    '"charging_periods":[{{"start_date_time":"2026-03-01T10:00:00Z","dimensions":[{{"type":"ENERGY","volume":7.5}},' ..
    '{{"type":"TIME","volume":0.25}}],"tariff_id":"T12"}},{{"start_date_time":"2026-03-01T10:15:00Z","dimensions":' ..
    '[{{"type":"ENERGY","volume":7.842}},{{"type":"TIME","volume":0.25}}],"tariff_id":"T12"}}],"total_cost":' ..
    '{{"excl_vat":4.0,"incl_vat":4.76}},"status":"ACTIVE","last_updated":"2026-03-01T10:30:00Z"}}'
  return "PUT /ocpi/receiver/2.2/sessions/DE/" .. party .. "/" .. run .. session .. " HTTP/1.1\\r\\n" ..
    "Host: node.example\\r\\nAuthorization: Token 00000000-0000-4000-8000-000000000000\\r\\n" ..
    "X-Request-ID: r" .. session .. "\\r\\nX-Correlation-ID: c" .. session .. "\\r\\n" ..
    "OCPI-from-country-code: DE\\r\\nOCPI-from-party-id: " .. party .. "\\r\\n" ..
    "OCPI-to-country-code: NL\\r\\nOCPI-to-party-id: MSP\\r\\nContent-Type: application/json\\r\\n" ..
    "Content-Length: " .. #body .. "\\r\\n\\r\\n" .. body
end

function request()
  number = number + 1
  return text((share > 0 and number % share == 0) and "CPO" or "OTH", number)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{{"requests":%d,"microseconds":%d,"failures":%d}}\\n', summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What one round of wrk did; `failures` are answers of another status than 2xx/3xx, and broken connections."""

    requests: int
    seconds: float
    failures: int


def binary() -> str:
    """Where wrk is.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise FileNotFoundError("wrk")
    return found


def burst(url: str, *, folder: Path, run: str, copied_of: int, seconds: float) -> Burst:
    """Send session PUTs of 1.5 kB with all OCPI headers for a while, each another session.

    Args:
        url: scheme, host and port.
        folder: for the script.
        run: sets this round's sessions apart from those of others.
        copied_of: every how-many-eth request is the customer's, 0 for none.
        seconds: how long.
    """
    script = folder / f"{run}.lua"
    script.write_text(_SCRIPT.format(share=copied_of, run=run))
    told = subprocess.run(
        [binary(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout.strip().splitlines()[-1])
    return Burst(requests=found["requests"], seconds=found["microseconds"] / 1e6, failures=found["failures"])
