from datetime import UTC, datetime, timedelta

import pytest

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.policy import (
    DeliveryClass,
    brings_periods,
    class_of,
    objection_to_repeating,
    payload_until,
    when_over,
    when_refused,
    window_of,
)
from ocn_permission_agent.outbox.settings import CdrUnknownOutcome, DeliverySettings, ServiceSettings, Windows
from tests.factories import a_request
from tests.outbox_fixtures import cdr, command, session

LOCATION = a_request("PATCH", "/ocpi/receiver/2.2/locations/DE/CPO/l1/e1")
TOKEN = a_request("PUT", "/ocpi/receiver/2.2/tokens/NL/MSP/t1")
TARIFF = a_request("DELETE", "/ocpi/receiver/2.2/tariffs/DE/CPO/t1", body=b"")
PREFERENCES = a_request("PUT", "/ocpi/sender/2.2/sessions/s1/charging_preferences")
AUTHORIZE = a_request("POST", "/ocpi/sender/2.2/tokens/t1/authorize")
PROFILE = a_request("PUT", "/ocpi/2.2/receiver/chargingprofiles/s1")
RESULT = a_request("POST", "/ocpi/sender/2.2/commands/START_SESSION/7")
READ = a_request("GET", "/ocpi/sender/2.2/sessions", body=b"")


@pytest.mark.parametrize(
    ("request_", "expected", "window"),
    [
        (cdr(), DeliveryClass.CDR, timedelta(days=14)),
        (session("PUT"), DeliveryClass.SESSION, timedelta(days=7)),
        (session("PATCH"), DeliveryClass.SESSION, timedelta(days=7)),
        (LOCATION, DeliveryClass.OBJECT, timedelta(days=14)),
        (TOKEN, DeliveryClass.OBJECT, timedelta(days=14)),
        (TARIFF, DeliveryClass.OBJECT, timedelta(days=14)),
        (PREFERENCES, DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
        (AUTHORIZE, DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
        (command(), DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
        (PROFILE, DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
        (RESULT, DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
        (READ, DeliveryClass.EPHEMERAL, timedelta(seconds=60)),
    ],
)
def test_each_request_has_its_class_and_window(
    request_: OcpiRequest, expected: DeliveryClass, window: timedelta
) -> None:
    assert (class_of(request_), window_of(request_, Windows())) == (expected, window)


@pytest.mark.parametrize(
    ("request_", "brings"),
    [
        (session("PATCH", body=b'{"kwh":2,"charging_periods":[{}]}'), True),
        (session("PUT", body=b'{"charging_periods":[]}'), True),
        (session("PATCH", body=b'{"kwh":2}'), False),
        (session("PATCH", body=b"no json"), True),
        (session("PATCH", body=b"\xff"), True),
        (cdr(body=b'{"id":"x","charging_periods":[]}'), False),
        (PREFERENCES, False),
    ],
)
def test_periods_are_seen_in_the_body_of_a_session(request_: OcpiRequest, brings: bool) -> None:
    assert brings_periods(request_) is brings


@pytest.mark.parametrize(
    ("request_", "again"),
    [
        (cdr(), True),
        (session("PUT", body=b'{"charging_periods":[{}]}'), True),
        (session("PATCH", body=b'{"kwh":2}'), True),
        (session("PATCH", body=b'{"charging_periods":[{}]}'), False),
        (LOCATION, True),
        (TARIFF, True),
        (command(), False),
        (PROFILE, False),
        (PREFERENCES, False),
    ],
)
def test_what_may_be_said_again_after_an_unknown_outcome(request_: OcpiRequest, again: bool) -> None:
    assert (objection_to_repeating(request_, ServiceSettings()) is None) is again


def test_a_cdr_is_not_repeated_at_a_service_that_cannot_dedupe() -> None:
    objection = objection_to_repeating(cdr(), ServiceSettings(cdr_unknown_outcome=CdrUnknownOutcome.PARK))
    assert objection is not None
    assert "cannot take it twice" in objection


def test_only_cdrs_wait_for_a_person_when_refused_or_over() -> None:
    assert (when_refused(cdr()), when_over(cdr())) == (DeliveryState.PARKED, DeliveryState.PARKED)
    assert (when_refused(session()), when_over(session())) == (DeliveryState.REFUSED, DeliveryState.EXPIRED)


NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "days"),
    [
        (DeliveryState.PARKED, 30),
        (DeliveryState.UNCONFIRMED, 30),
        (DeliveryState.DELIVERED, None),
        (DeliveryState.REFUSED, 30),
        (DeliveryState.WITHDRAWN, None),
        (DeliveryState.EXPIRED, None),
        (DeliveryState.SUPERSEDED, None),
    ],
)
def test_the_payload_is_kept_only_where_a_person_may_need_it(state: DeliveryState, days: int | None) -> None:
    until = payload_until(state, ended_at=NOW, fleeting=False, settings=DeliverySettings())
    assert until == (None if days is None else NOW + timedelta(days=days))


def test_a_delivered_payload_may_be_kept_for_some_hours() -> None:
    until = payload_until(
        DeliveryState.DELIVERED, ended_at=NOW, fleeting=False, settings=DeliverySettings(keep_payload_hours=12)
    )
    assert until == NOW + timedelta(hours=12)
