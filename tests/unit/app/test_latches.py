"""The halt latch's file and the engine: whatever the order of halts and clearings, the file's word holds in the end."""

from pathlib import Path

import pytest

from quantd.app.latches import LatchFollower
from quantd.clock import ManualClock
from quantd.domain.events import Event, TradingState
from quantd.journal.latch import Halt, HaltLatch
from quantd.testing.builders import Rig

HALTED = TradingState.HALTED


class Desk:
    """A person at the file, the follower, and an inbox that is handled when the test says so."""

    def __init__(self, path: Path) -> None:
        self.latch = HaltLatch(path)
        self.rig = Rig()
        self.clock = ManualClock(self.rig.now_ns)
        self.inbox: list[Event] = []
        self.follower = LatchFollower(self.latch, self.rig.engine, self.inbox.append, self.clock)
        self.follower.start()

    def halt(self) -> None:
        self.clock.set(self.clock.now_ns() + 1_000)
        self.latch.halt(Halt("all", HALTED, "ops", "a doubt", self.clock.now_ns()))

    def clear(self) -> None:
        self.clock.set(self.clock.now_ns() + 1_000)
        self.latch.clear("all", by="ops", why="no doubt", at_ns=self.clock.now_ns())

    def handle(self) -> None:
        events, self.inbox[:] = list(self.inbox), []
        for event in events:
            self.rig.handle(event)

    @property
    def state(self) -> TradingState:
        return self.rig.state.trading_state(["all"])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "halt.json")


def test_the_engine_follows_a_halt_and_its_clearing(desk: Desk) -> None:
    desk.halt()
    desk.follower.look()
    desk.handle()
    assert desk.state is HALTED
    desk.clear()
    desk.follower.look()
    desk.handle()
    assert desk.state is TradingState.ACTIVE


def test_a_halt_is_not_undone_by_a_clearing_that_still_waits(desk: Desk) -> None:
    desk.halt()
    desk.follower.look()
    desk.handle()
    desk.clear()
    desk.follower.look()  # the clearing waits in the inbox
    desk.halt()
    desk.follower.look()  # the engine still has the first halt
    desk.handle()
    desk.follower.look()
    desk.handle()
    assert desk.state is HALTED


def test_a_look_without_news_says_nothing(desk: Desk) -> None:
    desk.halt()
    desk.follower.look()
    desk.handle()
    desk.follower.look()
    assert desk.inbox == []
