"""The age of what converts money: no new exposure that is valued by a rate which may be hours old.

Made by `controls`, beside control 5, which asks the same of the order's own price. Hours in which the rate's market is closed
do not count: its last price is what there is, and what trades at a week-end goes on.
"""

from collections.abc import Iterable

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.wish import Denial, Denied, Wish

_OF_VALUE = (
    "max_order_notional", "max_daily_notional", "max_daily_fees", "max_open_notional", "max_gross_notional",
    "max_net_notional", "max_leverage", "max_share", "capital", "reserve", "min_margin_ratio", "max_daily_loss",
    "max_drawdown",
)  # fmt: skip
"""The limits in the base currency."""


class RateAge(Stateless):
    """Control 5, of rates: each that the order or what is exposed beside it is valued by is fresh.

    A rate that is missing is the business of the control that needs it.
    """

    number = 5

    def __init__(self, scope: str, max_age_s: float, *, has_limits: bool) -> None:
        self._scope = scope
        self._max_age_s = max_age_s
        self._max_age_ns = int(max_age_s * 1e9)
        self._has_limits = has_limits
        """Whether a limit of value is set; without one, rates count on margin accounts only."""

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if not self._has_limits and not wish.account.is_margin:
            return None
        rates = wish.state.rates
        for currency in _currencies(wish):
            for instrument in rates.on_the_way(currency):
                mark = rates.marks[instrument]
                if instrument == wish.instrument.id or not mark.last > 0:
                    continue  # its own price has its own age; one without a price is missing
                age_ns = mark.age_ns(wish.now_ns)
                if age_ns > self._max_age_ns:
                    limit = f"a rate of {currency} of at most {self._max_age_s} s"
                    return wish.deny(Denial.RATE_STALE, 5, self._scope, limit, f"{instrument}: {age_ns / 1e9:.3f} s")
        return None


def _currencies(wish: Wish) -> Iterable[str]:
    """Return each currency that something is valued in, once, always in the same order."""
    portfolio = wish.state.portfolio
    found = dict.fromkeys(_values(wish.instrument))
    for instrument in portfolio.exposures():
        found.update(dict.fromkeys(_values(portfolio.instruments[instrument])))
    if wish.account.is_margin and wish.account.account is not None:
        found[wish.account.account.home_currency] = None
    return found


def _values(rules: Instrument) -> tuple[str, str]:
    return rules.base if rules.inverse else rules.quote, rules.settlement_currency


def rate_age_controls(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the controls of the age of rates for one (strategy, instrument)."""
    has_limits = any(scoped(name) for name in _OF_VALUE)
    for scope, limits in scoped("max_rate_age_s"):
        if limits.max_rate_age_s is not None:
            yield RateAge(scope, limits.max_rate_age_s, has_limits=has_limits)
