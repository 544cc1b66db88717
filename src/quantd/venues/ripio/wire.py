"""What Ripio sends and takes, field by field: typed decoders for the envelope and for each payload.

Used by `translate`, `classify` and the connector's parts. Unknown fields and unknown words never break decoding; a
missing or malformed field that we need does. Amounts are JSON numbers there and sometimes text: both are read as exact,
finite Decimals. Nothing here knows the domain.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import msgspec

from quantd.venues.parsing import CANNOT_READ, Finite, expect_above_zero

_Payload = TypeVar("_Payload")
Read = Callable[[bytes | msgspec.Raw], _Payload]
"""Reads a payload out of an answer's data; raises msgspec.DecodeError or ValueError."""


class Wire(Finite, frozen=True):
    """Base of all payloads: no Decimal that is not a number."""


class Envelope(Wire, frozen=True):
    """The frame of every answer; the venue leaves any of its keys out at times."""

    data: msgspec.Raw = msgspec.Raw(b"")
    error_code: int | str | None = None
    code: int | str | None = None
    """What the documents' text calls `error_code`."""
    message: str | None = None
    timestamp: int | None = None
    """The venue's time in milliseconds."""

    @property
    def error(self) -> int | str | None:
        """The error's code: a number, or a word such as ``ERR_0012``; None for a success."""
        told = self.error_code if self.error_code is not None else self.code
        return int(told) if isinstance(told, str) and told.isdecimal() else told


class ServerTime(Wire, frozen=True):
    """The venue's time in milliseconds."""

    timestamp: int


class Pair(Wire, frozen=True):
    """Trading rules of one market."""

    symbol: str
    base: str
    quote: str
    enabled: bool
    amount_tick: Decimal
    price_tick: Decimal
    min_amount: Decimal | None = None
    """In base."""
    min_value: Decimal | None = None
    """In quote."""
    max_price_variation: Decimal | None = None
    """Percent either way from the best price of the book."""


class Fee(Wire, frozen=True):
    """Our fees on one side of a pair; evidently in percent."""

    side: str
    maker: Decimal
    taker: Decimal


class Ticker(Wire, frozen=True):
    """Best prices of one market. Asked for by pair it may leave the pair out."""

    bid: float | None
    ask: float | None
    pair: str = ""
    date: str | None = None


class Level(Wire, frozen=True):
    """One level of a book: market data, hence floats."""

    price: float
    amount: float


