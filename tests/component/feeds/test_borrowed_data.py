"""A paper venue on another venue's data: what the data's source says of itself is said of the paper venue."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from quantd.app.feeds import Wants
from quantd.app.warm_up import history
from quantd.clock import LoopClock
from quantd.domain.events import Event, TradingState, VenueChanged
from quantd.domain.market import Bar
from quantd.errors import AuthFailed
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.testing.loop import run_virtual
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import S, SmallVenue
from tests.component.feeds.test_warm_up import NoBars


def test_prices_that_another_venue_refuses_hold_the_paper_venue_and_not_the_other() -> None:
    """The other venue asks for prices of its own, and says by itself what it lacks."""

    async def main(clock: LoopClock) -> list[Event]:
        source, emitted = SmallVenue(clock), list[Event]()
        source.fault = lambda now_s, what, symbols: AuthFailed("sim", what, "401") if what == "quotes" else None
        data: Any = {"venue": "sim"}
        balances: Any = {"USD": 1_000}
        venue = PaperSettings(data=data, balances=balances)
        connector = PaperConnector("paper", venue, clock)
        borrowed: Any = source
        borrowed.capabilities = make_capabilities()
        connector.source = borrowed
        builder = feed_builder(emitted.append, clock)
        rules = make_instrument("paper:BTC-USD")
        tasks = dict(builder.venue(venue, connector, [rules], Wants((rules.id,), {}, {})))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tasks["quotes sim"](), 10)
        return emitted

    told = [one for one in run_virtual(main) if isinstance(one, VenueChanged)]
    assert [(one.venue, one.state, one.cause) for one in told] == [("paper", TradingState.REDUCING, "feed quotes")]


def test_the_bars_of_the_data_s_venue_warm_up_and_go_on_under_the_paper_venue_s_name() -> None:
    """As live: built from quotes they had no volume, and a strategy that wants a year of days began with none."""

    async def main(truth: LoopClock) -> tuple[list[Bar], list[Bar]]:
        source, emitted = SmallVenue(truth), list[Event]()
        data: Any = {"venue": "sim"}
        balances: Any = {"USD": 1_000}
        connector = PaperConnector("paper", PaperSettings(data=data, balances=balances), truth)
        borrowed: Any = source
        borrowed.capabilities = make_capabilities(native_bars_s=frozenset({60}))
        connector.source = borrowed
        rules = make_instrument("paper:BTC-USD")
        portfolio = SimpleNamespace(instruments={rules.id: rules})
        shared: Any = SimpleNamespace(
            bars=NoBars(),
            venues={"paper": SimpleNamespace(connector=connector)},
            engine=SimpleNamespace(state=SimpleNamespace(portfolio=portfolio)),
            clock=truth,
        )
        kept = list(await history(shared, rules.id, 60, 3))
        fed = {(rules.id, 60): kept[-1].closed_at_ns} if kept else {}
        wanted = Wants((rules.id,), {rules.id: {60, 7}}, {})
        builder = feed_builder(emitted.append, truth, fed)
        venue = PaperSettings(data=data, balances=balances)
        feeds = builder.venue(venue, connector, [rules], wanted)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(work()) for name, work in feeds if name != "exchange paper"]
            await asyncio.sleep(150)
            assert not [one for one in running if one.done()]
            for one in running:
                one.cancel()
        return kept, [one for one in emitted if isinstance(one, Bar)]

    kept, live = run_virtual(main, started_at_ns=1_600_000_030 * S)
    assert {bar.instrument for bar in (*kept, *live)} == {"paper:BTC-USD"}
    assert len(kept) == 6
    minutes = [bar for bar in live if bar.interval_ns == 60 * S]
    assert [bar.opened_at_ns - kept[-1].closed_at_ns for bar in minutes] == [0, 60 * S]
    assert {bar.close for bar in minutes} == {1}, "the venue's own, and not the mid of its quotes"
    assert {bar.close for bar in live if bar.interval_ns == 7 * S} == {1.5}
