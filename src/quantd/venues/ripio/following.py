"""Follows our working orders: one list of all that stand, then each order that changed or left the list.

Used by the connector's `order_reports`. Only reads.
"""

from collections import OrderedDict
from collections.abc import Sequence

from quantd.domain.orders import ENDS, OrderKind, OrderRef, OrderState, TimeInForce
from quantd.domain.reports import OrderReport
from quantd.errors import VenueError
from quantd.ports import Clock
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.ripio import wire
from quantd.venues.ripio.orders import OrderReader
from quantd.venues.ripio.translate import SECOND_NS

LOOKS_TO_END = 2
"""Looks in a row that must agree before the rest of an order that trades at once and stands in no list counts as cancelled."""
LAG_S = 10.0
"""Seconds that the last of them must come after the first: a list may lag (assumed)."""
PARTLY = "executed_partially"
"""The one word of the venue that may be an end: any other without one has not begun, or is none that we know."""
_REMEMBERED = 1_000


class Follower:
    """Asks for the orders that we believe to be working."""

    def __init__(self, orders: OrderReader, alerts: Alerts, clock: Clock) -> None:
        self._orders = orders
        self._alerts = alerts
        self._clock = clock
        self._absences: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By order: looks in a row in which it was partly executed and in no list, and the monotonic time of the first."""

    async def reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed.

        Raises:
            VenueError: when the list could not be read, or an order could not and no other had changed.
        """
        refs = {ref.venue_order_ids[-1]: ref for ref in working if ref.venue_order_ids}
        if not refs:
            return ()
        rows, complete = await self._orders.open_orders(Lane.ACCOUNT)
        self._orders.learn_owners(rows.values())
        reports: list[OrderReport] = []
        failure: VenueError | None = None
        for order_id, ref in refs.items():
            row = rows.get(order_id)
            if row is not None:
                self._absences.pop(order_id, None)
            if row is not None and row.executed_amount == ref.filled_quantity:
                continue
            try:
                report = await self._one(ref, row, listed=row is not None or not complete)
            except VenueError as error:
                failure = error
                continue
            if report is not None and (report.state in ENDS or report.filled_quantity != ref.filled_quantity):
                reports.append(report)
        if failure is not None and not reports:
            raise failure
        return tuple(reports)

    async def _one(self, ref: OrderRef, row: wire.OrderRow | None, *, listed: bool) -> OrderReport | None:
        order_id = ref.venue_order_ids[-1]
        if row is None:
            row = await self._orders.get(order_id, Lane.ACCOUNT)
        if row is None:
            # Once accepted, now unknown: it is followed on and never taken for cancelled.
            self._alerts.note("order_vanished", order_id, client_order_id=ref.client_order_id)
            return None
        ended = None if listed else self._concluded(ref, row)
        report = await self._orders.report(row, Lane.ACCOUNT, ended=ended)
        if report.state in ENDS:
            self._absences.pop(order_id, None)
        return report

    def _concluded(self, ref: OrderRef, row: wire.OrderRow) -> OrderState | None:
        """Return the end of a partly executed order that cannot rest and stands in no list (assumed)."""
        spec, order_id = ref.spec, ref.venue_order_ids[-1]
        at_once = spec.kind is OrderKind.MARKET or spec.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        if not at_once or row.status != PARTLY:
            self._absences.pop(order_id, None)
            return None
        now_ns = self._clock.monotonic_ns()
        looks, since_ns = self._absences.get(order_id, (0, now_ns))
        self._absences[order_id] = (looks + 1, since_ns)
        if len(self._absences) > _REMEMBERED:
            self._absences.popitem(last=False)
        if looks + 1 < LOOKS_TO_END or now_ns - since_ns < LAG_S * SECOND_NS:
            return None
        self._alerts.note("partial_not_open", order_id)
        return OrderState.CANCELLED
