"""The engine's orders: their state by the transition tables, and what they may still do at worst.

`OrderBlotter` is changed by facts only. Strategies get an `Order`, a view that cannot change anything.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from quantd.domain.facts import OrderIntended
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import (
    ENDS,
    OPERATION_TRANSITIONS,
    ORDER_TRANSITIONS,
    OperationKind,
    OperationPhase,
    OperationTrigger,
    OrderKind,
    OrderRef,
    OrderSpec,
    OrderState,
    Protect,
    Role,
    Side,
    Trigger,
)


class Operation:
    """The write that an order has in flight."""

    __slots__ = ("cause", "kind", "number", "phase", "price", "quantity", "since_ns")

    def __init__(self, kind: OperationKind, number: int, since_ns: int) -> None:
        self.kind = kind
        self.number = number
        self.phase = OperationPhase.PENDING
        self.since_ns = since_ns
        self.quantity: Decimal | None = None
        """New total of an amend."""
        self.price: Decimal | None = None
        self.cause = ""

    def move(self, trigger: OperationTrigger) -> "Operation | None":
        """Return the operation after `trigger`, None when it is settled.

        Raises:
            AssertionError: when the table has no such step.
        """
        step = (self.phase, trigger)
        assert step in OPERATION_TRANSITIONS, f"impossible step of an operation: {step}"
        phase = OPERATION_TRANSITIONS[step]
        if phase is None:
            return None
        self.phase = phase
        return self


class LiveOrder:
    """One order as the engine keeps it; changed by `OrderBlotter` alone."""

    __slots__ = (
        "cancel_wanted",
        "cancelled_for",
        "client_order_id",
        "deadline_at_ns",
        "exit",
        "filled",
        "fills",
        "followed_by",
        "for_target",
        "group",
        "held",
        "instrument",
        "intended_at_ns",
        "is_open",
        "lot",
        "operation",
        "operations",
        "origin",
        "parent",
        "protect",
        "reason",
        "reference",
        "reservation",
        "role",
        "spec",
        "state",
        "strategy",
        "venue_order_ids",
        "view",
        "why",
    )

    def __init__(self, intent: OrderIntended) -> None:
        self.client_order_id = intent.client_order_id
        self.strategy = intent.strategy
        self.spec = intent.spec
        self.instrument = intent.spec.instrument
        self.origin = intent.origin
        self.role = intent.role
        self.exit = intent.exit
        self.why = intent.why
        self.parent = intent.parent
        self.group = intent.group
        self.for_target = intent.for_target
        self.lot = intent.lot
        self.protect = intent.protect
        self.reference = intent.reference
        self.intended_at_ns = intent.at_ns
        self.deadline_at_ns = intent.deadline_at_ns
        self.state = OrderState.WORKING
        self.is_open = True
        self.filled = ZERO
        self.fills: dict[str, Fill] = {}
        self.venue_order_ids: list[str] = []
        self.held = intent.held
        """Kept by the engine until triggered; nothing is at the venue."""
        self.operation: Operation | None = None if intent.held else Operation(OperationKind.SUBMIT, 1, intent.at_ns)
        self.operations = 0 if intent.held else 1
        self.reason = ""
        self.cancel_wanted = False
        self.cancelled_for = ""
        """Why a cancel was asked for last, empty before any was."""
        self.followed_by = ""
        """The newest order that names this one as its parent."""
        self.reservation: tuple[str, Decimal] = ("", ZERO)
        """Asset and amount that stand reserved for it."""
        self.view: Order | None = None

    @property
    def worst_quantity(self) -> Decimal:
        """The largest total that may still trade: an amend in flight counts if it is larger."""
        operation = self.operation
        if operation is not None and operation.quantity is not None and operation.quantity > self.spec.quantity:
            return operation.quantity
        return self.spec.quantity

    @property
    def remaining(self) -> Decimal:
        """What may still be filled, at worst; zero after the end."""
        if not self.is_open:
            return ZERO
        quantity, operation = self.spec.quantity, self.operation
        if operation is not None and operation.quantity is not None and operation.quantity > quantity:
            quantity = operation.quantity
        left = quantity - self.filled
        return left if left > 0 else ZERO

    @property
    def pending_amend(self) -> tuple[Decimal, Decimal | None] | None:
        """New total and price of the amendment in flight, None when there is none."""
        operation = self.operation
        if operation is None or operation.quantity is None:
            return None
        return operation.quantity, operation.price

    @property
    def is_unknown(self) -> bool:
        """Whether the outcome of its operation is unknown."""
        return self.operation is not None and self.operation.phase is OperationPhase.UNKNOWN

    @property
    def is_acknowledged(self) -> bool:
        """Whether the venue is known to have it."""
        return bool(self.venue_order_ids)

    @property
    def venue_order_id(self) -> str:
        """The venue's newest id, empty before it is known."""
        return self.venue_order_ids[-1] if self.venue_order_ids else ""

    def ref(self) -> OrderRef:
        """Return what a connector needs to ask for it."""
        return OrderRef(self.client_order_id, tuple(self.venue_order_ids), self.spec, self.filled, self.intended_at_ns)

    def estimated(self) -> Iterator[Fill]:
        """Yield the fills whose price is not confirmed."""
        return (fill for fill in self.fills.values() if fill.quality is Quality.ESTIMATED)


