"""What the server sends, field by field. Lists hold JSON floats, which are read as the text that they were written in.

Used by the connector. Unknown fields and words never break decoding; a missing field that we need does.
"""

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from quantd.venues.parsing import Finite

_T = TypeVar("_T")
_STAND_IN = 60
"""No figure that stands for none has more places."""


class Wire(Finite, frozen=True):
    """Base of all payloads: no Decimal that is not a number."""


class NewOrder(msgspec.Struct, frozen=True):
    """The body of a placement; decimals as text."""

    account_name: str
    connector_name: str
    trading_pair: str
    trade_type: str
    amount: str
    order_type: str
    price: str | None = None
    position_action: str = "OPEN"


class Scheduled(Wire, frozen=True):
    """The answer to a placement: it echoes what was asked and names the order, nothing else."""

    order_id: str


class Detail(msgspec.Struct, frozen=True):
    """An error: text, or a list for 422."""

    detail: msgspec.Raw = msgspec.Raw(b"")


class OrderRow(Wire, frozen=True):
    """A row of the active or the searched orders."""

    order_id: str
    trading_pair: str
    trade_type: str
    order_type: str
    amount: Decimal
    status: str
    filled_amount: Decimal = Decimal(0)
    price: Decimal | None = None
    fee_paid: Decimal | None = None
    fee_currency: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    error_message: str | None = None


class TradeRow(Wire, frozen=True):
    """A row of the trades; its time may be minutes old."""

    trade_id: str
    order_id: str
    amount: Decimal
    price: Decimal
    fee_paid: Decimal | None = None
    fee_currency: str | None = None
    timestamp: str | None = None


class Pagination(msgspec.Struct, frozen=True):
    """Where a list goes on."""

    has_more: bool = False
    next_cursor: str | None = None


class Page(msgspec.Struct, Generic[_T], frozen=True):
    """One page of a list."""

    data: tuple[_T, ...]
    pagination: Pagination = Pagination()


class TokenRow(Wire, frozen=True):
    """What is held of one token."""

    token: str
    units: Decimal
    available_units: Decimal


class Level(msgspec.Struct, frozen=True):
    """One price of a book."""

    price: float
    amount: float


class BookRows(msgspec.Struct, frozen=True):
    """A book; its time is the server's own."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Rules(Wire, frozen=True):
    """Trading rules of one pair; 1e+56 stands for no limit, 1e-56 for no step."""

    min_order_size: Decimal
    min_price_increment: Decimal
    min_base_amount_increment: Decimal
    max_order_size: Decimal | None = None
    min_notional_size: Decimal | None = None
    min_order_value: Decimal | None = None
    supports_limit_orders: bool = True
    supports_market_orders: bool = True

    def __post_init__(self) -> None:
        """Take what stands for none as well, which is no number to reckon with."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) <= _STAND_IN):
                raise ValueError(f"expected a sound, finite decimal in {name}, found {value!s:.32}")


class Candle(msgspec.Struct, frozen=True):
    """One bar, by its opening in seconds."""

    timestamp: float
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


class OrderTypes(msgspec.Struct, frozen=True):
    """What kinds of order the exchange's connector takes."""

    supported_order_types: tuple[str, ...]
