"""The vocabulary of orders: sides, kinds, states, operations, and the literal tables of what may follow what.

The engine applies the tables; a pair that is not in them is an error of ours or of the venue and never passed over.
"""

from decimal import Decimal
from enum import Enum
from typing import NewType

import msgspec

from quantd.domain.instruments import InstrumentId

ClientOrderId = NewType("ClientOrderId", str)
"""Ours, derived: ``q`` + journal id + epoch + counter, at most 31 characters of ``[a-z0-9-]``."""


class Side(Enum):
    """Direction of an order or a lot."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(Enum):
    """How long an order stands."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"
    GTD = "gtd"


class Effect(Enum):
    """What an order does to the position."""

    AUTO = "auto"
    OPEN = "open"
    CLOSE = "close"


class Role(Enum):
    """Why an order exists within its group."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    TRAIL = "trail"
    CLOSE = "close"


class Origin(Enum):
    """Who asked for an order."""

    STRATEGY = "strategy"
    PROTECTION = "protection"
    OPERATOR = "operator"
    RECONCILE = "reconcile"
    VENUE = "venue"
    EXTERNAL = "external"


class Market(msgspec.Struct, frozen=True, gc=False, tag="market"):
    """At the best price to be had. Where a venue has no market orders: a limit at most `max_slippage_bps` away."""

    reduce_only: bool = False
    good_for_s: float | None = None
    """How long the wish may wait before it is sent; the daemon's default when none."""


class Limit(msgspec.Struct, frozen=True, gc=False, tag="limit"):
    """At `price` or better."""

    price: Decimal | float
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    good_for_s: float | None = None
    expires_at_ns: int | None = None
    """For GTD."""


class Stop(msgspec.Struct, frozen=True, gc=False, tag="stop"):
    """A market order once the price has reached `trigger`."""

    trigger: Decimal | float
    reduce_only: bool = False
    good_for_s: float | None = None


class StopLimit(msgspec.Struct, frozen=True, gc=False, tag="stop_limit"):
    """A limit order at `price` once the price has reached `trigger`."""

    trigger: Decimal | float
    price: Decimal | float
    reduce_only: bool = False
    good_for_s: float | None = None


How = Market | Limit | Stop | StopLimit


class Protect(msgspec.Struct, frozen=True, gc=False):
    """Exits that stand with an entry: distances or prices in the instrument's price unit.

    `stop` and `take` are prices; `trail` is a distance from the best price since the entry.
    """

    stop: Decimal | float | None = None
    take: Decimal | float | None = None
    trail: Decimal | float | None = None


class OrderKind(Enum):
    """The four kinds of order, as `How` names them."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class OrderSpec(msgspec.Struct, frozen=True, gc=False):
    """An order's terms, exact and snapped."""

    instrument: InstrumentId
    side: Side
    quantity: Decimal
    kind: OrderKind
    price: Decimal | None = None
    trigger: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    effect: Effect = Effect.AUTO
    expires_at_ns: int | None = None


class OrderRef(msgspec.Struct, frozen=True, gc=False):
    """What a connector needs to ask for one order."""

    client_order_id: ClientOrderId
    venue_order_ids: tuple[str, ...]
    """The venue's ids, newest last; empty while the submit is unanswered."""
    spec: OrderSpec
    filled_quantity: Decimal
    submitted_at_ns: int


class OrderState(Enum):
    """Where an order stands at the venue, as far as we know."""

    __hash__ = object.__hash__  # looked up on the path of every order; an Enum's own is written in Python

    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    DENIED = "denied"
    EXPIRED = "expired"


ENDS = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
        OrderState.DENIED,
        OrderState.EXPIRED,
    }
)
"""States in which nothing more is expected."""


