"""Control 14: the breaker of reject storms. Writes that fail in a row stop their source: a strategy, or a venue.

A write fails when it is rejected, not executed or left unanswered. The count lives in the state (`tallies`), so that it
survives a restart; here it is compared with the limits. A trip latches REDUCING, once.
"""

from collections.abc import Mapping

from quantd.domain.events import TradingState
from quantd.domain.facts import StateSet
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.trips import Trips
from quantd.engine.tallies import STORM, sources_of


class Storms:
    """Trips scopes whose writes fail in a row, and lets them go on once after the cool-down where one is set."""

    def __init__(self, context: Context, trips: Trips) -> None:
        self._context = context
        self._trips = trips
        self._limits: dict[str, Limits] = {}
        self.watches = False
        """Whether any limit is set."""

    def set_limits(self, risk: RiskSettings, strategies: Mapping[str, Limits]) -> None:
        """Take over the limits."""
        scopes = {f"venue:{name}": limits for name, limits in risk.venues.items()}
        scopes |= {f"strategy:{name}": limits for name, limits in strategies.items()}
        self._limits = {scope: one for scope, one in scopes.items() if one.max_consecutive_rejects is not None}
        self.watches = bool(self._limits)

    def failed(self, order: LiveOrder) -> None:
        """Look at the sources of a write that failed just now."""
        state = self._context.state
        for scope in sources_of(order):
            limits = self._limits.get(scope)
            count = state.tallies.failures.get(scope, 0)
            if limits is not None and count >= (limits.max_consecutive_rejects or 0):
                self._trips.reduce(scope, STORM, f"{count} writes in a row were refused or not answered")

    def time_passed(self) -> None:
        """Let a source go on whose cool-down is over; if it then fails again before it succeeds, a person must."""
        context = self._context
        for scope, limits in self._limits.items():
            latch = context.state.latches.get(scope)
            if limits.reject_cooldown_s is None or latch is None or latch.by != STORM:
                continue
            is_over = context.now_ns - latch.at_ns >= limits.reject_cooldown_s * 1e9
            if is_over and scope not in context.state.tallies.cooled:
                generation = context.state.halt_generation
                context.record(
                    StateSet(scope, TradingState.ACTIVE, STORM, "the cool-down is over", generation, context.now_ns)
                )