class Order:
    """What a strategy sees of its order; reads the live state, changes nothing."""

    __slots__ = ("_live",)

    def __init__(self, live: LiveOrder) -> None:
        self._live = live

    @property
    def id(self) -> str:
        """Our client order id."""
        return self._live.client_order_id

    @property
    def instrument(self) -> InstrumentId:
        """The instrument."""
        return self._live.spec.instrument

    @property
    def side(self) -> Side:
        """BUY or SELL."""
        return self._live.spec.side

    @property
    def kind(self) -> OrderKind:
        """Market, limit, stop or stop limit."""
        return self._live.spec.kind

    @property
    def quantity(self) -> Decimal:
        """Total quantity in the instrument's unit."""
        return self._live.spec.quantity

    @property
    def price(self) -> Decimal | None:
        """Limit price, in quote currency."""
        return self._live.spec.price

    @property
    def trigger(self) -> Decimal | None:
        """Trigger price of a stop."""
        return self._live.spec.trigger

    @property
    def filled(self) -> Decimal:
        """Quantity filled so far."""
        return self._live.filled

    @property
    def state(self) -> OrderState:
        """Where it stands."""
        return self._live.state

    @property
    def is_open(self) -> bool:
        """Whether it may still be filled."""
        return self._live.is_open

    @property
    def is_unknown(self) -> bool:
        """Whether the venue has not answered a write and we are asking."""
        return self._live.is_unknown

    @property
    def reason(self) -> str:
        """Why it ended, a bounded name."""
        return self._live.reason

    @property
    def why(self) -> str:
        """What the strategy gave as its reason."""
        return self._live.why

    @property
    def role(self) -> Role:
        """Entry, stop, target, trail or close."""
        return self._live.role

    @property
    def protect(self) -> Protect | None:
        """The exits that were asked for with it, or that took their place; None once they were taken away."""
        return self._live.protect

    def __repr__(self) -> str:
        """Name the order readably."""
        spec = self._live.spec
        return f"<Order {self.id} {spec.side.value} {spec.quantity} {spec.instrument} {self.state.value}>"


def view_of(order: LiveOrder) -> Order:
    """Return the order's view, one for each order."""
    if order.view is None:
        order.view = Order(order)
    return order.view


