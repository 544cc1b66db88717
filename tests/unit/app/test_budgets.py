"""What of the rate budgets is written down, and how often."""

from typing import Any

from quantd.app.budgets import BudgetKeeper
from quantd.domain.events import CursorAdvanced
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import Limit, RateBudget, Window
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

    def __init__(self) -> None:
        self.clock = TwoClocks()
        self.written: list[Any] = []
        self.budget = RateBudget("v", [Limit("key", Window(10, 60.0))], clock=self.clock, observer=RecordingObserver())
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
    desk.look(10)  # the first look writes what there is
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
