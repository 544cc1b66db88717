"""One daemon at a simulated TradeLocker in a hostile world, in virtual time: `simulate(seed)`.

Requests are lost, late and refused, lists lag, tokens end, the daemon dies at any step and is started again. Meanwhile no tag
ever carries two orders, and nothing that the daemon did is ever taken for somebody else's. Then the world heals, and within
`HEALS_WITHIN_S` orders, lots and money are the server's to the last digit. `python -m tests.sim.tradelocker --seeds 0:100`.
"""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, cast

from rich.console import Console

from quantd.clock import LoopClock
from quantd.config import load
from quantd.domain.events import CancelOrdered, TradingState
from quantd.domain.facts import ExternalOrderSeen, Fact, FillRecorded, PositionAdjusted
from quantd.domain.market import Quote
from quantd.exchange.rules import DepthRules
from quantd.journal.latch import Halt
from quantd.ports import HttpRequest
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.tradelocker.options import InstrumentRules, Setup, Switches
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.testing.loop import Deadlock, run_virtual
from tests.process.tradelocker_truth import differences
from tests.sim.disk import Disk, DiskWeather
from tests.sim.invariants import Violation, require
from tests.sim.network import Fate, Network, Weather
from tests.sim.sim_daemon import SimDaemon
from tests.sim.simulation import SimulationFailed, commit, quiet
from tests.sim.world import WallClock, World

HEALS_WITHIN_S = 240.0
STEP_S = 0.25
_FILE = Path(__file__).with_name("tradelocker.yaml")
_RULES = InstrumentRules()


class Outcome(NamedTuple):
    """What one simulation came to."""

    seed: int
    struck: Counter[str]
    records: int
    fills: int
    exits: int
    """Positions, or parts of them, that the server closed by itself."""
    healed_s: float


class _Daemon(SimDaemon):
    """One life; there are no webhooks."""

    async def _start_services(self) -> None:
        """Nothing beside the venue."""


class _Scene:
    """What a `SimDaemon` asks of the venue it is at; there are neither webhooks nor streams."""

    def streamed(self, _is_dead: Callable[[], bool]) -> AbstractContextManager[None]:
        """Return the time in which a daemon is built."""
        return nullcontext()


