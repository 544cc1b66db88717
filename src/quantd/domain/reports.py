"""Venue evidence: what a venue says of one order, and of a whole account."""

from decimal import Decimal

import msgspec

from quantd.domain.cash import Balance
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import ClientOrderId, OrderState, Side


class OrderReport(msgspec.Struct, frozen=True, tag=True):
    """What the venue says of an order. Cumulative; sources merge by the highest filled quantity."""

    instrument: InstrumentId
    venue_order_id: str
    state: OrderState
    filled_quantity: Decimal
    """Cumulative."""
    received_at_ns: int
    client_order_id: ClientOrderId | None = None
    """Ours, where the venue echoes it or the connector knows it."""
    side: Side | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    average_price: Decimal | None = None
    """Cumulative average of all fills, where the venue tells it: corrects estimated fills."""
    fills: tuple[Fill, ...] = ()
    """Executions that the venue tells one by one."""
    fees: tuple[tuple[str, Decimal], ...] | None = None
    """Cumulative fees, where the venue tells them for the order."""
    occurred_at_ns: int | None = None
    created_at_ns: int | None = None
    reason: str = ""
    """A bounded name of why it ended."""


class AccountSnapshot(msgspec.Struct, frozen=True, tag=True):
    """An account as a venue shows it. What changed between the two times may or may not be in it."""

    venue: str
    asked_at_ns: int
    answered_at_ns: int
    received_at_ns: int
    balances: tuple[Balance, ...]
    lots: tuple[Lot, ...] = ()
    orders: tuple[OrderReport, ...] = ()
    """All open orders of the account, ours and others'."""
    margin_used: Decimal | None = None
    margin_available: Decimal | None = None
    orders_complete: bool = True
    """Whether `orders` holds every open order (all pages were read)."""
