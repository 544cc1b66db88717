"""What each scope has earned since the journal began, in the base currency, unrealised included.

Exact, and never blind: a holding whose market shows no price now counts at its last good one, which the journal keeps over
a restart. One that never had any counts at its cost, what is in a currency without any rate not at all, and whoever asks is
told what those are.
"""

from decimal import Decimal
from typing import NamedTuple

from quantd.domain.numbers import ZERO
from quantd.engine.books import Book
from quantd.engine.state import State

ACCOUNT = "account"


class Valued(NamedTuple):
    """A scope's profit."""

    profit: Decimal
    unknown: tuple[str, ...]
    """Instruments without any price and currencies without any rate yet: the profit is one as if they told nothing."""


class Profits:
    """Counts profit by scope: ``account``, or ``strategy:ID``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._valued: dict[Book, tuple[tuple[object, ...], Decimal]] = {}
        """By book: what its profit was computed from last, and the profit."""

    def of(self, scope: str) -> Valued:
        """Return a scope's profit."""
        strategy = scope.removeprefix("strategy:") if scope != ACCOUNT else None
        rates = self._state.rates
        total, marks, base = ZERO, rates.marks, rates.base_currency
        unknown: list[str] = []
        for book in self._state.portfolio.books():
            if strategy is not None and book.strategy != strategy:
                continue
            profit = book.realised
            if book.quantity:
                mark = marks[book.instrument.id]
                price = mark.exact() or rates.last_good(mark)  # the first alone is what nearly every price takes
                if price is None:
                    unknown.append(book.instrument.id)
                else:
                    profit = self._profit_of(book, price)
            currency = book.instrument.settlement_currency
            if profit:
                total += profit if currency == base else self._converted(currency, profit, unknown)
            if book.costs:
                total -= sum(self._converted(asset, amount, unknown) for asset, amount in book.costs.items())
        return Valued(total, tuple(unknown))

    def _converted(self, currency: str, amount: Decimal, unknown: list[str]) -> Decimal:
        """Return an amount in the base currency; nothing of one without a rate, which is named in `unknown`."""
        rate = self._state.rates.rate(currency, self._state.rates.last_good)
        if rate is not None:
            return amount * rate
        if currency not in unknown:
            unknown.append(currency)
        return ZERO

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
