"""Once the journal fails, no entry is left working: the cancels have the time that a slow venue needs to take them."""

import asyncio
from collections.abc import Callable

import pytest

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from tests.sim.disk import DiskWeather
from tests.sim.network import Weather
from tests.sim.scenarios import SCENARIOS, settings_of
from tests.sim.sim_daemon import SimDaemon
from tests.sim.simulation import quiet
from tests.sim.world import World

SLOW = Weather(latency_s=(0.6, 0.9))
"""Each way: an answer takes less than two seconds."""
WAIT_S = 1.0
"""How long nothing may be asked when the disk fails: cancels wait for their turn before they leave."""
SETTLED_S = 2.0
"""Within which the venue has processed what had left when the daemon was gone."""

Fault = Callable[[SimDaemon], None]


def next_append_fails(daemon: SimDaemon) -> None:
    """Have the disk refuse whatever comes next."""
    daemon.slow_journal._weather = DiskWeather(fails_after=0)


def disk_fails_while_the_engine_rests(daemon: SimDaemon) -> None:
    """Have the disk refuse when nothing is appended, as a snapshot does or a checkpoint of the log."""
    daemon.slow_journal._fail(())


def open_at_venue(world: World) -> set[str]:
    """Return the ids of the orders that work at the venue."""
    return {str(one["id"]) for one in world.scene.truth()["orders"] if one["status"] == "open"}


def known_here(daemon: SimDaemon) -> set[str]:
    """Return the venue's ids of the orders that the engine knows to work."""
    return {one.venue_order_id for one in daemon.engine.state.orders.open_orders()}


async def left_working(clock: LoopClock, fault: Fault, *, acknowledged: bool) -> tuple[set[str], set[str], int]:
    """Let the grid stand, break the disk, and await the end; the orders that worked before and after, and the exit code.

    With `acknowledged` the engine knows all of them by then, without it some answer is still on its way.
    """
    scenario = SCENARIOS["grid"]
    world = World(scenario, 1, settings_of(scenario, 1, keys=True), clock)
    world.is_calm = True
    world.network.weather = SLOW
    daemon = world.daemon = SimDaemon(world)
    daemon.build()
    world.reborn(daemon)
    before = set[str]()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        market = tasks.create_task(world.run_market())
        life = tasks.create_task(daemon.run())
        while len(before) < 3 or acknowledged != (known_here(daemon) >= before):
            await asyncio.sleep(0.05)
            before = open_at_venue(world)
        budget = daemon.venues["ionloop"].budget
        assert budget is not None
        budget.silence(WAIT_S)
        fault(daemon)
        code = await life
        await asyncio.sleep(SETTLED_S)
        market.cancel()
    assert world.violation is None, world.violation
    return before, open_at_venue(world), code


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("fault", [next_append_fails, disk_fails_while_the_engine_rests])
def test_no_entry_works_on_at_a_slow_venue_after_the_journal_failed(fault: Fault, acknowledged: bool) -> None:
    with quiet():
        before, after, code = run_virtual(lambda clock: left_working(clock, fault, acknowledged=acknowledged))
    assert len(before) >= 3
    assert not after, f"still working: {after}"
    assert code == 1
