"""Payloads of TradeLocker's answers, as far as they are read; what is not named here is ignored.

Used by `lists`, `catalogue`, `market` and `api`. Money is read from the text of a number, never through a float; market data
is floats. Rows are positional and mean nothing without the columns of ``/trade/config``, see `columns`.
"""

from decimal import Decimal
from typing import Any

import msgspec

from quantd.venues.parsing import Finite

Row = tuple[Any, ...]
"""Text or null, in the order of the configuration's columns; numbers and booleans are taken too."""


class Wire(Finite, frozen=True, rename="camel"):
    """Base of all payloads: camelCase names, and no Decimal that is not a number."""


class AccountItem(Wire, frozen=True):
    """One account of the user. `acc_num` goes into the header, `id` into paths."""

    id: str | int
    acc_num: str | int
    currency: str = ""


class AccountItems(Wire, frozen=True):
    """All accounts of the user; not enveloped."""

    accounts: tuple[AccountItem, ...]


class TradingRules(Wire, frozen=True):
    """What the broker lets an account do; what is not told counts as allowed."""

    support_brackets: bool = True
    support_partial_close_position: bool = True


class AccountDetails(Wire, frozen=True):
    """One account with its rules."""

    id: str | int
    currency: str = ""
    trading_rules: TradingRules = TradingRules()


class RouteWire(Wire, frozen=True):
    """A way to an instrument; ``TRADE`` for orders, ``INFO`` for market data. Their order in a list says nothing."""

    id: str | int
    type: str


class InstrumentItem(Wire, frozen=True):
    """An instrument in the list: ids and routes, no steps."""

    tradable_instrument_id: str | int
    name: str
    routes: tuple[RouteWire, ...]
    type: str = ""


class InstrumentItems(Wire, frozen=True):
    """The whole list, each of it an `InstrumentItem`."""

    instruments: tuple[msgspec.Raw, ...]


class TickWire(Wire, frozen=True):
    """A price step from `left_range_limit` upwards; none is from zero."""

    tick_size: Decimal
    left_range_limit: Decimal | None = None


class InstrumentWire(Wire, frozen=True):
    """One instrument's rules; quantities in lots."""

    quoting_currency: str
    lot_size: Decimal
    lot_step: Decimal
    tick_size: tuple[TickWire, ...]
    base_currency: str | None = None
    min_lot: Decimal | None = None
    max_lot: Decimal | None = None
    leverage: Decimal | None = None
    """Text, though documented as a number."""
    symbol_status: str = ""
    trade_session_id: str | int | None = None
    trade_session_status_id: str | int | None = None


class SessionWire(Wire, frozen=True):
    """An instrument's hours; of their shape only this is known."""

    block_trading: bool = False


class SessionStatusWire(Wire, frozen=True):
    """What the present state of a session allows, 1 or 0 by slot; what each slot stands for is not documented."""

    allowed_operations: tuple[int, ...] = ()


class QuoteWire(msgspec.Struct, frozen=True, rename={"ask": "ap", "ask_size": "as", "bid": "bp", "bid_size": "bs"}):
    """Best prices and sizes; they come without a time."""

    ask: float | None = None
    bid: float | None = None
    ask_size: float | None = None
    bid_size: float | None = None


class DepthWire(msgspec.Struct, frozen=True):
    """Levels as arrays; assumed: price, then size."""

    asks: tuple[tuple[float, ...], ...] = ()
    bids: tuple[tuple[float, ...], ...] = ()


class BarWire(msgspec.Struct, frozen=True):
    """A bar; `t` is its opening in milliseconds UTC."""

    t: int
    o: float
    h: float
    l: float
    c: float
    v: float = 0.0


class BarsWire(Wire, frozen=True):
    """Bars of a range, assumed to come oldest first; sorted all the same."""

    bar_details: tuple[BarWire, ...] = ()


class OrderRows(Wire, frozen=True):
    """Orders that work, exits of positions among them."""

    orders: tuple[Row, ...]


class HistoryRows(Wire, frozen=True):
    """Orders that have ended; `has_more` says that the answer was cut off."""

    orders_history: tuple[Row, ...]
    has_more: bool = False


class PositionRows(Wire, frozen=True):
    """Open positions."""

    positions: tuple[Row, ...]


class ExecutionRows(Wire, frozen=True):
    """Fills of the present session."""

    executions: tuple[Row, ...]


class StateWire(Wire, frozen=True):
    """The account's sums in one flat row."""

    account_details_data: Row
