"""What the engine asks the world to do; imperatives, complete, with derived ids.

The executor hands them to a connector in order. `operation` counts the writes of one order, so that an outcome names
exactly one of them.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId, OrderSpec


class Submit(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Place an order. Not sent after `deadline_at_ns` (wall time)."""

    client_order_id: ClientOrderId
    operation: int
    spec: OrderSpec
    deadline_at_ns: int
    halt_generation: int
    """The halt latch as the gate saw it; a newer one stops the order just before it leaves."""
    protection: LotProtection | None = None
    """Exits for the venue to attach, where it holds them."""
    exit: bool = False
    """Reduces exposure: passes in REDUCING."""

    @property
    def instrument(self) -> InstrumentId:
        """The instrument of the order."""
        return self.spec.instrument


class Amend(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Change a working order; `quantity` is the new total. None leaves a term as it is."""

    client_order_id: ClientOrderId
    operation: int
    instrument: InstrumentId
    venue_order_id: str
    spec: OrderSpec
    """The terms after the change."""
    deadline_at_ns: int
    halt_generation: int
    quantity: Decimal | None = None
    price: Decimal | None = None


class Cancel(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Cancel an order; adds no exposure and may leave at any time."""

    client_order_id: ClientOrderId
    operation: int
    instrument: InstrumentId
    venue_order_id: str
    """Empty when the order's submit is unanswered and only our id is known."""


class CancelAll(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Cancel all our working orders at a venue, or of one instrument."""

    venue: str
    instrument: InstrumentId | None = None


class CloseLot(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Close a lot; `quantity` None closes all of it."""

    client_order_id: ClientOrderId
    operation: int
    instrument: InstrumentId
    lot: str
    quantity: Decimal | None
    deadline_at_ns: int
    halt_generation: int


class SetProtection(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Replace the exits that the venue holds for a lot; None in a field removes that exit."""

    client_order_id: ClientOrderId
    operation: int
    instrument: InstrumentId
    lot: str
    protection: LotProtection


Command = Submit | Amend | Cancel | CancelAll | CloseLot | SetProtection


def venue_of(command: Command) -> str:
    """Return the venue that a command goes to."""
    if isinstance(command, CancelAll):
        return command.venue
    return command.instrument.partition(":")[0]
