"""A paper venue on another venue's data: what the data's source says of itself is said of the paper venue."""

import asyncio
from typing import Any

import pytest

from quantd.app.feeds import Wants
from quantd.clock import LoopClock
from quantd.domain.events import Event, TradingState, VenueChanged
from quantd.errors import AuthFailed
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.testing.loop import run_virtual
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import SmallVenue


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
