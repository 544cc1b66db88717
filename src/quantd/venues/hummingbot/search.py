"""Finds out what became of a write whose answer was lost or says only that it was scheduled; never sends an order again.

Used by the connector's `resolve`. The server makes the ids, so a lost placement is looked for by its terms among ids
that nobody here knows. "Not placed" needs what `absence` asks for, and balances that show no trace of such an order.
"""

from collections import OrderedDict

from quantd.domain.commands import Cancel, Submit
from quantd.domain.instruments import Instrument, symbol_of
from quantd.domain.numbers import Rounding
from quantd.domain.orders import OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown
from quantd.ports import Clock
from quantd.venues.absence import CLOCK_ERROR_NS, Progress, Searches
from quantd.venues.budget import Lane
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.holdings import Holdings
from quantd.venues.hummingbot.market import MarketReader
from quantd.venues.hummingbot.options import QUIET_PERIOD_S
from quantd.venues.hummingbot.orders import STALE_NS, KnownIds, Look, OrderReader
from quantd.venues.hummingbot.translate import SECOND_NS
from quantd.venues.parsing import instant_ns

LOOK_EVERY_S = 5.0
"""Least time between two looks that count."""
PATIENCE_S = 90.0
"""After so long a placement that no list shows, and whose absence the balances do not prove, is for a person to decide: the
server brings its database up to date every 60 s."""
AHEAD_NS = 2 * SECOND_NS
"""How far our clock may be ahead of the server's when a placement leaves; an order that is recorded earlier is another's."""
CANCELS_MAX = 3
"""Cancels of one order without an effect; the fourth answer "unknown order" would mark it FAILED though it may live."""
_RETRY_S = 5.0
_KEPT_MAX = 1_000


