"""What the auditor asks of the watcher is done once and never lost, by a failure or because it comes meanwhile."""

from collections.abc import Callable

import pytest

from ocn_permission_agent.chain.errands import Errands
from ocn_permission_agent.chain.follower import FoundLog
from ocn_permission_agent.chain.touched import Touched
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.events import PinsBegun
from tests.consent_factories import evidence

ONE, OTHER = (Touched(parties=frozenset({address("0x" + f"{number:040x}")})) for number in (1, 2))


def a_log(number: int) -> FoundLog:
    return FoundLog(event=PinsBegun(evidence=evidence(number)), block_hash=f"0x{number}")


def fail_while(this_comes: Callable[[], None]) -> None:
    this_comes()
    raise ConnectionError


def test_what_is_asked_for_while_the_watcher_looks_is_for_its_next_look() -> None:
    errands = Errands()
    errands.look_at(ONE)
    with errands.looking() as first:
        errands.look_at(OTHER)
    with errands.looking() as second:
        pass
    with errands.looking() as third:
        pass
    assert (first, second, third) == (ONE, OTHER, Touched())


def test_what_could_not_be_looked_at_is_asked_for_again() -> None:
    errands = Errands()
    errands.look_at(ONE)
    with pytest.raises(ConnectionError), errands.looking():
        fail_while(lambda: errands.look_at(OTHER))
    with errands.looking() as again:
        assert again == ONE | OTHER


def test_logs_are_put_into_place_once_and_in_their_order() -> None:
    errands = Errands()
    errands.take_found([a_log(1)])
    with pytest.raises(ConnectionError), errands.putting_into_place():
        fail_while(lambda: errands.take_found([a_log(2)]))
    with errands.putting_into_place() as found:
        assert found == (a_log(1), a_log(2))
    with errands.putting_into_place() as found:
        assert found == ()


def test_a_contradiction_is_taken_once() -> None:
    errands = Errands()
    errands.contradicted()
    assert (errands.take_contradiction(), errands.take_contradiction()) == (True, False)
