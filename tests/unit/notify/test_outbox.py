"""The outbox in virtual time: bounds, rate with its summary, attempts, and what a receiver's trouble costs."""

import asyncio

import pytest

from quantd.clock import LoopClock
from quantd.notify.delivery import Undelivered
from quantd.notify.notice import Weight
from quantd.testing.loop import run_virtual
from tests.unit.notify.receiving import NAME, Desk, notice

DOWN = Undelivered("down")


def test_a_notice_is_sent_at_once_and_counted_with_its_time() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, 0.25)
        desk.outbox.put(notice("a"))
        await desk.run_for(1)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told == [["a"]]
    assert desk.receiver.attempts[0][0] == 0
    assert desk.count("sent") == 1
    assert desk.observer.observed("quantd_notification_seconds", channel=NAME) == [0.25]


def test_what_is_too_light_for_the_channel_is_not_queued() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, least="critical")
        desk.outbox.put(notice("light", Weight.WARNING))
        desk.outbox.put(notice("heavy"))
        await desk.run_for(1)
        return desk

    assert run_virtual(main).receiver.told == [["heavy"]]


def test_the_last_message_that_the_rate_allows_carries_all_that_waits() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, rate_count=3, rate_per_s=60)
        for number in range(8):
            desk.outbox.put(notice(str(number)))
        await desk.run_for(59)
        for number in range(8, 10):
            desk.outbox.put(notice(str(number)))
        assert desk.receiver.told == [["0"], ["1"], ["2", "3", "4", "5", "6", "7"]]
        await desk.run_for(30)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told[3:] == [["8"], ["9"]]
    assert [at_s for at_s, _ in desk.receiver.attempts[:4]] == [0, 0, 0, 60]
    assert (desk.count("sent"), desk.count("summarised"), desk.count("dropped")) == (4, 6, 0)


def test_a_storm_of_warnings_delays_no_critical_notice() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, rate_count=2, rate_per_s=60)
        for number in range(50):
            desk.outbox.put(notice(str(number), Weight.WARNING))
        await desk.run_for(5)
        desk.outbox.put(notice("late warning", Weight.WARNING))
        desk.outbox.put(notice("halt"))
        await desk.run_for(5)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told[-1] == ["halt"]
    assert desk.receiver.attempts[-1][0] == 5
    assert len(desk.receiver.taken) == 3


def test_the_oldest_is_lost_and_counted_where_there_is_no_room() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, queue_max=3)
        for number in range(5):
            desk.outbox.put(notice(str(number)))
        assert desk.outbox.waiting == 3
        await desk.run_for(1)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told == [["2"], ["3"], ["4"]]
    assert desk.count("dropped") == 2


def test_a_failed_message_is_tried_again_as_it_was_under_its_id_with_growing_pauses() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, DOWN, DOWN, DOWN, rate_count=3)
        desk.outbox.put(notice("a"))

        async def then() -> None:
            await asyncio.sleep(0.5)
            desk.outbox.put(notice("b"))
            desk.outbox.put(notice("c"))

        await desk.run_for(120, then)
        return desk

    desk = run_virtual(main)
    at_s, messages = zip(*desk.receiver.attempts, strict=True)
    assert [round(one, 3) for one in at_s[:3]] == [0, 1, 3]
    assert len({message.id for message in messages[:4]}) == 1, "an attempt came under another id"
    assert {tuple(one.key for one in message.notices) for message in messages[:4]} == {("a",)}
    assert sorted(key for told in desk.receiver.told for key in told) == ["a", "b", "c"]
    assert desk.observer.counted("quantd_notification_attempts_failed_total", channel=NAME) == 3


def test_no_two_messages_share_an_id_and_no_notice_is_in_two() -> None:
    """A receiver that drops what it has under an id must lose nothing: seen with a receiver that fails now and then."""

    async def main(clock: LoopClock) -> Desk:
        answers = (DOWN, 0.0, DOWN, DOWN, 0.0, 0.0, 30.0, DOWN, 0.0)
        desk = Desk(clock, *answers, rate_count=3, rate_per_s=10)
        for number in range(40):
            desk.outbox.put(notice(str(number), Weight.CRITICAL if number % 3 else Weight.WARNING))
            await desk.run_for(0.7)
        await desk.run_for(120)
        return desk

    desk = run_virtual(main)
    by_id: dict[str, set[tuple[str, ...]]] = {}
    for _, message in desk.receiver.attempts:
        by_id.setdefault(message.id, set()).add(tuple(one.key for one in message.notices))
    assert all(len(contents) == 1 for contents in by_id.values()), by_id
    told = [key for (content,) in by_id.values() for key in content]
    assert sorted(told) == sorted(str(number) for number in range(40)), "lost, or in two messages"
    assert len(desk.receiver.attempts) > len(by_id), "nothing was ever tried again"


@pytest.mark.parametrize("settings", [{}, {"rate_count": 1, "rate_per_s": 1}])
def test_a_receiver_says_how_long_it_wants_none(settings: dict[str, float]) -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, Undelivered("busy", retry_after_s=42), Undelivered("busy", retry_after_s=9e9), **settings)
        desk.outbox.put(notice("a"))
        await desk.run_for(400)
        return desk

    desk = run_virtual(main)
    assert [at_s for at_s, _ in desk.receiver.attempts] == [0, 42, 342], "and no receiver silences us for longer"
    assert desk.receiver.told == [["a"]]


def test_what_a_receiver_refuses_for_good_is_counted_and_holds_nothing_up() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, Undelivered("no such chat", is_final=True))
        desk.outbox.put(notice("a"))
        desk.outbox.put(notice("b"))
        await desk.run_for(0.1)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told == [["b"]]
    assert (desk.count("failed"), desk.count("sent")) == (1, 1)


def test_a_receiver_that_never_answers_costs_its_own_notices_after_a_while() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, *[1e6] * 50, timeout_s=10, give_up_after_s=60)
        desk.outbox.put(notice("old"))
        await desk.run_for(50)
        desk.outbox.put(notice("new"))
        await desk.run_for(40)
        assert desk.count("failed") == 1
        assert desk.receiver.attempts[-1][1].notices[0].key == "new"
        return desk

    assert run_virtual(main).count("sent") == 0


def test_whatever_a_channel_raises_is_a_failed_attempt() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, ZeroDivisionError("ours"), RuntimeError("ours"))
        desk.outbox.put(notice("a"))
        await desk.run_for(10)
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told == [["a"]]
    assert desk.observer.counted("quantd_notification_attempts_failed_total", channel=NAME) == 2


def test_what_was_under_way_at_the_end_is_tried_once_more_and_what_is_left_is_counted() -> None:
    async def main(clock: LoopClock) -> Desk:
        desk = Desk(clock, 5.0, 0.5, 1e6)
        for key in ("a", "b", "c"):
            desk.outbox.put(notice(key))
        await desk.run_for(1)
        assert desk.outbox.waiting == 3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await desk.outbox.drain()
        await desk.outbox.close()
        return desk

    desk = run_virtual(main)
    assert desk.receiver.told == [["a"]]
    assert len({message.id for _, message in desk.receiver.attempts[:2]}) == 1
    assert desk.count("dropped") == 2
    assert desk.receiver.is_closed
