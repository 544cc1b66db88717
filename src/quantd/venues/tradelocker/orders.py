"""What became of orders: the working ones from their list, the others from the history, their fills from the session's.

Used by the connector, the account reader and the search. A row is followed until it shows an end; what is in neither list
is not taken for anything.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, ClientOrderId, OrderRef
from quantd.domain.outcomes import Accepted, Outcome, Unknown
from quantd.domain.reports import OrderReport
from quantd.errors import VenueError
from quantd.ports import Clock
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.tradelocker import translate
from quantd.venues.tradelocker.catalogue import Catalogue
from quantd.venues.tradelocker.lists import Lists
from quantd.venues.tradelocker.market import MarketReader
from quantd.venues.tradelocker.translate import SECOND_NS, ExecutionRow, OrderRow

FINAL_STATE_WAITS_S = (0.0, 0.3, 1.0)
"""Waits before the looks for the end of a cancelled order, which shows in the history after some tenths of a second."""
_LOOK_BACK_NS = 7 * 86_400 * SECOND_NS
"""How far back an order is looked for of which nobody knows when it was placed."""
_KEPT_MAX = 10_000

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too."""


class OrderReader:
    """Follows orders of one account."""

    def __init__(
        self, lists: Lists, catalogue: Catalogue, markets: MarketReader, *, clock: Clock, alerts: Alerts
    ) -> None:
        self._lists = lists
        self._catalogue = catalogue
        self._markets = markets
        self._clock = clock
        self._alerts = alerts
        self.on_fill: Callable[[OrderRow, Sequence[ExecutionRow]], None] = lambda row, executions: None
        """Set by the account reader: sees each order that is told outside a snapshot, as it may have opened positions."""
        self._placed_ns: OrderedDict[str, int] = OrderedDict()
        """When an order was placed, by its id: so far back the history is read for it."""

    def now_ns(self) -> int:
        """Return wall time."""
        return self._clock.now_ns()

    def note(self, order_id: str, placed_at_ns: int) -> None:
        """Remember when an order was placed."""
        self._placed_ns.setdefault(order_id, placed_at_ns)
        if len(self._placed_ns) > _KEPT_MAX:
            self._placed_ns.popitem(last=False)

    def report(
        self,
        row: OrderRow,
        executions: Sequence[ExecutionRow] = (),
        *,
        client_order_id: ClientOrderId | None = None,
        lot: str = "",
    ) -> OrderReport:
        """Return a row as a report; `lot` where it is an exit that hangs on one, or has closed one."""
        _, strange = translate.order_state(row)
        if strange:
            self._alerts.note(strange, row.id, status=row.status[:32])
        instrument = self._catalogue.instrument_id(row.instrument)
        fills = translate.fills_of(row, executions, self._markets.commission(instrument), known=ZERO)
        return translate.order_report(
            instrument, row, fills, self._clock.now_ns(), client_order_id=client_order_id, lot=lot
        )

    async def reports(self, refs: Sequence[OrderRef], lane: Lane = Lane.ACCOUNT) -> tuple[OrderReport, ...]:
        """Return what changed for orders that we believe to be working.

        Raises:
            VenueError: a list could not be read.
        """
        named = {ref.venue_order_ids[-1]: ref for ref in refs if ref.venue_order_ids}
        if not named:
            return ()
        for order_id, ref in named.items():
            self.note(order_id, ref.submitted_at_ns)
        rows = await self._lists.orders(lane)
        missing = [order_id for order_id in named if order_id not in rows]
        if missing:
            history = await self._lists.history(lane, min(named[one].submitted_at_ns for one in missing))
            rows = {**rows, **history.rows}
        changed = [rows[one] for one in named if one in rows and _is_news(rows[one], named[one])]
        grown = any(row.filled > named[row.id].filled_quantity for row in changed)
        executions = await self._lists.executions(lane) if grown else []
        for order_id in missing:
            if order_id not in rows and self._clock.now_ns() - named[order_id].submitted_at_ns > 60 * SECOND_NS:
                self._alerts.note("order_vanished", order_id, client_order_id=named[order_id].client_order_id)
        return tuple(self._changed(row, named[row.id], executions) for row in changed)

    def _changed(self, row: OrderRow, ref: OrderRef, executions: Sequence[ExecutionRow]) -> OrderReport:
        """Return a report for the engine, which may know a part of the fills already."""
        self.on_fill(row, executions)
        report = self.report(row, executions, client_order_id=ref.client_order_id)
        if not ref.filled_quantity:
            return report
        fills = translate.fills_of(
            row, executions, self._markets.commission(report.instrument), known=ref.filled_quantity
        )
        return msgspec.structs.replace(report, fills=fills)

    async def find(self, order_id: str, lane: Lane) -> OrderRow | None:
        """Return an order from the working ones, else from the history; None where neither shows it.

        Raises:
            VenueError: a list could not be read.
        """
        working = await self._lists.orders(lane)
        if order_id in working:
            return working[order_id]
        return await self._ended(order_id, lane)

    async def _ended(self, order_id: str, lane: Lane) -> OrderRow | None:
        since_ns = self._placed_ns.get(order_id, self._clock.now_ns() - _LOOK_BACK_NS)
        return (await self._lists.history(lane, since_ns)).rows.get(order_id)

    async def told(
        self, row: OrderRow, lane: Lane, *, client_order_id: ClientOrderId | None = None, lot: str = ""
    ) -> OrderReport:
        """Return a row as a report with its fills.

        Raises:
            VenueError: the fills could not be read.
        """
        executions = await self._lists.executions(lane) if row.filled else ()
        self.on_fill(row, executions)
        return self.report(row, executions, client_order_id=client_order_id, lot=lot)

    async def final_state(self, order_id: str, *, accepted: bool) -> Outcome:
        """Return the order as it is after a cancel; neither the answer nor a refusal says what was filled.

        Accepted and not shown as ended yet: the poller will see its end. Refused and still working: ask again.
        """
        row = None
        for wait_s in FINAL_STATE_WAITS_S:
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                row = await self._ended(order_id, Lane.CANCEL)
                if row is not None:
                    report = await self.told(row, Lane.CANCEL)
                    if report.state in ENDS:
                        return Accepted((report,))
            except VenueError as error:
                return Unknown(f"final_state_unread: {type(error).__name__}")
        return Accepted() if accepted else Unknown("refused_but_not_ended" if row is None else "not_ended")


def _is_news(row: OrderRow, ref: OrderRef) -> bool:
    state, _ = translate.order_state(row)
    return state in ENDS or row.filled != ref.filled_quantity
