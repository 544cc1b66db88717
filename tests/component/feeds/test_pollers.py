"""Pollers over a small venue in virtual time: cadence, fairness, failures said once, refusals that stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from random import Random

import msgspec
import pytest

from quantd.clock import LoopClock
from quantd.domain.events import Event, TradingState, VenueChanged
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus, TickTier
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable
from quantd.feeds.pollers import (
    BarPoller,
    BookPoller,
    FeedChange,
    FeedState,
    PollSupport,
    PollTiming,
    QuotePoller,
    StatusPoller,
)
from quantd.feeds.polling import Poller
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver

S = 1_000_000_000


def instrument(symbol: str) -> Instrument:
    return Instrument(
        id=InstrumentId(f"sim:{symbol}"),
        base=symbol,
        quote="USD",
        ticks=(TickTier(ZERO, Decimal("0.01")),),
        lot=Decimal(1),
    )


A, B, C = (instrument(symbol) for symbol in "ABC")


class SmallVenue:
    """Answers after `latency_s`; fails as `faults` says for a question; remembers (second, what, symbols)."""

    venue = "sim"

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.latency_s: Callable[[float], float] = lambda now_s: 0.1
        self.fault: Callable[[float, str, list[str]], Exception | None] = lambda now_s, what, symbols: None
        self.asked: list[tuple[float, str, list[str]]] = []
        self.under_way = 0
        self.under_way_max = 0
        self.bar_delay_s = 0.0
        self.status = MarketStatus.OPEN

    @property
    def now_s(self) -> float:
        return round(self.clock.monotonic_ns() / S, 3)

    async def _answer(self, what: str, instruments: Sequence[Instrument]) -> int:
        symbols = [each.symbol for each in instruments]
        started_s = self.now_s
        self.asked.append((started_s, what, symbols))
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await asyncio.sleep(self.latency_s(started_s))
        finally:
            self.under_way -= 1
        fault = self.fault(started_s, what, symbols)
        if fault is not None:
            raise fault
        return self.clock.now_ns()

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        now = await self._answer("quotes", instruments)
        return tuple(Quote(each.id, 1.0, 2.0, now, now) for each in instruments)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        now = await self._answer("book", [instrument])
        return Book(instrument.id, ((1.0, float(depth)),), (), now)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        now = await self._answer(f"bars x{count}", [instrument])
        step = interval_s * S
        last = (now - round(self.bar_delay_s * S)) // step * step
        closes = [last - n * step for n in reversed(range(count))]
        forming = Bar(instrument.id, last, last + step, 1, 1, 1, 1, 0, now, complete=False)
        return (*(Bar(instrument.id, at - step, at, 1, 1, 1, 1, 0, now) for at in closes), forming)

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        await self._answer("status", instruments)
        return {each.id: self.status for each in instruments}


class Run:
    """A poller, its venue, and what came out of it."""

    def __init__(self, clock: LoopClock) -> None:
        self.venue = SmallVenue(clock)
        self.clock = clock
        self.observer = RecordingObserver()
        self.changes: list[FeedChange] = []
        self.events: list[Event] = []
        self.support = PollSupport(clock=clock, random=Random(1), observer=self.observer, on_change=self.changes.append)

    async def poll(self, poller: Poller, seconds: float) -> None:
        """Let the poller run for a while; it must not end by itself."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(poller.run(self.events.append), seconds)

    @property
    def states(self) -> list[FeedState]:
        return [change.state for change in self.changes]

    def seconds(self, what: str = "quotes") -> list[float]:
        return [at_s for at_s, asked, _ in self.venue.asked if asked == what]


def virtual(scenario: Callable[[Run], Awaitable[None]], started_at_ns: int = 1_600_000_000 * S) -> None:
    async def main(clock: LoopClock) -> None:
        await scenario(Run(clock))

    run_virtual(main, started_at_ns=started_at_ns)


def test_one_question_serves_all_instruments_at_an_even_pace() -> None:
    async def scenario(run: Run) -> None:
        await run.poll(QuotePoller(run.venue, [A, B], timing=PollTiming(), support=run.support), 4.5)
        assert run.venue.asked == [(float(n), "quotes", ["A", "B"]) for n in range(5)]
        assert [event.instrument for event in run.events if isinstance(event, Quote)] == [A.id, B.id] * 5
        assert run.observer.gauged("quantd_feed_up", venue="sim", endpoint="quotes") == 1
        assert run.states == []

    virtual(scenario)


