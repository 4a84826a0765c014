"""What waits is made fewer before it is tried again: one full PUT of a session, the newest state of an object."""

import json

import pytest
from msgspec.structs import replace

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.model import AttemptVerdict
from ocn_permission_agent.outbox.store import Scope
from tests.factories import a_request
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import AGREEMENT, BILLING, CUSTOMER_ADDRESS, PROVIDERS, session

LATER = AgreementId("0x" + "cd" * 32, 1)
MERGED = "SELECT count(*) FROM merged_sessions"
BODIES = "SELECT count(*) FROM envelopes WHERE body IS NOT NULL"
PUT = session("PUT", body=b'{"id":"s1","kwh":1}', correlation_id="c-1")
FIRST = session("PATCH", body=b'{"charging_periods":[{"n":1}]}', correlation_id="c-2")
SECOND = session("PATCH", body=b'{"kwh":2,"charging_periods":[{"n":2}]}', correlation_id="c-3")
WHOLE = {"id": "s1", "kwh": 2, "charging_periods": [{"n": 1}, {"n": 2}]}


def location(method: str, path: str, body: bytes) -> OcpiRequest:
    return a_request(method, f"/ocpi/receiver/2.2/locations/DE/CPO/{path}", body=body)


async def test_after_a_failed_attempt_one_put_stands_for_all_that_waits(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT, FIRST)
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    await outboxed.owe(SECOND)
    outboxed.clock.step(5)
    (claimed,) = await outboxed.claim()
    request = claimed.envelope.request
    assert (claimed.collapsed, claimed.attempts, request.method) == (True, 1, "PUT")
    assert (request.correlation_id, json.loads(request.body)) == ("c-3", WHOLE)
    assert await outboxed.states() == {"pending": 1, "superseded": 2}
    assert await outboxed.one(BODIES) == 1
    await outboxed.attempt(claimed, outboxed.accepts)
    assert await outboxed.states() == {"delivered": 1, "superseded": 2}
    assert await outboxed.one(BODIES) == 0
    entries = await outboxed.entries()
    assert [(each.outcome, each.correlation_id, each.method, each.sent_as, each.size) for each in entries] == [
        ("superseded", "c-1", "PUT", None, len(PUT.body)),
        ("superseded", "c-2", "PATCH", None, len(FIRST.body)),
        ("delivered", "c-3", "PATCH", "PUT", len(SECOND.body)),
    ]


async def test_a_put_that_came_last_says_it_in_the_customers_own_words(outboxed: Outboxed) -> None:
    last = session("PUT", body=b'{"id": "s1",  "kwh": 9.50}', correlation_id="c-9")
    await outboxed.owe(PUT, FIRST)
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    await outboxed.owe(last)
    outboxed.clock.step(5)
    (claimed,) = await outboxed.claim()
    assert (claimed.collapsed, claimed.envelope.request) == (False, last)


