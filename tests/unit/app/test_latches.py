"""The halt latch's file and the engine: whatever the order of halts and clearings, the file's word holds in the end."""

from pathlib import Path

import pytest

from quantd.app.latches import LatchFollower
from quantd.clock import ManualClock
from quantd.domain.events import Event, TimerFired, TradingState
from quantd.domain.facts import StateSet
from quantd.journal.latch import Halt, HaltLatch
from quantd.testing.builders import Puppet, Rig

HALTED = TradingState.HALTED
RENEWED = {"restarts_max": 1, "restart_after_s": 10.0}


class Desk:
    """A person at the file, the follower, and an inbox that is handled when the test says so."""

    def __init__(self, path: Path) -> None:
        self.latch = HaltLatch(path)
        self.rig = Rig(strategies={"s1": Puppet()}, setups={"s1": RENEWED})
        self.clock = ManualClock(self.rig.now_ns)
        self.inbox: list[Event] = []
        self._written = 0
        self.follower = LatchFollower(self.latch, self.rig.engine, self.inbox.append, self.clock)
        self.follower.start()

    def halt(self, scope: str = "all") -> None:
        self.clock.set(self.clock.now_ns() + 1_000)
        self.latch.halt(Halt(scope, HALTED, "ops", "a doubt", self.clock.now_ns()))

    def clear(self, scope: str = "all") -> None:
        self.clock.set(self.clock.now_ns() + 1_000)
        self.latch.clear(scope, by="ops", why="no doubt", at_ns=self.clock.now_ns())

    def handle(self) -> None:
        events, self.inbox[:] = list(self.inbox), []
        for event in events:
            self.rig.handle(event)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass as in the daemon: a decided halt goes to the file first, then the follower sees the facts."""
        self.rig.wait(seconds)
        self.clock.set(self.rig.now_ns)
        written, self._written = self._written, len(self.rig.facts)
        for fact in self.rig.facts[written:]:
            if isinstance(fact, StateSet):
                self.follower.decided(fact)
                self.follower.recorded(fact)
        self.follower.look()
        self.handle()

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


def test_the_engine_follows_every_scope_that_is_cleared_between_two_looks(desk: Desk) -> None:
    scopes = ["venue:paper", "strategy:s1", "instrument:paper:BTC-USD"]
    for scope in scopes:
        desk.halt(scope)
    desk.follower.look()
    desk.handle()
    assert sorted(desk.rig.state.latches) == sorted(scopes)
    for scope in scopes[:2]:
        desk.clear(scope)
    desk.follower.look()
    desk.handle()
    assert list(desk.rig.state.latches) == scopes[2:]


def test_scopes_that_were_cleared_while_the_daemon_was_down_stay_so(desk: Desk) -> None:
    for scope in ("venue:paper", "strategy:s1"):
        desk.halt(scope)
    desk.follower.look()
    desk.handle()
    for scope in ("venue:paper", "strategy:s1"):
        desk.clear(scope)
    LatchFollower(desk.latch, desk.rig.engine, desk.inbox.append, desk.clock).start()
    desk.handle()
    assert (desk.rig.state.latches, desk.latch.read().halts) == ({}, ())


def test_a_look_without_news_says_nothing(desk: Desk) -> None:
    desk.halt()
    desk.follower.look()
    desk.handle()
    desk.follower.look()
    assert desk.inbox == []


def test_a_clearing_holds_that_comes_while_its_halt_is_on_the_way_to_the_engine(desk: Desk) -> None:
    """Else the engine stays halted, and there is nothing left in the file to clear."""
    desk.halt()
    desk.follower.look()  # the halt waits in the inbox
    desk.clear()
    desk.follower.look()
    desk.rig.now_ns += 1_000_000_000
    desk.handle()
    desk.follower.look()
    desk.handle()
    assert desk.state is TradingState.ACTIVE


def test_a_clearing_holds_whose_clock_is_behind_the_daemon_s(desk: Desk) -> None:
    """The machine's clock was set back: a person's command tells the right time, the daemon is still ahead of it."""
    desk.halt()
    desk.follower.look()
    desk.handle()
    desk.latch.clear("all", by="ops", why="no doubt", at_ns=desk.clock.now_ns() - 3_600_000_000_000)
    desk.follower.look()
    desk.handle()
    assert desk.state is TradingState.ACTIVE
    desk.halt()
    desk.follower.look()
    desk.handle()
    desk.follower.look()
    desk.handle()
    assert desk.state is HALTED, "an old clearing clears no later halt"


def fail(_strategy: object) -> None:
    raise ZeroDivisionError("no quotes")


def test_the_renewal_of_a_strategy_takes_its_fault_s_halt_out_of_the_file_too(desk: Desk) -> None:
    desk.rig.do(fail)
    desk.tick()
    assert [(halt.scope, halt.by) for halt in desk.latch.read().halts] == [("strategy:s1", "supervision")]
    for _ in range(20):
        desk.tick()
    assert not desk.rig.engine.desks["s1"].is_quarantined
    assert desk.rig.state.latches == {}, "the file did not bring the halt back"
    assert desk.latch.read().halts == ()


def test_a_renewal_leaves_a_person_s_halt_in_the_file(desk: Desk) -> None:
    desk.rig.do(fail)
    desk.tick()
    desk.latch.halt(Halt("strategy:s1", TradingState.REDUCING, "ops", "a doubt", desk.clock.now_ns()))
    for _ in range(20):
        desk.tick()
    assert [halt.by for halt in desk.latch.read().halts] == ["ops"]
    assert desk.rig.state.latches["strategy:s1"].by == "ops"


def test_a_look_between_the_end_of_a_halt_of_the_engine_s_own_and_the_file_s_brings_it_not_back(desk: Desk) -> None:
    """The file follows once the end is in the journal; a look may come before, and an old clearing makes each look compare."""
    desk.halt()
    desk.clear()
    desk.halt()
    desk.follower = LatchFollower(desk.latch, desk.rig.engine, desk.inbox.append, desk.clock)
    desk.follower.start()
    desk.handle()
    desk.rig.handle(TimerFired("s1", "@stop", desk.rig.now_ns, desk.rig.now_ns))
    desk.tick()
    assert [(one.scope, one.by) for one in desk.latch.read().halts] == [("all", "ops"), ("strategy:s1", "schedule")]
    desk.rig.handle(TimerFired("s1", "@start", desk.rig.now_ns, desk.rig.now_ns))
    desk.follower.decided(desk.rig.of(StateSet)[-1])  # the journal writes
    desk.halt("venue:paper")  # whatever else changes the file meanwhile
    desk.follower.look()
    desk.handle()
    desk.tick()
    ours = ["all", "venue:paper"]
    assert list(desk.rig.state.latches) == ours, "else the strategy stays out of its hours until a person sees it"
    assert [one.scope for one in desk.latch.read().halts] == ours


def test_a_schedule_s_halt_that_only_the_file_knows_holds_after_a_start(desk: Desk) -> None:
    """The process was killed between the two."""
    desk.latch.halt(Halt("strategy:s1", TradingState.REDUCING, "schedule", "stop", desk.clock.now_ns()))
    LatchFollower(desk.latch, desk.rig.engine, desk.inbox.append, desk.clock).start()
    desk.handle()
    assert desk.rig.state.latches["strategy:s1"].by == "schedule"
