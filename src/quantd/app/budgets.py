"""Keeps what a rate budget must remember over a restart: bans, pauses, and the windows of a minute and longer.

Bans and pauses are kept as soon as they change, counts once they have grown by a share of a window that is less than what
a budget leaves to cancels: what a restart forgets stays within that. By the clock alone a quiet account would fill the
journal, and a busy one forget more than its margin.
"""

from collections.abc import Mapping

import msgspec

from quantd.domain.events import CursorAdvanced
from quantd.ports import Clock, Emit
from quantd.venues.budget import BudgetState
from quantd.venues.parts import VenueParts

CURSOR = "rate_budget"
_FORGOTTEN_MAX = 0.03
"""Share of a window that a restart may not know of; a budget keeps 4 % back from submits and polls."""
_SAME_MOMENT_NS = 1_000_000_000
"""A moment of the monotonic clock is told by the wall clock; the two are never read at once, so that it is another each time."""


class BudgetKeeper:
    """Restores budgets at start and keeps their state in the journal."""

    def __init__(self, venues: Mapping[str, VenueParts], emit: Emit, clock: Clock) -> None:
        self._budgets = {name: parts.budget for name, parts in venues.items() if parts.budget is not None}
        self._emit = emit
        self._clock = clock
        self._kept: dict[str, BudgetState] = {}
        self._counted: dict[str, dict[str, float]] = {}
        """What was counted at the last writing, as `RateBudget.counted` tells it."""

    def restore(self, cursors: Mapping[tuple[str, str], str], *, is_first_run: bool) -> None:
        """Take over what an earlier process counted; before the first request."""
        for name, budget in self._budgets.items():
            if not is_first_run:
                budget.begin_used()
            told = cursors.get((name, CURSOR))
            if told is not None:
                budget.restore(msgspec.json.decode(told, type=BudgetState))

    def look(self) -> None:
        """Keep what has changed, and set the gauges of what is left."""
        now_ns = self._clock.now_ns()
        for name, budget in self._budgets.items():
            budget.report()
            state, counted = budget.state(), budget.counted()
            known, before = self._kept.get(name, BudgetState()), self._counted.get(name, {})
            if _is_urgent(state, known) or any(
                _has_grown(before.get(limit, 0.0), now) for limit, now in counted.items()
            ):
                self._kept[name], self._counted[name] = state, counted
                self._emit(CursorAdvanced(name, CURSOR, msgspec.json.encode(state).decode(), now_ns))


def _is_urgent(state: BudgetState, known: BudgetState) -> bool:
    """Tell whether a ban or a pause has come, gone or moved."""
    now, before = ({"": one.ban_until_ns, **one.paused_until_ns} for one in (state, known))
    return now.keys() != before.keys() or any(
        abs(at_ns - before[name]) > _SAME_MOMENT_NS for name, at_ns in now.items()
    )


def _has_grown(before: float, now: float) -> bool:
    """Tell whether a window has counted enough since; less than before is another window, or one that permits more."""
    return now < before or now - before >= _FORGOTTEN_MAX
