"""Control 19: loss limits. Daily loss and drawdown of each strategy and of the account, unrealised included.

Floats decide nothing: they only tell when it is worth counting exactly. A trip latches its scope once.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from quantd.domain.events import TradingState
from quantd.domain.facts import PeaksRecorded
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.engine.context import Context
from quantd.engine.portfolio import Book
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.soft import SoftLimits, soft_share

ACCOUNT = "account"
BY = "loss_limit"
"""Who latched a state, where it was this control."""

Tripped = Callable[[str, TradingState, bool], None]
"""Told of a trip: scope, the state it set, and whether to flatten."""


class Losses:
    """Follows profit by scope and trips once a limit is exceeded."""

    def __init__(self, context: Context, soft: SoftLimits) -> None:
        self._context = context
        self._soft = soft
        self._limits: dict[str, Limits] = {}
        self.watches = False
        """Whether any limit is set; nothing is done otherwise."""
        self.tripped: Tripped = lambda scope, state, flatten: None
        """Set by the engine: cancels and closes after a trip."""
        self._peaks_changed: dict[str, Decimal] = {}
        self._valued: dict[Book, tuple[tuple[object, ...], Decimal]] = {}
        """By book: what its profit was computed from last, and the profit."""

    def set_limits(self, risk: RiskSettings, strategies: Mapping[str, Limits]) -> None:
        """Take over the limits."""
        scopes = {ACCOUNT: risk.account} | {f"strategy:{name}": limits for name, limits in strategies.items()}
        self._limits = {
            scope: limits
            for scope, limits in scopes.items()
            if limits.max_daily_loss is not None or limits.max_drawdown is not None
        }
        self.watches = bool(self._limits)

    def profits(self) -> dict[str, Decimal]:
        """Return profit since the journal began by scope, in the base currency; scopes without a rate are left out."""
        scopes = self._limits or {ACCOUNT: Limits()}
        found = {scope: self.profit(scope) for scope in scopes}
        return {scope: profit for scope, profit in found.items() if profit is not None}

    def profit(self, scope: str) -> Decimal | None:
        """Return the exact profit of a scope in the base currency, None when a price or rate is missing."""
        state = self._context.state
        strategy = scope.removeprefix("strategy:") if scope != ACCOUNT else None
        total, marks, base = ZERO, state.rates.marks, state.rates.base_currency
        for book in state.portfolio.books():
            if strategy is not None and book.strategy != strategy:
                continue
            profit = book.realised
            if book.quantity:
                price = marks[book.instrument.id].exact()
                if price is None:
                    return None
                profit = self._profit_of(book, price)
            if not profit:
                continue
            currency = book.instrument.settlement_currency
            if currency == base:
                total += profit
                continue
            rate = state.rates.rate(currency)
            if rate is None:
                return None
            total += profit * rate
        return total

    def _profit_of(self, book: Book, price: Decimal) -> Decimal:
        """Return realised plus unrealised profit, computed only when the price, the holding or the rules are other ones.

        One price moves and the profit of all books is asked for. Decimals and rules are immutable: the same objects
        give the same profit.
        """
        known = self._valued.get(book)
        if known is not None:
            rules, at, quantity, cost, realised = known[0]
            is_same = at is price and quantity is book.quantity and cost is book.cost and realised is book.realised
            if is_same and rules is book.instrument:
                return known[1]
        profit = book.realised + book.unrealised(price)
        self._valued[book] = (book.instrument, price, book.quantity, book.cost, book.realised), profit
        return profit

    def marked(self, instrument: InstrumentId) -> None:
        """A price or a fill moved: look at the scopes that hold this instrument."""
        for book in self._context.state.portfolio.books(instrument):
            if book.quantity or book.realised:
                break
        else:
            return
        for scope, limits in self._limits.items():
            profit = self.profit(scope)
            if profit is not None:
                self._look(scope, limits, profit)

    def _look(self, scope: str, limits: Limits, profit: Decimal) -> None:
        state = self._context.state
        peak = self._peaks_changed.get(scope, state.peaks.get(scope, ZERO))
        if limits.drawdown_trailing is not False and profit > peak:
            self._peaks_changed[scope] = peak = profit
        day_loss = state.day_profits.get(scope, ZERO) - profit
        if limits.soft_pct is not None:
            self._warn(scope, limits, "max_daily_loss", day_loss)
            self._warn(scope, limits, "max_drawdown", peak - profit)
        if limits.max_daily_loss is not None and day_loss > limits.max_daily_loss:
            self._trip(scope, limits, f"daily loss {day_loss} above {limits.max_daily_loss}")
        elif limits.max_drawdown is not None and peak - profit > limits.max_drawdown:
            self._trip(scope, limits, f"drawdown {peak - profit} above {limits.max_drawdown}")

    def _warn(self, scope: str, limits: Limits, name: str, observed: Decimal) -> None:
        soft = soft_share(limits, name)
        if soft is not None:
            self._soft.seen((scope, name, ""), soft, getattr(limits, name), observed if observed > soft else None)

    def _trip(self, scope: str, limits: Limits, why: str) -> None:
        context = self._context
        latched = "all" if scope == ACCOUNT else scope
        known = context.state.latches.get(latched)
        if known is not None and known.by == BY:
            return
        action = limits.loss_action or "reduce"
        state = TradingState.HALTED if action == "halt" else TradingState.REDUCING
        if context.latch(latched, state, BY, why):
            self.tripped(latched, state, action == "flatten")

    def time_passed(self) -> None:
        """Record new peaks, so that a restart knows them."""
        if self._peaks_changed:
            self._context.record(PeaksRecorded(self._peaks_changed, self._context.now_ns))
            self._peaks_changed = {}
