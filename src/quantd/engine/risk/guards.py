"""The controls that no order asks for: they watch prices, fills, outcomes and time, and latch a scope when they must.

Built once by the engine; every part does nothing while no limit of its is set.
"""

from collections.abc import Mapping

from quantd.domain.instruments import InstrumentId
from quantd.domain.outcomes import NotExecuted, Outcome, Rejected, Unknown
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.last_prices import LastPrices
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.losses import Losses
from quantd.engine.risk.margins import Margins
from quantd.engine.risk.markets import Markets
from quantd.engine.risk.soft import SoftLimits
from quantd.engine.risk.storms import Storms
from quantd.engine.risk.trips import Trips


class Guards:
    """Loss limits, margin distance, the breaker of reject storms, the markets that must be calm, and who is told early."""

    def __init__(self, context: Context, risk: RiskSettings, strategies: Mapping[str, Limits], own: Limits) -> None:
        self.trips = Trips(context)
        self.soft = SoftLimits(context)
        self.losses = Losses(context, self.soft)
        self.storms = Storms(context, self.trips)
        self.margins = Margins(context, self.trips)
        self.last_prices = LastPrices(context)
        self.markets = Markets(context.state.rates, own)
        self.watches = False
        """Whether any of them follows prices."""
        self.set_limits(risk, strategies)

    def set_limits(self, risk: RiskSettings, strategies: Mapping[str, Limits]) -> None:
        """Take over the limits, at the start and whenever they change."""
        self.losses.set_limits(risk, strategies)
        self.storms.set_limits(risk, strategies)
        self.margins.set_limits(risk)
        self.markets.set_limits(risk)
        self.watches = self.losses.watches or self.margins.watches or self.markets.watches

    def marked(self, instrument: InstrumentId) -> None:
        """A price or a fill moved; only called while `watches`."""
        if self.losses.watches:
            self.losses.marked(instrument)
        if self.margins.watches:
            self.margins.marked(instrument)
        if self.markets.watches:
            self.markets.marked(instrument)

    def outcome(self, order: LiveOrder, outcome: Outcome) -> None:
        """The first word on a write came in."""
        if self.storms.watches and isinstance(outcome, Rejected | NotExecuted | Unknown):
            self.storms.failed(order)

    def time_passed(self) -> None:
        """Time went by."""
        self.losses.time_passed()
        if self.losses.watches or self.margins.watches:
            self.last_prices.time_passed()
        if self.storms.watches:
            self.storms.time_passed()
        if self.margins.watches:
            self.margins.time_passed()
