"""What the gate is asked, and how it answers.

A `Wish` gathers all that a control may look at, so that controls are small and pure of lookups. `Denied` is the answer
that strategies see; every field of it is data.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import OperationKind, OrderSpec, Origin, Protect, Side
from quantd.engine.books import Book, Net
from quantd.engine.orders import LiveOrder
from quantd.engine.portfolio import AccountBalances
from quantd.engine.rates import Mark
from quantd.engine.state import State


class Denial(Enum):
    """The stable codes of a refusal; each is one value of the metric's label `reason`."""

    MALFORMED = "malformed"
    WRONG_SIDE = "wrong_side"
    """An entry's stop or target would be reached as soon as the entry has filled."""
    ORDER_QUANTITY = "order_quantity"
    ORDER_NOTIONAL = "order_notional"
    PRICE_COLLAR = "price_collar"
    REFERENCE = "reference"
    ORDER_TYPE = "order_type"
    SESSION = "session"
    PERMISSION = "permission"
    REDUCE_ONLY = "reduce_only"
    DUPLICATE = "duplicate"
    SELF_MATCH = "self_match"
    MESSAGE_RATE = "message_rate"
    REPEATED_EXECUTION = "repeated_execution"
    DAILY_ORDERS = "daily_orders"
    DAILY_NOTIONAL = "daily_notional"
    DAILY_FEES = "daily_fees"
    ORDER_TO_TRADE = "order_to_trade"
    MARKET_PAUSE = "market_pause"
    MARGIN_RATIO = "margin_ratio"
    OPEN_ORDERS = "open_orders"
    OPEN_NOTIONAL = "open_notional"
    POSITION = "position"
    GROSS = "gross"
    NET = "net"
    LEVERAGE = "leverage"
    CONCENTRATION = "concentration"
    BALANCE = "balance"
    CAPITAL = "capital"
    LOSS = "loss"
    DRAWDOWN = "drawdown"
    TRADING_STATE = "trading_state"
    UNKNOWN_OUTCOME = "unknown_outcome"
    RECONCILING = "reconciling"
    """The venue shows something else of the instrument than we know; a second look is to say whether it counts."""
    VENUE_NOT_READY = "venue_not_ready"
    RATE_MISSING = "rate_missing"
    RATE_STALE = "rate_stale"
    """A rate that values the order, or what is exposed beside it, is older than allowed."""
    CLOCK = "clock"
    NOT_OPEN = "not_open"
    """A cancel or amendment of an order that has ended."""
    BUSY = "busy"
    """An operation of the order is in flight."""
    UNSUPPORTED = "unsupported"
    NOT_EXECUTED = "not_executed"
    """The executor or the venue turned it away before processing."""
    CONTROL_FAILED = "control_failed"
    """A control raised: fail closed."""


TRANSIENT = frozenset(
    {
        Denial.REFERENCE,
        Denial.MARKET_PAUSE,
        Denial.MESSAGE_RATE,
        Denial.UNKNOWN_OUTCOME,
        Denial.RECONCILING,
        Denial.VENUE_NOT_READY,
        Denial.RATE_MISSING,
        Denial.RATE_STALE,
        Denial.BUSY,
        Denial.NOT_EXECUTED,
        Denial.CLOCK,
    }
)
"""Refusals that may be gone in a moment; a target is tried again after them."""


class Denied(msgspec.Struct, frozen=True, tag=True):
    """The gate's no: which control, in which scope, against which limit, and what it saw."""

    code: Denial
    control: int
    """The control's number in the list of risk controls; 0 for checks that are none of them."""
    scope: str
    """``order``, ``strategy:ID``, ``instrument:ID``, ``venue:NAME`` or ``account``."""
    limit: str
    observed: str
    detail: str = ""
    wait_s: float = 0.0
    """Seconds that a new order may wait for room instead; 0 where it is denied at once."""

    @property
    def is_transient(self) -> bool:
        """Whether trying again soon may pass."""
        return self.code in TRANSIENT

    def __bool__(self) -> bool:
        """A denial is false, so that ``if order := self.buy(...)`` reads as it should."""
        return False


