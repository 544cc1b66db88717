"""Feeds of a venue that answers for one instrument at a time: many of them, a slow one and a dead one."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from quantd.app.feeds import Wants
from quantd.clock import LoopClock
from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Book, Quote, StatusChanged
from quantd.errors import AuthFailed, Unavailable
from quantd.feeds.pollers import FeedState, PollTiming, QuotePoller
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.testing.loop import run_virtual
from quantd.venues.hummingbot import options as hummingbot
from quantd.venues.ionloop import options as ionloop
from quantd.venues.settings import VenueSettings
from quantd.venues.tradelocker import options as tradelocker
from quantd.venues.tradelocker.api import Credentials
from tests.component.feeds.building import feed_builder
from tests.component.feeds.test_pollers import A, B, Run, SmallVenue, virtual

S = 1_000_000_000
DEAD, SLOW = "DEAD-USD", "SLOW-USD"


class OneByOne(SmallVenue):
    """Takes 0.2 s for the price or book of an instrument and 0.5 s for a status; each is a request of its own."""

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        return tuple([await self._quote(one) for one in instruments])

    async def _quote(self, one: Instrument) -> Quote:
        await self._work(one, 0.2)
        return Quote(one.id, 1.0, 2.0, self.clock.now_ns())

    async def book(self, instrument: Instrument, depth: int) -> Book:
        await self._work(instrument, 0.2)
        return Book(instrument.id, ((1.0, 1.0),), ((2.0, 1.0),), self.clock.now_ns())

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        return {one.id: await self._status(one) for one in instruments}

    async def _status(self, one: Instrument) -> MarketStatus:
        await self._work(one, 0.5)
        return self.status

    async def _work(self, one: Instrument, seconds: float) -> None:
        await asyncio.sleep(10.0 if one.symbol in (DEAD, SLOW) else seconds)
        if one.symbol == DEAD:
            raise Unavailable(self.venue, "ticker", f"{one.symbol}: no answer")


def followed(
    kind: type[Quote | Book | StatusChanged], task: str, symbols: Sequence[str], *, seconds: float
) -> Mapping[str, list[tuple[float, float]]]:
    """Run one task of a venue's feeds; return by symbol when each event came, in seconds, and how old it was then."""
    known = [make_instrument(f"sim:{symbol}") for symbol in symbols]

    async def main(clock: LoopClock) -> Mapping[str, list[tuple[float, float]]]:
        came: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        source: Any = OneByOne(clock)
        source.capabilities = make_capabilities(quotes_at_once=1)
        began_ns = clock.now_ns()

        def emit(event: Any) -> None:
            if type(event) is kind:
                now_ns = clock.now_ns()
                age_s = (now_ns - event.received_at_ns) / S
                came[event.instrument.partition(":")[2]].append(((now_ns - began_ns) / S, age_s))

        wanted = Wants(tuple(one.id for one in known), {}, {one.id: 5 for one in known})
        tasks = dict(feed_builder(emit, clock).venue(VenueSettings(type="sim"), source, known, wanted))
        running = asyncio.get_running_loop().create_task(tasks[task]())
        await asyncio.wait([running], timeout=seconds)
        assert not running.done()
        running.cancel()
        return came

    return run_virtual(main, started_at_ns=1_600_000_000 * S)


@pytest.mark.parametrize(("kind", "task"), [(Quote, "quotes sim"), (Book, "books sim")])
def test_each_of_two_hundred_has_a_fresh_price_in_turn(kind: type[Quote | Book], task: str) -> None:
    symbols = [f"S{number}-USD" for number in range(200)]
    came = followed(kind, task, symbols, seconds=60)
    assert set(came) == set(symbols)
    assert max(age_s for times in came.values() for _, age_s in times) < 0.01
    rounds = [len(times) for times in came.values()]
    assert min(rounds) >= 10  # 8 questions at once of 0.2 s each: all of them in 5 s
    assert max(rounds) - min(rounds) <= 1


@pytest.mark.parametrize("odd", [DEAD, SLOW])
@pytest.mark.parametrize(("kind", "task"), [(Quote, "quotes sim"), (Book, "books sim")])
def test_one_that_is_slow_or_dead_holds_no_other_up(kind: type[Quote | Book], task: str, odd: str) -> None:
    came = followed(kind, task, ["A-USD", odd, "B-USD"], seconds=60)
    steps: Callable[[str], list[float]] = lambda symbol: [
        later - earlier for (earlier, _), (later, _) in zip(came[symbol], came[symbol][1:], strict=False)
    ]
    for symbol in ("A-USD", "B-USD"):
        assert len(came[symbol]) >= 58
        assert max(steps(symbol)) < 1.3
    assert bool(came[SLOW]) == (odd == SLOW)
    assert not came[DEAD]


def test_the_statuses_of_many_markets_are_waited_for() -> None:
    symbols = [f"S{number}-USD" for number in range(100)]
    assert set(followed(StatusChanged, "status sim", symbols, seconds=90)) == set(symbols)


def test_an_answer_that_comes_after_anothers_refusal_counts_no_slot_as_skipped() -> None:
    """The refusal has put both off for minutes; an answer that was under way is nearer."""

    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: (
            AuthFailed("sim", what, "401") if "A" in symbols and now_s < 100 else None
        )
        run.venue.latency_s = lambda now_s: 0.1 if len(run.venue.asked) % 2 else 0.5
        timing = PollTiming(batch_max=1, concurrency=2)
        await run.poll(QuotePoller(run.venue, [A, B], timing=timing, support=run.support), 320)
        assert run.observer.counted("quantd_feed_skipped_slots_total", venue="sim", endpoint="quotes") == 0
        assert sum("B" in symbols for _, _, symbols in run.venue.asked) > 300, "B has answered: it goes on"
        assert run.states[0] is FeedState.STOPPED
        assert run.states[-1] is FeedState.UP

    virtual(scenario)


def test_the_venues_that_have_a_request_for_each_instrument_say_so() -> None:
    declared = (
        ionloop.capabilities(idempotency=False),
        tradelocker.capabilities(tradelocker.TradeLockerOptions(Credentials("", "", "", ""))),
        hummingbot.capabilities(),
    )
    assert [one.quotes_at_once for one in declared] == [1, 1, 1]


def test_a_venue_that_is_back_sooner_than_it_said_is_asked_within_a_minute() -> None:
    """A page of maintenance that names a day: stops would see no price until tomorrow."""

    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: (
            Unavailable("sim", what, "503", retry_after_s=86_400.0) if now_s < 100 else None
        )
        await run.poll(QuotePoller(run.venue, [A], timing=PollTiming(), support=run.support), 180)
        assert run.states == [FeedState.DOWN, FeedState.UP]

    virtual(scenario)