def test_a_slow_budget_skips_slots_and_never_bunches_up() -> None:
    async def scenario(run: Run) -> None:
        run.venue.latency_s = lambda now_s: 3.3 if now_s < 1 else 0.1
        await run.poll(QuotePoller(run.venue, [A], timing=PollTiming(), support=run.support), 6.5)
        assert run.seconds() == [0, 4, 5, 6]
        assert run.venue.under_way_max == 1
        assert run.observer.counted("quantd_feed_skipped_slots_total", venue="sim", endpoint="quotes") == 3

    virtual(scenario)


def test_the_stalest_are_asked_first_when_there_are_not_slots_for_all() -> None:
    async def scenario(run: Run) -> None:
        run.venue.latency_s = lambda now_s: 1.0
        timing = PollTiming(every_s=1.0, batch_max=1)
        await run.poll(QuotePoller(run.venue, [A, B, C], timing=timing, support=run.support), 8.5)
        assert [symbols[0] for _, _, symbols in run.venue.asked] == list("ABCABCABC")

    virtual(scenario)


def test_several_books_may_be_under_way_but_each_only_once() -> None:
    async def scenario(run: Run) -> None:
        run.venue.latency_s = lambda now_s: 1.5
        timing = PollTiming(every_s=1.0, concurrency=2)
        poller = BookPoller(run.venue, [(A, 5), (B, 7), (C, 9)], timing=timing, support=run.support)
        await run.poll(poller, 9)
        assert run.venue.under_way_max == 2
        depths = {event.instrument: event.bids[0][1] for event in run.events if isinstance(event, Book)}
        assert depths == {A.id: 5, B.id: 7, C.id: 9}
        asked = [symbols[0] for _, _, symbols in run.venue.asked]
        assert max(asked.count(symbol) for symbol in "ABC") - min(asked.count(symbol) for symbol in "ABC") <= 1

    virtual(scenario)


def test_a_failing_source_says_so_once_backs_off_with_jitter_and_says_once_that_it_recovered() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: Unavailable("sim", what, "503") if 2 <= now_s < 40 else None
        await run.poll(QuotePoller(run.venue, [A], timing=PollTiming(), support=run.support), 90)
        assert run.states == [FeedState.DOWN, FeedState.UP]
        assert "503" in run.changes[0].reason
        failed = [at_s for at_s in run.seconds() if 2 <= at_s < 40]
        delays = [round(later - earlier - 0.1, 3) for earlier, later in pairwise(failed)]
        for attempt, delay_s in enumerate(delays):
            assert 0.5 * 2**attempt <= delay_s <= 2**attempt
        assert len({delay_s / 2**n for n, delay_s in enumerate(delays)}) > 1
        assert run.observer.counted("quantd_feed_failures_total", venue="sim") == len(failed)
        after = [at_s for at_s in run.seconds() if at_s >= 40]
        assert after[5] - after[4] == pytest.approx(1)

    virtual(scenario)


def test_back_off_is_bounded_and_never_shorter_than_the_venue_asked() -> None:
    async def scenario(run: Run) -> None:
        run.venue.latency_s = lambda now_s: 0.0
        run.venue.fault = lambda now_s, what, symbols: RateLimited("sim", what, "429", retry_after_s=7.0)
        timing = PollTiming(backoff_max_s=10)
        await run.poll(QuotePoller(run.venue, [A], timing=timing, support=run.support), 500)
        asked = run.seconds()
        delays = [round(later - earlier, 3) for earlier, later in pairwise(asked)]
        assert 7 <= min(delays)
        assert max(delays) <= 10

    virtual(scenario)


def test_an_answer_that_never_comes_is_a_failure() -> None:
    async def scenario(run: Run) -> None:
        run.venue.latency_s = lambda now_s: 1e6 if now_s < 1 else 0.1
        timing = PollTiming(timeout_s=5)
        await run.poll(QuotePoller(run.venue, [A], timing=timing, support=run.support), 20)
        assert run.states == [FeedState.DOWN, FeedState.UP]
        assert "no answer within 5" in run.changes[0].reason

    virtual(scenario)


