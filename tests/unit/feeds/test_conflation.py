"""The inbox: order, conflation, and what is never dropped."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import LoopClock
from quantd.domain.events import CancelOrdered, Event, OperationSent, OperatorActed, TimePassed
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import ClientOrderId
from quantd.feeds.conflation import BATCH_MAX, Inbox
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver


def quote(name: str, at: int) -> Quote:
    return Quote(InstrumentId(name), 1.0, 2.0, at)


def event(kind: str, name: str, at: int) -> Event:
    id = InstrumentId(name)
    match kind:
        case "quote":
            return quote(name, at)
        case "book":
            return Book(id, ((1.0, 1.0),), (), at)
        case "bar":
            return Bar(id, at, at + 1, 1, 1, 1, 1, 0, at)
        case _:
            return TimePassed(at)


def naive(events: list[Event], limit: int) -> list[Event]:
    """The definition: above `limit` quotes and books, the waiting one of the same instrument and kind goes away."""
    waiting: list[Event] = []
    for new in events:
        data = [old for old in waiting if isinstance(old, Quote | Book)]
        if isinstance(new, Quote | Book) and len(data) >= limit:
            same = [old for old in data if type(old) is type(new) and old.instrument == new.instrument]
            if same:
                waiting.remove(same[-1])
        waiting.append(new)
    return waiting


@given(
    st.lists(
        st.tuples(st.sampled_from(["quote", "book", "bar", "time"]), st.sampled_from(["a", "b", "c"])), max_size=80
    ),
    st.integers(1, 20),
)
def test_a_batch_is_what_the_definition_says(wishes: list[tuple[str, str]], limit: int) -> None:
    events = [event(kind, name, at) for at, (kind, name) in enumerate(wishes)]
    inbox = Inbox(limit)
    for each in events:
        inbox.put(each)
    expected = naive(events, limit)
    assert len(inbox) == len(expected)
    assert inbox.take() == expected
    assert inbox.conflated == len(events) - len(expected)
    assert inbox.take() == []


def test_a_stalled_engine_costs_bounded_memory_and_no_report() -> None:
    inbox = Inbox(16)
    for at in range(200_000):
        inbox.put(quote("a", at))
        if at % 1_000 == 0:
            inbox.put(TimePassed(at))
    assert len(inbox._items) < 5_000
    batch = inbox.take()
    assert [each for each in batch if isinstance(each, TimePassed)] == [
        TimePassed(at) for at in range(0, 200_000, 1_000)
    ]
    quotes = [each for each in batch if isinstance(each, Quote)]
    assert len(quotes) == 16
    assert quotes[-1].received_at_ns == 199_999


def test_conflation_and_depth_are_counted() -> None:
    observer = RecordingObserver()
    inbox = Inbox(1, observer)
    for at in range(5):
        inbox.put(quote("a", at))
    assert inbox.take() == [quote("a", 4)]
    assert observer.counted("quantd_inbox_conflated_total") == 4
    assert observer.gauged("quantd_inbox_depth") == 1


def test_the_consumer_sleeps_until_something_comes_and_gets_all_of_it() -> None:
    async def main(clock: LoopClock) -> list[list[Event]]:
        inbox = Inbox()
        batches: list[list[Event]] = []

        async def consume() -> None:
            while len(batches) < 2:
                batches.append(await inbox.get_batch())

        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            await asyncio.sleep(5)
            inbox.put(quote("a", 1))
            inbox.put(quote("a", 2))
            await asyncio.sleep(5)
            inbox.put(quote("a", 3))
        return batches

    assert run_virtual(main) == [[quote("a", 1), quote("a", 2)], [quote("a", 3)]]


def test_a_cancelled_consumer_leaves_the_inbox_usable() -> None:
    async def main(clock: LoopClock) -> list[Event]:
        inbox = Inbox()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(inbox.get_batch(), 1)
        inbox.put(quote("a", 1))
        return await inbox.get_batch()

    assert run_virtual(main) == [quote("a", 1)]


def test_a_second_consumer_is_refused() -> None:
    async def main(clock: LoopClock) -> None:
        inbox = Inbox()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(inbox.get_batch())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="one consumer"):
                await inbox.get_batch()
            inbox.put(quote("a", 1))
            await first

    run_virtual(main)


async def test_a_great_number_is_handed_out_in_parts_in_order_and_conflated_as_ever() -> None:
    inbox = Inbox(conflate_above=200)
    for number in range(120):
        inbox.put(quote(f"x:{number}-USD", number))
    first = await inbox.get_batch()
    assert len(first) == BATCH_MAX
    assert len(inbox) == 120 - BATCH_MAX
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "the loop's turn")
    for number in range(120, 240):
        inbox.put(quote(f"x:{number % 120}-USD", number))
    second = await inbox.get_batch()
    assert turns == ["the loop's turn"]
    rest = second
    while len(inbox):
        rest += await inbox.get_batch()
    times = [event.received_at_ns for event in first + rest]
    assert times == sorted(times)
    assert inbox.conflated == 240 - len(times) > 0
    newest = {event.instrument: event.received_at_ns for event in rest if isinstance(event, Quote)}
    assert all(newest[InstrumentId(f"x:{number % 120}-USD")] == number for number in range(120, 240))


@pytest.mark.parametrize("before", [BATCH_MAX - 2, BATCH_MAX - 1, BATCH_MAX, 8 * BATCH_MAX + 10])
async def test_what_an_operator_asked_for_stays_in_one_batch_with_what_carries_it_out(before: int) -> None:
    inbox = Inbox()
    asked, done = OperatorActed("r1", "ann", "cancel", "{}", "accepted", before), CancelOrdered("all", "ann", before)
    events: list[Event] = [*map(TimePassed, range(before)), asked, done, TimePassed(before + 1)]
    for one in events:
        inbox.put(one)
    seen: list[Event] = []
    for _ in range(20):
        batch = await inbox.get_batch()
        seen += batch
        assert (asked in batch) == (done in batch), "whoever asked would be told that nothing came of it"
        if not len(inbox):
            break
    assert seen == events


async def test_bytes_that_leave_in_a_task_of_their_own_go_before_the_note_that_they_left() -> None:
    inbox, seen = Inbox(), list[str]()

    async def consume() -> None:
        await inbox.get_batch()
        seen.append("note")

    async def write() -> None:
        seen.append("bytes")

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        await asyncio.sleep(0)
        inbox.put(OperationSent(ClientOrderId("a"), 1, 1))
        group.create_task(write())
    assert seen == ["bytes", "note"]


async def test_a_wake_up_that_finds_nothing_gives_no_empty_batch() -> None:
    inbox = Inbox()
    async with asyncio.TaskGroup() as group:
        consumer = group.create_task(inbox.get_batch())
        await asyncio.sleep(0)
        inbox.put(OperationSent(ClientOrderId("a"), 1, 1))
        assert len(inbox.take()) == 1  # taken before the wake-up that was asked for
        for _ in range(5):
            await asyncio.sleep(0)
        assert not consumer.done()
        inbox.put(quote("a", 2))
    assert consumer.result() == [quote("a", 2)]