class Wish:
    """One request at the gate: a new order or an amendment, with everything that controls look at."""

    __slots__ = (
        "account",
        "amends",
        "book",
        "exit",
        "instrument",
        "mark",
        "net",
        "now_ns",
        "operation",
        "origin",
        "price",
        "protect",
        "reduces",
        "reference",
        "spec",
        "state",
        "strategy",
        "to_cancel",
        "unit_value",
    )

    def __init__(  # noqa: PLR0913 -- a plain record; built in one place
        self,
        *,
        state: State,
        strategy: str,
        spec: OrderSpec,
        instrument: Instrument,
        mark: Mark,
        book: Book,
        net: Net,
        account: AccountBalances,
        now_ns: int,
        origin: Origin,
        operation: OperationKind = OperationKind.SUBMIT,
        amends: LiveOrder | None = None,
        protect: Protect | None = None,
    ) -> None:
        self.state = state
        self.strategy = strategy
        self.spec = spec
        """The terms; for an amendment those after it."""
        self.instrument = instrument
        self.mark = mark
        self.book = book
        self.net = net
        self.account = account
        self.now_ns = now_ns
        self.origin = origin
        self.operation = operation
        self.amends = amends
        self.protect = protect if amends is None else amends.protect
        """The exits that stand with it once it has filled."""
        self.reference: Decimal | None = mark.exact()
        self.price: Decimal | None = self._worst_price()
        self.reduces = self._reduces()
        """Whether it can only shrink the strategy's book, all other working exits counted."""
        self.exit = self.reduces or self._only_shrinks()
        """Whether it adds no exposure: it reduces, or makes an order smaller."""
        self.to_cancel: list[LiveOrder] = []
        """Own resting orders that must go before this one may come."""
        self.unit_value: Decimal | None = None
        """Worth of one unit of quantity at `price`, in the base currency; None when a price or rate is missing."""
        if self.price is not None and self.price > 0:
            self.unit_value = state.rates.notional(instrument, ONE, self.price)

    @property
    def instrument_id(self) -> InstrumentId:
        """The instrument's id."""
        return self.instrument.id

    @property
    def added(self) -> Decimal:
        """Quantity that may trade on top of what is already counted: all of a new order, the growth of an amendment."""
        if self.amends is None:
            return self.spec.quantity
        growth = self.spec.quantity - self.amends.worst_quantity
        return growth if growth > 0 else ZERO

    @property
    def remaining(self) -> Decimal:
        """Quantity that may still trade in all, by this order."""
        return self.spec.quantity if self.amends is None else self.spec.quantity - self.amends.filled

    @property
    def closable(self) -> Decimal:
        """Quantity held that an order of this side would close, less what other working exits may close of it."""
        book = self.book
        held, working = (-book.quantity, book.buys) if self.spec.side is Side.BUY else (book.quantity, book.sells)
        if held <= 0:
            return ZERO
        return held - working if self.amends is None else held - working + self.amends.remaining

    @property
    def named_price(self) -> Decimal | None:
        """The price by which a venue judges how large an order is: its own, else the one to count with."""
        return self.spec.price if self.spec.price is not None else self.price

    def _worst_price(self) -> Decimal | None:
        """The price to count with: the limit, the trigger, else the side of the market that the order takes.

        A sell limit below the market fills at the market, so the one of the two that is worth more counts; likewise
        for a market order, which may trade at the middle of the quote or at its far side. An inverse contract is worth more
        the lower its price is, on both sides.
        """
        spec, reference = self.spec, self.reference
        named = spec.price if spec.price is not None else spec.trigger
        if named is None and self.mark.quoted and reference is not None:
            named = self.mark.touch(spec.side is Side.BUY)
        elif (spec.side is Side.BUY and not self.instrument.inverse) or reference is None:
            return named if named is not None else reference
        if named is None or reference is None:
            return reference
        return min(named, reference) if self.instrument.inverse else max(named, reference)

    def _reduces(self) -> bool:
        return ZERO < self.remaining <= self.closable

    def _only_shrinks(self) -> bool:
        order = self.amends
        if order is None or self.operation is not OperationKind.AMEND:
            return False
        return self.spec.quantity <= order.spec.quantity and self.spec.price == order.spec.price

    def deny(self, code: Denial, control: int, scope: str, limit: object, observed: object) -> Denied:
        """Return a denial with its data as text."""
        return Denied(code, control, scope, str(limit), str(observed))
