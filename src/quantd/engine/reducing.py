"""Which open orders can only shrink their books, as books and orders stand now, and which a latched state lets not stand.

What was an exit when it was sent may open a position by now: it was amended, or others closed what it was for. And what was
sent ahead of its entry protects a position since that has filled. So whoever leaves exits standing asks here, and not what
an order was meant for.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from quantd.domain.events import TradingState
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Origin, Role, Side
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State

_AGAIN_NS: Final = 5_000_000_000
"""After the last event in its instrument, a cancel that came to nothing is sent again."""


def only_reduces(state: State, order: LiveOrder) -> bool:
    """Tell whether an open order can only shrink its strategy's book, what comes before it on its side counted.

    Stops come before others, as they protect, also those that were reached; then the older first. The close of a lot is bound to it.
    """
    return order.exit if order.lot else order.remaining <= room_of(state, order)


def room_of(state: State, order: LiveOrder) -> Decimal:
    """Return what of a strategy's book an open order may close, what comes before it on its side taken off; see above."""
    held = state.portfolio.book(order.strategy, order.instrument).quantity
    room = held if order.spec.side is Side.SELL else -held
    if room <= 0:
        return ZERO
    rank = _rank(order)
    before = (
        one.remaining
        for one in state.orders.open_orders(order.instrument)
        if one.strategy == order.strategy and one.spec.side is order.spec.side and not one.lot and _rank(one) < rank
    )
    return room - sum(before, ZERO)


def must_go(state: State, order: LiveOrder, now_ns: int, forsaken: Collection[str]) -> bool:
    """Tell whether a latched state demands that an idle order be cancelled, or that nobody looks after it any more.

    An entry of a forsaken strategy would open what no strategy closes. Latching cancels, and that cancel may be lost with the
    process, refused, or come to nothing at the venue. Orders that others placed are told off once, when the state is latched: whoever repairs by hand is left alone.
    """
    if order.origin is Origin.EXTERNAL or now_ns - state.last_order_event_ns.get(order.instrument, 0) < _AGAIN_NS:
        return False
    venue = order.instrument.partition(":")[0]
    standing = state.trading_state(
        ("all", f"venue:{venue}", f"instrument:{order.instrument}", f"strategy:{order.strategy}")
    )
    if standing is TradingState.HALTED:
        return True
    reduces = standing is TradingState.REDUCING or order.strategy in forsaken
    return reduces and not only_reduces(state, order)


def _rank(order: LiveOrder) -> tuple[bool, int, str]:
    is_stop = order.spec.trigger is not None or order.role in (Role.STOP, Role.TRAIL)
    return not is_stop, order.intended_at_ns, order.client_order_id
