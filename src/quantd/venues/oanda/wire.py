"""What the venue sends, field by field; unknown fields and unknown enum values never break it, a missing one that we need does.

The sources are the official OpenAPI document 3.0.25, the trade endpoints' reference and, where they differ, published
answers (docs/venues/oanda.md). Decimals are JSON strings; numbers are read as the text that they were written in.
"""

from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from quantd.domain.numbers import ZERO
from quantd.venues.parsing import CANNOT_READ, Finite

T = TypeVar("T")
Number = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]
MaybeNumber = Annotated[str, msgspec.Meta(pattern="^[0-9]{0,18}$")]
"""Id of an entry of the log: they count up from 1, and an order's is its creation's. Empty where there is none."""
Places = Annotated[int, msgspec.Meta(ge=-18, le=18)]
_SPELT = {"id": "ID", "ids": "IDs", "pl": "PL", "vwap": "VWAP"}


def spelt(name: str) -> str:
    """Return a field's name as the venue spells it: ``last_transaction_id`` is ``lastTransactionID``."""
    first, *others = name.split("_")
    return first + "".join(_SPELT.get(one, one.capitalize()) for one in others)


class Wire(Finite, frozen=True, rename=spelt):
    """Base of all payloads: no Decimal that is not a number."""


# -- transactions ------------------------------------------------------------------------------------------------------


class Extensions(Wire, frozen=True):
    """What a client attaches to an order or a trade."""

    id: str = ""
    tag: str = ""


class TradeChange(Wire, frozen=True):
    """What a fill opened, reduced or closed; units are signed as the order's."""

    trade_id: str
    units: Decimal
    price: Decimal | None = None
    realized_pl: Decimal = ZERO
    financing: Decimal = ZERO


class TradeClose(Wire, frozen=True):
    """Which trade a market order closes; ``ALL`` or positive units."""

    trade_id: str
    units: str = "ALL"


class PositionFinancing(Wire, frozen=True):
    """A day's financing of one instrument."""

    instrument: str
    financing: Decimal = ZERO


