"""The lots of margin accounts: which are open, which order opened them, and what the venue holds for them.

Kept by the state from fills, snapshots and what became of setting exits. On a hedging account an opposite order would
open another lot, so what reduces a book there is the closing of its lots, oldest first.
"""

from collections.abc import Collection, Iterable
from decimal import Decimal

import msgspec

from quantd.domain.facts import FillCorrected, FillRecorded
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Side
from quantd.engine.orders import OrderBlotter

_GONE_MAX = 512
"""Lots remembered after their end."""


class HeldLot(msgspec.Struct, frozen=True):
    """One open lot and the strategy that it belongs to; empty for EXTERNAL."""

    lot: Lot
    strategy: str
    entry: str = ""
    """Client order id of the order that opened it; empty where it is not known."""
    shown_at_ns: int = 0
    """When the venue was asked for the snapshot that showed it last; 0 before the first."""
    set_at_ns: int = 0
    """When the venue last took exits for it from us, or may have: a snapshot asked for before knows them not yet."""
    is_unknown: bool = False
    """Whether a write of its exits went unanswered, and no snapshot has shown since what became of it."""


class Lots:
    """Open lots of one account, oldest first."""

    def __init__(self) -> None:
        self._lots: dict[str, HeldLot] = {}
        self._gone: dict[str, HeldLot] = {}
        """Lots that are closed, or that a snapshot showed no more: a report of what closed them may still be on its way."""

    def filled(self, fact: FillRecorded, closes: str) -> None:
        """Book a fill: it opens or adds to the lot that it names, or shrinks the lot that it or its order closes.

        Args:
            fact: The fill, its order and whose that is.
            closes: The lot that the order closes, empty where it closes none in particular.
        """
        fill, side = fact.fill, fact.side
        held = self._lots.get(closes or fill.lot)
        if held is not None and held.lot.side is not side:
            self._shrink(held, fill.quantity)
        elif held is not None and fact.strategy and not held.strategy:
            # A snapshot showed the lot before its fill was told: the lot is whose fill it is, and not counted twice.
            lot = msgspec.structs.replace(held.lot, quantity=max(held.lot.quantity, fill.quantity))
            owned = msgspec.structs.replace(held, lot=lot, strategy=fact.strategy, entry=fact.client_order_id)
            self._lots[lot.venue_id] = owned
        elif (
            held is not None
            and held.entry == fact.client_order_id
            and held.lot.quantity + fill.quantity > fact.cumulative
        ):
            # Shown before its fill was told, and known for ours by its tag: no lot is larger than what opened it.
            self._put(held, msgspec.structs.replace(held.lot, quantity=fact.cumulative))
        elif held is not None:
            lot, quantity = held.lot, held.lot.quantity + fill.quantity
            price = (lot.open_price * lot.quantity + fill.price * fill.quantity) / quantity
            self._put(held, msgspec.structs.replace(lot, quantity=quantity, open_price=price))
        elif not closes:
            self._open(fact)

    def _open(self, fact: FillRecorded) -> None:
        """Book a fill of a lot that is not known to be open: it opens it, or closed it before its opening was told."""
        fill, gone = fact.fill, self._gone.get(fact.fill.lot)
        lot = Lot(fill.lot, fact.instrument, fact.side, fill.quantity, fill.price, opened_at_ns=fill.occurred_at_ns)
        if gone is None and fill.settled is not None and fill.settled[1]:
            # Only what closes brings profit or loss. What it opened is told later: then as much less is open.
            self._remember(HeldLot(msgspec.structs.replace(lot, side=fact.side.opposite), fact.strategy))
        elif gone is None:
            self._lots[fill.lot] = HeldLot(lot, fact.strategy, fact.client_order_id)
        elif gone.entry or gone.shown_at_ns:
            return  # what opened it is known, or what it held when it went: of what was closed that says nothing
        elif gone.lot.side is not fact.side:
            closed = msgspec.structs.replace(gone.lot, quantity=gone.lot.quantity + fill.quantity)
            self._remember(msgspec.structs.replace(gone, lot=closed))
        elif gone.strategy in ("", fact.strategy):  # whose lot it was nobody knew, where another closed it
            left = fill.quantity - gone.lot.quantity
            if left > 0:
                del self._gone[fill.lot]
                opened = msgspec.structs.replace(lot, quantity=left)
                self._lots[fill.lot] = HeldLot(opened, fact.strategy, fact.client_order_id)
            elif left < 0:
                rest = msgspec.structs.replace(gone.lot, quantity=-left)
                self._gone[fill.lot] = HeldLot(rest, fact.strategy)
            else:
                self._gone[fill.lot] = HeldLot(gone.lot, fact.strategy, fact.client_order_id)

    def corrected(self, fact: FillCorrected) -> None:
        """Let a lot have the price that is known now of a fill that opened it, unless the venue has shown its own since."""
        before, held = fact.before, self._lots.get(fact.before.lot)
        if held is None or held.shown_at_ns or held.lot.side is not fact.side:
            return
        lot = held.lot
        moved = (fact.after.price - before.price) * min(before.quantity, lot.quantity) / lot.quantity
        self._put(held, msgspec.structs.replace(lot, open_price=lot.open_price + moved))

    def _shrink(self, held: HeldLot, by: Decimal) -> None:
        if held.lot.quantity > by:
            self._put(held, msgspec.structs.replace(held.lot, quantity=held.lot.quantity - by))
        else:
            del self._lots[held.lot.venue_id]
            self._remember(held)

    def _put(self, held: HeldLot, lot: Lot) -> None:
        self._lots[lot.venue_id] = msgspec.structs.replace(held, lot=lot)

    def protected(self, lot_id: str, protection: LotProtection, at_ns: int) -> None:
        """Note that the venue took exits for a lot."""
        held = self._lots.get(lot_id)
        if held is not None:
            lot = msgspec.structs.replace(held.lot, protection=protection)
            self._lots[lot_id] = msgspec.structs.replace(held, lot=lot, set_at_ns=at_ns, is_unknown=False)

    def lost(self, lot_id: str, at_ns: int) -> None:
        """Note that the venue may have taken exits for a lot."""
        held = self._lots.get(lot_id)
        if held is not None:
            self._lots[lot_id] = msgspec.structs.replace(held, set_at_ns=at_ns, is_unknown=True)

    def replace(
        self, lots: Iterable[Lot], asked_at_ns: int, moved: Collection[InstrumentId], orders: OrderBlotter
    ) -> None:
        """Take in the venue's word; owners are remembered, told by the tag, else EXTERNAL.

        Args:
            lots: All that it shows.
            asked_at_ns: When it was asked.
            moved: Instruments that traded since: of these, what we know is newer than what it says.
            orders: Among which the tag of a lot may name the one that opened it.
        """
        before = self._lots
        after = {one: held for one, held in before.items() if held.lot.instrument in moved}
        for lot in lots:
            if lot.instrument in moved:
                continue
            known = before.get(lot.venue_id) or self._gone.pop(lot.venue_id, None)
            if known is None:
                after[lot.venue_id] = HeldLot(lot, *_opened_by(lot, orders), shown_at_ns=asked_at_ns)
                continue
            shown, is_old = lot, asked_at_ns <= known.set_at_ns
            if is_old:
                shown = msgspec.structs.replace(lot, protection=known.lot.protection)
            is_unknown = known.is_unknown and is_old
            after[lot.venue_id] = msgspec.structs.replace(
                known, lot=shown, shown_at_ns=asked_at_ns, is_unknown=is_unknown
            )
        for lot_id, held in before.items():
            if lot_id not in after:
                self._remember(held)
        self._lots = dict(sorted(after.items(), key=lambda one: _age(one[1].lot)))

    def _remember(self, held: HeldLot) -> None:
        """Keep whose a lot was: what else closed it may be told later."""
        self._gone[held.lot.venue_id] = held
        while len(self._gone) > _GONE_MAX:
            del self._gone[next(iter(self._gone))]

    def restore(self, held: Iterable[HeldLot], gone: Iterable[HeldLot] = ()) -> None:
        """Take over what a snapshot of the journal holds."""
        self._lots = {one.lot.venue_id: one for one in held}
        self._gone = {one.lot.venue_id: one for one in gone}

    def all(self) -> tuple[HeldLot, ...]:
        """Return all lots, oldest first."""
        return tuple(self._lots.values())

    def gone(self) -> tuple[HeldLot, ...]:
        """Return the lots that snapshots showed no more, those that went first first."""
        return tuple(self._gone.values())

    def get(self, lot_id: str) -> HeldLot | None:
        """Return a lot, also one that a snapshot showed no more; None when it was never known."""
        return self._lots.get(lot_id) or self._gone.get(lot_id)

    def are_unknown(self, instrument: InstrumentId) -> bool:
        """Whether nobody knows which exits some lot of an instrument has."""
        return any(held.is_unknown and held.lot.instrument == instrument for held in self._lots.values())

    def of(self, entry: str) -> list[HeldLot]:
        """Return the open lots that an order opened, oldest first."""
        return [held for held in self._lots.values() if held.entry == entry]

    def owner_of(self, lot: Lot, orders: OrderBlotter) -> str:
        """Return the strategy whose lot this is, by what is known of it, else by its tag; empty for EXTERNAL."""
        held = self.get(lot.venue_id)
        return _opened_by(lot, orders)[0] if held is None else held.strategy

    def to_close(
        self, strategy: str, instrument: InstrumentId, side: Side, busy: Iterable[str], lot_id: str = ""
    ) -> Lot | None:
        """Return the oldest lot of a strategy that an order of `side` would reduce and that nothing closes yet.

        With `lot_id` only that one is meant.
        """
        taken = set(busy)
        for held in self._lots.values():
            lot = held.lot
            if (
                held.strategy == strategy
                and lot.instrument == instrument
                and lot.side is not side
                and lot.venue_id not in taken
                and lot_id in ("", lot.venue_id)
            ):
                return lot
        return None


def _opened_by(lot: Lot, orders: OrderBlotter) -> tuple[str, str]:
    order = orders.get(lot.tag)
    return ("", "") if order is None else (order.strategy, order.client_order_id)


def _age(lot: Lot) -> tuple[bool, int, int, str]:
    """Order lots by their opening; where a venue does not tell it, by id, numbers as numbers."""
    number = int(lot.venue_id) if lot.venue_id.isdecimal() else 0
    return (lot.opened_at_ns is None, lot.opened_at_ns or 0, number, lot.venue_id)
