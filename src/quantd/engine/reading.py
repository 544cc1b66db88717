"""What a strategy may read: its own books and orders, the last quotes, balances, and the state it may trade in.

Used by `Strategy` through its desk. Gives copies and views; nothing of it changes anything or leads to a connector.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from quantd.domain.events import TradingState
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Quote
from quantd.domain.numbers import ONE, ZERO
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder, Order, view_of
from quantd.engine.views import Instruments, Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reading:
    """One strategy's view."""

    def __init__(self, strategy: str, instruments: Instruments, context: Context) -> None:
        self._strategy = strategy
        self._instruments = instruments
        self._context = context

    def resolve(self, instrument: str | None) -> InstrumentId:
        """Return the instrument that a name, a role or nothing stands for.

        Raises:
            ValueError: when it is none of the strategy's, or nothing is named and there are several.
        """
        if instrument is None:
            return self.only_instrument()
        known = self._instruments.roles.get(instrument, InstrumentId(str(instrument)))
        if known not in self._instruments:
            raise ValueError(f"{instrument!r} is not an instrument of {self._strategy}: {', '.join(self._instruments)}")
        return known

    def only_instrument(self) -> InstrumentId:
        """Return the only instrument.

        Raises:
            ValueError: when there are several.
        """
        if len(self._instruments) != 1:
            raise ValueError(f"{self._strategy} has {len(self._instruments)} instruments: name one")
        return next(iter(self._instruments))

    @property
    def now(self) -> datetime:
        """The event's time, aware, UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self._context.now_ns // 1_000)

    def quote(self, instrument: str | None) -> Quote | None:
        """Return the latest good quote."""
        mark = self._context.state.rates.marks.get(self.resolve(instrument))
        if mark is None or not mark.last > 0:
            return None
        return Quote(mark.instrument.id, mark.bid, mark.ask, mark.at_ns)

    def position(self, instrument: str | None) -> Position:
        """Return the own book."""
        resolved = self.resolve(instrument)
        book = self._context.state.portfolio.book(self._strategy, resolved)
        mark = self._context.state.rates.marks[resolved]
        average = book.average_price
        profit = book.profit_float(mark.last) if mark.last > 0 else float(book.realised)
        return Position(
            resolved,
            book.quantity,
            float(average) if average is not None else 0.0,
            profit - float(book.realised),
            float(book.realised),
        )

    def live_orders(self, instrument: str | None) -> list[LiveOrder]:
        """Return the strategy's open orders, of one instrument or of all its own."""
        resolved = None if instrument is None else self.resolve(instrument)
        orders = self._context.state.orders
        wanted = [resolved] if resolved is not None else list(self._instruments)
        return [order for one in wanted for order in orders.open_orders(one) if order.strategy == self._strategy]

    def orders(self, instrument: str | None) -> list[Order]:
        """Return the open orders."""
        return [view_of(order) for order in self.live_orders(instrument)]

    def balance(self, currency: str, venue: str | None) -> Decimal:
        """Return what is free of a currency."""
        venues = {one.partition(":")[0] for one in self._instruments} if venue is None else {venue}
        accounts = self._context.state.portfolio.accounts
        return sum((accounts[one].free(currency) for one in venues if one in accounts), ZERO)

    def notional(self, instrument: str | None) -> float:
        """Return the worth of one unit in the base currency, NaN while a price or rate is missing."""
        rates = self._context.state.rates
        mark = rates.marks.get(self.resolve(instrument))
        price = None if mark is None else mark.exact()
        worth = None if mark is None or price is None else rates.notional(mark.instrument, ONE, price)
        return float("nan") if worth is None else float(worth)

    def equity(self) -> float:
        """Return the accounts' worth in the base currency, NaN while a rate is missing."""
        venues = {one.partition(":")[0] for one in self._instruments}
        values = [self._context.state.equity(one) for one in venues]
        return float("nan") if None in values else float(sum((v for v in values if v is not None), ZERO))

    def trading_state(self) -> TradingState:
        """Return the strictest state that applies."""
        scopes = ["all", f"strategy:{self._strategy}"]
        for one in self._instruments:
            scopes += [f"instrument:{one}", f"venue:{one.partition(':')[0]}"]
        return self._context.state.trading_state(scopes)