class Transaction(Wire, frozen=True):
    """One entry of the account's log, of whatever type; ids are decimal numbers, the order's is its creation's."""

    id: Number
    type: str = ""
    time: str = ""
    reason: str = ""
    reject_reason: str = ""
    order_id: str = ""
    client_order_id: str = ""
    instrument: str = ""
    units: Decimal | None = None
    price: Decimal | None = None
    full_vwap: Decimal | None = None
    time_in_force: str = ""
    gtd_time: str = ""
    client_extensions: Extensions | None = None
    trade_client_extensions: Extensions | None = None
    take_profit_on_fill: dict[str, Any] | None = None
    stop_loss_on_fill: dict[str, Any] | None = None
    guaranteed_stop_loss_on_fill: dict[str, Any] | None = None
    trailing_stop_loss_on_fill: dict[str, Any] | None = None
    replaces_order_id: str = ""
    replaced_by_order_id: str = ""
    intended_replaces_order_id: str = ""
    trade_close: TradeClose | None = None
    trade_opened: TradeChange | None = None
    trade_reduced: TradeChange | None = None
    trades_closed: tuple[TradeChange, ...] = ()
    commission: Decimal = ZERO
    guaranteed_execution_fee: Decimal = ZERO
    financing: Decimal = ZERO
    amount: Decimal = ZERO
    funding_reason: str = ""
    dividend_adjustment: Decimal = ZERO
    position_financings: tuple[PositionFinancing, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a price below zero, and an execution at none: it would stand in the order's log for ever."""
        super().__post_init__()
        average = self.full_vwap or self.price or ZERO
        rows = (*self.trades_closed, *(one for one in (self.trade_reduced, self.trade_opened) if one is not None))
        least = min([row.price or average for row in rows] or [average])
        if least < 0 or (not least and self.type == "ORDER_FILL"):
            raise ValueError(f"expected prices above zero in entry {self.id}, found {least}")

    @property
    def number(self) -> int:
        """The id, which grows by one with each entry."""
        return int(self.id)

    @property
    def ours(self) -> str:
        """The client's id of the order that it creates or concerns."""
        return self.client_order_id or (self.client_extensions.id if self.client_extensions is not None else "")


class TransactionPage(Wire, frozen=True):
    """A range of the log; it is whole if it ends at `last_transaction_id`."""

    transactions: tuple[Transaction, ...]
    last_transaction_id: Number


class TransactionPages(Wire, frozen=True):
    """Addresses of the pages of a time range."""

    pages: tuple[str, ...] = ()
    last_transaction_id: MaybeNumber = "0"


class TransactionAnswer(Wire, frozen=True):
    """One entry of the log."""

    transaction: Transaction


# -- answers to writes -------------------------------------------------------------------------------------------------


class OrderAnswer(Wire, frozen=True):
    """Answer to a write on an order or a trade: whichever transactions it produced."""

    order_create_transaction: Transaction | None = None
    order_fill_transaction: Transaction | None = None
    order_cancel_transaction: Transaction | None = None
    order_reject_transaction: Transaction | None = None
    order_cancel_reject_transaction: Transaction | None = None
    order_reissue_transaction: Transaction | None = None
    replacing_order_cancel_transaction: Transaction | None = None
    last_transaction_id: MaybeNumber = ""

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """What it says of orders, oldest first; rejects are told by the outcome."""
        told = (
            self.order_create_transaction, self.order_fill_transaction, self.order_cancel_transaction,
            self.order_reissue_transaction, self.replacing_order_cancel_transaction,
        )  # fmt: skip
        return tuple(sorted((one for one in told if one is not None), key=lambda one: one.number))


class DependentAnswer(Wire, frozen=True):
    """Answer to a change of a trade's dependent orders: what proves that one of them does not stand."""

    take_profit_order_created_cancel_transaction: Transaction | None = None
    stop_loss_order_created_cancel_transaction: Transaction | None = None
    guaranteed_stop_loss_order_created_cancel_transaction: Transaction | None = None
    last_transaction_id: MaybeNumber = ""


class Failure(Wire, frozen=True):
    """Every error body: words always, a code where the venue has one."""

    error_message: str
    error_code: str = ""


# -- the account -------------------------------------------------------------------------------------------------------


class Order(Wire, frozen=True):
    """An order as it stands; dependent ones have a trade instead of instrument and units."""

    id: Number
    type: str
    state: str = "PENDING"
    create_time: str = ""
    instrument: str = ""
    units: Decimal | None = None
    price: Decimal | None = None
    distance: Decimal | None = None
    trade_id: str = ""
    client_extensions: Extensions | None = None
    trailing_stop_value: Decimal | None = None
    filling_transaction_id: MaybeNumber = ""
    cancelling_transaction_id: MaybeNumber = ""
    replaces_order_id: MaybeNumber = ""
    replaced_by_order_id: MaybeNumber = ""


class OneOrder(Wire, frozen=True):
    """One order."""

    order: Order


class Orders(Wire, frozen=True):
    """All pending orders, unpaged."""

    orders: tuple[Order, ...]


class Trade(Wire, frozen=True):
    """An open trade, as the account shows it."""

    id: str
    instrument: str
    price: Decimal
    current_units: Decimal
    open_time: str = ""
    client_extensions: Extensions | None = None


class Side(Wire, frozen=True):
    """One side of a position; the short one's units are negative."""

    units: Decimal = ZERO


class Position(Wire, frozen=True):
    """The sum of an instrument's trades, by side; flat ones are listed too."""

    instrument: str
    long: Side = Side()
    short: Side = Side()


class Summary(Wire, frozen=True):
    """What the account is and has."""

    id: str
    currency: str
    balance: Decimal
    hedging_enabled: bool = False
    margin_rate: Decimal | None = None
    """The client's own, which makes margins stricter."""
    margin_used: Decimal = ZERO
    margin_available: Decimal = ZERO
    margin_closeout_percent: Decimal | None = None
    nav: Decimal | None = msgspec.field(default=None, name="NAV")
    last_transaction_id: MaybeNumber = ""


class SummaryAnswer(Wire, frozen=True):
    """The account without its lists."""

    account: Summary
    last_transaction_id: Number


class Details(Summary, frozen=True):
    """The account with all that is open, as of one transaction."""

    trades: tuple[Trade, ...] = ()
    orders: tuple[Order, ...] = ()
    positions: tuple[Position, ...] = ()


class DetailsAnswer(Wire, frozen=True):
    """The whole account."""

    account: Details
    last_transaction_id: Number


# -- the market --------------------------------------------------------------------------------------------------------


class Commission(Wire, frozen=True):
    """Commission for so many units, in the account's currency."""

    commission: Decimal = ZERO
    units_traded: Decimal = ZERO


class Rules(Wire, frozen=True):
    """Trading rules of one instrument."""

    name: str
    display_precision: Places
    trade_units_precision: Places
    minimum_trade_size: Decimal
    margin_rate: Decimal
    maximum_order_units: Decimal | None = None
    maximum_position_size: Decimal | None = None
    minimum_trailing_stop_distance: Decimal | None = None
    maximum_trailing_stop_distance: Decimal | None = None
    commission: Commission | None = None


class RulesAnswer(Wire, frozen=True):
    """All instruments that the account may trade, each of them `Rules`."""

    instruments: tuple[msgspec.Raw, ...]


class Level(Finite, frozen=True):
    """One price of a ladder; text in polls, numbers in some places."""

    price: Decimal
    liquidity: Decimal = ZERO


class Price(Wire, frozen=True):
    """A price with its ladder, best first; a side may be empty."""

    instrument: str
    time: str = ""
    tradeable: bool = True
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class StreamedPrice(Price, frozen=True):
    """A line of the price stream; a heartbeat is one too, without an instrument."""

    instrument: str = ""
    type: str = ""


class StreamedTransaction(Wire, frozen=True):
    """What of a line of the transaction stream tells how far the log has grown."""

    id: str = ""
    last_transaction_id: MaybeNumber = ""
    """Of a heartbeat."""


class Prices(Wire, frozen=True):
    """Prices of all instruments that were asked for, each of them a `Price`."""

    prices: tuple[msgspec.Raw, ...]


class Sides(Finite, frozen=True):
    """Open, high, low and close of one side."""

    o: Decimal
    h: Decimal
    l: Decimal
    c: Decimal


class Candle(Wire, frozen=True):
    """One bar by its opening; volume counts prices, not units."""

    time: str
    complete: bool
    volume: float = 0
    mid: Sides | None = None


class Candles(Wire, frozen=True):
    """Candles, oldest first."""

    candles: tuple[Candle, ...]


# -- decoding of answers to writes -------------------------------------------------------------------------------------


def failure(body: bytes) -> Failure | None:
    """Return the error that `body` tells, None when it is no error body of OANDA's."""
    return _decoded(body, Failure)


def order_answer(body: bytes) -> OrderAnswer | None:
    """Return what `body` says of an order, None when it cannot be read."""
    return _decoded(body, OrderAnswer)


def dependent_answer(body: bytes) -> DependentAnswer | None:
    """Return what `body` says of a trade's dependent orders, None when it cannot be read."""
    return _decoded(body, DependentAnswer)


def _decoded(body: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except CANNOT_READ:
        return None
