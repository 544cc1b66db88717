"""What the control API answers to an action: one Struct for each, from which its OpenAPI document is made as well.

Units as in `answers`. Holds no behaviour.
"""

from decimal import Decimal

import msgspec

from quantd.control.answers import OrderView


class HaltAnswer(msgspec.Struct, frozen=True):
    """A scope's trading state after a change."""

    request: str
    done: bool
    """Whether the engine has confirmed it within the time of the request; it will follow otherwise."""
    scope: str
    state: str
    by: str


class CancelAnswer(msgspec.Struct, frozen=True):
    """What is being cancelled."""

    request: str
    done: bool
    scope: str
    orders: tuple[str, ...]
    """Client order ids that were open in the scope."""


class ClosingView(msgspec.Struct, frozen=True):
    """A book that flattening closes."""

    strategy: str
    instrument: str
    quantity: Decimal
    value: Decimal | None
    """In the base currency."""


class FlattenAnswer(msgspec.Struct, frozen=True):
    """What flattening does, before it is confirmed and after."""

    scope: str
    executed: bool
    confirm: str
    """Send it back within 60 seconds to have it done; empty afterwards."""
    expires_at_ns: int
    orders: tuple[str, ...]
    """Orders that are cancelled."""
    positions: tuple[ClosingView, ...]
    halted: tuple[str, ...]
    """Scopes whose halt keeps the exits here; what they cover is closed only once they are resumed or reducing."""
    request: str = ""
    done: bool = False


class OrderAnswer(msgspec.Struct, frozen=True):
    """An order that passed the gate."""

    request: str
    done: bool
    client_order_id: str
    """Empty while `done` is false: ask for the orders."""
    order: OrderView | None


class DifferenceView(msgspec.Struct, frozen=True):
    """One thing in which our books and the venue do not agree."""

    kind: str
    subject: str
    ours: str
    theirs: str
    action: str
    """What it is answered with, once a second look shows it too."""


class ReconcileAnswer(msgspec.Struct, frozen=True):
    """The plan of differences, and whether it was applied."""

    venue: str
    asked_at_ns: int
    differences: tuple[DifferenceView, ...]
    applied: str
    """The policy that was applied; empty: nothing was."""
    plan: str
    """Digest of the differences; to apply them takes it."""
    left: tuple[DifferenceView, ...]
    """What was not applied though it was planned: something happened in its instrument since the plan, or happens there now.
    It is looked at again by itself; ask for the plan anew."""
    request: str = ""
    done: bool = False
    """Whether it was applied, but for what is `left`."""


class ResolveAnswer(msgspec.Struct, frozen=True):
    """A write whose outcome was unknown, and what a person says of it."""

    request: str
    done: bool
    order: OrderView
    by: str


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    """What the dead-man's switch makes of a sign of life."""

    limit_s: float
    """Silence that is allowed, in seconds."""
    silent_s: float
    """How long the silence was that this ended."""
    state: str
    """Trading state of the scope `all`: a switch that has been thrown stays so until a person resumes."""
