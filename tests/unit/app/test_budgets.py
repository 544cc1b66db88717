"""What of the rate budgets is written down, and how often."""

from typing import Any

from quantd.app.budgets import CURSOR, BudgetKeeper
from quantd.domain.events import CursorAdvanced
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import Lane, Limit, RateBudget, Window
from quantd.venues.parts import VenueParts

SECOND = 1_000_000_000


class TwoClocks:
    """Wall and monotonic time as a machine has them: never read at the same moment."""

    def __init__(self) -> None:
        self.elapsed_ns = 0
        self._reads = 0

    def now_ns(self) -> int:
        self._pass_time()
        return 1_600_000_000 * SECOND + self.elapsed_ns

    def monotonic_ns(self) -> int:
        self._pass_time()
        return self.elapsed_ns

    def _pass_time(self) -> None:
        self._reads += 1
        self.elapsed_ns += 100 + self._reads**2 % 97


class Desk:
    """A keeper of one budget, and what it writes."""

    def __init__(self, window: Window = Window(10, 60.0)) -> None:  # noqa: B008 -- frozen, so shared by none
        self.clock = TwoClocks()
        self.written: list[Any] = []
        self.budget = RateBudget("v", [Limit("key", window)], clock=self.clock, observer=RecordingObserver())
        parts = VenueParts(None, None, self.budget)  # type: ignore[arg-type]  # nothing else of a venue is looked at
        self.keeper = BudgetKeeper({"v": parts}, self.written.append, self.clock)

    def look(self, seconds: float) -> int:
        """Look twice a second as the daemon does; return how often something was written."""
        before = len(self.written)
        for _ in range(round(seconds * 2)):
            self.clock.elapsed_ns += SECOND // 2
            self.keeper.look()
        return len(self.written) - before


def test_a_ban_is_written_once_when_it_comes_and_not_again_while_it_lasts_or_is_remembered() -> None:
    desk = Desk()
    desk.budget.ban(None)
    assert desk.look(3600) == 1
    desk.budget.ban(None)
    assert desk.look(3600) == 1
    assert all(isinstance(event, CursorAdvanced) for event in desk.written)


def test_a_pause_is_written_when_it_comes_when_it_grows_and_when_it_has_gone() -> None:
    desk = Desk()
    desk.look(10)
    desk.budget.penalise("any", 20.0)
    assert desk.look(10) == 1
    desk.budget.penalise("any", 60.0)
    assert desk.look(10) == 1
    assert desk.look(120) == 1


def ask(desk: Desk, times: int) -> None:
    """Send requests one after the other, each answered."""
    for _ in range(times):
        permit = desk.budget.try_acquire("any", Lane.CANCEL)
        assert permit is not None
        permit.answered()


def test_a_quiet_account_writes_nothing_however_long_and_a_busy_one_forgets_less_than_its_margin() -> None:
    desk = Desk(Window(1_000, 60.0))
    ask(desk, 29)
    assert desk.look(3_600) == 0
    ask(desk, 1)
    assert desk.look(3_600) == 1
    for _ in range(20):
        ask(desk, 29)
        desk.look(0.5)
    again = Desk(Window(1_000, 60.0))
    again.clock.elapsed_ns = desk.clock.elapsed_ns
    again.keeper.restore({("v", CURSOR): desk.written[-1].value}, is_first_run=False)
    forgotten = again.budget.left()["key"] - desk.budget.left()["key"]
    assert 0 <= forgotten <= 0.03


def test_what_is_written_of_a_long_window_stays_small_and_comes_back_no_earlier() -> None:
    desk = Desk(Window(100_000, 86_400.0))
    for _ in range(24 * 60):
        ask(desk, 60)
        desk.look(0.5)
        desk.clock.elapsed_ns += 59 * SECOND
    assert len(desk.written) == 24 * 60 * 60 // 3_000
    assert max(len(event.value) for event in desk.written) < 1_000
    again = Desk(Window(100_000, 86_400.0))
    again.clock.elapsed_ns = desk.clock.elapsed_ns
    again.keeper.restore({("v", CURSOR): desk.written[-1].value}, is_first_run=False)
    for _ in range(48):
        assert again.budget.left()["key"] <= desk.budget.left()["key"] + 0.03
        for one in (desk, again):
            one.clock.elapsed_ns += 1_800 * SECOND


def test_counts_are_written_on_when_a_venue_tells_other_limits() -> None:
    desk = Desk(Window(1_000, 60.0))
    ask(desk, 900)
    assert desk.look(1) == 1
    desk.budget.reconfigure([Limit("key", Window(10_000, 60.0))])
    assert desk.look(1) == 1
    ask(desk, 300)
    assert desk.look(1) == 1
    assert desk.look(3_600) == 0
