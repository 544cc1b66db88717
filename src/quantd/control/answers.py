"""What the control API answers when it is read: one Struct for each answer, from which its OpenAPI document is made as well.

Amounts are decimal text, times integer nanoseconds UTC, strategies by id (empty: EXTERNAL, what no strategy did),
instruments ``venue:SYMBOL``. Holds no behaviour. What actions answer stands in `action_answers`.
"""

from decimal import Decimal
from typing import Any

import msgspec


class VenueView(msgspec.Struct, frozen=True):
    """One venue."""

    name: str
    kind: str
    ready: bool
    reason: str
    """Why it is not ready."""
    trading_state: str
    equity: Decimal | None
    """In the base currency; none while a rate is missing, and before the account was asked."""


class StrategyView(msgspec.Struct, frozen=True):
    """One strategy."""

    id: str
    state: str
    """``quarantined``, ``warming_up``, or the trading state: ``active``, ``reducing``, ``halted``."""
    started: bool
    warm: bool
    fault: str
    """Why it is quarantined."""
    instruments: tuple[str, ...]
    open_orders: int
    profit: Decimal | None
    """Since the journal began, unrealised included, in the base currency."""


class LatchView(msgspec.Struct, frozen=True):
    """A scope that is not active."""

    scope: str
    state: str
    by: str
    why: str
    at_ns: int


class BudgetView(msgspec.Struct, frozen=True):
    """What is left of a rate limit."""

    venue: str
    limit: str
    left: float
    """0 to 1."""


class FeedView(msgspec.Struct, frozen=True):
    """How fresh an instrument's market data is."""

    instrument: str
    market: str
    """Status of the market."""
    last: float
    age_s: float | None
    """Seconds since the last price; none before the first."""


class Status(msgspec.Struct, frozen=True):
    """The daemon at a glance."""

    version: str
    config_hash: str
    journal_id: str
    epoch: int
    now_ns: int
    ready: bool
    reasons: tuple[str, ...]
    """Why it is not ready; its phase (``starting``, ``stopping``) stands first."""
    venues: tuple[VenueView, ...]
    strategies: tuple[StrategyView, ...]
    failures: tuple[str, ...]
    """Strategies that could not be loaded."""
    latches: tuple[LatchView, ...]
    base_currency: str
    equity: Decimal | None
    profit: Decimal | None
    """Since the journal began."""
    profit_today: Decimal | None
    open_orders: int
    unknown_outcomes: int
    budgets: tuple[BudgetView, ...]
    feeds: tuple[FeedView, ...]


class OrderView(msgspec.Struct, frozen=True):
    """One order."""

    client_order_id: str
    strategy: str
    instrument: str
    side: str
    kind: str
    quantity: str
    price: str | None
    trigger: str | None
    state: str
    filled: str
    operation: str | None
    """The write in flight and its phase, such as ``cancel unknown``; ``held`` while the engine keeps it."""
    venue_order_id: str
    origin: str
    role: str
    parent: str
    why: str
    reason: str
    """Why it ended, or why its last write was refused."""
    created_at_ns: int


class Orders(msgspec.Struct, frozen=True):
    """A page of orders."""

    orders: tuple[OrderView, ...]
    next: str = ""
    """Give it as `before` for the next page; empty at the end."""


class FillView(msgspec.Struct, frozen=True):
    """One execution."""

    client_order_id: str
    fill_id: str
    strategy: str
    instrument: str
    side: str
    quantity: str
    price: str
    quality: str
    liquidity: str
    fees: tuple[tuple[str, str], ...]
    """(asset, amount); positive amounts are costs."""
    at_ns: int
    seq: int


class Fills(msgspec.Struct, frozen=True):
    """A page of fills, newest first."""

    fills: tuple[FillView, ...]
    next: str = ""


class PositionView(msgspec.Struct, frozen=True):
    """One book: what a strategy holds of an instrument."""

    strategy: str
    instrument: str
    quantity: Decimal
    """Signed."""
    average_price: Decimal | None
    price: Decimal | None
    """Latest market price."""
    value: Decimal | None
    """In the base currency, signed."""
    unrealised: Decimal | None
    """In the settlement currency, as `realised`."""
    realised: Decimal
    costs: dict[str, Decimal]
    """Fees and financing in other currencies than that, by asset; no part of `realised`. Profit that the venue has changed into
    the account's currency stands as paid in that of settlement and, below 0, as received in the other."""
    currency: str
    target: Decimal | None
    """Where the book is to go."""


class Positions(msgspec.Struct, frozen=True):
    """All books that hold or have held something."""

    positions: tuple[PositionView, ...]


class BalanceView(msgspec.Struct, frozen=True):
    """One asset at one venue."""

    venue: str
    asset: str
    total: Decimal
    free: Decimal
    reserved: Decimal
    """By our open orders, worst case."""
    foreign: Decimal
    """Locked by others' orders."""


class AccountView(msgspec.Struct, frozen=True):
    """One account."""

    venue: str
    kind: str
    asked_at_ns: int
    """When the venue was asked last; 0: never."""
    equity: Decimal | None
    margin_used: Decimal | None
    margin_available: Decimal | None


class Balances(msgspec.Struct, frozen=True):
    """What the accounts hold."""

    accounts: tuple[AccountView, ...]
    balances: tuple[BalanceView, ...]


class LimitView(msgspec.Struct, frozen=True):
    """One limit that binds in one scope."""

    scope: str
    name: str
    value: str
    used: str | None
    """How much of it is used now, worst case; none where that is counted for each order."""


class LimitList(msgspec.Struct, frozen=True):
    """The limits in effect."""

    base_currency: str
    limits: tuple[LimitView, ...]


class DenialView(msgspec.Struct, frozen=True):
    """A no of the risk gate."""

    seq: int
    """Number of the record in the journal."""
    at_ns: int
    strategy: str
    instrument: str
    side: str
    quantity: str
    code: str
    control: int
    scope: str
    limit: str
    observed: str
    why: str
    client_order_id: str


class Denials(msgspec.Struct, frozen=True):
    """A page of denials, newest first."""

    denials: tuple[DenialView, ...]
    next: str = ""
    archived: int = 0
    """On the last page: records up to this number were moved into the journal's archive and not looked at."""


class Step(msgspec.Struct, frozen=True):
    """One record of a chain."""

    seq: int
    at_ns: int
    kind: str
    """Name of the fact."""
    summary: str
    """One sentence."""
    fact: dict[str, Any]


class OrderChain(msgspec.Struct, frozen=True):
    """An order from its reason to its fills."""

    client_order_id: str
    run: dict[str, Any] | None
    """The run that intended it: version, hash of the configuration and of the strategy's source."""
    steps: tuple[Step, ...]
    truncated: bool
    """Whether there are more steps than are shown."""
    archived: int = 0
    """Above 0: earlier steps may lie in the journal's archive, which holds the records up to this number."""


class StrategyChain(msgspec.Struct, frozen=True):
    """Why a strategy does what it does, or does not."""

    strategy: str
    state: str
    blockers: tuple[str, ...]
    """What keeps it from trading now; empty when nothing does."""
    steps: tuple[Step, ...]
    """Its latest decisions, newest last: what was sent and what was denied."""
