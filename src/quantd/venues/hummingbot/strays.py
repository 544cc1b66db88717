"""Ends orders that the database holds for open and the server's memory does not have: closed, and what they traded is lost.

Used by the connector's `order_reports`. Seen where a fill follows the acknowledgement within milliseconds, and never repaired
until the server restarts. The balances tell what the lists do not: such an order is whole where they have moved by all of it and
nothing is locked for it. Anything less is for a person.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from quantd.domain.instruments import InstrumentId, symbol_of
from quantd.domain.numbers import ONE
from quantd.domain.orders import OrderRef
from quantd.errors import VenueError
from quantd.ports import Clock
from quantd.venues.budget import Lane
from quantd.venues.hummingbot.holdings import Holdings
from quantd.venues.hummingbot.orders import OrderReader
from quantd.venues.hummingbot.translate import SECOND_NS

STRAY_S = 10.0
"""Seconds after which an order that memory does not have is no more between two lists; also between two looks at one."""
PATIENCE_S = 60.0
"""After so long it is left to a person."""
_KEPT_MAX = 1_000

Doubtful = Callable[[InstrumentId, str], None]
"""(instrument, what is in doubt) -> halts the instrument until a person has looked."""


class Strays:
    """Looks after the orders of one account that have strayed."""

    def __init__(self, orders: OrderReader, holdings: Holdings, clock: Clock, doubtful: Doubtful) -> None:
        self._orders = orders
        self._holdings = holdings
        self._clock = clock
        self._doubtful = doubtful
        self._looked_ns: OrderedDict[str, int] = OrderedDict()
        """By order: monotonic time of the last look."""
        self._left: set[str] = set()
        """Those that a person has been told of."""

    async def settle(self, working: Sequence[OrderRef]) -> None:
        """Conclude what became of strays among these, or leave them to a person; a failed look is tried again."""
        self._left &= self._orders.strays.keys()
        for ref in working:
            order_id = ref.venue_order_ids[-1] if ref.venue_order_ids else ""
            since_ns = self._orders.strays.get(order_id)
            now_ns = self._clock.monotonic_ns()
            if since_ns is None or order_id in self._left:
                continue
            if now_ns - max(since_ns, self._looked_ns.get(order_id, 0)) < STRAY_S * SECOND_NS:
                continue
            self._looked_ns[order_id] = now_ns
            if len(self._looked_ns) > _KEPT_MAX:
                self._looked_ns.popitem(last=False)
            try:
                is_settled = await self._settled(ref, order_id)
            except VenueError:
                continue
            if not is_settled and now_ns - since_ns >= PATIENCE_S * SECOND_NS:
                self._left.add(order_id)
                why = f"{order_id} is open in the server's database and not in its memory, and the balances do not tell it"
                self._doubtful(ref.spec.instrument, why)

    async def _settled(self, ref: OrderRef, order_id: str) -> bool:
        """Whether nothing is left to find out about an order: it has traded in full, or it is alive after all."""
        look = await self._orders.look(Lane.RECONCILE, wanted=[order_id])
        if order_id not in self._orders.strays:
            return True
        spec, rules = ref.spec, self._orders.rules(symbol_of(ref.spec.instrument))
        at_ns = ref.submitted_at_ns
        trace = await self._holdings.trace(ref.client_order_id, spec, look, sent_at_ns=at_ns, but=order_id)
        if trace.rests(spec, rules):
            return True  # memory is blank, and the exchange holds what pays for it
        if trace.got is None or len(self._orders.strays) > 1:
            return False
        least, slack = spec.quantity * (ONE - self._holdings.fee), rules.lot / 2
        if trace.got.low < least - slack or trace.got.high > spec.quantity + slack:
            return False
        self._orders.conclude(order_id)
        return True
