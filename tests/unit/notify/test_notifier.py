"""The notifier: the same is told once within a while, ends end something, and no secret gets through."""

import asyncio
import dataclasses
from typing import Any

import pytest
from structlog.testing import capture_logs

from quantd.clock import ManualClock
from quantd.domain.events import TradingState
from quantd.domain.facts import StateSet
from quantd.notify.delivery import Undelivered
from quantd.notify.facts import notice_of
from quantd.notify.notice import Notice, Weight
from quantd.notify.notifier import Notifier
from quantd.notify.outbox import Outbox
from quantd.notify.settings import WebhookChannel
from quantd.telemetry.redaction import Redactor
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from tests.unit.notify.receiving import Desk, notice

SECRET = "planted-4f1c-key"
REPEATS = "quantd_notification_repeats_total"


class Silent:
    """A channel that is never reached: what is queued is looked at."""

    async def send(self, message: object) -> None:
        """Fail."""
        raise Undelivered("nobody there")

    async def close(self) -> None:
        """Do nothing."""


@dataclasses.dataclass
class House:
    """A notifier on a clock that stands still."""

    clock: ManualClock
    observer: RecordingObserver
    outbox: Outbox
    notifier: Notifier

    def queued(self) -> list[Notice]:
        """What waits."""
        return [one.notice for lane in self.outbox._lanes for one in lane.waiting]

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.set(self.clock.now_ns() + int(seconds * 1e9))


@pytest.fixture
def house() -> House:
    clock, observer, redactor = ManualClock(), RecordingObserver(), Redactor()
    redactor.register(SECRET)
    settings = WebhookChannel(url="http://127.0.0.1:1", least="info", queue_max=10_000)
    outbox = Outbox("webhooks.desk", Silent(), settings, source="desk", run="r", clock=clock, observer=observer)
    notifier = Notifier([outbox], repeat_after_s=900, clock=clock, observer=observer, clean=redactor.clean)
    return House(clock, observer, outbox, notifier)


def test_the_same_state_of_the_same_thing_is_told_once_within_the_window(house: House) -> None:
    for _ in range(3):
        house.notifier.tell(notice("venue", state="down"))
        house.pass_s(299)
    assert len(house.queued()) == 1
    assert house.observer.counted(REPEATS) == 2
    house.pass_s(10)
    house.notifier.tell(notice("venue", state="down"))
    assert len(house.queued()) == 2, "what lasts is told again after the window"


def test_a_repetition_does_not_lengthen_the_window(house: House) -> None:
    for _ in range(10):
        house.notifier.tell(notice("venue", state="down"))
        house.pass_s(100)
    assert len(house.queued()) == 2


def test_another_state_or_another_thing_is_told_at_once(house: House) -> None:
    house.notifier.tell(notice("all", state="reducing"))
    house.notifier.tell(notice("all", state="halted"))
    house.notifier.tell(notice("venue", state="halted"))
    assert [(one.key, one.state) for one in house.queued()] == [
        ("all", "reducing"),
        ("all", "halted"),
        ("venue", "halted"),
    ]


def test_the_same_state_is_told_again_where_it_weighs_more(house: House) -> None:
    by_schedule = StateSet("strategy:s1", TradingState.REDUCING, "schedule", "stop", 1, 1)
    by_control = StateSet("strategy:s1", TradingState.REDUCING, "reject_storm", "11 refused in 60 s", 2, 2)
    for fact in (by_schedule, by_control, by_schedule, by_control):
        told = notice_of(fact)
        assert told is not None
        house.notifier.tell(told)
    assert [one.weight for one in house.queued() if one.weight > Weight.INFO] == [Weight.WARNING], (
        "channels are not told of schedules: the control was swallowed as a repetition of what they never heard"
    )
    assert house.observer.counted(REPEATS) == 2


def test_an_end_is_told_where_something_was_told_and_after_it_the_same_is_news_again(house: House) -> None:
    house.notifier.tell(notice("venue", state="ready", is_end=True))
    assert not house.queued(), "it ends what nobody was told of"
    for _ in range(2):
        house.notifier.tell(notice("venue", state="down"))
        house.notifier.tell(notice("venue", state="ready", is_end=True))
        house.notifier.tell(notice("venue", state="ready", is_end=True))
    assert [one.state for one in house.queued()] == ["down", "ready", "down", "ready"]


def test_what_is_remembered_is_bounded(house: House) -> None:
    for number in range(5_000):
        house.notifier.tell(notice(f"order {number}"))
    assert len(house.notifier._told) == 2_000


def test_no_secret_of_a_text_reaches_a_receiver_or_the_log(house: House) -> None:
    parts: dict[str, Any] = {name: f"{name} {SECRET} {'x' * 500}" for name in ("key", "what", "where", "why", "do")}
    with capture_logs() as logged:
        house.notifier.tell(notice(**parts))
    (queued,) = house.queued()
    for text in (repr(queued), repr(logged)):
        assert "[redacted]" in text
        assert SECRET not in text
    assert len(queued.why) == 500


def test_a_secret_that_the_length_would_cut_is_taken_out_whole(house: House) -> None:
    house.notifier.tell(notice(why="x" * 495 + SECRET))
    assert "plant" not in house.queued()[0].why


def test_what_no_encoding_can_carry_is_replaced_before_it_holds_a_receivers_queue_up(house: House) -> None:
    house.notifier.tell(notice(what="half a \ud83d", why="\udcff"))
    (queued,) = house.queued()
    assert (queued.what, queued.why) == ("half a ?", "?")


def test_one_channels_end_waits_for_no_other_and_all_are_closed() -> None:
    async def main(clock: object) -> tuple[list[Desk], float]:
        desks = [Desk(clock, 1e6), Desk(clock)]  # type: ignore[arg-type]  # what run_virtual hands over
        notifier = Notifier(
            [one.outbox for one in desks], repeat_after_s=1, clock=desks[0].clock, observer=desks[0].observer
        )
        notifier.tell(notice("end"))
        begun_s = asyncio.get_running_loop().time()
        await notifier.finish(3)
        return desks, asyncio.get_running_loop().time() - begun_s

    (dead, alive), took_s = run_virtual(main)
    assert took_s == 3
    assert alive.receiver.told == [["end"]]
    assert (dead.count("dropped"), alive.count("sent")) == (1, 1)
    assert dead.receiver.is_closed
    assert alive.receiver.is_closed
