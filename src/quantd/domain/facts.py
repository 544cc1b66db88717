"""What the journal holds: the engine's decisions and the world's answers, one closed union.

The engine turns each event into facts, applies them to its state and hands them to the journal; folding the same facts
restores the same state. Market data is no fact. Every fact carries `at_ns`, the engine's time in nanoseconds UTC.
"""

from decimal import Decimal

import msgspec

from quantd.domain.cash import Account, Balance, CashFlow
from quantd.domain.events import TradingState
from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.limit_facts import DayProfitsRecorded, LimitsSet, MarksRecorded, SoftLimitCrossed
from quantd.domain.lots import Lot
from quantd.domain.orders import ClientOrderId, How, OperationKind, OrderSpec, Origin, Protect, Role, Side, Trigger
from quantd.domain.protection_facts import ProtectionHeld, ProtectionIntended, ProtectionOverdue, ProtectionSettled
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategyRenewed, StrategySaved


class RunStarted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A process began to write: what it is made of. Order counters start anew only with a new epoch."""

    version: str
    config_hash: str
    strategy_sources: dict[str, str]
    """Strategy id -> hash of its source file."""
    journal_id: str
    epoch: int
    at_ns: int
    base_currency: str = ""
    """What profits, and with them baselines and peaks, are counted in; empty where it was not told."""

    def reloaded(self, fact: StrategyReloaded) -> "RunStarted":
        """Return what the run is made of since a strategy began anew."""
        sources = {**self.strategy_sources, fact.strategy: fact.source_hash}
        return msgspec.structs.replace(self, strategy_sources=sources, config_hash=fact.config_hash)


class InstrumentRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Rules of an instrument as they were used from here on."""

    instrument: Instrument
    at_ns: int


class AccountRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What a venue's account is."""

    account: Account
    at_ns: int


class OrderIntended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order passed the gate and is reserved; written before it is sent."""

    client_order_id: ClientOrderId
    strategy: str
    """Empty for orders that belong to no strategy (EXTERNAL)."""
    spec: OrderSpec
    origin: Origin
    role: Role
    deadline_at_ns: int
    at_ns: int
    exit: bool = False
    why: str = ""
    parent: str = ""
    """Client order id of the order that this one protects or replaces."""
    group: str = ""
    """Orders of one group cancel each other (OCO)."""
    lot: str = ""
    protect: Protect | None = None
    reference: Decimal | None = None
    """The price that the gate reserved at when the order has none."""
    held: bool = False
    """The engine keeps it until its trigger price is reached; nothing is at the venue."""
    input: str = ""
    """The event that led to it, in a few words; see `engine.inputs`."""
    for_target: bool = False
    """Whether it works for its strategy's target, so that a restart does not take another order for it."""


