"""Who is waited for in a gathering."""

from datetime import UTC, datetime

from ocn_permission_agent.cluster.roster import AWAITED_SECONDS, AgentRow, Peers

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


def an_agent(name: str = "beta", *, beat: int, met: int) -> AgentRow:
    return AgentRow(id=name, host=name, version="1", started_at=NOW, seen_at=NOW, beat=beat, met=met)


def test_one_that_lives_is_waited_for_until_it_has_brought_its_spool() -> None:
    peers = Peers()
    for second in range(100):
        row = an_agent(beat=second, met=6)
        peers.look([row], float(second))
        assert peers.awaited([row], 7, float(second)) == (row,)
    row = an_agent(beat=100, met=7)
    peers.look([row], 100.0)
    assert peers.awaited([row], 7, 100.0) == ()


def test_one_that_is_not_seen_any_more_is_not_waited_for_longer_than_that() -> None:
    peers, row = Peers(), an_agent(beat=5, met=6)
    for second in range(int(AWAITED_SECONDS)):
        peers.look([row], float(second))
        assert peers.awaited([row], 7, float(second)) == (row,)
    peers.look([row], AWAITED_SECONDS)
    assert peers.awaited([row], 7, AWAITED_SECONDS) == ()


def test_time_in_which_nobody_could_be_seen_does_not_count() -> None:
    peers, row = Peers(), an_agent(beat=5, met=6)
    peers.look([row], 0.0)
    peers.look([row], 60.0)
    assert peers.awaited([row], 7, 60.0) == (row,)


def test_one_that_was_killed_and_comes_back_is_waited_for_again() -> None:
    peers = Peers()
    for second in range(30):
        peers.look([an_agent(beat=5, met=6)], float(second))
    row = an_agent(beat=6, met=6)
    peers.look([row], 30.0)
    assert peers.awaited([row], 7, 30.0) == (row,)
