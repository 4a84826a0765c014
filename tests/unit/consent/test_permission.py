"""What the 17 permissions cover, and how sets of them are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.consent.permission import (
    KNOWN_IDS,
    covers,
    describe,
    effective,
    interfaces,
    permission_for,
)
from ocn_permission_agent.ocpi.route import InterfaceRole, Module

#: permissions-contract.md §6, written out
TABLE = {
    3: (Module.LOCATIONS, InterfaceRole.SENDER),
    4: (Module.LOCATIONS, InterfaceRole.RECEIVER),
    5: (Module.SESSIONS, InterfaceRole.SENDER),
    6: (Module.SESSIONS, InterfaceRole.RECEIVER),
    7: (Module.CDRS, InterfaceRole.SENDER),
    8: (Module.CDRS, InterfaceRole.RECEIVER),
    9: (Module.TARIFFS, InterfaceRole.SENDER),
    10: (Module.TARIFFS, InterfaceRole.RECEIVER),
    11: (Module.TOKENS, InterfaceRole.SENDER),
    12: (Module.TOKENS, InterfaceRole.RECEIVER),
    13: (Module.COMMANDS, InterfaceRole.SENDER),
    14: (Module.COMMANDS, InterfaceRole.RECEIVER),
    15: (Module.CHARGING_PROFILES, InterfaceRole.SENDER),
    16: (Module.CHARGING_PROFILES, InterfaceRole.RECEIVER),
}
IDS = st.frozensets(st.integers(0, 16))


@pytest.mark.parametrize(("number", "interface"), TABLE.items())
def test_each_number_is_one_interface(number: int, interface: tuple[Module, InterfaceRole]) -> None:
    assert permission_for(*interface) == number
    assert interfaces({number}) == {interface}
    assert covers({number}, *interface)
    assert describe(number) == f"{interface[0].value}, {interface[1].value} interface"


@pytest.mark.parametrize("interface", TABLE.values())
def test_wide_permissions_cover_many_interfaces(interface: tuple[Module, InterfaceRole]) -> None:
    assert covers({0}, *interface)
    assert covers({1}, *interface) is (interface[1] is InterfaceRole.SENDER)
    assert covers({2}, *interface) is (interface[1] is InterfaceRole.RECEIVER)


@given(numbers=st.frozensets(st.integers(min_value=17)), module=st.sampled_from(Module))
def test_unknown_numbers_cover_nothing(numbers: frozenset[int], module: Module) -> None:
    assert not covers(numbers, module, InterfaceRole.RECEIVER)
    assert interfaces(numbers) == frozenset()


@pytest.mark.parametrize(
    ("agreed", "current", "expected"),
    [
        ({0}, {6}, {6}),
        ({2}, {6, 8}, {6, 8}),
        ({6}, {2}, {6}),
        ({6}, {0}, {6}),
        ({1}, {2}, set()),
        ({1, 2}, {0}, set(range(3, 17))),
        ({6}, {6, 8}, {6}),
        ({6, 8}, {8}, {8}),
        ({6}, set(), set()),
        (set(), {0}, set()),
    ],
)
def test_sets_are_compared_by_what_they_cover(agreed: set[int], current: set[int], expected: set[int]) -> None:
    assert {permission_for(*interface) for interface in effective(agreed, current)} == expected


@given(agreed=IDS, current=IDS)
def test_nothing_is_effective_that_either_side_does_not_cover(agreed: frozenset[int], current: frozenset[int]) -> None:
    for interface in TABLE.values():
        both = covers(agreed, *interface) and covers(current, *interface)
        assert (interface in effective(agreed, current)) is both


def test_every_permission_can_be_said_in_words() -> None:
    assert len({describe(number) for number in KNOWN_IDS}) == 17
    with pytest.raises(ValueError, match="17 is not a permission"):
        describe(17)
