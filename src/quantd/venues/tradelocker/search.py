"""Finds out what became of a write whose answer was lost or says too little; never sends an order again.

Used by the connector. A lost create is found by its tag, the strategy id, in the open orders, the history and the positions;
two that carry it are for a person to tell apart. A close is found as the order that closed its position, or the orders. `absence` says what
proves that a write did not happen; for the close of a part, which must not be made twice, also the position has to be whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final

import msgspec

from quantd.domain.commands import Amend, Cancel, CloseLot, Submit
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, OrderKind, OrderState
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown
from quantd.domain.reports import OrderReport
from quantd.ports import Clock
from quantd.venues.absence import CLOCK_ERROR_NS, Progress, Searches
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.tradelocker.closings import Closings, closing_orders
from quantd.venues.tradelocker.lists import Lists
from quantd.venues.tradelocker.orders import KnownIds, OrderReader
from quantd.venues.tradelocker.translate import SECOND_NS, OrderRow, PositionRow, has_terms

QUIET_PERIOD_S: Final = 15.0
"""How long after a write its absence proves nothing: lists lag by some tenths of a second, at times by seconds."""
LOOK_EVERY_S = 3.0
"""Least time between two looks that count."""
_RETRY_S = 2.0
_GONE_RETRY_S = 30.0
_PATIENCE_NS = 3 * SECOND_NS
_UNEXPLAINED_NS = 60 * SECOND_NS
"""After so long a position that lacks more than its orders tell is for a person: a close of ours may have done it or not."""
_PARTS_MAX = 10
_REST_NS = 15 * SECOND_NS
"""So long after a close that has traded in part only, an order of the server's for the rest may still follow."""

Write = Submit | Amend | Cancel | CloseLot


