"""What the simulated exchange shows of itself: orders, trades, lots, ledger and margin, as frozen values.

The venue simulators turn them into their venues' shapes. Money is exact; times are nanoseconds UTC.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from quantd.domain.fills import Fill, Liquidity
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import OrderSpec, OrderState, Role, Side
from quantd.domain.reports import OrderReport


class ExchangeReport(msgspec.Struct, frozen=True, gc=False):
    """Something happened to an order without being asked for just now: it filled, expired, was cancelled."""

    account: str
    report: OrderReport
    """Cumulative; `fills` holds what this event added."""


class OrderView(msgspec.Struct, frozen=True):
    """An order as it stands."""

    account: str
    venue_order_id: str
    client_order_id: str
    spec: OrderSpec
    """The terms as they are now (after amendments)."""
    state: OrderState
    filled_quantity: Decimal
    average_price: Decimal | None
    fees: tuple[tuple[str, Decimal], ...]
    """Cumulative, by asset."""
    fills: tuple[Fill, ...]
    """All of them where history is kept, else those of the order's last event."""
    accepted_at_ns: int
    updated_at_ns: int
    ended_at_ns: int | None
    reason: str
    """Why it ended: ``client``, ``expired``, ``ioc``, ``fok``, ``post_only``, ``reduce_only``, ``self_trade``,
    ``insufficient_balance``, ``insufficient_margin``, ``lot_closed``, ``delisted``; empty while it works."""
    role: Role
    """ENTRY for what was submitted; STOP, TARGET, TRAIL for a lot's exits; CLOSE for closing orders."""
    origin: str
    """``client``, ``protection`` or ``margin_call``."""
    lot: str
    """The lot that it closes, or the last one that it opened."""
    tag: str
    triggered: bool
    protection: LotProtection | None


class LotChange(msgspec.Struct, frozen=True, gc=False):
    """What a trade did to one lot."""

    lot: str
    kind: str
    """``opened``, ``increased``, ``reduced`` or ``closed``."""
    quantity: Decimal
    """Unsigned."""
    price: Decimal
    profit: Decimal
    """Realised, in the home currency; 0 where it opened."""


class Trade(msgspec.Struct, frozen=True):
    """One execution of one account's order."""

    id: str
    account: str
    venue_order_id: str
    client_order_id: str
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    price: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    liquidity: Liquidity
    occurred_at_ns: int
    against: str = ""
    """The venue order id of the other side; empty for the market itself."""
    profit: Decimal | None = None
    """Realised, in the home currency (margin accounts)."""
    lots: tuple[LotChange, ...] = ()


class LedgerReason(Enum):
    """Why a balance changed."""

    OPENING = "opening"
    TRADE = "trade"
    FEE = "fee"
    PROFIT = "profit"
    CASH = "cash"
    """A cash flow from outside; `kind` names it."""


class LedgerEntry(msgspec.Struct, frozen=True):
    """One change of one balance."""

    id: int
    """1, 2, ... over the whole exchange."""
    account: str
    asset: str
    amount: Decimal
    """Signed."""
    balance: Decimal
    """The total after it."""
    reason: LedgerReason
    occurred_at_ns: int
    reference: str = ""
    """The trade's id, where there is one."""
    venue_order_id: str = ""
    instrument: str = ""
    kind: str = ""
    """The cash flow's kind."""


class LotView(msgspec.Struct, frozen=True):
    """An open lot and the orders that guard it."""

    lot: Lot
    opened_at_ns: int
    opened_by: str
    """Venue order id."""
    opening_quantity: Decimal
    realised: Decimal
    """Home currency."""
    unrealised: Decimal | None
    """Home currency, at the closing side of the quote; None without a price or rate."""
    margin_used: Decimal | None
    financing: Decimal
    stop_order: str = ""
    take_order: str = ""
    trail_order: str = ""


class MarginView(msgspec.Struct, frozen=True):
    """A margin account's sums, in its home currency."""

    balance: Decimal
    unrealised: Decimal
    equity: Decimal
    used: Decimal
    available: Decimal
    """Never below zero."""
    realised: Decimal
    """Since the opening, without fees and financing."""
    complete: bool
    """Whether every lot had a price and a rate; sums leave out those that had none."""