async def test_a_patch_that_may_have_been_appended_is_followed_by_the_whole(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    await outboxed.owe(FIRST)
    await outboxed.go(outboxed.says(AttemptVerdict.UNKNOWN, http_status=None))
    assert await outboxed.claim() == (), "the node may still be busy with it"
    outboxed.clock.step(45)
    await outboxed.go(outboxed.accepts)
    assert [(method, json.loads(body)) for method, body in outboxed.requests_sent()[1:]] == [
        ("PATCH", {"charging_periods": [{"n": 1}]}),
        ("PUT", {"id": "s1", "kwh": 1, "charging_periods": [{"n": 1}]}),
    ]
    await outboxed.owe(SECOND)
    await outboxed.go(outboxed.accepts)
    assert outboxed.requests_sent()[-1] == ("PATCH", SECOND.body), "nothing is in doubt any more"


async def test_after_an_unreadable_answer_the_next_delivery_is_the_whole(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.says(AttemptVerdict.UNCONFIRMED, ocpi_status=3000))
    await outboxed.owe(SECOND)
    await outboxed.go(outboxed.accepts)
    assert [method for method, _ in outboxed.requests_sent()] == ["PUT", "PUT"]
    assert await outboxed.states() == {"unconfirmed": 1, "delivered": 1}


@pytest.mark.parametrize(
    ("verdict", "http_status", "ocpi_status"),
    [(AttemptVerdict.REFUSED, 404, 2003), (AttemptVerdict.REFUSED, 200, 2000), (AttemptVerdict.SETUP, 405, None)],
)
async def test_a_service_without_patch_gets_one_full_put_each_time(
    outboxed: Outboxed, verdict: AttemptVerdict, http_status: int, ocpi_status: int | None
) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    for request in (FIRST, SECOND):
        await outboxed.owe(request)
        assert await outboxed.go(outboxed.says(verdict, http_status=http_status, ocpi_status=ocpi_status)) == 1
        assert await outboxed.go(outboxed.accepts) == 1
    assert [method for method, _ in outboxed.requests_sent()] == ["PUT", "PATCH", "PUT", "PATCH", "PUT"]
    assert json.loads(outboxed.requests_sent()[-1][1]) == WHOLE
    assert await outboxed.states() == {"delivered": 3}


async def test_a_full_put_that_is_refused_too_is_refused(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    await outboxed.owe(FIRST)
    refuses = outboxed.says(AttemptVerdict.REFUSED, http_status=400, ocpi_status=2001)
    while await outboxed.go(refuses):
        pass
    assert [method for method, _ in outboxed.requests_sent()] == ["PUT", "PATCH", "PUT"]
    assert await outboxed.states() == {"delivered": 1, "refused": 1}


async def test_a_session_that_began_without_a_put_is_never_made_up(outboxed: Outboxed) -> None:
    plain = session("PATCH", body=b'{"kwh":3}', correlation_id="c-4")
    await outboxed.owe(FIRST, SECOND, plain)
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    outboxed.clock.step(5)
    await outboxed.go(outboxed.says(AttemptVerdict.UNKNOWN))
    await outboxed.go(outboxed.says(AttemptVerdict.REFUSED, http_status=404))
    await outboxed.go(outboxed.accepts)
    assert outboxed.requests_sent() == [
        ("PATCH", FIRST.body),
        ("PATCH", FIRST.body),
        ("PATCH", SECOND.body),
        ("PATCH", plain.body),
    ]
    assert await outboxed.states() == {"parked": 1, "refused": 1, "delivered": 1}
    assert await outboxed.one(MERGED) == 0


async def test_when_a_provider_returns_each_session_takes_one_put(outboxed: Outboxed) -> None:
    gone = outboxed.says(AttemptVerdict.NOT_PROCESSED, http_status=None, unreachable=True)
    await outboxed.owe(PUT, FIRST, session("PUT", "s2", b'{"id":"s2"}'), session("PATCH", "s2", b'{"kwh":7}'))
    await outboxed.go(gone)
    await outboxed.owe(SECOND)
    outboxed.clock.step(30)
    outboxed.sent.clear()
    while await outboxed.go(outboxed.accepts):
        pass
    assert sorted((method, json.loads(body)["id"]) for method, body in outboxed.requests_sent()) == [
        ("PUT", "s1"),
        ("PUT", "s2"),
    ]
    assert {json.dumps(json.loads(body), sort_keys=True) for _, body in outboxed.requests_sent()} == {
        json.dumps(WHOLE, sort_keys=True),
        '{"id": "s2", "kwh": 7}',
    }


@pytest.mark.parametrize("status", ["COMPLETED", "INVALID"])
async def test_a_session_is_forgotten_when_it_is_over_and_delivered(outboxed: Outboxed, status: str) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    assert await outboxed.one(MERGED) == 1
    await outboxed.owe(session("PATCH", body=b'{"status":"%s"}' % status.encode()))
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    assert await outboxed.one(MERGED) == 1
    outboxed.clock.step(5)
    await outboxed.go(outboxed.accepts)
    assert await outboxed.one(MERGED) == 0


async def test_a_session_is_forgotten_after_a_week_of_silence(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    outboxed.clock.step(7 * 86_400)
    await outboxed.store.purge(outboxed.clock.now())
    assert await outboxed.one(MERGED) == 1
    outboxed.clock.step(1)
    await outboxed.store.purge(outboxed.clock.now())
    assert await outboxed.one(MERGED) == 0


async def test_a_session_is_forgotten_when_consent_ends(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    scope = Scope(
        customer_address=CUSTOMER_ADDRESS,
        provider_address=PROVIDERS[BILLING],
        agreement=AGREEMENT,
        module=Module.SESSIONS,
        interface_role=InterfaceRole.RECEIVER,
    )
    assert scope in await outboxed.store.scopes_needed()
    assert await outboxed.store.withdraw(scope, reason="C2: revoked", now=outboxed.clock.now()) == 0
    assert await outboxed.one(MERGED) == 0
    assert await outboxed.store.scopes_needed() == ()


async def test_what_was_said_under_one_agreement_is_not_in_a_put_under_another(outboxed: Outboxed) -> None:
    await outboxed.owe(PUT)
    await outboxed.go(outboxed.accepts)
    await outboxed.owe(SECOND, agreement=LATER)
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    outboxed.clock.step(5)
    await outboxed.go(outboxed.accepts)
    assert outboxed.requests_sent()[1:] == [("PATCH", SECOND.body), ("PATCH", SECOND.body)]


async def test_of_a_location_only_what_still_says_something_is_sent(outboxed: Outboxed) -> None:
    await outboxed.owe(location("PUT", "l1", b'{"name":"old"}'))
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    await outboxed.owe(
        location("PATCH", "l1/e1", b'{"status":"OUT"}'),
        location("PUT", "l1", b'{"name":"new"}'),
        location("PATCH", "l1/e1", b'{"status":"IN"}'),
        location("PATCH", "l1/e1", b'{"floor":"2"}'),
    )
    outboxed.clock.step(5)
    outboxed.sent.clear()
    while await outboxed.go(outboxed.accepts):
        pass
    assert outboxed.requests_sent() == [
        ("PUT", b'{"name":"new"}'),
        ("PATCH", b'{"status":"IN","floor":"2"}'),
    ]
    assert await outboxed.states() == {"delivered": 2, "superseded": 3}


async def test_cdrs_and_calls_about_a_moment_are_never_merged(outboxed: Outboxed) -> None:
    preferences = a_request("PUT", "/ocpi/sender/2.2/sessions/s1/charging_preferences", body=b'{"a":1}')
    await outboxed.owe(preferences, replace(preferences, body=b'{"a":2}'))
    await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
    outboxed.clock.step(5)
    while await outboxed.go(outboxed.accepts):
        pass
    assert [body for _, body in outboxed.requests_sent()] == [b'{"a":1}', b'{"a":1}', b'{"a":2}']
