"""Facts of protection: which exits are wanted, what venues were asked to hold, and what stood without its stop too long.

Part of the closed union in `facts`.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId, Role


class ProtectionHeld(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The engine holds exits for a book: prices in quote currency, `quantity` that they guard. Zero ends it."""

    strategy: str
    instrument: InstrumentId
    parent: ClientOrderId
    quantity: Decimal
    """Signed as the position that is guarded."""
    stop: Decimal | None
    take: Decimal | None
    trail: Decimal | None
    mark: Decimal | None
    """Best price since the entry, for the trailing stop."""
    at_ns: int
    due: Role | None = None
    """The stop or trail that was reached: it stays reached, whatever the price does, until the position is closed."""


class ProtectionIntended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The venue is asked to hold these exits for a lot, instead of those that it holds; written before it is sent."""

    client_order_id: ClientOrderId
    """Names the write; there is no order of this id."""
    strategy: str
    instrument: InstrumentId
    entry: str
    """Client order id of the order that opened the lot."""
    lot: str
    protection: LotProtection
    at_ns: int


class ProtectionSettled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What became of setting a lot's exits: ``accepted``, ``rejected``, ``not_executed`` or ``unknown``."""

    client_order_id: ClientOrderId
    result: str
    at_ns: int
    code: str = ""


class ProtectionOverdue(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A position has stood without its stop for too long, its market being open; `action` is what was done."""

    strategy: str
    instrument: InstrumentId
    entry: str
    reason: str
    """See `engine.nakedness`."""
    seconds: float
    action: str
    """``alert``, ``exit`` or ``halt``; ``over`` once it is covered or closed."""
    at_ns: int
