"""What must hold of a daemon whatever the world does to it: one checker for simulations, property and process tests.

`Model` reads facts and keeps a naive picture beside the engine's: every transition by the tables, every sum anew.
`Wire` looks at what leaves for the venue. `same_as_venue` compares with the simulated venue's own truth. All of them
raise `Violation` with a sentence; none of them uses the engine's arithmetic.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain import facts as f
from quantd.domain.cash import AccountKind
from quantd.domain.events import TradingState
from quantd.domain.fills import Quality
from quantd.domain.orders import (
    ENDS,
    OPERATION_TRANSITIONS,
    ORDER_TRANSITIONS,
    OperationKind,
    OperationPhase,
    OperationTrigger,
    OrderSpec,
    OrderState,
    Origin,
    Side,
    Trigger,
)
from quantd.engine.state import State

ZERO = Decimal(0)
EXACT = Decimal("1e-12")
"""Average prices are quotients: sums of money agree to this."""


class Violation(AssertionError):
    """An invariant does not hold."""


def require(holds: object, what: str, *details: object) -> None:
    """Raise unless `holds`; the details are only made into text then."""
    if not holds:
        raise Violation(" ".join([what, *map(str, details)]))


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that a scenario sets, as the checker counts them."""

    max_position: Mapping[str, Decimal] = {}
    """By strategy; each side, in the instrument's unit."""
    max_open_orders: int | None = None
    max_order_notional: Decimal | None = None


class ModelOrder:
    """One order as its facts tell it."""

    __slots__ = ("cash", "confirmed", "filled", "intent", "operation", "operations", "quantity", "state", "venue_ids")

    def __init__(self, intent: f.OrderIntended) -> None:
        self.intent = intent
        self.state = OrderState.WORKING
        self.quantity = intent.spec.quantity
        self.filled = ZERO
        self.cash = ZERO
        """Signed money that its fills moved, fees apart."""
        self.confirmed = True
        self.operation: tuple[int, OperationKind, OperationPhase, Decimal | None] | None = None
        self.operations = 0
        self.venue_ids: list[str] = []
        if not intent.held:
            self.begin(1, OperationKind.SUBMIT, None)

    def begin(self, number: int, kind: OperationKind, quantity: Decimal | None) -> None:
        """A write is intended."""
        require(self.operation is None, "two writes of one order in flight:", self.id, self.operation, number)
        require(number > self.operations, "a write's number repeats:", self.id, number)
        self.operation = (number, kind, OperationPhase.PENDING, quantity)
        self.operations = number

    def step(self, number: int, trigger: OperationTrigger) -> None:
        """A write's phase changes."""
        require(self.operation is not None, "no write in flight:", self.id, number, trigger)
        assert self.operation is not None
        current, kind, phase, quantity = self.operation
        require(current == number, "another write is in flight:", self.id, current, number)
        require((phase, trigger) in OPERATION_TRANSITIONS, "no such step of a write:", self.id, phase, trigger)
        after = OPERATION_TRANSITIONS[phase, trigger]
        self.operation = None if after is None else (number, kind, after, quantity)

    def move(self, trigger: Trigger) -> None:
        """The order's state changes."""
        require((self.state, trigger) in ORDER_TRANSITIONS, "no such step of an order:", self.id, self.state, trigger)
        self.state = ORDER_TRANSITIONS[self.state, trigger]

    @property
    def id(self) -> str:
        """Our id."""
        return self.intent.client_order_id

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.state not in ENDS

    @property
    def is_unknown(self) -> bool:
        """Whether a write's outcome is unknown."""
        return self.operation is not None and self.operation[2] is OperationPhase.UNKNOWN

    @property
    def worst(self) -> Decimal:
        """The largest total that may trade."""
        pending = self.operation[3] if self.operation is not None else None
        return self.quantity if pending is None else max(self.quantity, pending)

    @property
    def remaining(self) -> Decimal:
        """What may still trade."""
        return max(self.worst - self.filled, ZERO) if self.is_open else ZERO

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.intent.spec.side is Side.BUY else -1


