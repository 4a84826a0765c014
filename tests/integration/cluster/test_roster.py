"""Agents see each other."""

from datetime import timedelta

from ocn_permission_agent.cluster.roster import Roster
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock


def a_roster(database: Database, agent: str, clock: FakeClock) -> Roster:
    return Roster(database, agent=agent, host=f"{agent}.example", version="1", started_at=clock.now())


async def test_agents_see_the_others_until_they_leave(database: Database, clock: FakeClock) -> None:
    alpha, beta = a_roster(database, "alpha", clock), a_roster(database, "beta", clock)
    assert await alpha.be_seen(now=clock.now(), spool_bytes=0, met=0) == ()
    (seen,) = await beta.be_seen(now=clock.now(), spool_bytes=3, met=4)
    assert (seen.id, seen.host, seen.beat) == ("alpha", "alpha.example", 0)
    (seen,) = await alpha.be_seen(now=clock.now(), spool_bytes=0, met=0)
    assert (seen.spool_bytes, seen.met) == (3, 4)
    (seen,) = await beta.be_seen(now=clock.now() + timedelta(seconds=1), spool_bytes=0, met=4)
    assert seen.beat == 1
    assert [each.id for each in await alpha.all()] == ["alpha", "beta"]
    await beta.leave()
    assert [each.id for each in await alpha.all()] == ["alpha"]


async def test_whoever_was_not_seen_for_a_week_is_forgotten(database: Database, clock: FakeClock) -> None:
    await a_roster(database, "alpha", clock).be_seen(now=clock.now(), spool_bytes=0, met=0)
    beta = a_roster(database, "beta", clock)
    assert len(await beta.be_seen(now=clock.now() + timedelta(days=6), spool_bytes=0, met=0)) == 1
    assert await beta.be_seen(now=clock.now() + timedelta(days=8), spool_bytes=0, met=0) == ()
