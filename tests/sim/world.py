"""The world around one simulated daemon: clock, venue, prices, network, disk, webhooks, and the eyes of the checker.

Made anew for each seed. Everything random comes from streams that are derived from the seed by name, so that one part's
draws do not move another's.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from quantd.clock import LoopClock
from quantd.config import Settings
from quantd.domain.events import TradingState
from quantd.domain.facts import Fact, StateSet
from quantd.domain.market import Quote
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.feeds.synthetic import SyntheticMarket, SyntheticSpec
from quantd.ports import HttpRequest
from quantd.simulators.venue import Notice
from quantd.testing.portrait import portrait
from tests.invariants import check_state
from tests.sim.disk import Disk, DiskWeather
from tests.sim.invariants import Bounds, Model, Violation, require
from tests.sim.network import Network
from tests.sim.scenarios import Scenario
from tests.sim.scenes.scene import Scene
from tests.sim.scenes.venues import SCENES
from tests.sim.sim_daemon import SimDaemon
from tests.sim.venue_truth import Wire, orders_at_venue

SECOND_NS = 1_000_000_000
STEP_S = 0.25
_COMPARE_EVERY = 40


class WallClock:
    """Our clock: the loop's time, and a wall time that may be set forward or back; held as `SystemClock` holds it."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self._last_ns = 0
        self.moved_ns = 0

    def now_ns(self) -> int:
        """Return wall time, never going back."""
        self._last_ns = max(self._last_ns, self._clock.now_ns() + self.moved_ns)
        return self._last_ns

    def monotonic_ns(self) -> int:
        """Return the loop's time."""
        return self._clock.monotonic_ns()


