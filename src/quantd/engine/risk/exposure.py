"""Controls of exposure: 15 to 18 of the list. They count positions plus working plus in-flight orders, worst case."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import Side
from quantd.engine.books import Book, Net
from quantd.engine.portfolio import Portfolio
from quantd.engine.rates import Mark
from quantd.engine.reservations import cost_of, worst_price
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.margins import margin_of_positions
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.state import State

WORTH: Final = ("max_gross_notional", "max_net_notional", "max_leverage", "max_share", "capital")
"""Limits of what everything is worth: under one of them nothing is opened while the worth of a part is not known."""


class OpenOrders(Stateless):
    """Control 15: how many orders may be open; those on their way count from their intent on."""

    number = 15

    def __init__(self, scope: str, key: str, limit: int) -> None:
        self._scope = scope
        self._key = key
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.amends is not None:
            return None
        count = wish.state.portfolio.open_orders.get(self._key, 0)
        if count + 1 > self._limit:
            return wish.deny(Denial.OPEN_ORDERS, 15, self._scope, self._limit, count + 1)
        return None


class OpenNotional(Stateless):
    """Control 15: what all open orders may be worth together."""

    number = 15

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        total = open_notional(wish, self._scope)
        if total is None:
            return wish.deny(Denial.RATE_MISSING, 15, self._scope, self._limit, "no price or rate")
        if total > self._limit:
            return wish.deny(Denial.OPEN_NOTIONAL, 15, self._scope, self._limit, total)
        return None


def open_notional(wish: Wish, scope: str) -> Decimal | None:
    """Return what all open orders of a scope and the wish are worth, in the base currency; None without a rate."""
    if wish.unit_value is None:
        return None
    total = wish.remaining * wish.unit_value
    rates = wish.state.rates
    for order in wish.state.orders.open_orders():
        if order is wish.amends or not in_scope(scope, order.strategy, order.instrument):
            continue
        rules = wish.state.portfolio.instruments[order.instrument]
        price = worst_price(order, rules)
        value = rates.notional(rules, order.remaining, price) if price > 0 else None
        if value is None:
            return None
        total += value
    return total


def in_scope(scope: str, strategy: str, instrument: str) -> bool:
    """Whether an order of `strategy` in `instrument` counts in a scope's limit."""
    kind, _, name = scope.partition(":")
    if kind == "strategy":
        return strategy == name
    if kind == "instrument":
        return instrument == name
    if kind == "venue":
        return instrument.partition(":")[0] == name
    return True


class MaxPosition(Stateless):
    """Control 16: how far a book (strategy scope) or the sum of all books (instrument scope) may go, each side."""

    number = 16

    def __init__(self, scope: str, *, long: Decimal | None, short: Decimal | None) -> None:
        self._scope = scope
        self._is_net = scope.startswith("instrument:")
        self._long = long
        self._short = short

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if not wish.added:
            return None  # an amendment that adds nothing cannot be what goes too far
        worst = _worst_side(wish, wish.net if self._is_net else wish.book)
        if wish.spec.side is Side.BUY:
            if self._long is not None and worst > self._long:
                return wish.deny(Denial.POSITION, 16, self._scope, self._long, worst)
        else:
            if self._short is not None and worst > self._short:
                return wish.deny(Denial.POSITION, 16, self._scope, self._short, worst)
        return None


def _worst_side(wish: Wish, held: Book | Net) -> Decimal:
    """Return how far a book, or the sum of all, may come on the side of the wish."""
    if held is wish.net and wish.account.is_hedging:
        long, short = sides_apart(wish.state.portfolio, wish.instrument.id, wish)
        return long if wish.spec.side is Side.BUY else short
    if wish.spec.side is Side.BUY:
        return held.quantity + held.buys + wish.added
    return held.sells + wish.added - held.quantity


class VenuePosition(Stateless):
    """Control 16, the venue's own limit: how far the sum of all books may go, each side, by the instrument's rules."""

    number = 16

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        limit = wish.instrument.max_position
        if limit is None or not wish.added:
            return None
        worst = _worst_side(wish, wish.net)
        return (
            wish.deny(Denial.POSITION, 16, f"instrument:{wish.instrument.id}", limit, worst) if worst > limit else None
        )