class Trigger(Enum):
    """What moves an order from state to state."""

    __hash__ = object.__hash__

    FILL = "fill"
    """A fill that leaves something open."""
    FILL_WHOLE = "fill_whole"
    """The fill that completes the order."""
    CANCEL = "cancel"
    REJECT = "reject"
    DENY = "deny"
    """We did not send it, or the venue refused it before processing."""
    EXPIRE = "expire"
    REOPEN = "reopen"
    """Newer venue evidence shows an ended order alive."""


S, T = OrderState, Trigger
ORDER_TRANSITIONS: dict[tuple[OrderState, Trigger], OrderState] = {
    (S.WORKING, T.FILL): S.PARTIALLY_FILLED,
    (S.WORKING, T.FILL_WHOLE): S.FILLED,
    (S.WORKING, T.CANCEL): S.CANCELLED,
    (S.WORKING, T.REJECT): S.REJECTED,
    (S.WORKING, T.DENY): S.DENIED,
    (S.WORKING, T.EXPIRE): S.EXPIRED,
    (S.PARTIALLY_FILLED, T.FILL): S.PARTIALLY_FILLED,
    (S.PARTIALLY_FILLED, T.FILL_WHOLE): S.FILLED,
    (S.PARTIALLY_FILLED, T.CANCEL): S.CANCELLED,
    (S.PARTIALLY_FILLED, T.EXPIRE): S.EXPIRED,
    (S.PARTIALLY_FILLED, T.REJECT): S.CANCELLED,
    # Fills may arrive after an end (a cancel crossed a fill): quantity counts, the end stays until it is whole.
    (S.CANCELLED, T.FILL): S.CANCELLED,
    (S.CANCELLED, T.FILL_WHOLE): S.FILLED,
    (S.EXPIRED, T.FILL): S.EXPIRED,
    (S.EXPIRED, T.FILL_WHOLE): S.FILLED,
    (S.REJECTED, T.FILL): S.PARTIALLY_FILLED,
    (S.REJECTED, T.FILL_WHOLE): S.FILLED,
    (S.DENIED, T.FILL): S.PARTIALLY_FILLED,
    (S.DENIED, T.FILL_WHOLE): S.FILLED,
    # Only newer venue evidence reopens an end; counted and alerted.
    (S.CANCELLED, T.REOPEN): S.WORKING,
    (S.EXPIRED, T.REOPEN): S.WORKING,
    (S.REJECTED, T.REOPEN): S.WORKING,
    (S.DENIED, T.REOPEN): S.WORKING,
}
"""(state, trigger) -> state; a pair that is missing is impossible and stops the daemon with its journal."""


class OperationKind(Enum):
    """A write that an order may have in flight; at most one at a time."""

    SUBMIT = "submit"
    AMEND = "amend"
    CANCEL = "cancel"


class OperationPhase(Enum):
    """How far the write has come."""

    __hash__ = object.__hash__

    PENDING = "pending"
    """Approved, not yet sent."""
    SENT = "sent"
    UNKNOWN = "unknown"
    """Sent, and what became of it is not known; its worst case stays reserved."""


class OperationTrigger(Enum):
    """What moves an operation."""

    __hash__ = object.__hash__

    SEND = "send"
    LOSE = "lose"
    """The outcome is unknown."""
    SETTLE = "settle"
    """The outcome is known, whichever it is."""


P, O = OperationPhase, OperationTrigger
OPERATION_TRANSITIONS: dict[tuple[OperationPhase, OperationTrigger], OperationPhase | None] = {
    (P.PENDING, O.SEND): P.SENT,
    (P.PENDING, O.SETTLE): None,
    (P.PENDING, O.LOSE): P.UNKNOWN,
    (P.SENT, O.LOSE): P.UNKNOWN,
    (P.SENT, O.SETTLE): None,
    (P.UNKNOWN, O.LOSE): P.UNKNOWN,
    (P.UNKNOWN, O.SETTLE): None,
}
"""(phase, trigger) -> phase; None is "no operation in flight"."""
del S, T, P, O
