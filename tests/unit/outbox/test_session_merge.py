"""The session as a whole: the rules of a merge, and the law that one PUT says what all copies said."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.outbox.session_merge import (
    SIZE_LIMIT_BYTES,
    MergedSession,
    Said,
    follow,
    follow_open,
    full_put,
)
from tests.unit.ocn.json_documents import DOCUMENTS, spoilt


def put(number: int, **members: Any) -> Said:
    return Said(id=number, method="PUT", body=json.dumps(members).encode())


def patch(number: int, **members: Any) -> Said:
    return Said(id=number, method="PATCH", body=json.dumps(members).encode())


def after(*copies: Said) -> Any:
    merged = None
    for said in copies:
        merged = follow(merged, said)
    return None if merged is None else json.loads(merged.body)


@pytest.mark.parametrize(
    ("members", "whole"),
    [
        ({"kwh": 2}, {"id": "s", "kwh": 2, "cdr_token": {"uid": "u", "type": "RFID"}}),
        ({"cdr_token": {"uid": "v"}}, {"id": "s", "kwh": 1, "cdr_token": {"uid": "v"}}),
        ({"cdr_token": None}, {"id": "s", "kwh": 1}),
        ({"absent": None}, {"id": "s", "kwh": 1, "cdr_token": {"uid": "u", "type": "RFID"}}),
        ({}, {"id": "s", "kwh": 1, "cdr_token": {"uid": "u", "type": "RFID"}}),
    ],
)
def test_members_of_the_top_level_are_replaced_as_a_whole_and_null_removes(members: Any, whole: Any) -> None:
    assert after(put(1, id="s", kwh=1, cdr_token={"uid": "u", "type": "RFID"}), patch(2, **members)) == whole


@pytest.mark.parametrize(
    ("known", "brought", "whole"),
    [
        ([], [{"a": 1}], [{"a": 1}]),
        ([{"a": 1}], [{"a": 2}], [{"a": 1}, {"a": 2}]),
        ([{"a": 1}], [{"a": 1}], [{"a": 1}]),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1.0}, {"a": 3}], [{"a": 1, "b": 2}, {"a": 3}]),
        ([{"a": 1}], [], [{"a": 1}]),
        ([], [{"a": 1}, {"a": 1}], [{"a": 1}]),
    ],
)
def test_periods_are_appended_unless_an_equal_one_is_there(known: Any, brought: Any, whole: Any) -> None:
    assert after(put(1, charging_periods=known), patch(2, charging_periods=brought)) == {"charging_periods": whole}


def test_periods_begin_with_a_patch_and_can_be_removed_by_one() -> None:
    assert after(put(1, id="s"), patch(2, charging_periods=[{"a": 1}])) == {"id": "s", "charging_periods": [{"a": 1}]}
    assert after(put(1, charging_periods=None), patch(2, charging_periods=[{"a": 1}])) == {
        "charging_periods": [{"a": 1}]
    }
    assert after(put(1, charging_periods=[{"a": 1}]), patch(2, charging_periods=None)) == {}


def test_a_put_replaces_everything() -> None:
    assert after(put(1, id="s", charging_periods=[{"a": 1}]), patch(2, kwh=1), put(3, id="t")) == {"id": "t"}


def test_what_did_not_begin_with_a_put_is_not_known_as_a_whole() -> None:
    assert after(patch(1, kwh=1)) is None
    assert after(patch(1, kwh=1), put(2, id="s"), patch(3, kwh=2)) == {"id": "s", "kwh": 2}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff{}", b'{"charging_periods":7}', b"[" * 100_000])
def test_a_body_that_cannot_be_merged_ends_what_is_known(body: bytes) -> None:
    assert follow(follow(None, put(1, id="s")), Said(id=2, method="PATCH", body=body)) is None


def test_values_stay_as_the_customer_spelled_them() -> None:
    base = follow(None, Said(id=1, method="PUT", body=b'{"kwh": 1.500, "x": {"n" : 1e2}, "id":"\xc3\xa4\\u00e4"}'))
    merged = follow(base, Said(id=2, method="PATCH", body=b'{"total": 12345678901234567890.10}'))
    assert merged is not None
    assert merged.body == b'{"kwh":1.500,"x":{"n" : 1e2},"id":"\xc3\xa4\\u00e4","total":12345678901234567890.10}'


def test_what_is_in_it_already_is_not_taken_twice() -> None:
    base = MergedSession(through_id=5, body=b'{"charging_periods":[1]}')
    assert follow(base, patch(5, charging_periods=[2])) is base


def test_a_session_that_grows_beyond_all_bounds_is_no_longer_merged() -> None:
    base = follow(None, put(1, id="s", note="x" * (SIZE_LIMIT_BYTES - 100)))
    assert follow(base, patch(2, more="x" * 200)) is None


@pytest.mark.parametrize(
    ("body", "over"),
    [
        (b'{"status":"COMPLETED"}', True),
        (b'{"status":"INVALID"}', True),
        (b'{"status":"ACTIVE"}', False),
        (b'{"status":[1]}', False),
        (b'{"\\u0073tatus":"\\u0049NVALID"}', True),
        (b'{"status":"ACTIVE","status":"COMPLETED","name":"\xc3\xa4"}', True),
        (b'{"status":"\xff"}', False),
        (b"{}", False),
    ],
)
def test_a_session_is_over_when_its_status_says_so(body: bytes, over: bool) -> None:
    said = Said(id=1, method="PUT", body=body)
    whole = follow(None, said)
    assert whole == MergedSession(through_id=1, body=body)
    assert (follow_open(None, said) is None) is over
    assert (follow_open(whole, said) is None) is over
    assert (follow_open(whole, patch(2, kwh=1)) is None) is over


def test_a_patch_can_end_a_session_and_open_it_again() -> None:
    active = follow(None, put(1, status="ACTIVE"))
    completed = follow(active, patch(2, status="COMPLETED"))
    assert follow_open(active, patch(2, status="COMPLETED")) is None
    assert follow_open(completed, patch(3, status=None)) == MergedSession(through_id=3, body=b"{}")


SESSIONS = st.builds(
    lambda name, value, status: f'{{{name}:{value},"status":"{status}"}}'.encode(),
    st.sampled_from(['"id"', '"stätus"', '"\\u0073tatus"']),
    DOCUMENTS,
    st.sampled_from(["ACTIVE", "COMPLETED"]),
)


@given(spoilt(SESSIONS))
def test_a_put_is_known_as_a_whole_if_it_is_an_object_with_names_in_utf8(body: bytes) -> None:
    said = Said(id=1, method="PUT", body=body)
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        assert follow(None, said) is None
        assert follow_open(None, said) is None
        return
    assert follow(None, said) == MergedSession(through_id=1, body=body)
    over = bytes(members.get("status", b"")) in (b'"COMPLETED"', b'"INVALID"')
    assert (follow_open(None, said) is None) is over


NAMES = st.sampled_from(["kwh", "status", "cdr_token", "total_cost"])
PERIODS = st.lists(st.fixed_dictionaries({"start": st.integers(0, 4)}), max_size=3)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "charging_periods": PERIODS | st.none(),
        "kwh": st.integers(),
        "status": st.sampled_from([None, "ACTIVE", "COMPLETED"]),
    },
)


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    steps = draw(st.lists(st.tuples(st.sampled_from(["PUT", "PATCH", "PATCH"]), MEMBERS), min_size=1, max_size=8))
    return [
        Said(id=number, method=method, body=json.dumps(members).encode())
        for number, (method, members) in enumerate(steps, start=1)
    ]


def said_by_the_rules(history: list[Said]) -> dict[str, Any] | None:
    """An independent reading of delivery.md."""
    session: dict[str, Any] | None = None
    for said in history:
        members = json.loads(said.body)
        if said.method == "PUT":
            session = members
        elif session is not None:
            for name, value in members.items():
                if value is None:
                    session.pop(name, None)
                elif name == "charging_periods":
                    known = session.get(name) or []
                    for period in value:
                        if period not in known:
                            known = [*known, period]
                    session[name] = known
                else:
                    session[name] = value
    return session


@given(histories(), st.data())
def test_one_put_says_what_all_copies_of_a_run_said(history: list[Said], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(history) - 1))
    base = None
    for said in history[:cut]:
        base = follow(base, said)
    whole = full_put(base, history[cut:])
    expected = said_by_the_rules(history)
    assert (None if whole is None else json.loads(whole.merged.body)) == expected
    if whole is not None:
        assert whole.merged.through_id == history[-1].id
        assert whole.superseded == tuple(said.id for said in history[cut:-1])
