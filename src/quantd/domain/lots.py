"""Lots: what a venue says that an account holds.

A netting venue without trade ids has one lot for each instrument; a hedging venue has one for each trade.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Side


class LotProtection(msgspec.Struct, frozen=True, gc=False):
    """Exits that the venue holds for a lot; prices, and the distance of a trailing stop."""

    stop: Decimal | None = None
    take: Decimal | None = None
    trail: Decimal | None = None


class Lot(msgspec.Struct, frozen=True, gc=False):
    """A held quantity with one open price."""

    venue_id: str
    """The venue's trade or position id; the symbol where it has none."""
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    open_price: Decimal
    protection: LotProtection = LotProtection()
    tag: str = ""
    """Our id where the venue carries one."""
    opened_at_ns: int | None = None
    """For venues that want the oldest lot closed first."""

    @property
    def signed(self) -> Decimal:
        """Quantity, negative when sold."""
        return self.quantity if self.side is Side.BUY else -self.quantity