class Book(Wire, frozen=True):
    """Depth of one market."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    timestamp: int | None = None


class BalanceRow(Wire, frozen=True):
    """One asset: what can be used, and what working orders hold."""

    currency_code: str
    available_amount: Decimal
    locked_amount: Decimal


class OrderRow(Wire, frozen=True):
    """One order as lists and single reads show it. Only single reads tell the average."""

    id: str
    pair: str
    side: str
    status: str
    executed_amount: Decimal
    external_id: str | None = None
    type: str = ""
    price: Decimal | None = None
    stop_price: Decimal | None = None
    average_execution_price: Decimal | None = None
    requested_amount: Decimal | None = None
    create_date: str | None = None


class OrderAnswer(Wire, frozen=True):
    """The order in the answer to a create or a cancel; older deployments tell nothing but the id."""

    id: str
    external_id: str | None = None
    pair: str | None = None
    side: str | None = None
    status: str = ""
    executed_amount: Decimal | None = None
    requested_amount: Decimal | None = None


class OrderPage(Wire, frozen=True):
    """One page of orders. `nc` is the cursor of the next page, None at the end."""

    orders: tuple[OrderRow, ...]
    pagination: "Pagination | None" = None
    nc: str | None = None


class Pagination(Wire, frozen=True):
    """Page numbers, which are to vanish."""

    current_page: int = 1
    total_pages: int = 1


class TradeRow(Wire, frozen=True):
    """One of our fills. Which of the two orders was ours, `taker_or_maker` says."""

    id: str
    pair_code: str
    side: str
    amount: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    taker_or_maker: str
    maker_order_id: str
    taker_order_id: str
    timestamp: int | None = None
    date: str | None = None

    def __post_init__(self) -> None:
        """Refuse an execution of nothing, or at no price."""
        super().__post_init__()
        expect_above_zero(self, "amount", "price")

    @property
    def order_id(self) -> str:
        """The id of our own order, upper case as the venue writes it."""
        return (self.maker_order_id if self.taker_or_maker == "maker" else self.taker_order_id).upper()


class TradePage(Wire, frozen=True):
    """One page of our fills."""

    trades: tuple[TradeRow, ...]
    nc: str | None = None


class PublicTrade(Wire, frozen=True):
    """A print of the market."""

    id: str
    price: float
    amount: float
    pair: str = ""
    timestamp: int | None = None
    taker_side: str = ""


class PublicTrades(Wire, frozen=True):
    """One page of prints."""

    trades: tuple[PublicTrade, ...]
    nc: str | None = None


class CancelledRow(Wire, frozen=True):
    """One line of the answer to a cancel of all orders."""

    order_id: str
    success: bool
    pair_code: str = ""


class Ticket(Wire, frozen=True):
    """Admits one connection to the private topics of the stream."""

    ticket: str

    def __repr__(self) -> str:
        """Leave the ticket out."""
        return "Ticket()"


class Frame(Wire, frozen=True):
    """One message of the stream. Those without a body, or with the id -1, are greetings and acknowledgements."""

    id: int = -1
    topic: str = ""
    timestamp: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"")


class ExactLevel(Wire, frozen=True):
    """One level of a streamed book; the checksum counts its digits."""

    price: Decimal
    amount: Decimal


class BookDelta(Wire, frozen=True):
    """Levels that changed, an amount of zero removes one; the first frame of a topic is the whole book."""

    bids: tuple[ExactLevel, ...]
    asks: tuple[ExactLevel, ...]
    hash: str


class StreamedOrder(Wire, frozen=True):
    """An order in the stream: the names differ from those of its lists."""

    id: str
    pair: str
    side: str
    status: str
    executed_amount: Decimal
    amount: Decimal | None = None
    external_id: str | None = None
    type: str = ""
    price: Decimal | None = None
    stop_price: Decimal | None = None
    average_execution_price: Decimal | None = None
    created_at: str | None = None

    def row(self) -> OrderRow:
        """Return the order as lists show it."""
        return OrderRow(
            id=self.id,
            pair=self.pair,
            side=self.side,
            status=self.status,
            executed_amount=self.executed_amount,
            external_id=self.external_id,
            type=self.type,
            price=self.price,
            stop_price=self.stop_price,
            average_execution_price=self.average_execution_price,
            requested_amount=self.amount,
            create_date=self.created_at,
        )


class StreamedTrade(Wire, frozen=True):
    """One of our fills in the stream."""

    trade: TradeRow


_ENVELOPE = msgspec.json.Decoder(Envelope)


def envelope(body: bytes) -> Envelope | None:
    """Return the envelope in `body`, None when there is none (HTML, empty, cut off)."""
    try:
        return _ENVELOPE.decode(body)
    except CANNOT_READ:
        return None


def reader(kind: type[_Payload]) -> Read[_Payload]:
    """Return what reads a payload of type `kind`, and raises msgspec.DecodeError where it is not there."""
    return msgspec.json.Decoder(kind).decode


_FLAT = reader(tuple[BalanceRow, ...])
_NESTED = reader(tuple[tuple[BalanceRow, ...], ...])


def balances(data: bytes | msgspec.Raw) -> tuple[BalanceRow, ...]:
    """Return balances; a sample of the documents nests the list once more than the text says.

    Raises:
        msgspec.DecodeError: when they are not there.
    """
    try:
        return _FLAT(data)
    except msgspec.ValidationError:
        return tuple(row for rows in _NESTED(data) for row in rows)


def nothing(data: bytes | msgspec.Raw) -> None:
    """Read nothing: the answer's data say nothing that is documented."""


encode = msgspec.json.Encoder().encode
"""Return a body's bytes, compact; the same value always gives the same bytes."""
