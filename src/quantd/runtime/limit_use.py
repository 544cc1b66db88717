"""How much of each limit is used, worst case, as the gate would count it: for people, who should see it coming.

Sampled by the watcher a few times a second. The gate never reads this.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.engine.books import Book, Net
from quantd.engine.core import Engine
from quantd.engine.reservations import worst_price
from quantd.engine.risk.exposure import in_scope, sides_apart, worst_apart
from quantd.engine.risk.limits import Limits
from quantd.ports import Observer

ACCOUNT = "account"


class Exposures(NamedTuple):
    """Worst cases of one scope in the base currency."""

    gross: Decimal
    net: Decimal
    """The larger of worst long and worst short."""
    largest: Decimal
    """Of one instrument."""


class LimitUse:
    """Sets ``quantd_limit_use_ratio`` for every limit that is configured, and the worst gross exposure.

    Limits that were changed at run time count as they are in force.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _in_force(self) -> Iterator[tuple[str, Limits]]:
        risk = self._engine.risk.risk
        yield ACCOUNT, risk.account
        for kind, by_name in (
            ("venue", risk.venues),
            ("instrument", risk.instruments),
            ("strategy", self._engine.risk.strategies),
        ):
            for name, limits in by_name.items():
                yield f"{kind}:{name}", limits

    def sample(self, observer: Observer) -> None:
        """Set the gauges; what needs a price or rate that is missing is left as it was."""
        worst = self._exposures(ACCOUNT)
        if worst is not None:
            observer.gauge(
                "quantd_exposure_notional",
                float(worst.gross),
                scope=ACCOUNT,
                currency=self._engine.risk.risk.base_currency,
                kind="worst_gross",
            )
        for scope, limits in self._in_force():
            for name, used in self._used(scope, limits):
                limit = getattr(limits, name)
                if limit and used is not None:
                    observer.gauge("quantd_limit_use_ratio", float(used) / float(limit), scope=scope, limit=name)

    def _used(self, scope: str, limits: Limits) -> Iterator[tuple[str, Decimal | int | None]]:
        """Yield each limit that a scope sets with what is used of it."""
        portfolio = self._engine.state.portfolio
        if limits.max_open_orders is not None:
            yield "max_open_orders", portfolio.open_orders.get(scope, 0)
        if limits.max_open_notional is not None:
            yield "max_open_notional", self._open_notional(scope)
        yield from self._positions(scope, limits)
        yield from self._notionals(scope, limits)
        yield from self._losses(scope, limits)

    def _positions(self, scope: str, limits: Limits) -> Iterator[tuple[str, Decimal]]:
        if limits.max_position is limits.max_long is limits.max_short is None:
            return
        portfolio = self._engine.state.portfolio
        kind, _, name = scope.partition(":")
        held: list[tuple[Decimal, Decimal]] = []
        if kind == "strategy":
            books = [book for book in portfolio.books() if book.strategy == name]
            held = [(book.worst_long, -book.worst_short) for book in books]
        elif InstrumentId(name) in portfolio.nets:
            net = portfolio.nets[InstrumentId(name)]
            if portfolio.account(net.instrument.venue).is_hedging:
                held = [sides_apart(portfolio, net.instrument.id)]
            else:
                held = [(net.quantity + net.buys, net.sells - net.quantity)]
        long = max((max(one, ZERO) for one, _ in held), default=ZERO)
        short = max((max(one, ZERO) for _, one in held), default=ZERO)
        for limit, used in (("max_position", max(long, short)), ("max_long", long), ("max_short", short)):
            if getattr(limits, limit) is not None:
                yield limit, used

    def _notionals(self, scope: str, limits: Limits) -> Iterator[tuple[str, Decimal | None]]:
        names = ("max_gross_notional", "capital", "max_net_notional", "max_leverage", "max_share")
        if all(getattr(limits, name) is None for name in names):
            return
        worst = self._exposures(scope)
        if worst is None:
            return
        yield "max_gross_notional", worst.gross
        yield "capital", worst.gross
        yield "max_net_notional", worst.net
        equity = self._equity(scope)
        if equity is not None and equity > 0:
            yield "max_leverage", worst.gross / equity
            yield "max_share", worst.largest / equity

    def _losses(self, scope: str, limits: Limits) -> Iterator[tuple[str, Decimal | None]]:
        if limits.max_daily_loss is limits.max_drawdown is None:
            return
        losses = self._engine.guards.losses
        lost = losses.day_loss(scope)
        yield "max_daily_loss", None if lost is None else max(ZERO, lost)
        yield "max_drawdown", losses.drawdown(scope)

    def _equity(self, scope: str) -> Decimal | None:
        state = self._engine.state
        if scope.startswith("venue:"):
            return state.equity(scope.removeprefix("venue:"))
        values = [state.equity(venue) for venue in state.portfolio.accounts]
        return None if None in values else sum((value for value in values if value is not None), ZERO)

    def _open_notional(self, scope: str) -> Decimal | None:
        state = self._engine.state
        total = ZERO
        for order in state.orders.open_orders():
            if not in_scope(scope, order.strategy, order.instrument):
                continue
            rules = state.portfolio.instruments[order.instrument]
            price = worst_price(order, rules)
            value = state.rates.notional(rules, order.remaining, price) if price > 0 else None
            if value is None:
                return None
            total += value
        return total

    def _exposures(self, scope: str) -> Exposures | None:
        state = self._engine.state
        portfolio, rates = state.portfolio, state.rates
        kind, _, name = scope.partition(":")
        gross = long_sum = short_sum = largest = ZERO
        for instrument in portfolio.exposed:
            if kind != "strategy" and not in_scope(scope, "", instrument):
                continue
            held: Book | Net | None = portfolio.nets[instrument]
            if kind == "strategy":  # looked for and not made: what shows the state leaves it as it is
                held = next((one for one in portfolio.books(instrument) if one.strategy == name), None)
            if held is None:
                continue
            long, short = held.quantity + held.buys, held.quantity - held.sells
            quantity = max(abs(long), abs(short))
            if kind != "strategy" and portfolio.account(instrument.partition(":")[0]).is_hedging:
                quantity = worst_apart(portfolio, instrument)
            if not quantity:
                continue
            price = rates.marks[instrument].exact()
            unit = None if price is None else rates.notional(portfolio.instruments[instrument], Decimal(1), price)
            if unit is None:
                return None
            worst = quantity * unit
            gross, largest = gross + worst, max(largest, worst)
            long_sum, short_sum = long_sum + long * unit, short_sum + short * unit
        return Exposures(gross, max(long_sum, -short_sum, ZERO), largest)
