"""Feeds of a venue one of whose instruments could not be brought up: the others' prices come."""

import asyncio
from typing import Any

from quantd.app.feeds import Wants
from quantd.clock import LoopClock
from quantd.domain.events import Event
from quantd.domain.market import Bar, Quote
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.testing.loop import run_virtual
from quantd.venues.settings import VenueSettings
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import SmallVenue


def test_an_instrument_without_rules_is_not_fed_and_the_others_are() -> None:
    rules, odd = make_instrument("sim:BTC-USD"), make_instrument("sim:ODD-USD")

    async def main(clock: LoopClock) -> list[Event]:
        emitted: list[Event] = []
        source: Any = SmallVenue(clock)
        source.capabilities = make_capabilities(native_bars_s=frozenset({60}))
        both = (rules.id, odd.id)
        wanted = Wants(both, {one: {60, 7} for one in both}, dict.fromkeys(both, 3))
        tasks = dict(feed_builder(emitted.append, clock).venue(VenueSettings(type="sim"), source, [rules], wanted))
        for task in ("quotes sim", "bars sim", "books sim"):
            running = asyncio.get_running_loop().create_task(tasks[task]())
            await asyncio.wait([running], timeout=130)
            running.cancel()
        return emitted

    emitted = run_virtual(main)
    assert {one.instrument for one in emitted if isinstance(one, Quote | Bar)} == {rules.id}
    assert {type(one) for one in emitted} >= {Quote, Bar}
