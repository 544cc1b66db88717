"""The lots of hedging accounts: which are open, and whose fill opened them.

Kept by the state from fills and snapshots. On a hedging account an opposite order would open another lot, so what
reduces a book is the closing of its lots, oldest first.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import Side


class HeldLot(msgspec.Struct, frozen=True):
    """One open lot and the strategy that it belongs to; empty for EXTERNAL."""

    lot: Lot
    strategy: str


class Lots:
    """Open lots of one account, oldest first."""

    def __init__(self) -> None:
        self._lots: dict[str, HeldLot] = {}

    def filled(self, strategy: str, instrument: InstrumentId, side: Side, fill: Fill, closes: str) -> None:
        """Book a fill: it opens or adds to the lot that it names, or shrinks the lot that its order closes."""
        held = self._lots.get(closes or fill.lot)
        if closes:
            if held is not None:
                self._resize(held, held.lot.quantity - fill.quantity)
        elif held is None:
            lot = Lot(fill.lot, instrument, side, fill.quantity, fill.price, opened_at_ns=fill.occurred_at_ns)
            self._lots[fill.lot] = HeldLot(lot, strategy)
        elif strategy and not held.strategy:
            # A snapshot showed the lot before its fill was told: the lot is whose fill it is, and not counted twice.
            lot = msgspec.structs.replace(held.lot, quantity=max(held.lot.quantity, fill.quantity))
            self._lots[lot.venue_id] = HeldLot(lot, strategy)
        else:
            self._resize(held, held.lot.quantity + fill.quantity)

    def _resize(self, held: HeldLot, quantity: Decimal) -> None:
        if quantity > 0:
            lot = msgspec.structs.replace(held.lot, quantity=quantity)
            self._lots[lot.venue_id] = HeldLot(lot, held.strategy)
        else:
            del self._lots[held.lot.venue_id]

    def replace(self, lots: Iterable[Lot]) -> None:
        """Take in the venue's word; owners are remembered, unknown lots belong to EXTERNAL."""
        known = self._lots
        lots = sorted(lots, key=_age)
        self._lots = {
            lot.venue_id: HeldLot(lot, known[lot.venue_id].strategy if lot.venue_id in known else "") for lot in lots
        }

    def restore(self, held: Iterable[HeldLot]) -> None:
        """Take over what a snapshot of the journal holds."""
        self._lots = {one.lot.venue_id: one for one in held}

    def all(self) -> tuple[HeldLot, ...]:
        """Return all lots, oldest first."""
        return tuple(self._lots.values())

    def to_close(self, strategy: str, instrument: InstrumentId, side: Side, busy: Iterable[str]) -> Lot | None:
        """Return the oldest lot of a strategy that an order of `side` would reduce and that nothing closes yet."""
        taken = set(busy)
        for held in self._lots.values():
            lot = held.lot
            if (
                held.strategy == strategy
                and lot.instrument == instrument
                and lot.side is not side
                and lot.venue_id not in taken
            ):
                return lot
        return None


def _age(lot: Lot) -> tuple[bool, int, int, str]:
    """Order lots by their opening; where a venue does not tell it, by id, numbers as numbers."""
    number = int(lot.venue_id) if lot.venue_id.isdecimal() else 0
    return (lot.opened_at_ns is None, lot.opened_at_ns or 0, number, lot.venue_id)
