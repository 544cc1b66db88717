"""What each scope has earned since the journal began, in the base currency, unrealised included.

Exact, and never blind: a holding whose market shows no price now counts at its last good one, which the journal keeps over
a restart. One that never had any counts at its cost, and whoever asks is told how many those are.
"""

from decimal import Decimal
from typing import NamedTuple

from quantd.domain.numbers import ZERO
from quantd.engine.portfolio import Book
from quantd.engine.state import State

ACCOUNT = "account"


class Valued(NamedTuple):
    """A scope's profit."""

    profit: Decimal
    assumed: int
    """Holdings in it that were never seen a price of, and count as if they were worth their cost."""


class Profits:
    """Counts profit by scope: ``account``, or ``strategy:ID``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._valued: dict[Book, tuple[tuple[object, ...], Decimal]] = {}
        """By book: what its profit was computed from last, and the profit."""

    def of(self, scope: str) -> Valued | None:
        """Return a scope's profit, None when a rate of conversion was never known."""
        strategy = scope.removeprefix("strategy:") if scope != ACCOUNT else None
        total, assumed, rates = ZERO, 0, self._state.rates
        for book in self._state.portfolio.books():
            if strategy is not None and book.strategy != strategy:
                continue
            profit = book.realised
            if book.quantity:
                price = rates.last_good(rates.marks[book.instrument.id])
                if price is None:
                    assumed += 1
                else:
                    profit = self._profit_of(book, price)
            if not profit:
                continue
            rate = rates.rate(book.instrument.settlement_currency, rates.last_good)
            if rate is None:
                return None
            total += profit * rate
        return Valued(total, assumed)

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
