"""Finds out what became of a write whose answer was lost or says only that it was scheduled; never sends an order again.

Used by the connector's `resolve`. The server makes the ids, so a lost placement is looked for by its terms among ids
that nobody here knows. "Not placed" needs what `absence` asks for, and a refreshed balance that holds nothing for such an
order.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

from quantd.domain.commands import Cancel, Submit
from quantd.domain.instruments import Instrument, InstrumentId, symbol_of
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderKind, Side
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown
from quantd.ports import Clock
from quantd.venues.absence import Progress, Searches
from quantd.venues.budget import Lane
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.options import QUIET_PERIOD_S
from quantd.venues.hummingbot.orders import STALE_NS, Look, OrderReader
from quantd.venues.hummingbot.translate import SECOND_NS
from quantd.venues.parsing import instant_ns

LOOK_EVERY_S = 5.0
"""Least time between two looks that count."""
CANCELS_MAX = 3
"""Cancels of one order without an effect; the fourth answer "unknown order" would mark it FAILED though it may live."""
_RETRY_S = 5.0
_KEPT_MAX = 1_000

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too: they cannot be the lost one."""
Locked = Callable[[str], Awaitable[Decimal]]
"""Reads afresh what the exchange has locked of an asset."""


class Search:
    """Searches for lost placements and for the end of cancelled orders."""

    def __init__(self, orders: OrderReader, *, clock: Clock, known_ids: KnownIds, locked: Locked) -> None:
        self._orders = orders
        self._clock = clock
        self._known_ids = known_ids
        self._locked = locked
        self._searches = Searches(clock, quiet_period_s=QUIET_PERIOD_S, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)
        self.cancels: OrderedDict[str, int] = OrderedDict()
        """Cancels sent by order, while they have had no effect."""

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
        known = frozenset(self._known_ids(spec.instrument))
        ids = {*look.active, *look.recorded} - known
        rows = [row for one in ids if (row := look.row(one)) is not None and _is_it(row, command, rules, sent_at_ns)]
        if len(rows) > 1:
            return Ambiguous(tuple(sorted(row.order_id for row in rows)))
        if rows:
            trades = await self._orders.trades(Lane.RECONCILE) if rows[0].filled_amount else {}
            return Found(self._orders.report(rows[0], trades.get(rows[0].order_id, ())))
        if not look.complete:
            return StillUnknown("list_not_complete", _RETRY_S)
        resolution = self._searches.missed(progress, begun, sent_at_ns)
        if isinstance(resolution, NotFound) and not await self._holds_nothing(command, look, rules):
            return StillUnknown("balance_holds_something", _RETRY_S)
        return resolution

    async def _holds_nothing(self, command: Submit, look: Look, rules: Instrument) -> bool:
        """Tell whether what is locked of the paying asset is explained by the orders that are seen."""
        spec = command.spec
        buys = spec.side is Side.BUY
        asset = rules.quote if buys else rules.base
        explained = ZERO
        for row in look.active.values():
            other = self._orders.rules(row.trading_pair)
            left = translate.nearest(row.amount, other) - translate.nearest(row.filled_amount, other)
            if row.trade_type == "BUY" and other.quote == asset:
                explained += left * (row.price or ZERO)
            elif row.trade_type == "SELL" and other.base == asset:
                explained += left
        need = spec.quantity * (spec.price or ZERO) if buys else spec.quantity
        return await self._locked(asset) - explained < need / 2 or not need

    # -- cancels ---------------------------------------------------------------------------------------------------

    async def _cancelled(self, command: Cancel, sent_at_ns: int) -> Resolution:
        order_id = command.venue_order_id
        look = await self._orders.look(Lane.CANCEL, wanted=[order_id], since_ns=sent_at_ns - STALE_NS)
        row = look.row(order_id)
        if row is None:
            return StillUnknown("not_tracked", _RETRY_S)
        if row.status in translate.ENDED:
            self.cancels.pop(order_id, None)
            trades = await self._orders.trades(Lane.CANCEL) if row.filled_amount or row.status == "FILLED" else {}
            pair = symbol_of(command.instrument)
            return Found(self._orders.report(row, trades.get(order_id, ()), pair=pair))
        if self._clock.now_ns() - sent_at_ns < _RETRY_S * SECOND_NS or row.status == "PENDING_CANCEL":
            return StillUnknown("cancel_without_effect_yet", 1.0)
        if self.cancels.get(order_id, 0) >= CANCELS_MAX:
            return StillUnknown("cancels_without_effect", 30.0)
        return NotFound()  # it had no effect: the engine sends the next one

    def count_cancel(self, order_id: str) -> None:
        """Count a cancel that was sent."""
        self.cancels[order_id] = self.cancels.get(order_id, 0) + 1
        while len(self.cancels) > _KEPT_MAX:
            self.cancels.popitem(last=False)


def _is_it(row: wire.OrderRow, command: Submit, rules: Instrument, sent_at_ns: int) -> bool:
    """Tell whether a row has the terms of a placement; a refused row tells none and is nobody's proof."""
    spec = command.spec
    if row.trading_pair != rules.symbol or translate.side_of(row) is not spec.side:
        return False
    if translate.nearest(row.amount, rules) != spec.quantity:
        return False
    is_market = spec.kind is OrderKind.MARKET
    if is_market is not (row.order_type == "MARKET") or (not is_market and row.price != spec.price):
        return False
    created_at_ns = instant_ns(row.created_at)
    return created_at_ns is None or created_at_ns >= sent_at_ns - STALE_NS
