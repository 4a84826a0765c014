"""One agent at a time, and none that was thought dead writes anything."""

import asyncio

import pytest

from ocn_permission_agent.cluster.lease import LEASE_SECONDS, SharedLease
from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.sql import Sql
from tests.fakes import FakeClock


def a_lease(database: Database, agent: str, clock: FakeClock) -> SharedLease:
    return SharedLease(database, agent=agent, clock=clock)


async def write_fenced(database: Database, lease: SharedLease, key: str) -> None:
    def work(connection: Connection) -> None:
        lease.fence(connection)
        Sql.of("chain", database.dialect).do(connection, "write_meta_once", key=key, value="x")

    await database.write(work)


async def written(database: Database) -> set[str]:
    return await database.read(lambda connection: {row["key"] for row in connection.execute("SELECT key FROM meta")})


async def test_one_of_two_gets_it(database: Database, clock: FakeClock) -> None:
    alpha, beta = a_lease(database, "alpha", clock), a_lease(database, "beta", clock)
    async with asyncio.TaskGroup() as group:
        takes = [group.create_task(lease.take()) for lease in (alpha, beta)]
    assert sorted(take.result() for take in takes) == [False, True]


async def test_whoever_renews_keeps_it(database: Database, clock: FakeClock) -> None:
    alpha, beta = a_lease(database, "alpha", clock), a_lease(database, "beta", clock)
    assert await alpha.take()
    for _ in range(10):
        assert not await beta.take()
        clock.step(LEASE_SECONDS / 2)
        await alpha.renew()
    assert not await beta.take()


async def test_a_dead_holder_is_followed_within_the_lease_and_writes_nothing_more(
    database: Database, clock: FakeClock
) -> None:
    alpha, beta = a_lease(database, "alpha", clock), a_lease(database, "beta", clock)
    assert await alpha.take()
    await write_fenced(database, alpha, "before")
    assert not await beta.take()
    clock.step(LEASE_SECONDS - 1)
    assert not await beta.take()
    clock.step(1)
    assert await beta.take()

    with pytest.raises(LeaseLost):
        await write_fenced(database, alpha, "late")
    assert alpha.lost
    with pytest.raises(LeaseLost):
        await alpha.renew()
    await write_fenced(database, beta, "after")
    assert await written(database) == {"before", "after"}


async def test_a_clock_that_differs_steals_nothing(database: Database, clock: FakeClock) -> None:
    fast = FakeClock()
    alpha, beta = a_lease(database, "alpha", clock), SharedLease(database, agent="beta", clock=fast)
    assert await alpha.take()
    fast.step(3600)
    assert not await beta.take(), "how long it stands still is measured from the first look"


async def test_after_a_release_nobody_waits(database: Database, clock: FakeClock) -> None:
    alpha, beta = a_lease(database, "alpha", clock), a_lease(database, "beta", clock)
    assert await alpha.take()
    assert not await beta.take()
    await alpha.release()
    assert await beta.take()


async def test_an_agent_takes_up_at_once_what_it_held_before_it_was_killed(
    database: Database, clock: FakeClock
) -> None:
    former, latter = a_lease(database, "alpha", clock), a_lease(database, "alpha", clock)
    assert await former.take()
    assert await latter.take()
    with pytest.raises(LeaseLost):
        await write_fenced(database, former, "late")


async def test_leases_of_different_names_do_not_meet(database: Database, clock: FakeClock) -> None:
    starting = SharedLease(database, lease="start", agent="alpha", clock=clock)
    assert await starting.take()
    assert await a_lease(database, "beta", clock).take()