class OrderBlotter:
    """All open orders by id, by venue id and by instrument; ended ones stay until `forget_ended`."""

    def __init__(self, keep_ended: int = 2_000) -> None:
        self._by_id: dict[str, LiveOrder] = {}
        self._by_venue_id: dict[tuple[str, str], LiveOrder] = {}
        self._open: dict[InstrumentId, dict[str, LiveOrder]] = {}
        self._ended: dict[str, None] = {}
        self._keep_ended = keep_ended

    def get(self, client_order_id: str) -> LiveOrder | None:
        """Return an order by our id, None when it is unknown or long ended."""
        return self._by_id.get(client_order_id)

    def __getitem__(self, client_order_id: str) -> LiveOrder:
        """Return an order by our id.

        Raises:
            KeyError: when there is none.
        """
        return self._by_id[client_order_id]

    def by_venue_id(self, venue: str, venue_order_id: str) -> LiveOrder | None:
        """Return an order by the venue's id."""
        return self._by_venue_id.get((venue, venue_order_id))

    def open_orders(self, instrument: InstrumentId | None = None) -> Iterable[LiveOrder]:
        """Return the open orders, oldest first, of one instrument or of all."""
        if instrument is not None:
            return self._open.get(instrument, {}).values()
        return [order for orders in self._open.values() for order in orders.values()]

    @property
    def has_open(self) -> bool:
        """Whether any order is open."""
        return any(self._open.values())

    def all_orders(self) -> Iterable[LiveOrder]:
        """Return open orders and those ended lately."""
        return self._by_id.values()

    def add(self, order: LiveOrder) -> None:
        """Take in a new order.

        Raises:
            AssertionError: when the id was used before.
        """
        assert order.client_order_id not in self._by_id, f"client order id repeated: {order.client_order_id}"
        self._by_id[order.client_order_id] = order
        self._open.setdefault(order.spec.instrument, {})[order.client_order_id] = order

    def take_in(self, order: LiveOrder) -> None:
        """Take in an order as a snapshot of the journal holds it, whatever its state."""
        self.add(order)
        for venue_order_id in order.venue_order_ids:
            self._by_venue_id[order.spec.instrument.partition(":")[0], venue_order_id] = order
        if order.state in ENDS:
            self._end(order)

    def sequence(self) -> tuple[dict[InstrumentId, tuple[str, ...]], tuple[str, ...]]:
        """Return the ids of the open orders by instrument and of the ended ones, each in its sequence."""
        return {name: tuple(orders) for name, orders in self._open.items()}, tuple(self._ended)

    def arrange(self, opened: dict[InstrumentId, tuple[str, ...]], ended: Iterable[str]) -> None:
        """Bring all orders into the sequence that a snapshot of the journal holds."""
        self._open = {name: {one: self._by_id[one] for one in ids} for name, ids in opened.items()}
        self._ended = dict.fromkeys(ended)

    def acknowledge(self, order: LiveOrder, venue_order_id: str) -> None:
        """Note the venue's id of an order; a replacement adds one."""
        if venue_order_id and venue_order_id not in order.venue_order_ids:
            order.venue_order_ids.append(venue_order_id)
            self._by_venue_id[order.spec.instrument.partition(":")[0], venue_order_id] = order

    def move(self, order: LiveOrder, trigger: Trigger) -> OrderState:
        """Apply `trigger` by the table and return the new state.

        Raises:
            AssertionError: when the table has no such step: the venue or we are wrong, and going on would be a guess.
        """
        step = (order.state, trigger)
        assert step in ORDER_TRANSITIONS, f"impossible step of order {order.client_order_id}: {step}"
        order.state = ORDER_TRANSITIONS[step]
        if order.state in ENDS:
            if order.is_open:
                self._end(order)
        elif not order.is_open:
            order.is_open = True
            self._ended.pop(order.client_order_id, None)
            self._open.setdefault(order.spec.instrument, {})[order.client_order_id] = order
        return order.state

    def _end(self, order: LiveOrder) -> None:
        order.is_open = False
        self._open[order.spec.instrument].pop(order.client_order_id, None)
        self._ended[order.client_order_id] = None
        if len(self._ended) > self._keep_ended:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Drop the oldest ended order; one with an operation in flight or unconfirmed fills stays a round longer."""
        client_order_id = next(iter(self._ended))
        del self._ended[client_order_id]
        order = self._by_id[client_order_id]
        if order.operation is not None:
            self._ended[client_order_id] = None
            return
        del self._by_id[client_order_id]
        for venue_order_id in order.venue_order_ids:
            self._by_venue_id.pop((order.instrument.partition(":")[0], venue_order_id), None)


def amended(spec: OrderSpec, quantity: Decimal | None, price: Decimal | None) -> OrderSpec:
    """Return `spec` with a new total quantity or price."""
    return msgspec.structs.replace(
        spec,
        quantity=spec.quantity if quantity is None else quantity,
        price=spec.price if price is None else price,
    )