def test_wrong_credentials_stop_the_source_with_an_event_until_it_is_restarted() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: AuthFailed("sim", what, "401") if now_s < 50 else None
        poller = QuotePoller(run.venue, [A, B], timing=PollTiming(), support=run.support)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run.poll(poller, 100))
            await asyncio.sleep(60)
            assert run.seconds() == [0]
            assert poller.stopped == (A.id, B.id)
            (event,) = run.events
            assert isinstance(event, VenueChanged)
            assert event.reason == "quotes stopped: sim: quotes: 401"
            assert run.observer.gauged("quantd_feed_up", venue="sim", endpoint="quotes") == 0
            poller.restart()
            await running
        assert run.seconds()[1] == 60
        assert run.states == [FeedState.STOPPED, FeedState.UP]

    virtual(scenario)


def test_a_source_that_was_refused_is_asked_again_after_a_while_and_goes_on_if_it_answers() -> None:
    """One odd 401 must not leave the engine's stops without prices until somebody restarts the daemon."""

    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: AuthFailed("sim", what, "401") if now_s < 400 else None
        poller = QuotePoller(run.venue, [A, B], timing=PollTiming(), support=run.support)
        await run.poll(poller, 700)
        assert [round(at_s) for at_s in run.seconds()[:3]] == [0, 300, 600]
        assert run.states == [FeedState.STOPPED, FeedState.UP]
        assert poller.stopped == ()
        told = [(event.reason, event.state, event.cause) for event in run.events if isinstance(event, VenueChanged)]
        assert told == [
            ("quotes stopped: sim: quotes: 401", TradingState.REDUCING, "feed quotes"),
            ("", TradingState.ACTIVE, "feed quotes"),
        ], "the venue was left without entries until its account, too, had failed and recovered"
        assert run.observer.gauged("quantd_feed_up", venue="sim", endpoint="quotes") == 1
        assert len(run.seconds()) > 90, "once a second again"

    virtual(scenario)


def test_an_instrument_that_was_refused_comes_back_once_the_venue_takes_it_again() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: (
            Refused("sim", what, "NOT_FOUND", "maintenance") if "B" in symbols and now_s < 100 else None
        )
        poller = QuotePoller(run.venue, [A, B], timing=PollTiming(), support=run.support)
        await run.poll(poller, 320)
        assert poller.stopped == ()
        assert run.states == [FeedState.STOPPED, FeedState.UP]
        assert sum("B" in symbols for at_s, _, symbols in run.venue.asked if at_s > 300) >= 18

    virtual(scenario)


def test_one_refused_instrument_is_found_out_and_the_others_go_on() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: (
            Refused("sim", what, "NOT_FOUND", "retired") if "B" in symbols else None
        )
        poller = QuotePoller(run.venue, [A, B, C], timing=PollTiming(), support=run.support)
        await run.poll(poller, 10)
        assert poller.stopped == (B.id,)
        assert [(change.state, change.instrument) for change in run.changes] == [(FeedState.STOPPED, B.id)]
        assert not [event for event in run.events if isinstance(event, VenueChanged)]
        assert [symbols for _, _, symbols in run.venue.asked][-1] == ["A", "C"]
        assert sum(symbols.count("B") for _, _, symbols in run.venue.asked) == 2

    virtual(scenario)


def test_a_source_of_one_refused_instrument_stops_the_venue() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: Refused("sim", what, "FORBIDDEN", "scope")
        await run.poll(BookPoller(run.venue, [(A, 1)], timing=PollTiming(), support=run.support), 10)
        assert [type(event) for event in run.events] == [VenueChanged]

    virtual(scenario)


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError("not ours")])
def test_the_unexpected_reaches_the_supervisor(error: Exception) -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: error
        poller = QuotePoller(run.venue, [A], timing=PollTiming(), support=run.support)
        with pytest.raises(type(error), match=str(error)):
            await poller.run(run.events.append)

    virtual(scenario)