class Model:
    """The naive picture.

    Args:
        bounds: Limits to hold the intents against.
        externals: Whether orders that are not ours may appear (a restored backup has forgotten some).
        seen: Counts fills that came in parts, and those that came late.
    """

    def __init__(self, bounds: Bounds, *, externals: bool = False, seen: Counter[str] | None = None) -> None:
        self._bounds = bounds
        self._externals = externals
        self.seen: Counter[str] = Counter() if seen is None else seen
        self.orders: dict[str, ModelOrder] = {}
        self.open: dict[str, ModelOrder] = {}
        self.positions: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.latches: dict[str, f.StateSet] = {}
        self.bases: dict[str, str] = {}
        """Instrument -> base asset."""
        self.margins: set[str] = set()
        """Venues whose account takes no fee out of a position, whatever its currency."""
        self._handlers: dict[type, Any] = {
            f.InstrumentRecorded: lambda fact: self.bases.update({fact.instrument.id: fact.instrument.base}),
            f.AccountRecorded: self._account,
            f.OrderIntended: self._intended,
            f.OrderReleased: self._released,
            f.AmendIntended: lambda fact: self._order(fact).begin(fact.operation, OperationKind.AMEND, fact.quantity),
            f.CancelIntended: self._cancel,
            f.OperationSentRecorded: lambda fact: self._order(fact).step(fact.operation, OperationTrigger.SEND),
            f.OperationLost: lambda fact: self._order(fact).step(fact.operation, OperationTrigger.LOSE),
            f.OperationSettled: self._settled,
            f.OrderAcknowledged: self._acknowledged,
            f.OrderAmended: self._amended,
            f.OrderMoved: self._moved,
            f.FillRecorded: self._filled,
            f.FillCorrected: self._corrected,
            f.ExternalOrderSeen: self._external,
            f.PositionAdjusted: self._adjusted,
            f.StateSet: self._state_set,
        }

    def take(self, facts: Iterable[f.Fact], *, checks_limits: bool = True) -> None:
        """Follow facts, in order; limits are held against intents unless they are old news."""
        for fact in facts:
            handler = self._handlers.get(type(fact))
            if handler is not None:
                handler(fact)
            if checks_limits and isinstance(fact, f.OrderIntended):
                self._check_limits(fact)

    # -- facts ---------------------------------------------------------------------------------------------------

    def _order(self, fact: Any) -> ModelOrder:
        order = self.orders.get(fact.client_order_id)
        require(order is not None, "a fact about an order that nobody intended:", fact)
        assert order is not None
        return order

    def _intended(self, fact: f.OrderIntended) -> None:
        require(fact.client_order_id not in self.orders, "client order id repeated:", fact.client_order_id)
        require(fact.spec.quantity > 0, "an order of nothing:", fact)
        self.orders[fact.client_order_id] = self.open[fact.client_order_id] = ModelOrder(fact)

    def _released(self, fact: f.OrderReleased) -> None:
        order = self._order(fact)
        order.begin(order.operations + 1, OperationKind.SUBMIT, None)
        order.quantity = fact.spec.quantity
        if order.intent.spec.reduce_only:
            held, working = self._counted(order.intent.strategy, order.intent.spec)
            require(held + working <= 0, "a reducing stop that may open:", fact, "held", held, "working", working)

    def _cancel(self, fact: f.CancelIntended) -> None:
        if fact.operation:
            self._order(fact).begin(fact.operation, OperationKind.CANCEL, None)

    def _settled(self, fact: f.OperationSettled) -> None:
        order = self._order(fact)
        order.step(fact.operation, OperationTrigger.SETTLE)
        self._whole(order)

    def _whole(self, order: ModelOrder) -> None:
        if order.is_open and order.filled >= order.worst:
            order.move(Trigger.FILL_WHOLE)
        self._sort(order)

    def _sort(self, order: ModelOrder) -> None:
        if order.is_open:
            self.open[order.id] = order
        else:
            self.open.pop(order.id, None)

    def _acknowledged(self, fact: f.OrderAcknowledged) -> None:
        self._order(fact).venue_ids.append(fact.venue_order_id)

    def _amended(self, fact: f.OrderAmended) -> None:
        order = self._order(fact)
        order.quantity = fact.quantity
        if order.operation is None:
            self._whole(order)

    def _moved(self, fact: f.OrderMoved) -> None:
        order = self._order(fact)
        order.move(fact.trigger)
        self._sort(order)

    def _filled(self, fact: f.FillRecorded) -> None:
        order, fill = self._order(fact), fact.fill
        require(fill.quantity > 0 and fill.price > 0, "a fill of nothing:", fact)
        require(fact.cumulative == order.filled + fill.quantity, "fills do not add up:", fact, order.filled)
        # The close of a lot takes what the lot has become: its entry may have filled further, and say so later.
        within = fact.cumulative <= order.worst or bool(order.intent.lot)
        require(within, "more filled than ordered:", fact, order.worst)
        if not order.is_open:
            self.seen["fill_after_the_end"] += 1
        elif fact.cumulative < order.worst:
            self.seen["partial_fill"] += 1
        order.filled = fact.cumulative
        order.confirmed = order.confirmed and fill.quality is Quality.CONFIRMED
        order.cash -= order.sign * fill.quantity * fill.price
        if order.state is not OrderState.FILLED:
            order.move(Trigger.FILL_WHOLE if order.filled >= order.worst else Trigger.FILL)
        self._sort(order)
        is_margin = fact.instrument.partition(":")[0] in self.margins
        base = "" if is_margin else self.bases.get(fact.instrument, "")
        in_base = sum((amount for asset, amount in fill.fees if asset == base), ZERO)
        self.positions[fact.strategy, fact.instrument] += order.sign * fill.quantity - in_base

    def _account(self, fact: f.AccountRecorded) -> None:
        if fact.account.kind is AccountKind.MARGIN:
            self.margins.add(fact.account.venue)

    def _corrected(self, fact: f.FillCorrected) -> None:
        require(fact.before.quantity == fact.after.quantity, "a correction moves quantity:", fact)
        order = self.orders.get(fact.client_order_id)
        if order is not None:
            order.cash += order.sign * fact.before.quantity * (fact.before.price - fact.after.price)

    def _external(self, fact: f.ExternalOrderSeen) -> None:
        require(self._externals or fact.lot, "an order at the venue that we do not know as ours:", fact)
        self.seen["closed_by_the_venue"] += bool(fact.lot)
        intent = f.OrderIntended(
            fact.client_order_id, fact.strategy, fact.spec, Origin.EXTERNAL, fact.role, 0, fact.at_ns, held=True
        )
        order = self.orders[fact.client_order_id] = self.open[fact.client_order_id] = ModelOrder(intent)
        order.filled = fact.filled_quantity
        if order.filled:
            order.state = OrderState.PARTIALLY_FILLED
        order.venue_ids.append(fact.venue_order_id)

    def _adjusted(self, fact: f.PositionAdjusted) -> None:
        require(self._externals, "a position was moved by nobody's order:", fact)
        self.positions[fact.strategy, fact.instrument] += fact.quantity

    def _state_set(self, fact: f.StateSet) -> None:
        if fact.state is TradingState.ACTIVE:
            self.latches.pop(fact.scope, None)
        else:
            self.latches[fact.scope] = fact

    # -- limits --------------------------------------------------------------------------------------------------

    def _check_limits(self, fact: f.OrderIntended) -> None:
        """Hold a fresh intent against the limits, everything in flight counted."""
        spec, bounds = fact.spec, self._bounds
        held, working = self._counted(fact.strategy, spec)
        if fact.exit:
            require(held + working <= 0, "an exit that may open:", fact, "held", held, "working", working)
            return
        self._check_latches(fact)
        limit = bounds.max_position.get(fact.strategy)
        if limit is not None:
            require(held + working <= limit, "position limit:", fact, "worst", held + working)
        if bounds.max_open_orders is not None:
            require(len(self.open) <= bounds.max_open_orders, "too many open orders:", len(self.open), fact)
        price = spec.price or fact.reference
        if bounds.max_order_notional is not None and price is not None and spec.trigger is None:
            require(spec.quantity * price <= bounds.max_order_notional, "order too large:", fact)

    def _counted(self, strategy: str, spec: OrderSpec) -> tuple[Decimal, Decimal]:
        """Return what a strategy holds in the direction of `spec`, and what all its orders that way may still add."""
        sign = 1 if spec.side is Side.BUY else -1
        working = sum(
            (
                order.remaining
                for order in self.open.values()
                if order.intent.strategy == strategy
                and (order.intent.spec.instrument, order.intent.spec.side) == (spec.instrument, spec.side)
            ),
            ZERO,
        )
        return self.positions[strategy, spec.instrument] * sign, working

    def _check_latches(self, fact: f.OrderIntended) -> None:
        instrument = fact.spec.instrument
        scopes = (
            "all",
            f"venue:{instrument.partition(':')[0]}",
            f"instrument:{instrument}",
            f"strategy:{fact.strategy}",
        )
        for scope in scopes:
            require(scope not in self.latches, "exposure added while latched:", fact, self.latches.get(scope))

    # -- against the engine --------------------------------------------------------------------------------------

    def compare(self, state: State) -> None:
        """Hold the engine's state against this picture."""
        for order in state.orders.all_orders():
            known = self.orders.get(order.client_order_id)
            require(known is not None, "the engine has an order without an intent:", order.client_order_id)
            assert known is not None
            require(order.state is known.state, "state of", order.client_order_id, order.state, known.state)
            require(order.filled == known.filled, "filled of", order.client_order_id, order.filled, known.filled)
            require(order.remaining == known.remaining, "remaining of", order.client_order_id, order.remaining)
            phase = None if order.operation is None else (order.operation.number, order.operation.phase)
            told = None if known.operation is None else (known.operation[0], known.operation[2])
            require(order.is_open or not order.is_unknown, "unknown, and yet ended:", order.client_order_id)
            require(phase == told, "write of", order.client_order_id, phase, told)
        for book in state.portfolio.books():
            told_quantity = self.positions[book.strategy, book.instrument.id]
            require(book.quantity == told_quantity, "book of", book.strategy, book.quantity, told_quantity)
        require(state.latches == self.latches, "latches:", state.latches, self.latches)

    def signed(self, instrument: str) -> Decimal:
        """Return the sum of all books of an instrument."""
        return sum((amount for (_, one), amount in self.positions.items() if one == instrument), ZERO)