class Exposure(Stateless):
    """Control 17: gross, net, leverage and concentration, in the base currency, worst case over all instruments."""

    number = 17

    def __init__(self, scope: str, limits: Limits) -> None:
        self._scope = scope
        self._limits = limits
        self._strategy = scope.removeprefix("strategy:") if scope.startswith("strategy:") else None

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        sums = self._sums(wish)
        limits = self._limits
        if sums is None:
            return wish.deny(Denial.RATE_MISSING, 17, self._scope, "a rate for every exposure", "none")
        gross, net_long, net_short, own = sums
        if limits.max_gross_notional is not None and gross > limits.max_gross_notional:
            return wish.deny(Denial.GROSS, 17, self._scope, limits.max_gross_notional, gross)
        if limits.capital is not None and gross > limits.capital:
            return wish.deny(Denial.CAPITAL, 18, self._scope, limits.capital, gross)
        net = max(net_long, -net_short)
        if limits.max_net_notional is not None and net > limits.max_net_notional:
            return wish.deny(Denial.NET, 17, self._scope, limits.max_net_notional, net)
        if limits.max_leverage is None and limits.max_share is None:
            return None
        equity = self._equity(wish)
        if equity is None or equity <= 0:
            return wish.deny(Denial.RATE_MISSING, 17, self._scope, "equity above 0", equity)
        if limits.max_leverage is not None and gross > limits.max_leverage * equity:
            return wish.deny(Denial.LEVERAGE, 17, self._scope, limits.max_leverage, gross / equity)
        if limits.max_share is not None and own > limits.max_share * equity:
            return wish.deny(Denial.CONCENTRATION, 17, self._scope, limits.max_share, own / equity)
        return None

    def _own_unit(self, wish: Wish) -> Decimal | None:
        """Worth of one unit of the order's instrument: what is held counts at the market, however low the limit."""
        named, reference = wish.unit_value, wish.reference
        if named is None or reference is None:
            return None
        return max(named, wish.state.rates.notional(wish.instrument, ONE, reference) or named)

    def _equity(self, wish: Wish) -> Decimal | None:
        if self._scope.startswith("venue:"):
            return wish.state.equity(wish.instrument.venue)
        total = ZERO
        for venue in wish.state.portfolio.accounts:
            equity = wish.state.equity(venue)
            if equity is None:
                return None
            total += equity
        return total

    def _sums(self, wish: Wish) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
        """Return worst gross, worst net long, worst net short and this instrument's worst; None without a rate."""
        portfolio, rates = wish.state.portfolio, wish.state.rates
        gross = net_long = net_short = own = ZERO
        instruments = portfolio.exposures()
        if wish.instrument.id not in portfolio.exposed:
            instruments.append(wish.instrument.id)
        for instrument in instruments:
            if not in_scope(self._scope, self._strategy or "", instrument):
                continue
            held = portfolio.nets[instrument] if self._strategy is None else portfolio.book(self._strategy, instrument)
            long, short = held.quantity + held.buys, held.quantity - held.sells
            if instrument == wish.instrument.id:
                unit = self._own_unit(wish)
                if wish.spec.side is Side.BUY:
                    long += wish.added
                else:
                    short -= wish.added
            else:
                price = rates.marks[instrument].exact()
                unit = None if price is None else rates.notional(portfolio.instruments[instrument], ONE, price)
            worst = max(abs(long), abs(short))
            if self._strategy is None and portfolio.account(instrument.partition(":")[0]).is_hedging:
                worst = worst_apart(portfolio, instrument, wish)
            if not worst:
                continue
            if unit is None:
                return None
            gross += worst * unit
            net_long += long * unit
            net_short += short * unit
            if instrument == wish.instrument.id:
                own = worst * unit
        return gross, net_long, net_short, own


def worst_apart(portfolio: Portfolio, instrument: InstrumentId, wish: Wish | None = None) -> Decimal:
    """Return what the books of an instrument are at worst, each for itself and the wish with its own.

    On a hedging account those on opposite sides are positions that stand side by side: when one closes, the other is left.
    """
    return sum((max(abs(long), abs(short)) for long, short in _apart(portfolio, instrument, wish)), ZERO)


def sides_apart(portfolio: Portfolio, instrument: InstrumentId, wish: Wish | None = None) -> tuple[Decimal, Decimal]:
    """Return how far all long positions of an instrument, and all short ones, may come on a hedging account."""
    books = list(_apart(portfolio, instrument, wish))
    return sum((max(long, ZERO) for long, _ in books), ZERO), sum((max(-short, ZERO) for _, short in books), ZERO)