def test_statuses_are_emitted_when_they_change() -> None:
    async def scenario(run: Run) -> None:
        poller = StatusPoller(run.venue, [A], timing=PollTiming(every_s=15), support=run.support)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run.poll(poller, 100))
            await asyncio.sleep(40)
            run.venue.status = MarketStatus.HALTED
            await running
        statuses = [event.status for event in run.events if isinstance(event, StatusChanged)]
        assert statuses == [MarketStatus.OPEN, MarketStatus.HALTED]
        assert run.seconds("status") == [0, 15, 30, 45, 60, 75, 90]

    virtual(scenario)


def closes(run: Run) -> list[int]:
    return [bar.closed_at_ns // S for bar in run.events if isinstance(bar, Bar)]


def test_each_bar_is_emitted_once_shortly_after_its_close() -> None:
    async def scenario(run: Run) -> None:
        poller = BarPoller(run.venue, [(A, 60)], timing=PollTiming(), support=run.support)
        await run.poll(poller, 200)
        assert closes(run) == [1_600_000_020, 1_600_000_080, 1_600_000_140]
        assert [at_s for at_s, _, _ in run.venue.asked] == [20.5, 80.5, 140.5]
        assert all(bar.received_at_ns - bar.closed_at_ns == 600_000_000 for bar in run.events if isinstance(bar, Bar))

    virtual(scenario)


@pytest.mark.parametrize("bar_delay_s", [0.0, 2.5])
def test_of_bars_that_close_at_once_the_shorter_come_first(bar_delay_s: float) -> None:
    async def scenario(run: Run) -> None:
        run.venue.bar_delay_s = bar_delay_s
        wanted = [(one, length) for one in (A, B) for length in (60, 300, 3_600)]
        await run.poll(BarPoller(run.venue, wanted, timing=PollTiming(), support=run.support), 7_300)
        for one in (A, B):
            bars = [bar for bar in run.events if isinstance(bar, Bar) and bar.instrument == one.id]
            order = [(bar.closed_at_ns, bar.interval_ns) for bar in bars]
            assert order == sorted(order)
            assert [sum(bar.interval_ns == length * S for bar in bars) for length in (60, 300, 3_600)] == [122, 24, 2]

    virtual(scenario)


def test_a_late_bar_is_asked_for_again_soon() -> None:
    async def scenario(run: Run) -> None:
        run.venue.bar_delay_s = 2.5
        await run.poll(BarPoller(run.venue, [(A, 60)], timing=PollTiming(), support=run.support), 75)
        assert closes(run) == [1_600_000_020]
        assert [at_s for at_s, _, _ in run.venue.asked] == [20.5, 21.6, 23.7]

    virtual(scenario)


def test_a_bar_of_the_next_century_or_without_a_price_is_not_the_last_one_that_is_seen() -> None:
    class Odd(SmallVenue):
        async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
            *told, forming = await super().bars(instrument, interval_s, count)
            if self.now_s > 100:
                return (*told, forming)
            far, last = told[-1], told[-1]
            far = msgspec.structs.replace(far, opened_at_ns=4_102_444_800 * S, closed_at_ns=4_102_444_860 * S)
            return (*told[:-1], msgspec.structs.replace(last, close=float("nan")), far)

    async def scenario(run: Run) -> None:
        run.venue = Odd(run.clock)
        await run.poll(BarPoller(run.venue, [(A, 60)], timing=PollTiming(), support=run.support), 200)
        assert closes(run) == [1_600_000_020, 1_600_000_080, 1_600_000_140]

    virtual(scenario)


def test_bars_missed_in_an_outage_or_since_the_warm_up_are_caught_up() -> None:
    async def scenario(run: Run) -> None:
        run.venue.fault = lambda now_s, what, symbols: Unavailable("sim", what, "502") if now_s < 300 else None
        poller = BarPoller(run.venue, [(A, 60)], timing=PollTiming(), support=run.support)
        poller.mark(A.id, 60, 1_599_999_900 * S)
        await run.poll(poller, 400)
        assert closes(run) == list(range(1_599_999_960, 1_600_000_400, 60))
        assert poller.known[A.id, 60] == closes(run)[-1] * S

    virtual(scenario)
