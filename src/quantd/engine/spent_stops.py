"""Stops that the engine held for a strategy, and whose attempt at the venue came to nothing, or to a part.

A stop that was reached stays reached: what is left of it is placed again at once, held like the stop was, but waiting for
no price any more. Journalled as an order of its own that names the spent one, so a restart goes on with it.
"""

import msgspec

from quantd.domain.facts import OrderIntended
from quantd.domain.orders import OrderKind, OrderState, Origin, Role
from quantd.engine.context import Context
from quantd.engine.exit_size import closable_by
from quantd.engine.orders import LiveOrder

EXPIRED, SELF_MATCH = "expired", "self_match"
_NOBODYS_WISH = ("", EXPIRED, SELF_MATCH)
"""Why an order was cancelled that nobody wanted gone: no cancel was asked for, or not for its own sake."""


def is_stop_again(order: LiveOrder) -> bool:
    """Whether an order is what is left of a stop that was reached, and waits here to leave again."""
    return order.held and order.role is Role.STOP and order.spec.trigger is None


def place_again(context: Context, order: LiveOrder) -> LiveOrder | None:
    """Put what is left of a spent stop back in its place and return that.

    None where somebody wanted it gone, where something follows it already, and where nothing is held any more
    that no other order closes.
    """
    if not _is_spent(order):
        return None
    spec = order.spec
    closable = closable_by(context.state, order)
    left = context.instrument(order.instrument).quantity(min(spec.quantity - order.filled, closable))
    if left <= 0:
        return None
    if spec.expires_at_ns is not None:  # a market order that was sent as a capped limit
        spec = msgspec.structs.replace(spec, kind=OrderKind.MARKET, price=None, expires_at_ns=None)
    order_id = context.ids.next()
    context.record(
        OrderIntended(
            order_id,
            order.strategy,
            msgspec.structs.replace(spec, quantity=left, reduce_only=True),
            order.origin,
            order.role,
            order.deadline_at_ns,
            context.now_ns,
            exit=True,
            why=order.why,
            parent=order.client_order_id,
            group=order.group,
            reference=order.reference,
            held=True,
            input=context.input,
        )
    )
    return context.state.orders[order_id]


def _is_spent(order: LiveOrder) -> bool:
    """Whether an ended order was a strategy's stop that had left already, and ended otherwise than as it was meant to."""
    is_own_stop = order.role is Role.STOP and order.origin is Origin.STRATEGY and not order.for_target
    has_left = not order.held and order.spec.trigger is None
    return (
        is_own_stop
        and has_left
        and order.exit
        and order.state not in (OrderState.WORKING, OrderState.PARTIALLY_FILLED, OrderState.FILLED)
        and order.cancelled_for in _NOBODYS_WISH
        and not order.followed_by
    )
