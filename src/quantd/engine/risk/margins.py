"""Control 20: margin distance. Equity over margin used may not come near the point where the venue itself would act.

Before an order: the ratio with everything that is open and the order. Afterwards, as prices move: the ratio of what is
held; below the limit the venue is latched as reducing until a named person clears it.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.engine.context import Context
from quantd.engine.portfolio import AccountBalances
from quantd.engine.rates import Mark, Pricing
from quantd.engine.reservations import cost_of
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.limits import RiskSettings
from quantd.engine.risk.trips import Trips
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.state import State

MARGIN = "margin"
"""Who latched a state, where it was this control."""


def margin_of_positions(state: State, venue: str, price_of: Pricing = Mark.exact) -> Decimal | None:
    """Return the margin that a venue's positions bind, in the base currency; None when a price or rate is missing.

    By the instruments' margin rates, on a hedging account of the larger side; where one has none, the venue's own word
    counts if it is more.
    """
    used, is_known = ZERO, True
    account = state.portfolio.account(venue)
    for instrument in state.portfolio.exposures():
        quantity = _bound(state, instrument, account)
        if not quantity or instrument.partition(":")[0] != venue:
            continue
        rules = state.portfolio.instruments[instrument]
        price = price_of(state.rates.marks[instrument])
        value = None if price is None else state.rates.notional(rules, quantity, price, price_of)
        if value is None:
            return None
        is_known = is_known and rules.margin_rate is not None
        used += value * (rules.margin_rate or ZERO)
    if is_known or account.margin_used is None or account.account is None:
        return used
    rate = state.rates.rate(account.account.home_currency, price_of)
    return None if rate is None else max(used, account.margin_used * rate)


def _bound(state: State, instrument: InstrumentId, account: AccountBalances) -> Decimal:
    """Return the quantity that binds margin: where long and short stand side by side, at least the larger of the two."""
    net = state.portfolio.nets[instrument].quantity
    if not account.is_hedging:
        return abs(net)
    long = sum((book.quantity for book in state.portfolio.books(instrument) if book.quantity > 0), ZERO)
    return max(long, long - net)


class MarginDistance(Stateless):
    """Denies what would bring equity over margin below the limit, all open orders counted."""

    number = 20

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if not wish.account.is_margin:
            return None
        used, equity = self._used(wish), wish.state.equity(wish.account.venue)
        if used is None or equity is None:
            return wish.deny(Denial.RATE_MISSING, 20, self._scope, self._limit, "no price or rate")
        if equity < self._limit * used:
            return wish.deny(Denial.MARGIN_RATIO, 20, self._scope, self._limit, equity / used)
        return None

    def _used(self, wish: Wish) -> Decimal | None:
        """Return the margin of positions, open orders and the wish, in the base currency."""
        used = margin_of_positions(wish.state, wish.account.venue)
        if used is None or wish.price is None:
            return None
        asset, need = cost_of(wish.instrument, wish.account, wish.spec.side, wish.remaining, wish.price, exit=wish.exit)
        reserved = dict(wish.account.reserved)
        reserved[asset] = reserved.get(asset, ZERO) + need
        if wish.amends is not None:
            its_asset, amount = wish.amends.reservation
            reserved[its_asset] = reserved.get(its_asset, ZERO) - amount
        for its_asset, amount in reserved.items():
            rate = wish.state.rates.rate(its_asset) if amount else ZERO
            if rate is None:
                return None
            used += amount * rate
        return used


class Margins:
    """Follows the ratio as prices move, and latches a venue that comes too near."""

    def __init__(self, context: Context, trips: Trips) -> None:
        self._context = context
        self._trips = trips
        self._account: Decimal | None = None
        self._venues: Mapping[str, Decimal] = {}
        self.watches = False
        """Whether any limit is set."""

    def set_limits(self, risk: RiskSettings) -> None:
        """Take over the limits."""
        self._account = risk.account.min_margin_ratio
        self._venues = {
            name: limits.min_margin_ratio for name, limits in risk.venues.items() if limits.min_margin_ratio is not None
        }
        self.watches = self._account is not None or bool(self._venues)

    def marked(self, instrument: InstrumentId) -> None:
        """A price or a fill moved: look at the venue if it holds any of it."""
        state = self._context.state
        if _bound(state, instrument, state.portfolio.account(instrument.partition(":")[0])):
            self._look(instrument.partition(":")[0])

    def time_passed(self) -> None:
        """Look at every venue: rates of conversion and the venue's word move the ratio too."""
        for venue in list(self._context.state.portfolio.accounts):
            self._look(venue)

    def _look(self, venue: str) -> None:
        state = self._context.state
        limit = max(self._account or ZERO, self._venues.get(venue, ZERO))
        if not limit or not state.portfolio.account(venue).is_margin:
            return
        used, equity = margin_of_positions(state, venue, self._price), state.equity(venue, self._price)
        if used and equity is not None and equity < limit * used:
            self._trips.reduce(f"venue:{venue}", MARGIN, f"equity is {equity / used:.4f} times margin, not {limit}")

    def _price(self, mark: Mark) -> Decimal | None:
        """Return the last good price, else what the books paid: a watch is not blind because one market is silent."""
        state = self._context.state
        price = state.rates.last_good(mark)
        if price is None:
            paid = (book.average_price for book in state.portfolio.books(mark.instrument.id))
            price = next((one for one in paid if one), None)
        return price


def margin_controls(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the margin control of one (strategy, instrument)."""
    for scope, limits in scoped("min_margin_ratio"):
        yield MarginDistance(scope, limits.min_margin_ratio or ZERO)
