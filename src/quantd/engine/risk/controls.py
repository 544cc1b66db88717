"""All controls in the order in which the gate asks them, and the tight limits that hold where nothing is configured."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quantd.domain.capabilities import Capabilities
from quantd.domain.instruments import InstrumentId
from quantd.engine.risk.budgets import daily_budgets
from quantd.engine.risk.exit_sides import exit_sides
from quantd.engine.risk.exposure import VenuePosition, exposure_controls
from quantd.engine.risk.flow import Flow
from quantd.engine.risk.gate import Builder, Control, Scoped
from quantd.engine.risk.guards import Guards
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.margins import margin_controls
from quantd.engine.risk.order_controls import Twin, order_controls
from quantd.engine.risk.rate_age import rate_age_controls
from quantd.engine.risk.throttle import throttle

DEFAULTS = Limits(
    price_collar_bps=Decimal(500),
    passive_collar_bps=Decimal(5_000),
    max_quote_age_s=10.0,
    max_rate_age_s=300.0,
    self_match="deny",
)
"""What holds for every order unless `risk.order` says otherwise."""
DEFAULTS_WITHOUT_HOURS = msgspec.structs.replace(DEFAULTS, max_rate_age_s=None)
"""The same where nobody tells the hours of markets, in recorded data and in tests: there a rate may be a week-end old."""


def builders_of(capabilities: dict[str, Capabilities], guards: Guards, flow: Flow) -> tuple[Builder, ...]:
    """Return what makes the controls, in the order in which they are asked; counters begin empty, but for the flow's."""

    def twins(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
        yield Twin(capabilities)

    def venue_positions(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
        yield VenuePosition()

    one_order = (order_controls, exit_sides, rate_age_controls, twins, guards.markets.controls)
    watched = (guards.losses.controls, margin_controls)
    return (*one_order, flow.controls, throttle, daily_budgets, venue_positions, exposure_controls, *watched)