def _apart(portfolio: Portfolio, instrument: InstrumentId, wish: Wish | None) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield worst long and worst short of each book, the wish in its own."""
    for book in portfolio.books(instrument):
        long, short = book.worst_long, book.worst_short
        if wish is not None and wish.book is book:
            long, short = (long + wish.added, short) if wish.spec.side is Side.BUY else (long, short - wish.added)
        yield long, short


class FreeBalance(Stateless):
    """Control 18: the order fits what is free, fees included, and leaves the reserve."""

    number = 18

    def __init__(self, reserves: Iterable[tuple[str, Limits]]) -> None:
        self._reserves = tuple(reserves)

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.price is None:
            return wish.deny(Denial.REFERENCE, 5, "order", "a price", "none")
        asset, need = cost_of(wish.instrument, wish.account, wish.spec.side, wish.remaining, wish.price, exit=wish.exit)
        if wish.amends is not None and wish.amends.reservation[0] == asset:
            need -= wish.amends.reservation[1]
        if need <= 0:
            return None
        free = self._free_margin(wish) if wish.account.is_margin else wish.account.free(asset)
        if free is None:
            return wish.deny(Denial.RATE_MISSING, 18, f"venue:{wish.account.venue}", "free margin", "no rate")
        if need > free:
            return wish.deny(Denial.BALANCE, 18, f"venue:{wish.account.venue}", f"{free} {asset}", need)
        if wish.spec.side is Side.SELL and not wish.account.is_margin:
            return None  # sells an asset for money; only money is held in reserve
        for scope, limits in self._reserves:
            rate = wish.state.rates.rate(asset)
            if rate is None:
                return wish.deny(Denial.RATE_MISSING, 18, scope, limits.reserve, "no rate")
            left = (free - need) * rate
            if limits.reserve is not None and left < limits.reserve:
                return wish.deny(Denial.BALANCE, 18, scope, f"reserve {limits.reserve}", left)
        return None

    def _free_margin(self, wish: Wish) -> Decimal | None:
        """Return equity less margin of positions and reservations, in the instrument's settlement currency."""
        state, venue = wish.state, wish.account.venue
        equity = state.equity(venue)
        rate = state.rates.rate(wish.instrument.settlement_currency)
        if equity is None or not rate:
            return None
        used = margin_of_positions(state, venue)
        if used is None:
            return None
        for asset, amount in wish.account.reserved.items():
            its_rate = state.rates.rate(asset)
            if its_rate is None:
                return None
            used += amount * its_rate
        return (equity - used) / rate


def exposure_controls(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the controls of exposure for one (strategy, instrument)."""
    for scope, limits in scoped("max_open_orders"):
        yield OpenOrders(scope, scope, limits.max_open_orders or 0)
    for scope, limits in scoped("max_open_notional"):
        yield OpenNotional(scope, limits.max_open_notional or ZERO)
    for scope, limits in scoped("max_position"):
        yield MaxPosition(scope, long=limits.max_position, short=limits.max_position)
    for scope, limits in scoped("max_long"):
        yield MaxPosition(scope, long=limits.max_long, short=None)
    for scope, limits in scoped("max_short"):
        yield MaxPosition(scope, long=None, short=limits.max_short)
    found: dict[str, Limits] = {}
    for name in WORTH:
        found.update(scoped(name))
    for scope, limits in found.items():
        yield Exposure(scope, limits)
    yield FreeBalance(scoped("reserve"))


def unpriced(state: State, account: Limits) -> list[InstrumentId]:
    """Return what is held or ordered and has had no price or rate since the start, where the account's limits need its worth.

    Control 17 denies every entry in every instrument until there is one. Reads only, for those who tell people.
    """
    if all(getattr(account, name) is None for name in WORTH):
        return []
    portfolio, rates = state.portfolio, state.rates
    found = []
    for instrument in portfolio.exposed:
        held, hedges = portfolio.nets[instrument], portfolio.account(instrument.partition(":")[0]).is_hedging
        apart = worst_apart(portfolio, instrument) if hedges else ZERO
        if not (held.quantity + held.buys or held.quantity - held.sells or apart):
            continue
        price = rates.marks[instrument].last_good()
        rules = portfolio.instruments[instrument]
        if price is None or rates.notional(rules, ONE, price, Mark.last_good) is None:
            found.append(instrument)
    return found
