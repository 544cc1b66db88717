"""A warm-up that takes minutes: prices come meanwhile, live bars wait for those from before, and nobody trades on those."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from quantd.app.feeds import wants
from quantd.app.starter import start_strategies
from quantd.app.warm_up import WarmUp
from quantd.clock import LoopClock
from quantd.domain.events import Event, StrategyStarted
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.engine.strategy import Strategy
from quantd.testing.builders import Rig, make_capabilities
from quantd.testing.loop import run_virtual
from quantd.venues.settings import VenueSettings
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import A, B, S, SmallVenue
from tests.component.feeds.test_store import bar
from tests.component.feeds.test_warm_up import NoBars

HISTORY_S = 100.0


class Watcher(Strategy):
    """Wants a minute's bars, which the venue has, and those of 30 s, which are built; trades on what it gets."""

    def setup(self) -> None:
        for instrument in self.instruments:
            self.bars(instrument, every="1m")
            self.bars(instrument, every="30s")

    def on_bar(self, bar: Bar) -> None:
        raise AssertionError("begun in the middle of its history")


class SlowHistory(SmallVenue):
    """Takes a hundred seconds to tell the bars of an instrument from before, as behind a quota that a start has used up."""

    capabilities = make_capabilities(native_bars_s=frozenset({60}))

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        if self.now_s < 2 * HISTORY_S:
            await asyncio.sleep(HISTORY_S)
        return await super().bars(instrument, interval_s, count)


class Kept(NoBars):
    """A bar store with two bars of 30 s."""

    async def load(self, instrument: str, every_s: int, count: int) -> tuple[Bar, ...]:
        first = 1_600_000_020 // 30 - 2
        return tuple(
            bar(first + number, instrument=InstrumentId(instrument), interval_s=30)
            for number in range(2)
            if every_s == 30
        )


def test_prices_come_before_the_history_and_live_bars_after_it() -> None:
    async def main(clock: LoopClock) -> Sequence[tuple[float, Event]]:
        venue: Any = SlowHistory(clock)
        emitted: list[tuple[float, Event]] = []
        setups = {"early": {"instruments": (A.id,)}}  # is warm when the first history is told
        engine = Rig(instruments=[A, B], strategies={"s": Watcher(), "early": Watcher()}, setups=setups).engine
        for desk in engine.desks.values():
            desk.is_started = False  # the rig has begun at once

        def emit(event: Event) -> None:
            emitted.append((venue.now_s, event))
            if not isinstance(event, StrategyStarted):
                engine.handle(event)

        shared: Any = SimpleNamespace(
            bars=Kept(),
            venues={"sim": SimpleNamespace(connector=venue)},
            engine=engine,
            emit=emit,
            clock=clock,
            warming=set(),
            followers={"sim": SimpleNamespace(is_ready=True)},
        )
        warm = WarmUp(shared, "sim")
        feeds = feed_builder(warm.emit, clock, warm.fed, warm.done)
        tasks = dict(feeds.venue(VenueSettings(type="sim"), venue, [A, B], wants(engine, "sim")))
        async with asyncio.TaskGroup() as group:
            warming = group.create_task(warm.run())
            running = [group.create_task(work()) for work in tasks.values()]
            running.append(group.create_task(start_strategies(shared)))
            await asyncio.sleep(4 * HISTORY_S)
            assert warming.done()
            assert not engine.state.quarantined
            for one in running:
                one.cancel()
        return emitted

    emitted = run_virtual(main, started_at_ns=1_600_000_020 * S)
    assert next(at for at, event in emitted if isinstance(event, Quote)) < 1
    started = [at for at, event in emitted if isinstance(event, StrategyStarted)]
    assert len(started) == 2
    assert all(2 * HISTORY_S <= at < 2 * HISTORY_S + 1 for at in started)
    for instrument in (A, B):
        for length in (30, 60):
            bars = [
                event
                for _, event in emitted
                if isinstance(event, Bar) and event.instrument == instrument.id and event.interval_ns == length * S
            ]
            assert all(later.opened_at_ns == earlier.closed_at_ns for earlier, later in pairwise(bars)), length
            assert bars[0].is_history
            assert not bars[-1].is_history
