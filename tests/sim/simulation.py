"""`simulate(scenario, seed)`: one daemon in one hostile world, in virtual time, and the proof that it came through.

Two phases. First everything goes wrong that the seed says, with the invariants checked at every step. Then the world
heals, and within `HEALS_WITHIN_S` nothing is unknown any more and the books are the venue's, to the last digit.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from quantd.clock import LoopClock
from quantd.domain.events import CancelOrdered, TradingState
from quantd.domain.facts import OrderIntended
from quantd.domain.numbers import use_exact_arithmetic
from quantd.domain.orders import Origin
from quantd.journal.backup import mint_epoch
from quantd.journal.latch import Halt
from quantd.testing.loop import Deadlock, run_virtual
from tests.report import commit
from tests.sim.invariants import Violation, require
from tests.sim.mishaps import draw_switches, draw_weather, heal, run_mishaps, run_person
from tests.sim.scenarios import Scenario, scenarios_at, settings_of
from tests.sim.sim_daemon import SimDaemon
from tests.sim.venue_truth import orders_at_venue
from tests.sim.world import World

HEALS_WITHIN_S = 200.0
_RESTS_AFTER_S = 6.0
"""After the healing: how long trading goes on before everything is brought to rest."""
_LOOKS_EVERY_S = 6.0
"""A little more than the time between two looks of the daemon at its account."""


class Outcome(NamedTuple):
    """What one simulation came to."""

    scenario: str
    seed: int
    struck: Counter[str]
    records: int
    orders: int
    fingerprint: str
    """Of journal and venue: equal for equal runs."""
    healed_s: float
    """Virtual seconds from the healing until all was at rest."""


class SimulationFailed(AssertionError):
    """A seed found something; the message says how to see it again."""


def simulate(scenario: str, seed: int, venue: str = "ionloop") -> Outcome:
    """Run one simulation at `venue`.

    Raises:
        SimulationFailed: an invariant did not hold; names the seed, the commit and the command.
    """
    use_exact_arithmetic()  # as the daemon does
    chosen = scenarios_at(venue)[scenario]
    with quiet():
        try:
            return run_virtual(lambda clock: _main(chosen, seed, venue, clock))
        except (Violation, Deadlock) as error:
            raise SimulationFailed(
                f"{error}\n  scenario {scenario}, seed {seed}, commit {commit()}; see it again with\n"
                f"  python -m tests.sim --venue {venue} --scenario {scenario} --seeds {seed}"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Make no log lines."""
    before = structlog.get_config()
    # The filter saves the time of making lines, the logger keeps the few that are left to itself.
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=wrapper, logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.configure(**before)


async def _main(scenario: Scenario, seed: int, venue: str, clock: LoopClock) -> Outcome:
    settings = settings_of(scenario, seed, venue=venue, keys=_keys(scenario, seed))
    world = World(scenario, seed, settings, clock)
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(world.run_market(), name="market"),
            tasks.create_task(run_person(world), name="person"),
            tasks.create_task(_lives(world), name="lives"),
        ]
        healed_s = 0.0
        try:
            healed_s = await _phases(world)
        except* Violation as group:
            world.fail(Violation(str(_first(group))))
        for task in background:
            task.cancel()
        world.is_calm = True
        if world.daemon is not None:
            world.daemon.crash()
    if world.violation is not None:
        raise world.violation
    return _outcome(world, healed_s)


def _keys(scenario: Scenario, seed: int) -> bool:
    return (seed * 7 + len(scenario.name)) % 10 < 6


def _outcome(world: World, healed_s: float) -> Outcome:
    digest = hashlib.blake2b(world.shown(), digest_size=12)
    for record in world.disk.records:
        digest.update(record.checksum)
    orders = sum(isinstance(fact, OrderIntended) for fact in world.disk.facts())
    records = len(world.disk.records)
    return Outcome(world.scenario.name, world.seed, world.struck, records, orders, digest.hexdigest(), healed_s)


# -- the daemon's lives --------------------------------------------------------------------------------------------


async def _lives(world: World) -> None:
    """Start the daemon again and again, as a service manager would."""
    rng = world.rng("lives")
    crashes_left = rng.choice((0, 1, 1, 2, 3))
    while True:
        if crashes_left and not world.is_calm:
            crashes_left -= 1
            world.crash_in = rng.randint(1, rng.choice((20, 120, 500)))
        await _live(world)
        if world.scenario.restores and not world.is_calm and rng.random() < 0.5:
            _restore_backup(world, rng.random())
        await asyncio.sleep(0.05 + 1.5 * rng.random())


async def _live(world: World) -> None:
    """Live once: until a crash, an orderly end, or a fault of ours."""
    daemon = world.daemon = SimDaemon(world)
    daemon.build()
    world.reborn(daemon)
    async with asyncio.TaskGroup() as tasks:
        life = world.life = tasks.create_task(_run(world, daemon), name="daemon")
        try:
            async with asyncio.timeout(1.0):
                await asyncio.shield(life)
        except TimeoutError:
            world.still_halted(daemon)
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():  # it is the simulation that ends, not this life
                raise
    daemon.crash()  # whatever ended it, nothing of it may act any more


