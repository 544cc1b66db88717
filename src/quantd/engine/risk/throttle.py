"""Control 12: how often a strategy may fire in one instrument before it is disabled.

A strategy in a loop is not slowed but stopped: the order above the limit is denied, and the denial latches the strategy
(see `trips`) until a named person resumes it.
"""

from collections import deque
from collections.abc import Iterable

from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import OperationKind, Origin
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.gate import CancelWindow, Control, Scoped
from quantd.engine.risk.wish import Denial, Denied, Wish

FIRES_WINDOW_S = 60.0
"""Seconds in which fires are counted where `fires_window_s` is not set."""


class RepeatedExecution:
    """Counts a strategy's own new orders in a sliding window. Exits count and are never stopped."""

    number = 12
    guards_exits = False
    cancels: CancelWindow | None = None

    def __init__(self, scope: str, limit: int, window_s: float) -> None:
        self._scope = scope
        self._limit = limit
        self._window_s = window_s
        self._fired: deque[int] = deque()

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.operation is not OperationKind.SUBMIT or wish.origin is not Origin.STRATEGY or _is_counted(wish):
            return None
        fired = self._fired
        # What a person has looked at and let go on counts no more, otherwise it would stop again at once.
        since_ns = wish.state.tallies.resumed.get(self._scope, 0)
        while fired and (fired[0] + int(self._window_s * 1e9) <= wish.now_ns or fired[0] < since_ns):
            fired.popleft()
        if len(fired) < self._limit:
            return None
        limit = f"{self._limit} in {self._window_s} s"
        return wish.deny(Denial.REPEATED_EXECUTION, 12, self._scope, limit, len(fired) + 1)

    def passed(self, wish: Wish) -> None:
        """Count one that left."""
        if wish.operation is OperationKind.SUBMIT and wish.origin is Origin.STRATEGY and not _is_counted(wish):
            self._fired.append(wish.now_ns)

    def restored(self, order: LiveOrder) -> None:
        """Count an order that a fold brought back."""
        if order.origin is Origin.STRATEGY:
            self._fired.append(order.intended_at_ns)


def _is_counted(wish: Wish) -> bool:
    """Whether the wish is the release of a stop that was counted when it was placed."""
    return wish.amends is not None and wish.amends.spec.trigger is not None


def throttle(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the throttle of one (strategy, instrument)."""
    for scope, limits in scoped("max_fires"):
        yield RepeatedExecution(scope, limits.max_fires or 0, limits.fires_window_s or FIRES_WINDOW_S)
