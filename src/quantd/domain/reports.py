"""Venue evidence: what a venue says of one order, and of a whole account."""

from decimal import Decimal

import msgspec

from quantd.domain.cash import Balance, CashFlow
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import ClientOrderId, OrderKind, OrderState, Side


class OrderReport(msgspec.Struct, frozen=True, gc=False, tag=True):
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
    kind: OrderKind | None = None
    """For orders that are not ours; none where it is told by no word of ours (an iceberg, a trailing order)."""
    trigger: Decimal | None = None
    """Trigger price of a stop."""
    lot: str = ""
    """The venue's id of the lot that this order can only close: an exit that hangs on it, and no exposure of its own."""
    parts: tuple[str, ...] = ()
    """Venue ids of further orders by which the venue has made this one; quantities and fills are those of all of them."""


class AccountSnapshot(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An account as a venue shows it. What changed between the two times may or may not be in it."""

    venue: str
    asked_at_ns: int
    answered_at_ns: int
    received_at_ns: int
    balances: tuple[Balance, ...]
    lots: tuple[Lot, ...] = ()
    orders: tuple[OrderReport, ...] = ()
    """All open orders of the account, ours and others'. Exits of lots that the venue executed since the snapshot before
    belong here too, with their fills, though they have ended: a restart must book them before it compares."""
    margin_used: Decimal | None = None
    margin_available: Decimal | None = None
    orders_complete: bool = True
    """Whether `orders` holds every open order (all pages were read)."""
    lots_complete: bool = True
    """Whether `lots` holds everything that is held; what is missing from a list that is not whole means nothing."""
    equity: Decimal | None = None
    """Worth of a margin account in its home currency, as the venue counts it."""
    margin_closeout: Decimal | None = None
    """How near the venue is to closing positions by itself, as a fraction: 1 is the moment."""
    flows: tuple[CashFlow, ...] = ()
    """Movements of money that the venue told along with the balances; those seen before may be among them."""
    doubtful: tuple[str, ...] = ()
    """Assets whose balance the venue tells in several ways. None of them is in `balances`: nobody can tell which holds."""
