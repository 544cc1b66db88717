"""What protection consists of, as the fold of its facts: wanted exits, writes to venues under way, what is overdue.

A part of the engine's state; `protection`, `lot_exits` and `nakedness` read it and record the facts.
"""

from collections.abc import Callable
from typing import Any

from quantd.domain.orders import Protect
from quantd.domain.protection_facts import ProtectionHeld, ProtectionIntended, ProtectionOverdue, ProtectionSettled
from quantd.engine.lots import Lots
from quantd.engine.orders import OrderBlotter

ACCEPTED = "accepted"
UNKNOWN = "unknown"
OVER = "over"
"""Action of a `ProtectionOverdue` that ends the matter."""


class Guarding:
    """Guards, writes and overdue guards; changed by facts alone."""

    def __init__(self, lots: dict[str, Lots], orders: OrderBlotter) -> None:
        self._lots = lots
        self._orders = orders
        self.held: dict[str, ProtectionHeld] = {}
        """By the client order id of the entry that they protect."""
        self.writes: dict[str, ProtectionIntended] = {}
        """Writes of lots' exits that are under way, by their id."""
        self.overdue: dict[str, ProtectionOverdue] = {}
        """By entry: what has stood without its stop for too long, and what was done about it last."""
        self.last_id = ""
        """Of the newest write: an id is used once, over restarts too."""
        self.handlers: dict[type, Callable[[Any], None]] = {
            ProtectionHeld: self._protection,
            ProtectionIntended: self._intended,
            ProtectionSettled: self._settled,
            ProtectionOverdue: self._overdue,
        }

    def _protection(self, fact: ProtectionHeld) -> None:
        """Take in a guard as it is from here on; other exits hold for what its entry is still to get, too."""
        known, entry = self.held.get(fact.parent), self._orders.get(fact.parent)
        exits = Protect(fact.stop, fact.take, fact.trail)
        if known is not None and entry is not None and exits != Protect(known.stop, known.take, known.trail):
            entry.protect = None if exits == Protect() else exits
        if fact.quantity:
            self.held[fact.parent] = fact
        else:
            self.held.pop(fact.parent, None)
            self.overdue.pop(fact.parent, None)

    def _intended(self, fact: ProtectionIntended) -> None:
        self.writes[fact.client_order_id] = fact
        self.last_id = fact.client_order_id

    def _settled(self, fact: ProtectionSettled) -> None:
        write = self.writes.pop(fact.client_order_id)
        lots = self._lots.get(write.instrument.partition(":")[0])
        if lots is not None and fact.result == ACCEPTED:
            lots.protected(write.lot, write.protection, fact.at_ns)
        elif lots is not None and fact.result == UNKNOWN:
            lots.lost(write.lot, fact.at_ns)

    def _overdue(self, fact: ProtectionOverdue) -> None:
        if fact.action == OVER:
            self.overdue.pop(fact.entry, None)
        else:
            self.overdue[fact.entry] = fact
