"""Balances as they were read lately, kept over a restart: a placement that was lost before it is judged by those from before it.

Used by `holdings`. Both times that are compared come from the daemon's clock, which never goes back, not even over a restart.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from quantd.domain.orders import ClientOrderId

KEPT = 24
"""Readings that are kept. At one every 5 s the oldest is older than the patience with a lost placement, after which a person
decides; a quiet account, whose readings are all the same, keeps one."""
_PLACEMENTS_MAX = 1_000


class Reading(NamedTuple):
    """Balances with the orders that had led to them."""

    units: Mapping[str, Decimal]
    """What is held by token, locked parts included; none is no row."""
    filled: Mapping[str, Decimal]
    """What each order that was seen had traded. Of those that had ended none is kept over a restart: they trade no more."""
    newest_ns: int
    """When the newest of them was recorded, by the server's clock: what is older and unseen lay beyond the page."""


class Kept(msgspec.Struct, frozen=True):
    """A reading as the journal holds it."""

    account: str
    """Whose: another one's, from before a change of the configuration, says nothing."""
    number: int
    at_ns: int
    """When it was complete, by the daemon's clock."""
    units: dict[str, Decimal]
    open: dict[str, Decimal]
    newest_ns: int


class Readings:
    """The newest reading, those from before each placement of this process, and those that an earlier process left."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._last: Reading | None = None
        self._before: OrderedDict[ClientOrderId, Reading] = OrderedDict()
        self._left: list[Kept] = []
        """By an earlier process; oldest first."""
        self._number = 0
        self._written: Kept | None = None
        self._write: Callable[[str, str], None] | None = None

    def restore(self, parts: Mapping[str, str]) -> None:
        """Take over what an earlier process has written."""
        left = [msgspec.json.decode(text, type=Kept) for text in parts.values()]
        self._left = sorted((one for one in left if one.account == self._account), key=lambda one: one.number)
        self._number = max((one.number for one in left), default=0)

    def follow(self, write: Callable[[str, str], None]) -> None:
        """Have each new reading written as a part of that name, in turn over the oldest one."""
        self._write = write

    def add(self, reading: Reading, open_orders: Mapping[str, Decimal], at_ns: int) -> None:
        """Take a reading for the newest one; what is the same as the one before is not written again.

        Args:
            reading: It.
            open_orders: The part of `reading.filled` that is of orders which may trade still.
            at_ns: When it was complete, wall time.
        """
        self._last = reading
        units, still_open = dict(reading.units), dict(open_orders)
        kept = Kept(self._account, self._number + 1, at_ns, units, still_open, reading.newest_ns)
        known = self._written
        if self._write is None or (known and _content(known) == _content(kept)):
            return
        self._number, self._written = kept.number, kept
        self._write(str(kept.number % KEPT), msgspec.json.encode(kept).decode())

    def keep(self, client_order_id: ClientOrderId) -> None:
        """Keep the newest one as that from before the placement of an order."""
        if self._last is not None:
            self._before[client_order_id] = self._last
            if len(self._before) > _PLACEMENTS_MAX:
                self._before.popitem(last=False)

    def before(self, client_order_id: ClientOrderId, sent_at_ns: int) -> Reading | None:
        """Return the reading from before a placement; of one by an earlier process, which left at `sent_at_ns` at the earliest,
        the newest that is surely older."""
        known = self._before.get(client_order_id)
        if known is not None:
            return known
        older = [one for one in self._left if one.at_ns < sent_at_ns]
        return Reading(older[-1].units, older[-1].open, older[-1].newest_ns) if older else None


def _content(kept: Kept) -> tuple[object, ...]:
    return kept.units, kept.open, kept.newest_ns
