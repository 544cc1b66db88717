"""`storm(seed)`: a daemon that trades on a simulated OANDA through lost answers and crashes, and comes out knowing all.

First everything goes wrong that the seed says. Then the world heals, and within `HEALS_WITHIN_S` nothing is unknown any more,
and orders, lots and money are the venue's.
"""

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import structlog

from quantd.clock import LoopClock
from quantd.config import Settings, load
from quantd.domain.events import CancelOrdered, TradingState
from quantd.domain.facts import OrderIntended
from quantd.domain.protection_facts import ProtectionIntended
from quantd.journal.latch import Halt
from quantd.testing.loop import run_virtual
from tests.sim.invariants import Violation, require
from tests.sim.network import Fate, Weather
from tests.sim.oanda_world import ACCOUNT, SYMBOL, OandaDaemon, OandaWorld

HEALS_WITHIN_S = 200.0
_LOOKS_EVERY_S = 6.0
_FILE = Path(__file__).with_name("oanda.yaml")


class Storm(NamedTuple):
    """What one seed came to."""

    struck: dict[str, int]
    orders: int
    exits: int
    """Writes of exits that hang on trades."""
    fingerprint: str


@cache
def _loaded() -> Settings:
    return load([_FILE], {"QUANTD__VENUES__OANDA__TOKEN": "simulated-token"})


def _settings(seed: int, hedging: bool) -> Settings:
    loaded = _loaded()
    strategies = tuple(one.model_copy(update={"params": one.params | {"seed": seed}}) for one in loaded.strategies)
    mode = "hedging" if hedging else "netting"
    venues = {name: one.model_copy(update={"positions": mode}) for name, one in loaded.venues.items()}
    return dataclasses.replace(loaded, strategies=strategies, venues=venues)


def storm(seed: int) -> Storm:
    """Run one seed; every other one on a hedging account.

    Raises:
        Violation: an invariant did not hold; names the seed.
    """
    hedging = bool(seed % 2)
    before = structlog.get_config()
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=wrapper, logger_factory=structlog.ReturnLoggerFactory())
    try:
        return run_virtual(lambda clock: _main(seed, hedging, clock))
    except Violation as error:
        raise Violation(f"seed {seed}, {'hedging' if hedging else 'netting'}: {error}") from error
    finally:
        structlog.configure(**before)


async def _main(seed: int, hedging: bool, clock: LoopClock) -> Storm:
    world = OandaWorld(seed, _settings(seed, hedging), clock, hedging=hedging)
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(world.run_market(), name="market"),
            tasks.create_task(_lives(world), name="lives"),
        ]
        try:
            await _phases(world)
        except Violation as violation:
            world.violation = world.violation or violation
        for task in background:
            task.cancel()
        world.is_calm = True
        if world.daemon is not None:
            world.daemon.crash()
    if world.violation is not None:
        raise world.violation
    facts = list(world.disk.facts())
    digest = hashlib.blake2b(world.shown(), digest_size=12)
    for record in world.disk.records:
        digest.update(record.checksum)
    return Storm(
        dict(world.struck),
        sum(isinstance(fact, OrderIntended) for fact in facts),
        sum(isinstance(fact, ProtectionIntended) for fact in facts),
        digest.hexdigest(),
    )


async def _lives(world: OandaWorld) -> None:
    """Start the daemon again and again, as a service manager would."""
    rng = world.rng("lives")
    crashes_left = rng.choice((0, 1, 2, 3))
    while True:
        if crashes_left and not world.is_calm:
            crashes_left -= 1
            world.crash_in = rng.randint(10, rng.choice((60, 300, 900)))
        daemon = world.daemon = OandaDaemon(world)
        daemon.build()
        async with asyncio.TaskGroup() as tasks:
            life = world.life = tasks.create_task(_run(world, daemon), name="daemon")
            try:
                await asyncio.shield(life)
            except asyncio.CancelledError:
                this = asyncio.current_task()
                if this is not None and this.cancelling():
                    raise
        daemon.crash()
        await asyncio.sleep(0.05 + 1.5 * rng.random())


async def _run(world: OandaWorld, daemon: OandaDaemon) -> int:
    try:
        return await daemon.run()
    except* Exception as group:  # noqa: BLE001 -- boundary: whatever ends the daemon is a finding
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        world.violation = world.violation or Violation(f"the daemon fell: {error!r}")
        world.ended.set()
    return 1