async def _run(world: World, daemon: SimDaemon) -> int:
    try:
        return await daemon.run()
    except* AssertionError as group:
        world.fail(Violation(f"the daemon fell: {_first(group)!r}"))
    except* Exception as group:  # noqa: BLE001 -- boundary: whatever ends the daemon but a failed journal is a finding
        if not daemon.failed or daemon.slow_journal.failure is None:
            world.fail(Violation(f"the daemon fell: {_first(group)!r}"))
    return 1


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _restore_backup(world: World, drawn: float) -> None:
    """Put an older state of the journal in place, as `quantd journal restore` does: under a new epoch."""
    world.struck["backup_restored"] += 1
    world.has_forgotten = True
    commits = int((len(world.disk.commits) - 1) * drawn)
    world.disk.go_back(commits, max(mint_epoch(world.clock.now_ns()), world.disk.meta.epoch + 1))
    world.wire.forget_after_restore(world.disk.facts())
    world.halted = {scope: fact for scope, fact in world.halted.items() if scope in _latched(world)}


def _latched(world: World) -> set[str]:
    return {halt.scope for halt in world.disk.latch.read().halts}


# -- the two phases ------------------------------------------------------------------------------------------------


async def _phases(world: World) -> float:
    rng = world.rng("phases")
    world.network.weather = draw_weather(world)
    draw_switches(world)
    async with asyncio.TaskGroup() as tasks:
        mishaps = tasks.create_task(run_mishaps(world), name="mishaps")
        await _pass(world, rng.uniform(*world.scenario.faults_s))
        mishaps.cancel()
    heal(world)
    begun_s = asyncio.get_running_loop().time()
    await _pass(world, _RESTS_AFTER_S)
    await _until(world, begun_s, _is_settled, "nothing unknown")
    world.is_resting = True
    world.disk.latch.halt(Halt("all", TradingState.HALTED, "harness", "the end", world.clock.now_ns()))
    _cancel_all(world)
    await _until(world, begun_s, _is_at_rest, "no order open, no write under way")
    world.scene.close(world.true_clock.now_ns())
    await _agreed(world, begun_s)
    return asyncio.get_running_loop().time() - begun_s


async def _pass(world: World, seconds: float) -> None:
    """Let time pass, or stop at the first violation."""
    try:
        async with asyncio.timeout(seconds):
            await world.ended.wait()
    except TimeoutError:
        return
    assert world.violation is not None
    raise world.violation


async def _agreed(world: World, begun_s: float) -> None:
    """Wait until the last look at the account has come in; what differs for good is a violation."""
    while True:
        await _pass(world, _LOOKS_EVERY_S)
        try:
            _compare(world)
        except Violation:
            if asyncio.get_running_loop().time() - begun_s > HEALS_WITHIN_S:
                raise
        else:
            return


async def _until(world: World, begun_s: float, holds: "object", what: str) -> None:
    assert callable(holds)
    while not holds(world):
        late = asyncio.get_running_loop().time() - begun_s > HEALS_WITHIN_S
        require(not late, f"not within {HEALS_WITHIN_S:.0f} s of healing: {what};", _why_not(world))
        await _pass(world, 0.5)


def _alive(world: World) -> SimDaemon | None:
    daemon = world.daemon
    if daemon is None or daemon.is_dead or not hasattr(daemon, "engine") or not daemon.followers:
        return None
    return daemon if all(one.is_ready for one in daemon.followers.values()) else None


def _is_settled(world: World) -> bool:
    daemon = _alive(world)
    return daemon is not None and not any(order.is_unknown for order in daemon.engine.state.orders.all_orders())


def _is_at_rest(world: World) -> bool:
    daemon = _alive(world)
    if daemon is None or "all" not in daemon.engine.state.latches or daemon.executor.in_flight or len(daemon.inbox):
        return False
    busy = [one for one in daemon.engine.state.orders.all_orders() if one.is_open or one.operation is not None]
    if any(one.origin is Origin.EXTERNAL and one.operation is None for one in busy):
        _cancel_all(world)
    return not busy


def _cancel_all(world: World) -> None:
    """Be the person to whom a halt leaves the foreign orders that were adopted before it, or that are after it."""
    if world.daemon is not None:
        world.daemon.emit(CancelOrdered("all", "harness", world.clock.now_ns()))


def _why_not(world: World) -> str:
    daemon = world.daemon
    if daemon is None or daemon.is_dead:
        return "the daemon is dead"
    orders = [
        (
            order.client_order_id,
            order.state.value,
            order.operation and (order.operation.kind.value, order.operation.cause),
        )
        for order in daemon.engine.state.orders.all_orders()
        if order.is_open or order.operation is not None
    ]
    return f"{daemon.reasons()}; open: {orders}; latches {list(daemon.engine.state.latches)}"


def _compare(world: World) -> None:
    """All has come to rest: our books, the fold and the venue's truth are one."""
    daemon = world.daemon
    assert daemon is not None
    state, truth = daemon.engine.state, world.scene.truth()
    world.model.compare(state)
    world.compare_fold(state)
    orders_at_venue(truth)
    complaints = +Counter(world.venue.counters()["violations"])
    require(not complaints, "the venue complains:", complaints)
    if not world.has_forgotten:
        world.scene.compare(world.model, state, world.disk.facts())
