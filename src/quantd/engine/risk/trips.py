"""What controls do beyond denying: latch a scope as REDUCING, once, and have its entries cancelled.

A latch stands until a named person clears it. One that is there already, as strict or stricter, stays whose it is: two
controls that see the same trouble do not take turns.
"""

from collections.abc import Callable

from quantd.domain.events import TradingState
from quantd.engine.context import Context
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.tallies import SCHEDULE

REPEATED = "repeated_execution"
"""Who latched a state, where it was the throttle of repeated execution."""


class Trips:
    """Latches scopes on behalf of controls."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.followed: Callable[[str, str], None] = lambda scope, by: None
        """Set by the engine: cancels the entries of a scope after a trip."""

    def reduce(self, scope: str, by: str, why: str) -> bool:
        """Let a scope only reduce; return whether that is new."""
        known = self._context.state.latches.get(scope)
        if known is not None and known.by != SCHEDULE:
            return False
        if not self._context.latch(scope, TradingState.REDUCING, by, why):
            return False
        self.followed(scope, by)
        return True

    def denied(self, denied: Denied, wish: Wish) -> None:
        """Latch where a denial means that somebody must look."""
        if denied.code is Denial.REPEATED_EXECUTION:
            why = f"{denied.observed} orders in {wish.instrument.id}, allowed are {denied.limit}"
            self.reduce(f"strategy:{wish.strategy}", REPEATED, why)