class TradeLockerWorld:
    """One seed's world: what `SimDaemon` and `Network` need of one."""

    def __init__(self, seed: int, clock: LoopClock) -> None:
        self.seed, self.clock, self.true_clock = seed, WallClock(clock), clock
        self.settings = load([_FILE], {"QUANTD__VENUES__TRADELOCKER__PASSWORD": "simulated"})
        self.scene = _Scene()
        self.struck: Counter[str] = Counter()
        self.violation: Violation | None = None
        self.is_calm = False
        rng = self.rng("setup")
        self.switches = Switches(
            no_content=rng.random() < 0.5,
            look_up_lag_s=rng.choice((0.0, 0.0, 0.3, 1.5, 3.0)),
            access_s=rng.choice((3600.0, 40.0)),
            more_columns=rng.random() < 0.3,
            fill_at_once=rng.random() < 0.8,
            list_refused=rng.random() < 0.3,
        )
        depth = DepthRules(levels=8, size=rng.choice((0.05, 0.5, 50.0)), growth=1.2, step_ticks=100)
        setup = Setup(instruments=(_RULES,), depth=depth, seed=seed)
        self.venue = TradeLockerVenue(setup, clock=clock, switches=self.switches)
        self.network = Network(cast(IonloopVenue, self.venue), self.rng("network"), self.struck)
        self.network.may_duplicate = False
        self.disk = Disk("s1m", 1 + seed % 1000)
        self.daemon: _Daemon | None = None
        self.life: asyncio.Task[int] | None = None
        self.crash_in: int | None = None
        self.fills = self.exits = 0

    def rng(self, name: str) -> random.Random:
        """Return the stream of a part."""
        return random.Random(f"{self.seed}/tradelocker/{name}")

    def disk_weather(self) -> DiskWeather:
        """Return how the disk does in the next life."""
        return DiskWeather()

    # -- what happens ------------------------------------------------------------------------------------------------

    def point(self, name: str) -> None:
        """Die here, if this is where the seed says so."""
        if self.crash_in is None or self.daemon is None or self.daemon.is_dead or self.is_calm:
            return
        self.crash_in -= 1
        if self.crash_in <= 0:
            self.crash_in = None
            self.struck[f"crash_at_{name}"] += 1
            self.daemon.crash()
            assert self.life is not None
            self.life.cancel()

    def durable(self, facts: Sequence[Fact]) -> None:
        """Facts are on the disk."""

    def leaving(self, request: HttpRequest) -> None:
        """A request leaves: by now no tag carries two orders."""
        twice = [tag for tag, count in self.venue.orders.strategy_ids.items() if count > 1]
        self.check(lambda: require(not twice, "a tag carries several orders:", twice))

    def check(self, look: Callable[[], None]) -> None:
        """Make a check; the first violation ends the simulation."""
        try:
            look()
        except AssertionError as error:
            if self.violation is None:
                self.violation = Violation(str(error))

    def heard(self, facts: Sequence[Fact], daemon: SimDaemon) -> None:
        """Facts were acknowledged: nobody but the daemon and the server acts on this account."""
        strange = [one for one in facts if _is_foreign(one)]
        self.check(lambda: require(not strange, "taken for foreign:", *strange))
        self.fills += sum(isinstance(one, FillRecorded) for one in facts)
        self.exits += sum(isinstance(one, ExternalOrderSeen) for one in facts)

    async def run_market(self) -> None:
        """Move prices, for ever."""
        rng, price = self.rng("prices"), 65_000.0
        spread = rng.choice((1.0, 10.0))
        volatility = rng.choice((1e-4, 3e-4, 8e-4))
        while True:
            price *= 1 + rng.gauss(0, volatility)
            bid = round(price, 2)
            self.venue.on_market(Quote(_RULES.instrument().id, bid, round(bid + spread, 2), 0))
            await asyncio.sleep(STEP_S)


def _is_foreign(fact: Fact) -> bool:
    return isinstance(fact, PositionAdjusted) or (isinstance(fact, ExternalOrderSeen) and not fact.strategy)


async def _lives(world: TradeLockerWorld) -> None:
    """Start the daemon again and again."""
    rng = world.rng("lives")
    crashes_left = rng.choice((0, 1, 2, 3))
    while True:
        if crashes_left and not world.is_calm:
            crashes_left -= 1
            world.crash_in = rng.randint(20, 700)
        daemon = world.daemon = _Daemon(cast(World, world))
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
        await asyncio.sleep(0.05 + 3 * rng.random())


async def _run(world: TradeLockerWorld, daemon: _Daemon) -> int:
    try:
        return await daemon.run()
    except* Exception as group:  # noqa: BLE001 -- boundary: whatever ends the daemon is a finding
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        world.violation = world.violation or Violation(f"the daemon fell: {error!r}")
    return 1


async def _mishaps(world: TradeLockerWorld) -> None:
    """Let the session end, the market shut, and the network fail, one after the other."""
    rng = world.rng("mishaps")
    while True:
        await asyncio.sleep(rng.uniform(4, 15))
        match rng.choice(("revoke", "revoke_all", "halted", "down")):
            case "revoke":
                world.venue.command("revoke", {})
            case "revoke_all":
                world.venue.command("revoke", {"refresh": True})
            case "halted":
                world.venue.command("market", {"symbol": _RULES.name, "status": "halted"})
                await asyncio.sleep(rng.uniform(1, 6))
                world.venue.command("market", {"symbol": _RULES.name, "status": "open"})
            case _:
                world.network.is_down = True
                await asyncio.sleep(rng.uniform(0.5, 8))
                world.network.is_down = False


