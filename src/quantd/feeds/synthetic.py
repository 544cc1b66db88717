"""A synthetic market: seeded prices with trends, ranges and storms, spreads and depth, for demos, checks and tests.

`SyntheticMarket` is a pure state machine for backtests, `quantd check` and simulators; `SyntheticFeed` runs one in real
time. The same specs, seed and number of steps give the same prices to the last digit on every platform: only sums,
products, roots and one draw after the other. It never reads a clock itself.
"""

import asyncio
from collections.abc import Iterator, Sequence
from enum import Enum
from math import sqrt

import msgspec

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Book, Quote
from quantd.domain.numbers import Rounding
from quantd.ports import Clock, Emit, Random

NS_PER_S = 1_000_000_000


class Regime(Enum):
    """How a market moves for a while."""

    TREND = "trend"
    """Up or down."""
    RANGE = "range"
    """Pulled back to where the regime began."""
    VOLATILE = "volatile"
    """Wide moves and wide spreads."""


class SyntheticSpec(msgspec.Struct, frozen=True):
    """One instrument of a synthetic market."""

    instrument: Instrument
    price: float
    """The mid at the start."""
    volatility_bps: float = 1.0
    """Standard deviation of the move in one second, in a quiet regime."""
    drift_bps: float = 0.0
    """Mean move in one second, whatever the regime; one that follows another has the drift of that one alone."""
    spread_ticks: int = 2
    regime_s: float = 300.0
    """Mean duration of a regime."""
    depth: int = 10
    """Levels a side; 0 makes no books."""
    level_quantity: float = 1.0
    """Mean quantity of the best level; deeper levels hold more."""
    follows: InstrumentId | None = None
    """Another instrument of the market, named before this one, that this one moves with: a pair."""
    correlation: float = 0.9
    """Of the moves with those of the followed one, -1 to 1."""
    pull_per_s: float = 0.02
    """Share of the distance from the followed one that is taken back in a second."""


class SyntheticMarket:
    """Instruments whose prices move in steps of `step_s`; every step gives a quote and, with depth, a book of each.

    Invariant: prices lie on ticks, bids below asks, nothing at or below zero.
    """

    def __init__(
        self, specs: Sequence[SyntheticSpec], random: Random, *, started_at_ns: int = 0, step_s: float = 1.0
    ) -> None:
        """Start all instruments at their price.

        Raises:
            ValueError: when a spec follows an unknown or later instrument, or a number is out of range.
        """
        if not specs or not step_s > 0:
            raise ValueError(f"expected at least one instrument and step_s above 0, found {len(specs)} and {step_s}")
        self.started_at_ns = started_at_ns
        self.step_ns = round(step_s * NS_PER_S)
        self.steps = 0
        """Steps taken so far."""
        self._random = random
        self._walks: dict[InstrumentId, _Walk] = {}
        for spec in specs:
            leader = None if spec.follows is None else self._walks.get(spec.follows)
            if spec.follows is not None and leader is None:
                raise ValueError(f"{spec.instrument.id} follows {spec.follows}: expected an instrument named before it")
            self._walks[spec.instrument.id] = _Walk(spec, leader, step_s)

    def regime(self, instrument: InstrumentId) -> Regime:
        """Return how an instrument moves now."""
        return self._walks[instrument].regime

    def step(self, at_ns: int) -> list[Quote | Book]:
        """Move all prices by one step and return what is seen at `at_ns`."""
        return list(self.stepping(at_ns))

    def stepping(self, at_ns: int) -> Iterator[Quote | Book]:
        """Move all prices by one step, one instrument after the other, each when it is asked for; to be run to its end."""
        self.steps += 1
        for walk in self._walks.values():
            walk.move(self._random)
            yield from walk.look(at_ns, self._random)

    def events(self, duration_s: float) -> Iterator[Quote | Book]:
        """Yield the market of the next `duration_s` seconds of virtual time, step by step."""
        for _ in range(round(duration_s * NS_PER_S / self.step_ns)):
            yield from self.step(self.started_at_ns + (self.steps + 1) * self.step_ns)


_AT_ONCE = 10
"""Events after which the loop gets its turn: a step of hundreds of instruments must not keep orders waiting."""


class SyntheticFeed:
    """Runs a synthetic market on the live clock; a `Feed`."""

    def __init__(self, market: SyntheticMarket, clock: Clock) -> None:
        """Take one step of `market` whenever its step has passed on `clock`."""
        self._market = market
        self._clock = clock

    async def run(self, emit: Emit) -> None:
        """Emit until cancelled; steps that a busy loop missed are left out, not made up for."""
        step_ns = self._market.step_ns
        due = self._clock.monotonic_ns()
        while True:
            for number, event in enumerate(self._market.stepping(self._clock.now_ns()), 1):
                emit(event)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            due += step_ns
            now = self._clock.monotonic_ns()
            if due < now:
                due = now + step_ns - (now - due) % step_ns
            await asyncio.sleep((due - now) / NS_PER_S)


_NEXT_REGIMES = (Regime.TREND, Regime.RANGE, Regime.VOLATILE)
_MOVE_MAX = 0.02
"""Largest relative move of one step: no storm takes a price to zero."""


