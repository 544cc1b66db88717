"""What is held: all books, their sums, and each account's balances.

Changed by facts only. Quantities, costs and profits are exact; floats are for reading.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Protocol, TypeVar

from quantd.domain.cash import Account, AccountKind, Balance, CashFlow, PositionMode
from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.engine.books import Book, Net

_T = TypeVar("_T")


class AccountLike(Protocol):
    """The stored part of an account's balances."""

    @property
    def account(self) -> Account | None:
        """What the account is."""

    @property
    def totals(self) -> dict[str, Decimal]:
        """By asset."""

    @property
    def foreign(self) -> dict[str, Decimal]:
        """By asset."""

    @property
    def flows(self) -> dict[str, Decimal]:
        """By asset."""

    @property
    def told(self) -> tuple[Balance, ...]:
        """The venue's last word."""

    @property
    def asked_at_ns(self) -> int:
        """Of the last snapshot."""

    @property
    def margin_used(self) -> Decimal | None:
        """As the venue told."""

    @property
    def margin_available(self) -> Decimal | None:
        """As the venue told."""

    @property
    def since(self) -> tuple[tuple[int, str, Decimal], ...]:
        """Losses since the last snapshot."""


class AccountBalances:
    """Balances of one venue's account: the venue's last word, moved on by what happened since."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.account: Account | None = None
        self.totals: dict[str, Decimal] = {}
        self.reserved: dict[str, Decimal] = {}
        """By asset: what our open orders hold, worst case."""
        self.foreign: dict[str, Decimal] = {}
        """By asset: what the venue has locked beyond our orders (withdrawals, others' orders)."""
        self.asked_at_ns = 0
        self.told: tuple[Balance, ...] = ()
        """The venue's last word, as it was given."""
        self.margin_used: Decimal | None = None
        self.margin_available: Decimal | None = None
        self.flows: dict[str, Decimal] = {}
        """External flows by asset since the journal began."""
        self._since: deque[tuple[int, str, Decimal]] = deque()

    @property
    def is_margin(self) -> bool:
        """Whether positions are held against margin."""
        return self.account is not None and self.account.kind is AccountKind.MARGIN

    @property
    def home(self) -> str:
        """Its own currency; empty while it is not known."""
        return "" if self.account is None else self.account.home_currency

    @property
    def is_hedging(self) -> bool:
        """Whether opposite trades stand side by side, and what reduces a book is the closing of lots.

        Otherwise opposite trades close each other, whose ever they are.
        """
        return self.account is not None and self.account.mode is PositionMode.HEDGING

    @property
    def since(self) -> tuple[tuple[int, str, Decimal], ...]:
        """What we lost since the venue was asked last: (when, asset, negative amount)."""
        return tuple(self._since)

    def restore(self, image: "AccountLike") -> None:
        """Take over what a snapshot of the journal holds; reservations come with the orders."""
        self.account = image.account
        self.totals = dict(image.totals)
        self.foreign = dict(image.foreign)
        self.flows = dict(image.flows)
        self.asked_at_ns = image.asked_at_ns
        self.told = tuple(image.told)
        self.margin_used = image.margin_used
        self.margin_available = image.margin_available
        self._since = deque(image.since)

    def free(self, asset: str) -> Decimal:
        """Return what new orders may use of an asset; never more than is provably there."""
        free = self.totals.get(asset, ZERO) - self.reserved.get(asset, ZERO) - self.foreign.get(asset, ZERO)
        return free if free > 0 else ZERO

    def move(self, asset: str, amount: Decimal, at_ns: int) -> None:
        """Add a signed amount that our own fill or a cash flow moved."""
        self.totals[asset] = self.totals.get(asset, ZERO) + amount
        if amount < 0:
            self._since.append((at_ns, asset, amount))
            while len(self._since) > 10_000 or (self._since and self._since[0][0] < self.asked_at_ns):
                self._since.popleft()

    def reserve(self, asset: str, amount: Decimal) -> None:
        """Add a signed amount to what our orders hold."""
        self.reserved[asset] = self.reserved.get(asset, ZERO) + amount

    def replace(self, balances: Iterable[Balance], asked_at_ns: int, inside: dict[str, Decimal]) -> None:
        """Take in the venue's word.

        Args:
            balances: What the venue shows.
            asked_at_ns: When it was asked; what we lost since then may not be in it and is subtracted again.
            inside: By asset, what of our reservations the venue certainly counts as locked already.
        """
        self.asked_at_ns = asked_at_ns
        self.told = tuple(balances)
        self.totals = {balance.asset: balance.total for balance in self.told}
        self.foreign = {
            balance.asset: balance.locked - inside.get(balance.asset, ZERO)
            for balance in self.told
            if balance.locked > inside.get(balance.asset, ZERO)
        }
        while self._since and self._since[0][0] < asked_at_ns:
            self._since.popleft()
        for _, asset, amount in self._since:
            self.totals[asset] = self.totals.get(asset, ZERO) + amount


def _sorted(named: dict[str, _T]) -> dict[str, _T]:
    return dict(sorted(named.items()))


@cache
def _scopes(strategy: str, instrument: InstrumentId) -> tuple[str, ...]:
    """Return the scopes in which an order counts."""
    return f"strategy:{strategy}", f"instrument:{instrument}", f"venue:{instrument.partition(':')[0]}", "account"


class Portfolio:
    """All books, nets and accounts."""

    def __init__(self) -> None:
        self._books: dict[InstrumentId, dict[str, Book]] = {}
        self.nets: dict[InstrumentId, Net] = {}
        self.accounts: dict[str, AccountBalances] = {}
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.open_orders: dict[str, int] = {}
        """Number of open orders by scope."""
        self.exposed: dict[InstrumentId, None] = {}
        """Instruments that are or were held or ordered; `exposure` drops those that are flat again."""

    def listed(self, instrument: Instrument) -> None:
        """Take in an instrument or its new version."""
        self.instruments[instrument.id] = instrument
        net = self.nets.setdefault(instrument.id, Net(instrument))
        for holding in (net, *self._books.setdefault(instrument.id, {}).values()):
            holding.instrument = instrument

    def account(self, venue: str) -> AccountBalances:
        """Return a venue's account."""
        account = self.accounts.get(venue)
        if account is None:
            account = AccountBalances(venue)
            self.accounts = _sorted({**self.accounts, venue: account})
        return account

    def book(self, strategy: str, instrument: InstrumentId) -> Book:
        """Return a strategy's book of an instrument, made on first use.

        Looking makes one too, of which no fact tells: so that a fold of all facts has its books in the same order, it is
        that of the names. Accounts are kept likewise.

        Raises:
            KeyError: when the instrument is not listed.
        """
        books = self._books[instrument]
        book = books.get(strategy)
        if book is None:
            book = Book(strategy, self.instruments[instrument])
            self._books[instrument] = _sorted({**books, strategy: book})
        return book

    def books(self, instrument: InstrumentId | None = None) -> Iterable[Book]:
        """Return all books, of one instrument or of all."""
        if instrument is not None:
            return self._books.get(instrument, {}).values()
        return [book for books in self._books.values() for book in books.values()]

    def expect(self, strategy: str, instrument: InstrumentId, side: Side, change: Decimal, count: int = 0) -> None:
        """Add a signed change to what open orders may still trade, and to their number."""
        book = self._books[instrument].get(strategy) or self.book(strategy, instrument)
        net = self.nets[instrument]
        if side is Side.BUY:
            book.buys += change
            book.open_buys += count
            net.buys += change
        else:
            book.sells += change
            book.open_sells += count
            net.sells += change
        self.exposed[instrument] = None
        if count:
            counts = self.open_orders
            for scope in _scopes(strategy, instrument):
                counts[scope] = counts.get(scope, 0) + count

    def fill(  # noqa: PLR0913 -- one execution, as its fact tells it
        self, strategy: str, instrument: InstrumentId, side: Side, fill: Fill, at_ns: int,
        opened_at: Decimal | None = None, settled: tuple[str, Decimal] | None = None,
        earned: tuple[str, Decimal] | None = None,
    ) -> None:  # fmt: skip
        """Book an execution and its fees; a margin account is moved by what was settled in its own currency, if told.

        `earned` is what the book's own share of that was exchanged for.
        """
        book = self._books[instrument].get(strategy) or self.book(strategy, instrument)
        rules = book.instrument
        signed = fill.quantity if side is Side.BUY else -fill.quantity
        account = self.accounts.get(rules.venue) or self.account(rules.venue)
        net = self.nets[instrument]
        holding = book if account.is_hedging else net
        before, realised = holding.realised, book.realised
        book.trade(signed, fill.price, opened_at)
        if earned is not None:
            book.exchange(book.realised - realised, earned)
        net.trade(signed, fill.price, opened_at)
        self.exposed[instrument] = None
        if account.is_margin:
            asset, profit = fill.settled or settled or (rules.settlement_currency, holding.realised - before)
            account.move(asset, profit, at_ns)
        else:
            units = signed * rules.units_per_quantity
            account.move(rules.base, units, at_ns)
            account.move(rules.quote, -units * fill.price, at_ns)
        for asset, amount in fill.fees:
            self._charge(book, account, asset, amount, fill.price, at_ns)

    def _charge(  # noqa: PLR0913 -- one fee of one fill
        self, book: Book, account: AccountBalances, asset: str, amount: Decimal, price: Decimal, at_ns: int
    ) -> None:
        """Take a fee; one in the base asset of a spot account is as if so much had been sold, and the proceeds paid."""
        rules = book.instrument
        account.move(asset, -amount, at_ns)
        if asset == rules.base and not account.is_margin:
            held = amount / rules.units_per_quantity
            if held:
                book.trade(-held, price)
                self.nets[rules.id].trade(-held, price)
            book.realised -= amount * price
        else:
            book.pay(asset, amount)

    def correct(self, strategy: str, instrument: InstrumentId, side: Side, change: "FillChange", at_ns: int) -> None:
        """Move cost and profit by what is now known better of a fill; quantity stays.

        A margin account's balance holds what was realised alone: of what is open the venue has settled nothing yet.
        """
        book = self.book(strategy, instrument)
        rules = book.instrument
        before, after = change
        signed = after.quantity if side is Side.BUY else -after.quantity
        account = self.account(rules.venue)
        own = book.correct(signed, before.price, after.price)
        netted = self.nets[instrument].correct(signed, before.price, after.price)
        if not account.is_margin:
            account.move(rules.quote, rules.worth(signed, before.price) - rules.worth(signed, after.price), at_ns)
        else:
            account.move(rules.settlement_currency, own if account.is_hedging else netted, at_ns)
        for sign, fees in ((1, before.fees), (-1, after.fees)):
            for asset, amount in fees:
                account.move(asset, sign * amount, at_ns)
                if asset == rules.base and not account.is_margin:
                    book.realised += sign * amount * after.price
                else:
                    book.pay(asset, -sign * amount)

    def adjust(self, strategy: str, instrument: InstrumentId, signed: Decimal, price: Decimal) -> None:
        """Move a book to meet the venue's truth; balances come from the venue itself."""
        self.book(strategy, instrument).trade(signed, price)
        self.nets[instrument].trade(signed, price)
        self.exposed[instrument] = None

    def exposures(self) -> list[InstrumentId]:
        """Return the instruments in which anything is held or ordered, in the order of their names.

        Not as they came to be so: each look forgets those that are flat again, and no fact tells of a look.
        """
        flat = [
            one
            for one in self.exposed
            if not (net := self.nets[one]).quantity and not net.buys and not net.sells and self._is_flat(one)
        ]
        for one in flat:
            del self.exposed[one]
        return sorted(self.exposed)

    def _is_flat(self, instrument: InstrumentId) -> bool:
        return all(not book.quantity for book in self._books[instrument].values())

    def flow(self, flow: CashFlow, at_ns: int) -> None:
        """Move an account by a cash flow; external ones are remembered apart from profit.

        One that an instrument caused (financing, funding, a dividend) is profit or loss of EXTERNAL's book: which
        strategy's position it belongs to is not told. What came in is counted once a snapshot shows it, what went out
        after the last snapshot at once.
        """
        account = self.account(flow.venue)
        if not account.asked_at_ns or (flow.amount < 0 and flow.occurred_at_ns >= account.asked_at_ns):
            account.move(flow.asset, flow.amount, at_ns)
        if flow.kind.is_external:
            account.flows[flow.asset] = account.flows.get(flow.asset, ZERO) + flow.amount
            return
        instrument = self.instruments.get(InstrumentId(flow.instrument))
        if instrument is None or (flow.asset == instrument.base and not account.is_margin):
            return  # not profit, or an asset in kind: what is held of it is told by the balance
        self.book("", instrument.id).pay(flow.asset, -flow.amount)


FillChange = tuple[Fill, Fill]
"""A fill before and after its correction."""
