"""Fewer changes that lead to the same object."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.outbox.object_merge import Change, Kept, still_to_send

LOCATION = ("DE", "CPO", "l1")


def change(number: int, method: str, *below: str, query: str = "", **members: Any) -> Change:
    return Change(
        id=number,
        method=method,
        segments=(*LOCATION, *below),
        query=(("type", query),) if query else (),
        body=b"" if method == "DELETE" else json.dumps(members).encode(),
    )


def left(*changes: Change) -> list[tuple[int, str, tuple[int, ...]]]:
    return [(kept.change.id, kept.change.method, kept.superseded) for kept in still_to_send(changes)]


def test_a_put_replaces_what_waits_at_its_url_and_below() -> None:
    changes = (
        change(1, "PUT", name="old"),
        change(2, "PATCH", "e1", status="OUT"),
        change(3, "PUT", "e1", "c1", power=1),
        change(4, "PUT", name="new"),
    )
    assert left(*changes) == [(4, "PUT", (1, 2, 3))]


def test_a_put_below_leaves_what_is_above_and_beside_it() -> None:
    changes = (change(1, "PUT"), change(2, "PATCH", "e2", x=1), change(3, "PATCH", "e1", x=1), change(4, "PUT", "e1"))
    assert left(*changes) == [(1, "PUT", ()), (2, "PATCH", ()), (4, "PUT", (3,))]


def test_a_delete_replaces_and_is_replaced() -> None:
    assert left(change(1, "PUT"), change(2, "DELETE"), change(3, "PUT")) == [(3, "PUT", (1, 2))]
    assert left(change(1, "PUT"), change(2, "PATCH", x=1), change(3, "DELETE")) == [(3, "DELETE", (1, 2))]


def test_patches_that_follow_each_other_are_one() -> None:
    first, second, third = change(1, "PATCH", a=1, b=1), change(2, "PATCH", b=None), change(3, "PATCH", c=3)
    (kept,) = still_to_send((first, second, third))
    assert (kept.change.id, kept.superseded, kept.merged) == (3, (1, 2), True)
    assert json.loads(kept.change.body) == {"a": 1, "b": None, "c": 3}


def test_patches_of_different_urls_or_with_something_between_stay_apart() -> None:
    assert left(change(1, "PATCH", a=1), change(2, "PATCH", "e1", a=1), change(3, "PATCH", a=2)) == [
        (1, "PATCH", ()),
        (2, "PATCH", ()),
        (3, "PATCH", ()),
    ]
    assert left(change(1, "PATCH", query="RFID", a=1), change(2, "PATCH", query="APP_USER", a=1)) == [
        (1, "PATCH", ()),
        (2, "PATCH", ()),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"["])
def test_a_patch_that_cannot_be_read_is_sent_as_it_is(body: bytes) -> None:
    odd = Change(id=2, method="PATCH", segments=LOCATION, query=(), body=body)
    assert still_to_send((change(1, "PATCH", a=1), odd)) == (Kept(change=change(1, "PATCH", a=1)), Kept(change=odd))


BELOW = st.sampled_from([(), ("e1",), ("e2",), ("e1", "c1")])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["PUT", "PATCH", "PATCH", "DELETE"]),
        BELOW,
        st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3),
    ),
    max_size=10,
)


def applied(changes: list[Change]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What a service holds afterwards: objects by path, each with its members."""
    held: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in changes:
        path = each.segments
        if each.method == "PATCH":
            known = held.setdefault(path, {})
            known.update(json.loads(each.body))
        else:
            held = {other: value for other, value in held.items() if other[: len(path)] != path}
            if each.method == "PUT":
                held[path] = json.loads(each.body)
    return held


@given(STEPS)
def test_the_object_ends_the_same(steps: list[tuple[str, tuple[str, ...], dict[str, Any]]]) -> None:
    changes = [change(number, method, *below, **members) for number, (method, below, members) in enumerate(steps, 1)]
    kept = still_to_send(changes)
    assert applied([each.change for each in kept]) == applied(changes)
    accounted = sorted([each.change.id for each in kept] + [number for each in kept for number in each.superseded])
    assert accounted == [each.id for each in changes]
    assert [each.change.id for each in kept] == sorted(each.change.id for each in kept)