class OrderReleased(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A held order was triggered and passed the gate again; `spec` is what is sent."""

    client_order_id: ClientOrderId
    spec: OrderSpec
    deadline_at_ns: int
    at_ns: int
    exit: bool | None = None
    """What it is now, with the book as it is; None in older journals: as it was intended."""


class AmendIntended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A change of a working order passed the gate; the larger of old and new is reserved."""

    client_order_id: ClientOrderId
    operation: int
    quantity: Decimal
    price: Decimal | None
    at_ns: int
    exit: bool | None = None
    """What the order is with it; None in older journals: as it was intended."""


class CancelIntended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A cancel is on its way; operation 0: it is wanted, and leaves once the write in flight is settled."""

    client_order_id: ClientOrderId
    operation: int
    at_ns: int
    why: str = ""


class OperationSentRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The bytes of a write may have left."""

    client_order_id: ClientOrderId
    operation: int
    at_ns: int


class OperationLost(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The outcome of a write is unknown; its worst case stays reserved."""

    client_order_id: ClientOrderId
    operation: int
    cause: str
    at_ns: int


class OperationSettled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The outcome of a write is known: `result` is ``accepted``, ``rejected``, ``not_executed`` or ``scheduled``."""

    client_order_id: ClientOrderId
    operation: int
    kind: OperationKind
    result: str
    at_ns: int
    code: str = ""
    detail: str = ""
    by: str = "venue"


class OrderAcknowledged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The venue named an order (or a replacement of it)."""

    client_order_id: ClientOrderId
    venue_order_id: str
    at_ns: int


class OrderAmended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The venue shows new terms."""

    client_order_id: ClientOrderId
    quantity: Decimal
    price: Decimal | None
    at_ns: int


class OrderMoved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order's state changed without a fill, by the transition table."""

    client_order_id: ClientOrderId
    trigger: Trigger
    at_ns: int
    reason: str = ""


class FillRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An execution was booked. `cumulative` is the order's filled quantity with it."""

    client_order_id: ClientOrderId
    strategy: str
    instrument: InstrumentId
    side: Side
    fill: Fill
    cumulative: Decimal
    at_ns: int
    opened_at: Decimal | None = None
    """Open price of the lot that it closed, where one order opened that lot; else the book's average counts."""
    settled: tuple[str, Decimal] | None = None
    """(currency, signed amount) that moves a margin account, by our rate, where the venue settles in another currency
    than the instrument and does not tell the amount."""
    earned: tuple[str, Decimal] | None = None
    """(currency, signed amount) for which the venue exchanged what the strategy's book realised by it, if for another."""


class FillCorrected(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A booked execution's price or fees are known better: moves profit, never quantity."""

    client_order_id: ClientOrderId
    strategy: str
    instrument: InstrumentId
    side: Side
    before: Fill
    after: Fill
    at_ns: int


class RequestDenied(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The gate said no. Every field is data: nothing here is free text but `why` and `detail`."""

    strategy: str
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    code: str
    control: int
    """Number of the control in the list of 36."""
    scope: str
    limit: str
    observed: str
    at_ns: int
    why: str = ""
    client_order_id: str = ""
    input: str = ""
    """The event that led to it, in a few words; see `engine.inputs`."""


class ExternalOrderSeen(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An order at the venue that we did not send was taken into the books.

    As EXTERNAL, except for one that can only close a lot (an exit that hangs on it, a close-out): it is booked on whose
    lot it is.
    """

    client_order_id: ClientOrderId
    venue_order_id: str
    spec: OrderSpec
    filled_quantity: Decimal
    at_ns: int
    strategy: str = ""
    lot: str = ""
    entry: str = ""
    """Client order id of the order that opened the lot."""
    role: Role = Role.ENTRY


class PositionAdjusted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A book was moved to meet the venue's truth; an invented record, marked as such."""

    instrument: InstrumentId
    quantity: Decimal
    """Signed change."""
    price: Decimal
    why: str
    at_ns: int
    strategy: str = ""
    """Whose book: EXTERNAL's, unless it is a strategy's own lot that changed."""


class BalancesRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A venue's balances differed from the last that were recorded."""

    venue: str
    balances: tuple[Balance, ...]
    asked_at_ns: int
    at_ns: int
    margin_used: Decimal | None = None
    margin_available: Decimal | None = None
    lots: tuple[Lot, ...] | None = None
    """All open lots, where the venue told all of them."""


class CashFlowRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Money moved without a trade."""

    flow: CashFlow
    at_ns: int


class StateSet(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A scope's latched trading state was set or cleared, by whom and why."""

    scope: str
    state: TradingState
    by: str
    why: str
    generation: int
    at_ns: int


class TargetSet(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A strategy wants its book of an instrument at `quantity`; None ends the wish."""

    strategy: str
    instrument: InstrumentId
    quantity: Decimal | None
    how: How
    expires_at_ns: int
    at_ns: int
    why: str = ""
    protect: Protect | None = None
    input: str = ""
    """The event that led to it, in a few words; see `engine.inputs`."""


class DayStarted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Daily counts and losses began anew; profit so far by scope, in the base currency."""

    day: str
    profits: dict[str, Decimal]
    at_ns: int


class PeaksRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Highest profit so far by scope, in the base currency."""

    peaks: dict[str, Decimal]
    at_ns: int


class TimerRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A timer fired; a restart does not fire it twice."""

    strategy: str
    name: str
    scheduled_at_ns: int
    at_ns: int


class CursorMoved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A connector's place in a venue's history, a ban, a daily count: text under a name, kept over restarts."""

    venue: str
    name: str
    value: str
    at_ns: int


class Reconciled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Our books were compared with a venue's; `differences` by kind."""

    venue: str
    differences: dict[str, int]
    at_ns: int


class OperatorActionRecorded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Someone asked for something through the control API; what came of it follows in the journal. See the event."""

    request: str
    by: str
    action: str
    detail: str
    result: str
    at_ns: int


Fact = (
    RunStarted
    | InstrumentRecorded
    | AccountRecorded
    | OrderIntended
    | OrderReleased
    | AmendIntended
    | CancelIntended
    | OperationSentRecorded
    | OperationLost
    | OperationSettled
    | OrderAcknowledged
    | OrderAmended
    | OrderMoved
    | FillRecorded
    | FillCorrected
    | RequestDenied
    | ExternalOrderSeen
    | PositionAdjusted
    | BalancesRecorded
    | CashFlowRecorded
    | StateSet
    | TargetSet
    | ProtectionHeld
    | ProtectionIntended
    | ProtectionSettled
    | ProtectionOverdue
    | DayStarted
    | PeaksRecorded
    | DayProfitsRecorded
    | MarksRecorded
    | StrategySaved
    | TimerRecorded
    | CursorMoved
    | StrategyFaulted
    | StrategyRenewed
    | StrategyReloaded
    | LimitsSet
    | SoftLimitCrossed
    | Reconciled
    | OperatorActionRecorded
)
"""One record of the journal."""

EXTERNAL = ""
"""The strategy name of what no strategy did."""
