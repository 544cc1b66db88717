"""Resting orders that may only reduce, once what they were to reduce has become less: each is cut to what is left.

The gate lets such an order pass for what is held then. A stop at the venue, a target or another order of the strategy may
close that first, and where the venue keeps no such flag the order would open a position, which nothing guards. Used by
`Protection`, which hears of every fill and of every book that reconciliation has moved.
"""

from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, Origin
from quantd.engine.backoff import Backoff
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder
from quantd.engine.reducing import room_of
from quantd.engine.risk.wish import Denied
from quantd.engine.trading import Trading

WHY = "reduce_only"


class SpentExits:
    """Amends or cancels a strategy's own resting exits that are larger than what is left.

    Those that the engine holds for their trigger, and protective exits, are cut when they leave.
    """

    def __init__(self, context: Context, trading: Trading) -> None:
        self._context = context
        self._trading = trading
        self._again: dict[ClientOrderId, int] = {}
        """Orders with an operation in flight, or whose cut may yet come to nothing -> when to look again, engine time."""
        self._backoff = Backoff()
        """By order: how long to wait with a cut that came to nothing."""

    @property
    def waits(self) -> bool:
        """Whether anything is to be looked at again."""
        return bool(self._again)

    def restore(self) -> None:
        """After a fold: look at everything with the next tick."""
        for order in self._context.state.orders.open_orders():
            if _is_bound(order):
                self._again[order.client_order_id] = 0

    def time_passed(self) -> None:
        """Look again where an operation was in flight: a cut may have been refused, or its answer lost."""
        for order_id, at_ns in list(self._again.items()):
            if self._context.now_ns >= at_ns:
                del self._again[order_id]
                order = self._context.state.orders.get(order_id)
                if order is not None:
                    self._look_at(order)

    def changed(self, order: LiveOrder) -> None:
        """Look at an order with the next tick, unless it waits for a later one."""
        if _is_bound(order):
            self._again.setdefault(order.client_order_id, 0)

    def look(self, strategy: str, instrument: InstrumentId) -> None:
        """Cut what a strategy's book of an instrument has no room for."""
        for order in list(self._context.state.orders.open_orders(instrument)):
            if order.strategy == strategy:
                self._look_at(order)

    def _look_at(self, order: LiveOrder) -> None:
        if order.is_open and _is_bound(order) and self._context.reaches(order.instrument):
            room = room_of(self._context.state, order)
            if order.remaining > room:
                self._cut(order, max(room, ZERO))
                return
        self._backoff.forget(order.client_order_id)

    def _cut(self, order: LiveOrder, room: Decimal) -> None:
        """Leave `room` of an order; all of it goes where there is none, or where it cannot be made smaller."""
        rules = self._context.instrument(order.instrument)
        left = rules.quantity(room)
        if left <= 0:
            self._trading.cancel(order, WHY)
        elif order.operation is not None:
            self._again[order.client_order_id] = 0
        else:
            answer = self._trading.amend(order, order.filled + left, None)
            if isinstance(answer, Denied) and not answer.is_transient:
                self._trading.cancel(order, WHY)
            else:
                wait_ns = self._backoff.refused(order.client_order_id)
                self._again[order.client_order_id] = self._context.now_ns + wait_ns


def _is_bound(order: LiveOrder) -> bool:
    """Whether an order rests, was meant to reduce and nothing else, and is bound to no lot."""
    spec = order.spec
    reduces = spec.reduce_only or spec.effect is Effect.CLOSE
    rests = spec.kind is not OrderKind.MARKET and not order.held and not order.cancel_wanted
    return reduces and rests and order.origin is Origin.STRATEGY and not order.lot
