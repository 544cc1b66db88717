"""Market data after a step backwards of the wall clock: ours is ahead of it for twice as long as it was set back.

The machine's clock was wrong before and is right now: what venues date must be held against the right one.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from quantd.app.feeds import Wants
from quantd.clock import LoopClock
from quantd.domain.events import Event
from quantd.domain.instruments import Instrument
from quantd.domain.market import Bar, Quote
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.testing.loop import run_virtual
from quantd.venues.settings import VenueSettings
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import SmallVenue

S = 1_000_000_000
MINUTE = 60 * S
HOUR = 3_600 * S
RULES = make_instrument("sim:BTC-USD")


class Machine:
    """A clock as the system's over the true time, of which it is so much ahead until it is put right."""

    def __init__(self, truth: LoopClock, wrong_by_ns: int) -> None:
        self._truth = truth
        self._wrong_by_ns = wrong_by_ns
        self._last = (0, 0)

    def put_right(self) -> None:
        self._wrong_by_ns = 0

    def wall_ns(self) -> int:
        return self._truth.now_ns() + self._wrong_by_ns

    def now_ns(self) -> int:
        wall, monotonic, (last, at) = self.wall_ns(), self.monotonic_ns(), self._last
        self._last = (wall if wall > last else last + (monotonic - at) // 2), monotonic
        return self._last[0]

    def monotonic_ns(self) -> int:
        return self._truth.monotonic_ns()


class Dated(SmallVenue):
    """Tells the true time with its prices, which are the seconds of the minute; has bars of a minute or none."""

    def __init__(self, clock: LoopClock, ours: Machine) -> None:
        super().__init__(clock)
        self._ours = ours

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        now = await self._answer("quotes", instruments)
        price = 100.0 + now // S % 60
        return tuple(Quote(each.id, price, price, self._ours.now_ns(), now) for each in instruments)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        told = await super().bars(instrument, interval_s, count)
        return tuple(msgspec.structs.replace(bar, received_at_ns=self._ours.now_ns()) for bar in told)


def fed(
    task: Sequence[str], native: frozenset[int], *, wrong_by_ns: int, is_right_at_start: bool
) -> list[tuple[float, Event]]:
    """Run feeds for five minutes from the full hour on, of which the first ten seconds are wrong; (true second, event)."""

    async def main(truth: LoopClock) -> list[tuple[float, Event]]:
        clock, began_ns = Machine(truth, wrong_by_ns), truth.now_ns()
        came: list[tuple[float, Event]] = []
        source: Any = Dated(truth, clock)
        source.capabilities = make_capabilities(native_bars_s=native)
        emit: Callable[[Event], None] = lambda event: came.append(((truth.now_ns() - began_ns) / S, event))
        wanted = Wants((RULES.id,), {RULES.id: {60}}, {})
        clock.now_ns()
        if is_right_at_start:  # another process has seen the wrong time
            clock.put_right()
        builder = feed_builder(emit, clock)
        tasks = dict(builder.venue(VenueSettings(type="sim"), source, [RULES], wanted))
        running = [asyncio.get_running_loop().create_task(tasks[name](), name=name) for name in task]
        await asyncio.sleep(10)
        clock.put_right()
        await asyncio.sleep(290)
        assert not [one for one in running if one.done()]
        for one in running:
            one.cancel()
        return came

    return run_virtual(main, started_at_ns=1_600_000_000 * S // HOUR * HOUR)


def test_prices_are_seen_as_soon_as_the_clock_is_right() -> None:
    """The stops that the engine holds would see none for twice the time by which the clock was wrong."""
    came = fed(["quotes sim"], frozenset(), wrong_by_ns=HOUR, is_right_at_start=False)
    at = [at_s for at_s, event in came if isinstance(event, Quote)]
    assert 10 <= at[0] < 12
    assert len(at) > 280


def test_bars_that_are_built_hold_all_quotes_of_their_minute() -> None:
    came = fed(["quotes sim", "bar builder sim"], frozenset(), wrong_by_ns=HOUR, is_right_at_start=True)
    bars = [(at_s, bar) for at_s, bar in came if isinstance(bar, Bar)]
    assert [round(at_s) for at_s, _ in bars] == [120, 180, 240], (
        "the first minute was begun in a clock that nobody trusts"
    )
    assert {(bar.open, bar.high, bar.low, bar.close) for _, bar in bars} == {(100, 159, 100, 159)}
    assert all(bar.closed_at_ns % MINUTE == 0 for _, bar in bars)


def test_bars_of_the_venue_come_after_their_close_by_the_right_clock() -> None:
    for is_right_at_start in (True, False):
        came = fed(["bars sim"], frozenset({60}), wrong_by_ns=HOUR, is_right_at_start=is_right_at_start)
        bars = [(at_s, bar) for at_s, bar in came if isinstance(bar, Bar)]
        assert [round(at_s) for at_s, _ in bars] == [61, 121, 181, 241], is_right_at_start