async def _pass(world: TradeLockerWorld, seconds: float) -> None:
    for _ in range(round(seconds / STEP_S)):
        await asyncio.sleep(STEP_S)
        if world.violation is not None:
            raise world.violation


def _differences(world: TradeLockerWorld) -> list[str]:
    daemon = world.daemon
    if daemon is None or daemon.is_dead or not all(one.is_ready for one in daemon.followers.values()):
        return ["the daemon is not ready", *(str(one.reason) for one in (daemon.followers.values() if daemon else ()))]
    if "tradelocker" not in daemon.engine.state.lots:
        return ["nothing was ever held"] if world.fills else []
    truth: Any = world.venue.state()
    return differences(daemon.engine.state, truth)


async def _phases(world: TradeLockerWorld) -> float:
    rng = world.rng("weather")
    chances: dict[Fate, float] = {fate: rng.choice((0.0, 0.0, 0.02, 0.08)) for fate in Fate if fate is not Fate.CARRIED}
    world.network.weather = Weather(chances, reads=rng.choice((0.1, 0.4)), latency_s=(0.002, rng.choice((0.05, 0.4))))
    async with asyncio.TaskGroup() as tasks:
        mishaps = tasks.create_task(_mishaps(world), name="mishaps")
        await _pass(world, rng.uniform(30, 90))
        mishaps.cancel()
    world.is_calm, world.network.is_down = True, False
    world.network.weather = Weather()
    world.switches.look_up_lag_s = 0.0
    world.venue.command("market", {"symbol": _RULES.name, "status": "open"})
    await _pass(world, 10)
    world.venue.command("market", {"symbol": _RULES.name, "status": "halted"})
    world.disk.latch.halt(Halt("all", TradingState.HALTED, "harness", "the end", world.clock.now_ns()))
    began_s = asyncio.get_running_loop().time()
    while True:
        await _pass(world, 5)
        if world.daemon is not None and not world.daemon.is_dead:
            world.daemon.emit(CancelOrdered("all", "harness", world.clock.now_ns()))
        found = _differences(world)
        if not found:
            return asyncio.get_running_loop().time() - began_s
        late = asyncio.get_running_loop().time() - began_s > HEALS_WITHIN_S
        require(not late, f"not within {HEALS_WITHIN_S:.0f} s of healing:", *found)


async def _main(seed: int, clock: LoopClock) -> Outcome:
    world = TradeLockerWorld(seed, clock)
    healed_s = 0.0
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(world.run_market(), name="market"),
            tasks.create_task(_lives(world), name="lives"),
        ]
        try:
            healed_s = await _phases(world)
        except* Violation as group:
            world.violation = world.violation or Violation(str(group.exceptions[0]))
        for task in background:
            task.cancel()
        world.is_calm = True
        if world.daemon is not None:
            world.daemon.crash()
    if world.violation is not None:
        raise world.violation
    return Outcome(seed, world.struck, len(world.disk.records), world.fills, world.exits, healed_s)


def simulate(seed: int) -> Outcome:
    """Run one simulation.

    Raises:
        SimulationFailed: something did not hold; names the seed, the commit and the command.
    """
    with quiet():
        try:
            return run_virtual(lambda clock: _main(seed, clock))
        except (Violation, Deadlock) as error:
            words = f"{error}\n  seed {seed}, commit {commit()}; see it again with\n"
            raise SimulationFailed(f"{words}  python -m tests.sim.tradelocker --seeds {seed}") from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:20", help="one, or FROM:TO")
    first, _, last = parser.parse_args().seeds.partition(":")
    console = Console()
    failed = 0
    for number in range(int(first), int(last) if last else int(first) + 1):
        try:
            console.print(simulate(number))
        except SimulationFailed as failure:
            failed += 1
            console.print(str(failure))
    console.print(f"{failed} failed")
    raise SystemExit(bool(failed))
