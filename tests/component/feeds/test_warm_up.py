"""What a series is warmed up with: bars from the store or the venue, all of them marked as no price of now, and the live
ones right behind.
"""

import asyncio
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from quantd import Strategy
from quantd.app.feeds import wants
from quantd.app.warm_up import history, warm_up
from quantd.clock import LoopClock, ManualClock
from quantd.domain.events import Event
from quantd.domain.instruments import Instrument
from quantd.domain.market import Bar
from quantd.feeds.settings import FeedSettings
from quantd.testing.builders import BTC, STARTED_AT_NS, Rig, make_capabilities
from quantd.testing.loop import run_virtual
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import A, B, S, SmallVenue
from tests.component.feeds.test_store import bar, opened

NAN = float("nan")


class Venue:
    """A venue that has one bar of a minute, and none of other intervals."""

    capabilities = make_capabilities(native_bars_s=frozenset({60}))

    async def bars(self, instrument: Instrument, every_s: int, count: int) -> tuple[Bar, ...]:
        return (bar(7, instrument=instrument.id),)


def around(venue: Venue, store: Any) -> Any:
    """Return what a warm-up sees of a daemon with one venue."""
    venues = {"paper": SimpleNamespace(connector=venue)}
    return SimpleNamespace(bars=store, venues=venues, engine=Rig().engine, clock=ManualClock(STARTED_AT_NS))


async def test_bars_that_warm_up_a_series_are_no_price_of_now(tmp_path: Path) -> None:
    async with opened(tmp_path / "bars.db") as store:
        kept = bar(3, instrument=BTC, interval_s=300)
        store.append(kept)
        (native,) = await history(around(Venue(), store), BTC, 60, 1)
        (stored,) = await history(around(Venue(), store), BTC, 300, 1)
    assert native == msgspec.structs.replace(bar(7, instrument=BTC), is_history=True)
    assert stored == msgspec.structs.replace(kept, is_history=True)


class Faulty(Venue):
    """A venue whose connector cannot read its own bars."""

    async def bars(self, instrument: Instrument, every_s: int, count: int) -> tuple[Bar, ...]:
        raise KeyError("of the connector")


async def test_a_fault_of_a_connector_s_own_in_its_history_leaves_the_kept_bars_and_ends_nothing(
    tmp_path: Path,
) -> None:
    """It ended the daemon, for all venues, with every order at work."""
    async with opened(tmp_path / "bars.db") as store:
        kept = bar(3, instrument=BTC, interval_s=60)
        store.append(kept)
        (told,) = await history(around(Faulty(), store), BTC, 60, 1)
    assert told == msgspec.structs.replace(kept, is_history=True)


class OddVenue(Venue):
    """Has a bar without a price, one of the year 2100, and one good one, told twice and last first."""

    venue = "paper"

    async def bars(self, instrument: Instrument, every_s: int, count: int) -> tuple[Bar, ...]:
        good, early = bar(7, instrument=instrument.id), bar(6, instrument=instrument.id)
        return (
            bar(68_374_080, instrument=instrument.id),
            good,
            good,
            bar(8, instrument=instrument.id, close=NAN),
            early,
        )


async def test_history_that_cannot_be_warms_nothing_up() -> None:
    """An average over a price that is no number would be none for ever, and so would every stop that is made of it."""
    told = await history(around(OddVenue(), NoBars()), BTC, 60, 3)
    assert [one.closed_at_ns // (60 * S) for one in told] == [7, 8]


class Watcher(Strategy):
    """Wants bars of a minute of all its instruments."""

    def setup(self) -> None:
        for instrument in self.instruments:
            self.bars(instrument, every="1m")


class SlowVenue(SmallVenue):
    """Has bars of a minute, and takes two seconds to tell any."""

    capabilities = make_capabilities(native_bars_s=frozenset({60}))

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        self.latency_s = lambda now_s: 2.0


class NoBars:
    """A bar store that kept nothing."""

    async def load(self, instrument: str, every_s: int, count: int) -> tuple[Bar, ...]:
        return ()


@pytest.mark.parametrize("second", [*range(54, 60), 0])
def test_a_bar_that_closes_during_the_warm_up_is_in_no_series_a_hole(second: int) -> None:
    async def main(clock: LoopClock) -> None:
        await asyncio.sleep(second)
        venue, emitted = SlowVenue(clock), list[Event]()
        engine = Rig(instruments=[A, B], strategies={"s": Watcher()}).engine
        settings: Any = SimpleNamespace(feeds=FeedSettings(), quotes_every_s=None, status_every_s=15.0)
        shared: Any = SimpleNamespace(
            bars=NoBars(),
            venues={"sim": SimpleNamespace(connector=venue)},
            engine=engine,
            emit=emitted.append,
            clock=clock,
        )
        fed = await warm_up(shared, "sim")
        builder = feed_builder(emitted.append, clock, fed)
        connector: Any = venue
        feeds = dict(builder.venue(settings, connector, [A, B], wants(engine, "sim")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feeds["bars sim"](), 200)
        for instrument in (A, B):
            bars = [one for one in emitted if isinstance(one, Bar) and one.instrument == instrument.id and one.complete]
            assert bars[-1].closed_at_ns > clock.now_ns() - 65 * S
            assert all(later.opened_at_ns == earlier.closed_at_ns for earlier, later in pairwise(bars))

    run_virtual(main, started_at_ns=1_600_000_020 * S)