class World:
    """One seed's world."""

    def __init__(self, scenario: Scenario, seed: int, settings: Settings, clock: LoopClock) -> None:
        self.scenario, self.seed, self.settings = scenario, seed, settings
        self.clock = WallClock(clock)
        self.true_clock = clock
        self.struck: Counter[str] = Counter()
        self.violation: Violation | None = None
        self.ended = asyncio.Event()
        """Set when a violation was found or all is over."""
        (name,) = settings.venues
        make: Any = SCENES[name]
        self.scene: Scene = make(settings.venues[name], seed, self.rng("setup"), clock)
        self.venue, self.switches = self.scene.venue, self.scene.switches
        self.network = Network(self.venue, self.rng("network"), self.struck)
        self.network.may_duplicate = self.scene.repeats
        self.disk = Disk("s1m", 1 + seed % 1000)
        self.wire = Wire()
        self.bounds = Bounds(
            max_position={
                one.id: one.risk.max_position for one in settings.strategies if one.risk.max_position is not None
            },
            max_open_orders=settings.risk.account.max_open_orders,
            max_order_notional=settings.risk.order.max_order_notional,
        )
        self.model = Model(self.bounds, seen=self.struck)
        self.daemon: SimDaemon | None = None
        self.life: asyncio.Task[int] | None = None
        self.crash_in: int | None = None
        """Points until the next crash."""
        self.is_resting = False
        """The harness has halted everything: nobody clears that."""
        self.is_calm = False
        """Faults are over."""
        self.has_forgotten = False
        """A backup was restored: what came after it is not in the journal."""
        self.halted: dict[str, StateSet] = {}
        """Scopes that stay latched over every restart, as the checker saw them acknowledged."""
        self.cleared_at_ns: dict[str, int] = {}
        """When a person cleared a scope."""
        self._heard = 0
        self._fold_at = self.rng("fold").randint(20, 400)
        self._disk_rng = self.rng("disk weather")

    def rng(self, name: str) -> random.Random:
        """Return the stream of a part."""
        return random.Random(f"{self.seed}/{self.scenario.name}/{name}")

    # -- faults of the process -----------------------------------------------------------------------------------

    def point(self, name: str) -> None:
        """Die here, if this is where the seed says so."""
        if name == "journal_failed":
            self.struck[name] += 1
        if self.crash_in is None or self.daemon is None or self.daemon.is_dead or self.is_calm:
            return
        self.crash_in -= 1
        if self.crash_in <= 0:
            self.crash_in = None
            self.struck[f"crash_at_{name}"] += 1
            self.crash()

    def crash(self) -> None:
        """Kill the daemon where it stands."""
        if self.daemon is not None and not self.daemon.is_dead:
            self.struck["crash"] += 1
            self.daemon.crash()
            assert self.life is not None
            self.life.cancel()

    def disk_weather(self) -> DiskWeather:
        """Return how the disk does in the next life."""
        rng = self._disk_rng
        slow, fails, after = rng.random(), rng.random(), rng.randint(5, 300)
        if self.is_calm:
            return DiskWeather()
        return DiskWeather(slow=0.03 if slow < 0.2 else 0.0, fails_after=after if fails < 0.12 else None)

    # -- the checker's eyes --------------------------------------------------------------------------------------

    def check(self, look: Callable[[], None]) -> None:
        """Make a check; the first violation ends the simulation."""
        try:
            look()
        except Violation as violation:
            self.fail(violation)
        except AssertionError as error:
            self.fail(Violation(str(error)))

    def fail(self, violation: Violation) -> None:
        """Note the first violation."""
        if self.violation is None:
            self.violation = violation
        self.ended.set()

    def durable(self, facts: Sequence[Fact]) -> None:
        """Facts are on the disk."""
        self.wire.durable(facts)

    def leaving(self, request: HttpRequest) -> None:
        """A request leaves."""
        daemon = self.daemon
        failed = daemon is not None and daemon.slow_journal.failure is not None
        scopes = (f"venue:{self.scene.name}", f"instrument:{self.scene.instrument}")
        standing = self.disk.latch.read().state_of(scopes)
        write = self.scene.write_of(request)
        self.check(lambda: self.wire.leaving(write, standing, is_failed=failed))

    def heard(self, facts: Sequence[Fact], daemon: SimDaemon) -> None:
        """Facts were acknowledged and the engine stands where they end."""
        self.check(lambda: self._hear(facts, daemon.engine.state))

    def _hear(self, facts: Sequence[Fact], state: State) -> None:
        self.model.take(facts)
        for fact in facts:
            if isinstance(fact, StateSet):
                if fact.state is TradingState.ACTIVE:
                    self.halted.pop(fact.scope, None)
                else:
                    self.halted[fact.scope] = fact
        self._heard += 1
        if self._heard % _COMPARE_EVERY == 0:
            self.model.compare(state)
            check_state(state)
        if self._heard == self._fold_at:
            self.compare_fold(state)

    def compare_fold(self, state: State) -> None:
        """Folding the journal from its first record gives the live state."""
        folded = State(Rates(self.settings.risk.base_currency))
        for fact in self.disk.facts():
            folded.apply(fact)
        live, told = portrait(state), portrait(folded)
        for name, part in live.items():
            require(told[name] == part, "the fold differs in", name, ":", told[name], "live:", part)

    def reborn(self, daemon: SimDaemon) -> None:
        """A new process has folded the journal: it must know all that is on the disk, halts before all."""

        def look() -> None:
            self.model = Model(self.bounds, externals=self.has_forgotten)
            self.model.take(self.disk.facts(), checks_limits=False)
            self.model.seen = self.struck
            self.model.compare(daemon.engine.state)
            check_state(daemon.engine.state)

        self.check(look)

    def still_halted(self, daemon: SimDaemon) -> None:
        """A while after a start, whatever was latched before still is."""

        def look() -> None:
            for scope, fact in self.halted.items():
                known = scope in daemon.engine.state.latches or self.cleared_at_ns.get(scope, 0) >= fact.at_ns
                require(known, "a halt was lost over a restart:", fact)
            orders_at_venue(self.scene.truth())

        self.check(look)

    # -- the venue's own life ------------------------------------------------------------------------------------

    async def run_market(self) -> None:
        """Move prices and post webhooks, for ever."""
        rng = self.rng("prices")
        spec = SyntheticSpec(
            self.scene.rules(),
            self.scene.price,
            level_quantity=self.venue.setup.depth.size,
            volatility_bps=rng.choice((0.5, 1.0, 2.0, 5.0)),
            spread_ticks=100,
            regime_s=20.0,
            depth=0,
        )
        market = SyntheticMarket([spec], rng, step_s=STEP_S)
        posts = self.rng("webhooks")
        async with asyncio.TaskGroup() as group:
            while True:
                for event in market.step(self.true_clock.now_ns()):
                    if isinstance(event, Quote) and not self.scene.is_frozen:
                        self.venue.on_market(event)
                for notice in self.venue.due(self.true_clock.now_ns()):
                    self._post(notice, posts, group)
                await asyncio.sleep(STEP_S)

    def _post(self, notice: Notice, rng: random.Random, group: asyncio.TaskGroup) -> None:
        """Deliver a webhook after a while, perhaps twice, perhaps never; so that they come out of order."""
        late, twice, lost = rng.random(), rng.random(), rng.random()
        delay_s = 0.02 + 0.2 * late
        if not self.is_calm:
            if late > 0.85:
                delay_s += 6 * (late - 0.85) / 0.15
                self.struck["webhook_late"] += 1
            if twice < 0.1:
                self.struck["webhook_twice"] += 1
                asyncio.get_running_loop().call_later(delay_s + 3 * lost, self._take, notice)
            if lost < 0.05:
                self.struck["webhook_lost"] += 1
                asyncio.get_running_loop().call_later(delay_s, self.venue.settle, notice, None)
                return
        asyncio.get_running_loop().call_later(delay_s, self._deliver, notice)

    def _deliver(self, notice: Notice) -> None:
        self.venue.settle(notice, self._take(notice))

    def _take(self, notice: Notice) -> int | None:
        daemon = self.daemon
        if daemon is None or daemon.is_dead or daemon.receive is None:
            return None
        return daemon.receive(notice.headers, notice.body)[0]

    def shown(self) -> bytes:
        """Return the venue's truth as bytes."""
        return msgspec.json.encode(self.scene.truth())