class Search:
    """Searches for lost writes."""

    def __init__(  # noqa: PLR0913 -- what tells of the account
        self,
        lists: Lists,
        orders: OrderReader,
        closings: Closings,
        *,
        clock: Clock,
        known_ids: KnownIds,
        alerts: Alerts,
    ) -> None:
        self._lists = lists
        self._orders = orders
        self._closings = closings
        self._clock = clock
        self._known_ids = known_ids
        self._alerts = alerts
        self._searches = Searches(clock, quiet_period_s=QUIET_PERIOD_S, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)

    async def step(self, command: Write, sent_at_ns: int, lane: Lane = Lane.RECONCILE) -> Resolution:
        """Take one step for a write that may have left at `sent_at_ns` (wall time)."""
        return await self._searches.step(command, lambda progress: self._looked(command, sent_at_ns, progress, lane))

    async def _looked(self, command: Write, sent_at_ns: int, progress: Progress, lane: Lane) -> Resolution:
        match command:
            case Submit():
                return await self._placed(command, sent_at_ns, progress, lane)
            case CloseLot():
                return await self._closed(command, sent_at_ns, progress, lane)
            case Amend():
                return await self._amended(command, sent_at_ns, progress, lane)
            case _:
                return await self._cancelled(command, sent_at_ns, lane)

    # --- orders ---------------------------------------------------------------------------------------------------

    async def _placed(self, command: Submit, sent_at_ns: int, progress: Progress, lane: Lane) -> Resolution:
        begun = self._searches.now()
        working = await self._lists.orders(lane)
        history = await self._lists.history(lane, sent_at_ns)
        positions = await self._lists.positions(lane)
        tag = command.client_order_id
        # An exit may carry its entry's tag, which is not documented; it is of the other side.
        sides = (command.spec.side, None)
        rows = [row for row in {**working, **history.rows}.values() if row.tag == tag and row.side in sides]
        if len(rows) > 1:
            return Ambiguous(tuple(sorted(row.id for row in rows)))
        if rows:
            self._orders.note(rows[0].id, sent_at_ns)
            return Found(await self._orders.told(rows[0], lane, client_order_id=tag))
        if any(position.tag == tag for position in positions.values()):
            return StillUnknown("position_without_its_order", _RETRY_S)
        if not history.complete:
            return StillUnknown("history_not_complete", _RETRY_S)
        return self._searches.missed(progress, begun, sent_at_ns)

    async def _amended(self, command: Amend, sent_at_ns: int, progress: Progress, lane: Lane) -> Resolution:
        """Take the terms that are shown once they are those that were wanted, or have had time to become them."""
        begun = self._searches.now()
        row = await self._orders.find(command.venue_order_id, lane)
        if row is None:
            return self._vanished(command.venue_order_id)
        if not has_terms(row, command) and not row.final:
            missed = self._searches.missed(progress, begun, sent_at_ns)
            if isinstance(missed, StillUnknown):
                return missed
        return Found(await self._orders.told(row, lane, client_order_id=command.client_order_id))

    async def _cancelled(self, command: Cancel, sent_at_ns: int, lane: Lane) -> Resolution:
        """An order that still works is told as it is: the engine sends the next cancel."""
        row = await self._orders.find(command.venue_order_id, lane)
        if row is None:
            return self._vanished(command.venue_order_id)
        if not row.final and self._clock.now_ns() - sent_at_ns < _PATIENCE_NS:
            return StillUnknown("cancel_without_effect_yet", 1.0)
        return Found(await self._orders.told(row, lane, client_order_id=command.client_order_id))

    def _vanished(self, order_id: str) -> StillUnknown:
        self._alerts.note("order_vanished", order_id)
        return StillUnknown("order_not_found", _GONE_RETRY_S)

    # --- closes ---------------------------------------------------------------------------------------------------

    async def _closed(self, command: CloseLot, sent_at_ns: int, progress: Progress, lane: Lane) -> Resolution:
        """Look for the market order that closed the position: the venue names it in no answer, and it has no tag."""
        begun = self._searches.now()
        working = await self._lists.orders(lane)
        history = await self._lists.history(lane, sent_at_ns)
        positions = await self._lists.positions(lane)
        known = frozenset(self._known_ids(command.instrument))
        sides = {position.id: position.side for position in positions.values()}
        rows = closing_orders({**working, **history.rows}.values(), sides, unfilled=True)
        since_ns = sent_at_ns - CLOCK_ERROR_NS
        untold = [row for row in rows if row.id not in known and _may_close(row, command, since_ns)]
        mine = [row for row in untold if command.quantity in (None, row.quantity)]
        # One that ended without a trade has closed nothing, and is the answer only where no other is.
        live = [row for row in mine if row.filled > 0 or not row.final]
        if len(live) > 1 and command.quantity is not None:
            return Ambiguous(tuple(sorted(row.id for row in live)))
        parts = live if command.quantity is None else _parts(untold, live, command.quantity)
        parts = parts or mine[:1]
        if self._may_follow(parts, command.quantity, sent_at_ns):
            return StillUnknown("rest_not_closed_yet", _RETRY_S)
        if parts:
            return Found(await self._told_as_one(parts, command, sent_at_ns, lane))
        if not history.complete:
            return StillUnknown("history_not_complete", _RETRY_S)
        resolution = self._searches.missed(progress, begun, sent_at_ns)
        if command.quantity is None or not isinstance(resolution, NotFound):
            return resolution
        if await self._is_whole(command.lot, positions, lane):
            return resolution
        is_over = begun.monotonic_ns - progress.begun_ns >= _UNEXPLAINED_NS
        return Ambiguous(()) if is_over else StillUnknown("position_lacks_more_than_orders_tell", _RETRY_S)

    def _may_follow(self, parts: Sequence[OrderRow], quantity: Decimal | None, sent_at_ns: int) -> bool:
        """Tell whether another order may follow for the rest of a close, or goes on with it; several are told once all have ended.

        What is told as the end of a close has the engine close the rest again, and the server's own rest comes on top. Nothing
        can be closed on top of all there is.
        """
        if len(parts) > 1:
            return not all(row.final for row in parts)
        if quantity is None:
            return False
        is_partial = any(row.final and row.filled < quantity for row in parts)
        return is_partial and self._clock.now_ns() - sent_at_ns < _REST_NS

    async def _told_as_one(
        self, rows: Sequence[OrderRow], command: CloseLot, sent_at_ns: int, lane: Lane
    ) -> OrderReport:
        """Return the report of a close that the server has made by these orders."""
        reports = []
        for row in rows:
            self._orders.note(row.id, sent_at_ns)
            reports.append(await self._orders.told(row, lane, client_order_id=command.client_order_id))
        if len(reports) == 1:
            return reports[0]
        filled = sum((one.filled_quantity for one in reports), ZERO)
        quantity = filled if command.quantity is None else command.quantity
        *others, last = reports
        return msgspec.structs.replace(
            last,
            state=_state_of(reports, is_whole=filled >= quantity),
            parts=tuple(one.venue_order_id for one in others),
            filled_quantity=filled,
            quantity=quantity,
            average_price=None,
            fills=tuple(fill for one in reports for fill in one.fills),
            created_at_ns=reports[0].created_at_ns,
        )

    async def _is_whole(self, lot: str, positions: Mapping[str, PositionRow], lane: Lane) -> bool:
        """Tell whether orders tell of all that is missing of a position."""
        since_ns = self._closings.opened_ns(lot)
        rows = () if since_ns is None else (await self._lists.history(lane, since_ns)).rows.values()
        return self._closings.is_explained(lot, positions, rows)


def _parts(rows: Iterable[OrderRow], whole: Sequence[OrderRow], quantity: Decimal) -> list[OrderRow]:
    """Return the orders by which a close of so much was made: documented is that an IOC goes first, then a GTC.

    Args:
        rows: Those that may have closed it.
        whole: Of them the one for all of it, where there is one.
        quantity: Lots that the close was for.
    """
    live = [row for row in rows if row.filled > 0 or not row.final][:_PARTS_MAX]
    if whole:
        rest = quantity - whole[0].filled
        others = [row for row in live if row is not whole[0] and row.quantity == rest] if whole[0].final else []
        return [whole[0], *others[:1]]
    return next(([one, other] for one, other in combinations(live, 2) if one.quantity + other.quantity == quantity), [])


def _state_of(reports: Sequence[OrderReport], *, is_whole: bool) -> OrderState:
    if is_whole:
        return OrderState.FILLED
    return next((one.state for one in reports if one.state not in ENDS), OrderState.CANCELLED)


def _may_close(row: OrderRow, command: CloseLot, since_ns: int) -> bool:
    return (
        row.position == command.lot
        and row.kind is OrderKind.MARKET
        and not row.tag
        and (row.created_ns is None or row.created_ns >= since_ns)
    )
