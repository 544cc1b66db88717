"""Replays and the synthetic feed in virtual time, and merging by time."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import LoopClock
from quantd.domain.events import Event, MarketEvent
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus, TickTier
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO
from quantd.feeds.bars import BarStage
from quantd.feeds.replay import ReplayFeed, merge_by_time
from quantd.feeds.synthetic import SyntheticFeed, SyntheticMarket, SyntheticSpec
from quantd.testing.loop import STARTED_AT_NS, run_virtual

A, B = InstrumentId("paper:A"), InstrumentId("paper:B")
S = 1_000_000_000


def quote(at_s: float, instrument: InstrumentId = A) -> Quote:
    return Quote(instrument, 1.0, 2.0, round(at_s * S), round(at_s * S))


def replayed(events: Sequence[MarketEvent], speed: float, restamp: bool = True) -> list[tuple[float, Event]]:
    """Return what a replay emits, with the virtual second of its emission."""

    async def main(clock: LoopClock) -> list[tuple[float, Event]]:
        found: list[tuple[float, Event]] = []
        feed = ReplayFeed(events, clock, speed=speed, restamp=restamp)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(feed.run(lambda event: found.append((clock.monotonic_ns() / S, event))))
            await feed.finished.wait()
            await asyncio.sleep(3_600)
            assert not running.done()  # a feed that ends would be a fault
            running.cancel()
        assert feed.emitted == len(found)
        return found

    return run_virtual(main)


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=4))
def test_merging_keeps_time_and_the_order_of_sources(times: list[list[int]]) -> None:
    sources = [
        [quote(at_s, InstrumentId(f"paper:{number}")) for at_s in sorted(each)] for number, each in enumerate(times)
    ]
    together = [event for source in sources for event in source]
    assert list(merge_by_time(*sources)) == sorted(together, key=lambda event: event.received_at_ns)  # sorted is stable


def test_a_replay_keeps_the_distances_and_stamps_with_its_own_clock() -> None:
    events = [quote(100), quote(160), quote(280, B)]
    found = replayed(events, speed=60)
    assert [at_s for at_s, _ in found] == [0, 1, 3]
    for at_s, event in found:
        assert isinstance(event, Quote)
        assert event.received_at_ns == event.occurred_at_ns == STARTED_AT_NS + at_s * S


def test_bars_shrink_with_the_speed_and_books_keep_their_content() -> None:
    bar = Bar(A, 0, 60 * S, 1, 2, 0.5, 1.5, 9, 60 * S)
    book = Book(A, ((1.0, 1.0),), (), 90 * S, None, 4)
    status = StatusChanged(A, MarketStatus.HALTED, 120 * S)
    (_, first), (at_s, second), (_, third) = replayed([bar, book, status], speed=10)
    assert first == Bar(A, STARTED_AT_NS - 6 * S, STARTED_AT_NS, 1, 2, 0.5, 1.5, 9, STARTED_AT_NS)
    assert second == Book(A, ((1.0, 1.0),), (), STARTED_AT_NS + 3 * S, STARTED_AT_NS + 3 * S, 4)
    assert third == StatusChanged(A, MarketStatus.HALTED, STARTED_AT_NS + 6 * S)
    assert at_s == 3


def test_a_replay_may_leave_the_times_alone() -> None:
    events = [quote(100), quote(160)]
    assert [event for _, event in replayed(events, speed=1, restamp=False)] == events


def test_many_events_of_one_moment_do_not_hold_the_loop() -> None:
    async def main(clock: LoopClock) -> int:
        seen: list[Event] = []
        async with asyncio.TaskGroup() as group:
            running = group.create_task(ReplayFeed([quote(1)] * 10_000, clock).run(seen.append))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            early = len(seen)
            running.cancel()
        return early

    assert 0 < run_virtual(main) < 1_000


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_time_cannot_stand_still(speed: float) -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(ValueError, match="speed above 0"):
            ReplayFeed([], clock, speed=speed)

    run_virtual(main)


def market(depth: int = 3) -> SyntheticMarket:
    traded = Instrument(id=A, base="A", quote="USD", ticks=(TickTier(ZERO, Decimal("0.01")),), lot=Decimal("0.01"))
    return SyntheticMarket([SyntheticSpec(traded, 100.0, depth=depth)], Random(1), step_s=0.5)


def test_the_synthetic_feed_steps_with_the_clock() -> None:
    async def main(clock: LoopClock) -> list[Event]:
        seen: list[Event] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(SyntheticFeed(market(), clock).run(seen.append), 1.75)
        return seen

    seen = run_virtual(main)
    assert [type(event) for event in seen] == [Quote, Book] * 4
    assert [(event.received_at_ns - STARTED_AT_NS) / S for event in seen[::2]] == [0, 0.5, 1, 1.5]


def test_a_busy_loop_costs_steps_and_brings_no_bunch() -> None:
    async def main(clock: LoopClock) -> list[float]:
        seen: list[float] = []
        stalled = False

        class Stalling:
            """A clock that stands for a loop held up for 1.7 seconds, once."""

            def now_ns(self) -> int:
                return clock.now_ns() + self.lag_ns

            def monotonic_ns(self) -> int:
                return clock.monotonic_ns() + self.lag_ns

            lag_ns = 0

        stalling = Stalling()

        def emit(event: Event) -> None:
            nonlocal stalled
            seen.append((event.received_at_ns - STARTED_AT_NS) / S)
            if len(seen) == 2 and not stalled:
                stalled = True
                stalling.lag_ns = round(1.7 * S)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(SyntheticFeed(market(depth=0), stalling).run(emit), 2)
        return seen

    assert run_virtual(main) == [0, 0.5, 2.5, 3, 3.5]


def test_a_bar_of_a_quiet_market_is_emitted_by_the_clock() -> None:
    async def main(clock: LoopClock) -> list[tuple[float, Event]]:
        seen: list[tuple[float, Event]] = []

        def emit(event: Event) -> None:
            seen.append(((clock.now_ns() - STARTED_AT_NS) / S, event))

        stage = BarStage({A: [60]}, clock, grace_s=0.25)
        guarded = stage.guard(emit)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(stage.run(emit))
            await asyncio.sleep(30)  # 12:27:10, the first whole minute began at second 20
            guarded(Quote(A, 1.0, 3.0, clock.now_ns()))
            await asyncio.sleep(120)
            running.cancel()
        return [each for each in seen if isinstance(each[1], Bar)]

    ((at_s, bar),) = run_virtual(main)
    assert at_s == pytest.approx(80.25, abs=1e-3)
    assert isinstance(bar, Bar)
    assert (bar.opened_at_ns - STARTED_AT_NS, bar.close, bar.complete) == (20 * S, 2.0, True)