async def _phases(world: OandaWorld) -> None:
    rng = world.rng("phases")
    chances: dict[Fate, float] = {}
    for fate in Fate:
        if fate is not Fate.CARRIED:
            chances[fate] = rng.choice((0.0, 0.02, 0.1)) * 2 * rng.random()
    world.network.weather = Weather(chances, reads=rng.choice((0.1, 0.5)), latency_s=(0.002, rng.choice((0.03, 0.3))))
    async with asyncio.TaskGroup() as tasks:
        mishaps = tasks.create_task(_mishaps(world), name="mishaps")
        await _pass(world, rng.uniform(40.0, 120.0))
        mishaps.cancel()
    world.is_calm = True
    world.network.is_down = False
    world.venue.command("market", {"instrument": SYMBOL, "status": "open"})
    world.network.weather = Weather()
    world.switches.read_lag_s = world.switches.list_lag_s = 0.0
    begun_s = asyncio.get_running_loop().time()
    await _pass(world, _LOOKS_EVERY_S)
    await _until(world, begun_s, _is_settled)
    world.disk.latch.halt(Halt("all", TradingState.HALTED, "harness", "the end", world.clock.now_ns()))
    if world.daemon is not None:
        world.daemon.emit(CancelOrdered("all", "harness", world.clock.now_ns()))
    await _until(world, begun_s, _is_at_rest)
    world.is_paused = True
    while True:
        await _pass(world, _LOOKS_EVERY_S)
        try:
            world.compare()
        except Violation:
            if asyncio.get_running_loop().time() - begun_s > HEALS_WITHIN_S:
                raise
        else:
            return


async def _mishaps(world: OandaWorld) -> None:
    """Let the venue and its owner do things by themselves, one after the other, until cancelled."""
    rng = world.rng("mishaps")
    while True:
        await asyncio.sleep(rng.uniform(2.0, 20.0))
        name = rng.choice(("deposit", "withdraw", "financing", "halt", "disconnect", "close by hand"))
        world.struck[name] += 1
        match name:
            case "deposit" | "withdraw":
                world.venue.command(name, {"account": ACCOUNT, "amount": str(rng.randint(1, 500))})
            case "financing":
                world.venue.command("financing", {"days": 1})
            case "halt":
                world.venue.command("market", {"instrument": SYMBOL, "status": rng.choice(("halted", "closed"))})
                await asyncio.sleep(rng.uniform(0.5, 5.0))
                world.venue.command("market", {"instrument": SYMBOL, "status": "open"})
            case "disconnect":
                world.network.is_down = True
                await asyncio.sleep(rng.uniform(0.5, 5.0))
                world.network.is_down = False
            case "close by hand":
                world.close_by_hand(rng.random())


async def _pass(world: OandaWorld, seconds: float) -> None:
    """Let time pass, or stop at the first violation."""
    try:
        async with asyncio.timeout(seconds):
            await world.ended.wait()
    except TimeoutError:
        return
    assert world.violation is not None
    raise world.violation


async def _until(world: OandaWorld, begun_s: float, holds: Callable[[OandaWorld], bool]) -> None:
    while not holds(world):
        late = asyncio.get_running_loop().time() - begun_s > HEALS_WITHIN_S
        require(not late, f"not within {HEALS_WITHIN_S:.0f} s of healing: {holds.__name__};", _why_not(world))
        await _pass(world, 0.5)


def _alive(world: OandaWorld) -> OandaDaemon | None:
    daemon = world.daemon
    if daemon is None or daemon.is_dead or not hasattr(daemon, "engine") or not daemon.followers:
        return None
    return daemon if all(one.is_ready for one in daemon.followers.values()) else None


def _is_settled(world: OandaWorld) -> bool:
    daemon = _alive(world)
    return daemon is not None and not any(order.is_unknown for order in daemon.engine.state.orders.all_orders())


def _is_at_rest(world: OandaWorld) -> bool:
    daemon = _alive(world)
    if daemon is None or "all" not in daemon.engine.state.latches or daemon.executor.in_flight or len(daemon.inbox):
        return False
    return not any(order.is_open or order.operation is not None for order in daemon.engine.state.orders.all_orders())


def _why_not(world: OandaWorld) -> str:
    daemon = world.daemon
    if daemon is None or daemon.is_dead:
        return "the daemon is dead"
    open_orders = [
        (one.client_order_id, one.state.value, one.venue_order_ids, one.operation and one.operation.cause)
        for one in daemon.engine.state.orders.all_orders()
        if one.is_open or one.operation is not None
    ]
    return f"{daemon.reasons()}; open: {open_orders}; latches {list(daemon.engine.state.latches)}"
