"""Which orders closed positions: stops and targets that the venue executed, and what others closed by hand.

Used for each snapshot, which must show a position's end together with the order that was it, and by the search for a close
whose order the venue does not name. A position that is gone or smaller without such an order is not explained yet: the
history lags behind, and until it shows the order, the list of positions proves nothing.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.tradelocker.lists import Lists
from quantd.venues.tradelocker.translate import SECOND_NS, ExecutionRow, OrderRow, PositionRow

LOOK_BACK_NS = 7 * 86_400 * SECOND_NS
"""How far the first look of a process goes back: exits that were executed while nobody looked."""
_LOOKS_MAX = 10
_ORDERS_MAX = 1_000


def closing_orders(
    rows: Iterable[OrderRow], positions: Mapping[str, Side], *, unfilled: bool = False
) -> list[OrderRow]:
    """Return the orders that closed a position or a part of it; pure.

    A row names the position that it opened or closed and does not say which of the two it did. What trades against an open
    position closes it. Of one that is gone the newest order has closed it, and so have all of that side.

    Args:
        rows: Of working and of ended orders.
        positions: Sides of the positions that are open.
        unfilled: Whether orders count that have not traded.
    """
    groups: dict[str, list[OrderRow]] = {}
    for row in rows:
        if row.position and row.side is not None and (unfilled or row.filled > 0):
            groups.setdefault(row.position, []).append(row)
    found = []
    for position, group in groups.items():
        side = positions[position].opposite if position in positions else _side_that_closed(group)
        found += [row for row in group if row.side is side]
    return found


def _side_that_closed(group: list[OrderRow]) -> Side | None:
    """Return the side by which a position went, None where it may be younger than the list that lacks it.

    A close carries no tag, save on a netting account, where an order of the other side is one.
    """
    untagged = [row for row in group if not row.tag]
    if not untagged and len({row.side for row in group}) == 1:
        return None
    return max(untagged or group, key=_age).side


def _age(row: OrderRow) -> tuple[bool, int, int, int]:
    """Order rows by when they ended; seconds are all that is told of that, so the creation and the id help."""
    number = int(row.id) if row.id.isascii() and row.id.isdigit() else 0
    return (row.filled > 0, row.modified_ns or 0, row.created_ns or 0, number)


class _Seen(msgspec.Struct, frozen=True):
    """A position as it was explained last."""

    position: PositionRow
    total: Decimal
    """All that was ever opened of it, as far as known: what is missing of that must have been closed by orders."""
    looks: int = 0
    """How often its change was looked for in vain."""


class Explained(msgspec.Struct, frozen=True):
    """What became of positions since the look before."""

    openings: tuple[OrderRow, ...] = ()
    """Orders that opened those positions, and others on their side."""
    closings: tuple[OrderRow, ...] = ()
    complete: bool = True
    """Whether every change has its order."""


class Closings:
    """Remembers the positions of one account from look to look."""

    def __init__(self, lists: Lists, alerts: Alerts) -> None:
        self._lists = lists
        self._alerts = alerts
        self._seen: dict[str, _Seen] = {}
        self._caught_up = False
        self._given: OrderedDict[str, dict[str, Decimal]] = OrderedDict()
        """Order -> position -> what the order has opened of it, as far as noted."""

    def opened(self, row: OrderRow, executions: Iterable[ExecutionRow] = ()) -> None:
        """Take note of positions that an order of ours has opened: they may be gone before any look shows them.

        Only orders carry a tag; what closes a position does not. A row names one position only, the last: where the first
        part of an order was closed before the rest traded, there are two, and the fills tell which.
        """
        if not row.tag or not row.position or row.side is None or not row.filled:
            return
        before, now = self._given.get(row.id, {}), self._split(row, executions)
        self._given[row.id] = now
        while len(self._given) > _ORDERS_MAX:
            self._given.popitem(last=False)
        for position, quantity in now.items():
            if quantity > before.get(position, ZERO):
                self._grow(position, quantity, row, row.side)
        for position, quantity in before.items():
            if quantity > now.get(position, ZERO):
                self._take_back(position, quantity - now.get(position, ZERO))

    def is_explained(self, lot: str, positions: Mapping[str, PositionRow], rows: Iterable[OrderRow]) -> bool:
        """Tell whether orders closed all that a position lacks of what was ever opened of it; no before the first look.

        Args:
            lot: The position.
            positions: Those that are open.
            rows: All orders that may have closed some of it, ended and working ones, since `opened_ns`.
        """
        one = self._seen.get(lot)
        if one is None:
            return self._caught_up  # gone, and explained before
        left = positions[lot].quantity if lot in positions else ZERO
        closings = closing_orders((row for row in rows if row.position == lot), {lot: one.position.side})
        return sum((row.filled for row in closings), ZERO) >= one.total - left

    def opened_ns(self, lot: str) -> int | None:
        """Return when a position was opened, None where that is not known."""
        one = self._seen.get(lot)
        return None if one is None else one.position.opened_ns

    def _split(self, row: OrderRow, executions: Iterable[ExecutionRow] = ()) -> dict[str, Decimal]:
        """Return what an order has opened, by position; what nothing else tells is of the position that its row names."""
        given = dict(self._given.get(row.id, {}))
        told: dict[str, Decimal] = {}
        for one in executions:
            if one.order == row.id and one.position:
                told[one.position] = told.get(one.position, ZERO) + one.quantity
        if sum(told.values(), ZERO) == row.filled:
            return told
        given |= {position: max(quantity, given.get(position, ZERO)) for position, quantity in told.items()}
        rest = row.filled - sum(given.values(), ZERO)
        if rest > 0:
            given[row.position] = given.get(row.position, ZERO) + rest
        return given

    def _grow(self, position: str, quantity: Decimal, row: OrderRow, side: Side) -> None:
        """Expect `quantity` of a position, as `row` opened it."""
        known = self._seen.get(position)
        if known is None:
            price = row.average or row.price or ZERO
            opened = PositionRow(position, row.instrument, side, quantity, price, "", "", row.created_ns, row.tag)
            self._seen[position] = _Seen(opened, quantity)
        elif quantity > known.total:
            grown = msgspec.structs.replace(known.position, quantity=known.position.quantity + quantity - known.total)
            self._seen[position] = msgspec.structs.replace(known, position=grown, total=quantity)

    def _take_back(self, position: str, quantity: Decimal) -> None:
        """Expect less of a position: what an order's row alone made believe is of another one."""
        known = self._seen.get(position)
        if known is not None and known.position.quantity > quantity:
            left = msgspec.structs.replace(known.position, quantity=known.position.quantity - quantity)
            self._seen[position] = msgspec.structs.replace(known, position=left, total=known.total - quantity)

    async def explain(
        self, positions: Mapping[str, PositionRow], working: Mapping[str, OrderRow], now_ns: int
    ) -> Explained:
        """Find the orders that have changed the positions.

        Args:
            positions: As they are.
            working: Orders that work, read after them.
            now_ns: Wall time.

        Raises:
            VenueError: the history could not be read.
        """
        shrunk = [
            one.position
            for lot, one in self._seen.items()
            if lot not in positions or positions[lot].quantity < one.position.quantity
        ]
        if self._caught_up and not shrunk:
            self._seen |= {lot: self._grown(position) for lot, position in positions.items()}
            self._note(working)
            return Explained()
        concerned = shrunk if self._caught_up else list(positions.values())
        since = [one.opened_ns for one in concerned if one.opened_ns is not None]
        since += [now_ns - LOOK_BACK_NS] if not self._caught_up or len(since) < len(concerned) else []
        history = await self._lists.history(Lane.ACCOUNT, min(since))
        sides = {lot: one.position.side for lot, one in self._seen.items()}
        sides |= {lot: position.side for lot, position in positions.items()}
        rows = {**working, **history.rows}
        if not self._caught_up:  # what went while nobody looked: its opening may show before its close does
            for row in rows.values():
                self.opened(row)
        closings = closing_orders(rows.values(), sides)
        closed = {row.id for row in closings}
        openings = [row for row in rows.values() if row.position and row.filled and row.id not in closed]
        changed, complete = self._compare(
            positions,
            _sums(self._split(row) for row in openings),
            _sums({row.position: row.filled} for row in closings),
        )
        self._note(working)
        told = [row for row in closings if row.position in changed or not self._caught_up]
        self._caught_up = True
        opened = tuple(row for row in openings if changed.intersection(self._split(row)))
        return Explained(opened, tuple(told), complete)

    def _note(self, working: Mapping[str, OrderRow]) -> None:
        """Expect what orders that still work have opened: read after the positions, so the next look may miss it."""
        for row in working.values():
            self.opened(row)

    def _grown(self, position: PositionRow) -> _Seen:
        """Return a position that has not shrunk as explained."""
        known = self._seen.get(position.id)
        if known is None:
            return _Seen(position, position.quantity)
        return _Seen(position, known.total + position.quantity - known.position.quantity)

    def _compare(
        self, positions: Mapping[str, PositionRow], opened: Mapping[str, Decimal], closed: Mapping[str, Decimal]
    ) -> tuple[set[str], bool]:
        """Return the positions that have shrunk or gone, and whether orders explain all of that.

        What the orders opened and closed is compared with what is left, and not with what was left before: the history is
        read after the positions, and may show already what the next look will find missing.
        """
        changed, after, complete = set[str](), dict[str, _Seen](), True
        for lot, one in self._seen.items():
            left = positions[lot].quantity if lot in positions else ZERO
            if left >= one.position.quantity:
                continue
            changed.add(lot)
            total = max(one.total, opened.get(lot, ZERO))
            if closed.get(lot, ZERO) < total - left:
                if one.looks < _LOOKS_MAX:
                    after[lot] = msgspec.structs.replace(one, total=total, looks=one.looks + 1)
                    complete = False
                    continue
                self._alerts.note("lot_went_unexplained", lot)
            if lot in positions:
                after[lot] = _Seen(positions[lot], total)
        for lot, position in positions.items():
            if lot in after:
                continue
            seen = self._grown(position)
            if lot not in self._seen:
                # Seen for the first time: a part may have been closed before. With its opening order that is known.
                before = ZERO if self._caught_up else closed.get(lot, ZERO)
                seen = _Seen(position, max(opened.get(lot, ZERO), position.quantity + before))
            after[lot] = seen
        self._seen = after
        return changed, complete


def _sums(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Add up quantities by position."""
    sums: dict[str, Decimal] = {}
    for part in parts:
        for position, quantity in part.items():
            sums[position] = sums.get(position, ZERO) + quantity
    return sums