class _Walk:
    """The price of one instrument."""

    def __init__(self, spec: SyntheticSpec, leader: "_Walk | None", step_s: float) -> None:
        tick = spec.instrument.tick(spec.instrument.price(spec.price, Rounding.NEAREST))
        if not -1 <= spec.correlation <= 1 or spec.spread_ticks < 1 or spec.price <= float(tick) * spec.spread_ticks:
            raise ValueError(
                f"{spec.instrument.id}: expected a correlation of -1 to 1, a spread of at least one tick and a price "
                f"above it, found {spec.correlation}, {spec.spread_ticks} and {spec.price}"
            )
        self.spec = spec
        self.leader = leader
        self.mid = spec.price
        self.change = 0.0
        """The relative move of the last step."""
        self.regime = Regime.RANGE
        self._anchor = spec.price
        self._trend = 0.0
        self._drift = spec.drift_bps * 1e-4 * step_s
        self._sigma = spec.volatility_bps * 1e-4 * sqrt(step_s)
        self._switch = min(step_s / spec.regime_s, 1.0)
        self._step_s = step_s
        self._gap = 1.0
        """Own price over the leader's, both against their starts: what a pair's trader bets on."""
        self._sequence = 0
        # A count of ticks times a fraction is the float nearest to the price: 1.1, and never 1.1000000000000001.
        self._tick_ratio = tick.as_integer_ratio()
        self._lot_ratio = spec.instrument.lot.as_integer_ratio()
        self._tick = float(tick)
        self._lot = float(spec.instrument.lot)

    def move(self, random: Random) -> None:
        """Take one step."""
        if random.random() < self._switch:
            self._change_regime(random)
        sigma = self._sigma * (3.0 if self.regime is Regime.VOLATILE else 1.0)
        shock = sigma * _normal(random)
        if self.leader is None:
            # A range drifts as a whole: where it is pulled to moves along.
            self._anchor *= 1 + self._drift
            pull = 0.05 * self._step_s * (self._anchor / self.mid - 1) if self.regime is Regime.RANGE else 0.0
            self.change = _bounded(shock + self._drift + self._trend + min(max(pull, -sigma), sigma))
            self.mid *= 1 + self.change
        else:
            self._follow(self.leader, shock)
        self.mid = max(self.mid, self._tick * (self.spec.spread_ticks + 1))

    def look(self, at_ns: int, random: Random) -> list[Quote | Book]:
        """Return the quote, and the book where there is depth."""
        spec = self.spec
        ticks = spec.spread_ticks * (2 if self.regime is Regime.VOLATILE else 1)
        best_bid = max(round(self.mid / self._tick - ticks / 2), 1)
        best_ask = best_bid + ticks
        levels = max(spec.depth, 1)
        bids = tuple(
            (self._price(best_bid - level), self._quantity(level, random)) for level in range(min(levels, best_bid))
        )
        asks = tuple((self._price(best_ask + level), self._quantity(level, random)) for level in range(levels))
        id = spec.instrument.id
        quote = Quote(id, bids[0][0], asks[0][0], at_ns, at_ns, bids[0][1], asks[0][1])
        if not spec.depth:
            return [quote]
        self._sequence += 1
        return [quote, Book(id, bids, asks, at_ns, at_ns, self._sequence)]

    def _change_regime(self, random: Random) -> None:
        self.regime = _NEXT_REGIMES[int(random.random() * len(_NEXT_REGIMES))]
        self._anchor = self.mid
        up = random.random() < 0.5
        self._trend = (0.15 if up else -0.15) * self._sigma if self.regime is Regime.TREND else 0.0

    def _follow(self, leader: "_Walk", shock: float) -> None:
        """Move with the leader; the own part of the move is pulled back, so that the two never part for good."""
        share = self.spec.correlation
        scale = self.spec.volatility_bps / leader.spec.volatility_bps if leader.spec.volatility_bps else 1.0
        common = share * leader.change * scale
        own = sqrt(1 - share * share) * shock
        pulled = min(self.spec.pull_per_s * self._step_s, 1.0) * (1 - self._gap)
        own = _bounded(own + pulled)
        self._gap *= 1 + own
        self.change = _bounded(common + own)
        self.mid *= 1 + self.change

    def _price(self, ticks: int) -> float:
        numerator, denominator = self._tick_ratio
        return ticks * numerator / denominator

    def _quantity(self, level: int, random: Random) -> float:
        wish = self.spec.level_quantity * (1 + 0.5 * level) * (0.5 + random.random())
        numerator, denominator = self._lot_ratio
        return max(round(wish / self._lot), 1) * numerator / denominator


def _bounded(change: float) -> float:
    return min(max(change, -_MOVE_MAX), _MOVE_MAX)


def _normal(random: Random) -> float:
    """Return a nearly normal number, variance 1, at most 3.46: a scaled sum of four even ones.

    Logarithms and cosines differ in their last digit between platforms; sums do not.
    """
    return (random.random() + random.random() + random.random() + random.random() - 2.0) * _ROOT_OF_3


_ROOT_OF_3 = sqrt(3.0)