class Search:
    """Searches for lost placements and for the end of cancelled orders."""

    def __init__(
        self, orders: OrderReader, holdings: Holdings, markets: MarketReader, *, clock: Clock, known_ids: KnownIds
    ) -> None:
        self._orders = orders
        self._holdings = holdings
        self._markets = markets
        self._clock = clock
        self._known_ids = known_ids
        self._searches = Searches(clock, quiet_period_s=QUIET_PERIOD_S, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)
        self._cancels: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By order: cancels sent without an effect so far, and the monotonic time of the last one."""

    async def step(self, command: Submit | Cancel, sent_at_ns: int) -> Resolution:
        """Take one step for a write that may have left at `sent_at_ns` (wall time)."""

        async def look(progress: Progress) -> Resolution:
            if isinstance(command, Cancel):
                return await self._cancelled(command, sent_at_ns)
            return await self._placed(command, sent_at_ns, progress)

        return await self._searches.step(command, look)

    # -- placements ------------------------------------------------------------------------------------------------

    async def _placed(self, command: Submit, sent_at_ns: int, progress: Progress) -> Resolution:
        begun = self._searches.now()
        look = await self._orders.look(Lane.RECONCILE, since_ns=sent_at_ns - STALE_NS)
        spec = command.spec
        rules = self._orders.rules(symbol_of(spec.instrument))
        known = frozenset(self._known_ids(spec.instrument))  # they cannot be the lost one
        seen = self._holdings.seen_before(command.client_order_id, sent_at_ns)
        ids = {*look.active, *look.recorded} - known - seen
        fitting = [row for one in ids if (row := look.row(one)) is not None and _is_it(row, command, rules)]
        rows = [row for row in fitting if _is_since(look, row, sent_at_ns, AHEAD_NS)]
        if len(rows) > 1:
            return Ambiguous(tuple(sorted(row.order_id for row in rows)))
        if rows:
            trades = await self._orders.trades(Lane.RECONCILE) if rows[0].filled_amount else {}
            return Found(self._orders.report(rows[0], trades.get(rows[0].order_id, ())))
        if not look.complete:
            return StillUnknown("list_not_complete", _RETRY_S)
        resolution = self._searches.missed(progress, begun, sent_at_ns)
        doubtful = [row.order_id for row in fitting if _is_since(look, row, sent_at_ns, CLOCK_ERROR_NS)]
        if doubtful and isinstance(resolution, NotFound):
            return Ambiguous(tuple(sorted(doubtful)))
        if isinstance(resolution, NotFound) and (cause := await self._trace(command, look, sent_at_ns)):
            is_over = begun.monotonic_ns - progress.begun_ns >= PATIENCE_S * SECOND_NS
            return Ambiguous(()) if is_over else StillUnknown(cause, _RETRY_S)
        return resolution

    async def _trace(self, command: Submit, look: Look, sent_at_ns: int) -> str:
        """Return why the balances do not prove that an order that no list shows never was; empty when they do.

        Without balances from before it only an order that rests shows in them.
        """
        spec = command.spec
        trace = await self._holdings.trace(command.client_order_id, spec, look, sent_at_ns=sent_at_ns)
        rules = self._orders.rules(symbol_of(spec.instrument))
        if trace.rests(spec, rules):
            return "balance_holds_something"
        if trace.traded(spec, rules):
            return "balance_has_moved"
        if trace.got is None and await self._crosses(spec, rules):
            return "no_balance_from_before"
        return ""

    async def _crosses(self, spec: OrderSpec, rules: Instrument) -> bool:
        """Whether an order would trade at once as the market stands."""
        if spec.price is None:
            return True
        book = await self._markets.book(rules, 1)
        if spec.side is Side.BUY:
            return not book.asks or rules.price(book.asks[0][0], Rounding.NEAREST) <= spec.price
        return not book.bids or rules.price(book.bids[0][0], Rounding.NEAREST) >= spec.price

    # -- cancels ---------------------------------------------------------------------------------------------------

    async def _cancelled(self, command: Cancel, sent_at_ns: int) -> Resolution:
        order_id = command.venue_order_id
        look = await self._orders.look(Lane.CANCEL, wanted=[order_id], since_ns=sent_at_ns - STALE_NS)
        row = look.row(order_id)
        if row is None:
            return StillUnknown("not_tracked", _RETRY_S)
        if row.status in translate.ENDED:
            self._cancels.pop(order_id, None)
            trades = await self._orders.trades(Lane.CANCEL) if row.filled_amount or row.status == "FILLED" else {}
            pair = symbol_of(command.instrument)
            return Found(self._orders.report(row, trades.get(order_id, ()), pair=pair))
        if self._clock.now_ns() - sent_at_ns < _RETRY_S * SECOND_NS or row.status == "PENDING_CANCEL":
            return StillUnknown("cancel_without_effect_yet", 1.0)
        if not self.may_cancel(order_id):
            return StillUnknown("cancels_without_effect", 30.0)
        return NotFound()  # it had no effect: the engine sends the next one

    def may_cancel(self, order_id: str) -> bool:
        """Whether a cancel may be sent: some have had no effect, and the server has not asked the exchange since."""
        count, last_ns = self._cancels.get(order_id, (0, 0))
        return count < CANCELS_MAX or self._clock.monotonic_ns() - last_ns >= STALE_NS

    def count_cancel(self, order_id: str) -> None:
        """Count a cancel that was sent."""
        count, _ = self._cancels.get(order_id, (0, 0))
        self._cancels[order_id] = (count + 1, self._clock.monotonic_ns())
        while len(self._cancels) > _KEPT_MAX:
            self._cancels.popitem(last=False)


def _is_it(row: wire.OrderRow, command: Submit, rules: Instrument) -> bool:
    """Tell whether a row has the terms of a placement; a refused row tells none and is nobody's proof."""
    spec = command.spec
    if row.trading_pair != rules.symbol or translate.side_of(row) is not spec.side:
        return False
    if translate.nearest(row.amount, rules) != spec.quantity:
        return False
    is_market = spec.kind is OrderKind.MARKET
    return is_market is (row.order_type == "MARKET") and (is_market or row.price == spec.price)


def _is_since(look: Look, row: wire.OrderRow, sent_at_ns: int, ahead_ns: int) -> bool:
    """Tell whether a row may be of a placement by its time, where our clock may have been `ahead_ns` ahead of the server's.

    The database dates an order by its acknowledgement; memory by the last pass, which lies minutes back.
    """
    recorded = look.recorded.get(row.order_id)
    created_at_ns = instant_ns((recorded or row).created_at)
    return created_at_ns is None or created_at_ns >= sent_at_ns - (STALE_NS if recorded is None else ahead_ns)
