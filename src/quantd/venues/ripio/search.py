"""Finds out what became of a create whose answer was lost, by our own id; never sends an order again.

Used by the connector's `resolve`. One call is one step; the caller comes back after the time that `StillUnknown` names.
The id is a key to look by and no guard: that the venue keeps it unique is not documented, so an order under it is looked for
in every list, and several of them are for a person to decide. `absence` says what proves that it was not placed.
"""

from decimal import Decimal

from quantd.domain.commands import Submit
from quantd.domain.instruments import symbol_of
from quantd.domain.outcomes import Ambiguous, Found, Resolution, StillUnknown
from quantd.ports import Clock
from quantd.venues.absence import Progress, Searches
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.ripio import translate, wire
from quantd.venues.ripio.orders import OrderReader
from quantd.venues.ripio.translate import SECOND_NS

LOOK_EVERY_S = 5.0
"""Least time between two looks that count."""
LOOK_BACK_NS = 600 * SECOND_NS
"""The list of orders is asked for from so long before the send: the venue's clock is not ours, and ours may have been set."""
SPAN_MAX_NS = 180 * 86_400 * SECOND_NS
"""Documented: lists of orders span six months at most."""
_RETRY_S = 2.0


class Search:
    """Searches for lost creates.

    Args:
        orders: Reads orders.
        clock: Wall time and monotonic time.
        alerts: Told where an order under our id has other terms.
        quiet_period_s: How long after a create its absence proves nothing.
    """

    def __init__(self, orders: OrderReader, *, clock: Clock, alerts: Alerts, quiet_period_s: float) -> None:
        self._orders = orders
        self._alerts = alerts
        self._searches = Searches(clock, quiet_period_s=quiet_period_s, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)

    async def step(self, command: Submit, sent_at_ns: int) -> Resolution:
        """Take one step for a create that may have left at `sent_at_ns` (wall time)."""
        return await self._searches.step(command, lambda progress: self._looked(command, sent_at_ns, progress))

    async def _looked(self, command: Submit, sent_at_ns: int, progress: Progress) -> Resolution:
        begun = self._searches.now()
        matches, complete = await self._matches(command, sent_at_ns, begun.wall_ns)
        if len(matches) > 1:
            return Ambiguous(tuple(sorted(matches)))
        if matches:
            (row,) = matches.values()
            if not _has_terms(row, command):
                self._alerts.note("reply_contradicts", row.id.upper(), client_order_id=command.client_order_id)
                return Ambiguous((row.id.upper(),))
            self._orders.own(command.client_order_id, row.id)
            return Found(await self._orders.report(row, Lane.RECONCILE))
        if not complete:
            return StillUnknown("list_not_complete", _RETRY_S)
        return self._searches.missed(progress, begun, sent_at_ns)

    async def _matches(self, command: Submit, sent_at_ns: int, now_ns: int) -> tuple[dict[str, wire.OrderRow], bool]:
        """Return all orders under our id, by the venue's, and whether the lists were whole."""
        wanted, pair = command.client_order_id, symbol_of(command.spec.instrument)
        named = await self._orders.by_external_id(wanted, Lane.RECONCILE)
        standing, whole = await self._orders.open_orders(Lane.RECONCILE, pair=pair)
        since_ns = max(sent_at_ns - LOOK_BACK_NS, now_ns - SPAN_MAX_NS)
        recent, complete = await self._orders.orders(pair, Lane.RECONCILE, since_ns=since_ns)
        found = {
            row.id.upper(): row
            for row in (*standing.values(), *recent.values())
            if translate.external_id(row) == wanted
        }
        if named is not None and translate.external_id(named) in (None, wanted):
            found.setdefault(
                named.id.upper(), named
            )  # it was asked for by our id, whether or not the answer repeats it
        return found, whole and complete


def _has_terms(row: wire.OrderRow, command: Submit) -> bool:
    """Tell whether an order under our id is the one that was sent; what the venue does not tell speaks for it."""
    spec = command.spec
    told: tuple[tuple[Decimal | None, Decimal | None], ...] = (
        (row.requested_amount, spec.quantity),
        (row.price, spec.price),
    )
    return (
        row.pair == symbol_of(spec.instrument)
        and translate.side(row.side) is spec.side
        and all(one is None or other is None or one == other for one, other in told)
    )
