"""Everything that can happen to the engine: one closed union of past-tense facts from outside.

Each carries `received_at_ns`, stamped by the runner: the engine's time is the event's time.
"""

from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec

from quantd.domain.cash import Account, CashFlow
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.orders import ClientOrderId, How, Side
from quantd.domain.outcomes import Outcome, Resolution
from quantd.domain.reports import AccountSnapshot, OrderReport

ALL: Final = "all"
"""The scope of everything. Others: ``venue:NAME``, ``strategy:ID``, ``instrument:ID``."""


class TradingState(Enum):
    """What may be sent: everything, only what reduces exposure, only cancels."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class InstrumentListed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Rules of an instrument became known or changed (higher version)."""

    instrument: Instrument
    received_at_ns: int


class AccountOpened(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What an account is was read."""

    account: Account
    received_at_ns: int


class OperationSent(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A command passed the last look; its bytes may leave now."""

    client_order_id: ClientOrderId
    operation: int
    received_at_ns: int


class OutcomeReceived(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What became of a write."""

    client_order_id: ClientOrderId
    operation: int
    outcome: Outcome
    received_at_ns: int


class OperationResolved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What was found out about a write whose outcome was unknown."""

    client_order_id: ClientOrderId
    operation: int
    resolution: Resolution
    received_at_ns: int
    by: str = "venue"
    """``venue``, or the name of the operator who decided."""


class CashMoved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A cash flow was seen at a venue."""

    flow: CashFlow
    received_at_ns: int


class TimerFired(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A schedule of a strategy came due."""

    strategy: str
    name: str
    scheduled_at_ns: int
    received_at_ns: int


class DayRolled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A trading day ended; daily counts and losses start anew."""

    day: str
    """The new day's name, ISO date in the configured time zone."""
    received_at_ns: int


class JobDone(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Slow work that a strategy gave away has ended; `result` is msgspec-encoded JSON."""

    strategy: str
    name: str
    result: bytes
    received_at_ns: int
    error: str = ""


class TimePassed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The runner's regular tick: deadlines, retries and triggers that need no market event."""

    received_at_ns: int


class ClockJumped(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The wall clock moved against the monotonic one by `by_ns`; pauses new exposure."""

    by_ns: int
    received_at_ns: int


ACCOUNT_CAUSE = "account"
"""`VenueChanged.cause`: the account is not up, or does not answer."""
CREDENTIALS_CAUSE = "credentials"
"""`VenueChanged.cause`: a write was refused for who we are; only a write that is taken, or a person, shows that it is over."""


class VenueChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One cause came, or went, why a venue takes exits only; it takes entries again once no cause is left."""

    venue: str
    state: TradingState
    """`ACTIVE` ends the cause; both others mean exits only."""
    reason: str
    received_at_ns: int
    cause: str = ""
    """Whose word it is: one of the two above, ``feed ENDPOINT`` or ``task NAME``; it says nothing about another's. Input
    logs from before there were causes have none, and mean one for all."""


class CursorAdvanced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A connector's place in a history, a ban, the ids of deliveries: text to be kept over restarts."""

    venue: str
    name: str
    value: str
    received_at_ns: int


class StrategyInterrupted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A callback of a strategy overran its deadline in the live run; stands in the input log before the event that it
    came of, and replay cuts that callback at the same place. With `callback` 0 the strategy is quarantined at once.
    """

    strategy: str
    reason: str
    received_at_ns: int
    hook: str = "callback"
    callback: int = 0
    """Which of the strategy's callbacks since the run began, from 1."""
    acts: int = 0
    """Orders, targets, cancels and jobs that it had finished by then; they stand."""


class StrategyStarted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A strategy may trade: warmed up, its venues ready."""

    strategy: str
    received_at_ns: int


class StrategiesReplaced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A person has strategies begin anew with changed code or parameters; the objects were handed over before."""

    sources: dict[str, str]
    """Strategy id -> hash of its source file."""
    what: dict[str, str]
    """Strategy id -> what changed, for people."""
    config_hash: str
    by: str
    received_at_ns: int


class Stopping(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The daemon is about to stop: no new entries from now on, each strategy's `on_stop` is called."""

    reason: str
    received_at_ns: int


class ShutDown(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What was under way is settled, or its time is over: `at_shutdown` of each strategy applies."""

    received_at_ns: int


class HaltOrdered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Someone, or a control, ordered a trading state for a scope; latched until a named person clears it."""

    scope: str
    """``all``, ``venue:NAME``, ``strategy:ID`` or ``instrument:ID``."""
    state: TradingState
    by: str
    why: str
    generation: int
    received_at_ns: int


class Resumed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A named person cleared a scope."""

    scope: str
    by: str
    why: str
    received_at_ns: int


class LimitsChanged(msgspec.Struct, frozen=True, tag=True):
    """A named person sets limits of one scope, or takes back what was set."""

    scope: str
    """``order``, ``account``, ``strategy:ID``, ``instrument:ID`` or ``venue:NAME``."""
    limits: str
    """JSON object of limits by name; null takes a limit back to what is configured."""
    by: str
    why: str
    received_at_ns: int


class CancelOrdered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An operator wants all working orders of a scope cancelled."""

    scope: str
    by: str
    received_at_ns: int


class FlattenOrdered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An operator or a control wants the positions of a scope closed."""

    scope: str
    by: str
    why: str
    received_at_ns: int


class OrderOrdered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An operator's own order; it passes the gate like any other."""

    instrument: InstrumentId
    side: Side
    quantity: Decimal
    how: How
    by: str
    received_at_ns: int
    why: str = ""


class OperatorActed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Someone asked for something through the control API, or was refused it; told before what follows from it."""

    request: str
    """Id of the request, unique within a run; empty for refusals."""
    by: str
    """Name of the token that was shown."""
    action: str
    """A bounded name: ``halt``, ``resume``, ``cancel``, ``flatten``, ``order``, ``reconcile``."""
    detail: str
    """What was asked for, as JSON; never holds a secret."""
    result: str
    """``accepted``, or a bounded name of why it was refused."""
    received_at_ns: int


class ReconcileAction(Enum):
    """What a difference between us and the venue is answered with."""

    ADOPT = "adopt"
    CLOSE = "close"
    IGNORE = "ignore"
    REFUSE = "refuse"


class ReconcileOrdered(msgspec.Struct, frozen=True, tag=True):
    """A snapshot to be compared with our books; what it shows as the one before did is repaired by policy."""

    snapshot: AccountSnapshot
    policy: ReconcileAction
    received_at_ns: int
    instruments: dict[str, ReconcileAction] = {}
    """By instrument id, where the answer is another."""
    agreed_at_ns: int = 0
    """When an earlier look was asked for that showed the same plan, where a person has seen and confirmed it."""


MarketEvent = Quote | Bar | Book | StatusChanged
Event = (
    Quote
    | Bar
    | Book
    | StatusChanged
    | InstrumentListed
    | AccountOpened
    | AccountSnapshot
    | OrderReport
    | OperationSent
    | OutcomeReceived
    | OperationResolved
    | CashMoved
    | TimerFired
    | DayRolled
    | JobDone
    | TimePassed
    | ClockJumped
    | VenueChanged
    | CursorAdvanced
    | StrategyInterrupted
    | StrategyStarted
    | StrategiesReplaced
    | Stopping
    | ShutDown
    | HaltOrdered
    | Resumed
    | LimitsChanged
    | CancelOrdered
    | FlattenOrdered
    | OrderOrdered
    | OperatorActed
    | ReconcileOrdered
)
"""What `Engine.handle` takes."""

__all__ = [
    "ALL",
    "AccountOpened",
    "AccountSnapshot",
    "Bar",
    "Book",
    "CancelOrdered",
    "CashMoved",
    "ClockJumped",
    "CursorAdvanced",
    "DayRolled",
    "Event",
    "FlattenOrdered",
    "HaltOrdered",
    "InstrumentListed",
    "JobDone",
    "LimitsChanged",
    "MarketEvent",
    "OperationResolved",
    "OperationSent",
    "OperatorActed",
    "OrderOrdered",
    "OrderReport",
    "OutcomeReceived",
    "Quote",
    "ReconcileAction",
    "ReconcileOrdered",
    "Resumed",
    "ShutDown",
    "StatusChanged",
    "Stopping",
    "StrategiesReplaced",
    "StrategyInterrupted",
    "StrategyStarted",
    "TimePassed",
    "TimerFired",
    "TradingState",
    "VenueChanged",
]
