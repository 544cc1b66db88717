"""Round trips, turnover and time in the market, read off the fills of a run.

Used by the result. Replays the fills through the engine's own books, so that profit is counted one way only.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.facts import FillRecorded
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.engine.books import Book
from quantd.engine.rates import Rates
from quantd.engine.state import State


class Tally:
    """What one strategy's fills come to; money in the base currency."""

    __slots__ = ("exposed_ns", "fees", "fills", "profits", "turnover")

    def __init__(self) -> None:
        self.fills = 0
        self.fees = 0.0
        self.turnover = 0.0
        self.profits: list[float] = []
        """Of each round trip, fees taken off."""
        self.exposed_ns = 0
        """Time with any position."""


class _Presence:
    """Time during which anything is held."""

    __slots__ = ("_since_ns", "held", "total_ns")

    def __init__(self) -> None:
        self.held: set[tuple[str, InstrumentId]] = set()
        self.total_ns = 0
        self._since_ns = 0

    def set(self, key: tuple[str, InstrumentId], is_held: bool, at_ns: int) -> None:
        if is_held:
            if not self.held:
                self._since_ns = at_ns
            self.held.add(key)
        elif key in self.held:
            self.held.remove(key)
            if not self.held:
                self.total_ns += at_ns - self._since_ns

    def end(self, at_ns: int) -> int:
        if self.held:
            self.total_ns += at_ns - self._since_ns
            self._since_ns = at_ns
        return self.total_ns


class Ledger:
    """All strategies' tallies.

    Args:
        fills: In order.
        state: The engine's state at the end: instruments, and the rates of currencies.
        ended_at_ns: End of the run.
    """

    def __init__(self, fills: Iterable[FillRecorded], state: State, ended_at_ns: int) -> None:
        self._tallies: dict[str, Tally] = {}
        self._books: dict[tuple[str, InstrumentId], Book] = {}
        self._opened: dict[tuple[str, InstrumentId], float] = {}
        """Realised profit when the round trip began, in the base currency."""
        self._presences: dict[str, _Presence] = {}
        self._all = _Presence()
        self._state = state
        for fact in fills:
            self._take(fact)
        for strategy, presence in self._presences.items():
            self._tallies[strategy].exposed_ns = presence.end(ended_at_ns)
        self.exposed_ns = self._all.end(ended_at_ns)
        """Time with any position of any strategy."""

    def tally(self, strategy: str) -> Tally:
        """Return a strategy's tally, an empty one where it never traded."""
        return self._tallies.get(strategy) or Tally()

    def _take(self, fact: FillRecorded) -> None:
        key = (fact.strategy, fact.instrument)
        book = self._book(key)
        tally, rates, rules, fill = self._tallies[fact.strategy], self._state.rates, book.instrument, fact.fill
        before, realised = _whole_lots(book), _realised(book, rates)
        realised_before = book.realised
        book.trade(fill.quantity if fact.side is Side.BUY else -fill.quantity, fill.price, fact.opened_at)
        if fact.earned is not None:
            book.exchange(book.realised - realised_before, fact.earned)
        for fee in fill.fees:
            tally.fees += _charge(book, fee, fill.price, self._state)
        tally.fills += 1
        worth = rules.notional(fill.quantity, fill.price)
        tally.turnover += float(worth) * _rate(rates, rules.base if rules.inverse else rules.quote)
        after = _whole_lots(book)
        if before and before * after <= 0:
            now = _realised(book, rates)
            tally.profits.append(now - self._opened.pop(key))
            if after:
                self._opened[key] = now
        elif after and not before:
            self._opened[key] = realised
        self._presences[fact.strategy].set(key, bool(after), fact.at_ns)
        self._all.set(key, bool(after), fact.at_ns)

    def _book(self, key: tuple[str, InstrumentId]) -> Book:
        book = self._books.get(key)
        if book is None:
            strategy, instrument = key
            book = self._books[key] = Book(strategy, self._state.portfolio.instruments[instrument])
            self._tallies.setdefault(strategy, Tally())
            self._presences.setdefault(strategy, _Presence())
        return book


def _whole_lots(book: Book) -> Decimal:
    """Return the quantity held, dust below a lot being nothing."""
    return book.quantity if abs(book.quantity) >= book.instrument.lot else ZERO


def _charge(book: Book, fee: tuple[str, Decimal], price: Decimal, state: State) -> float:
    """Take a fee off a book and return it in the base currency; one in the base asset shrinks a position on spot."""
    rules, (asset, amount) = book.instrument, fee
    if asset == rules.base and not state.portfolio.account(rules.venue).is_margin:
        if amount:
            book.trade(-amount / rules.units_per_quantity, price)
        asset, amount = rules.settlement_currency, amount * price
    book.pay(asset, amount)
    return float(amount) * _rate(state.rates, asset)


def _realised(book: Book, rates: Rates) -> float:
    """Return what was realised, all fees taken off, in the base currency."""
    costs = sum(float(amount) * _rate(rates, asset) for asset, amount in book.costs.items())
    return float(book.realised) * _rate(rates, book.instrument.settlement_currency) - costs


def _rate(rates: Rates, currency: str) -> float:
    """Return the rate at the end of the run; what has none counts as nothing."""
    return rates.rate_float(currency) or 0.0
