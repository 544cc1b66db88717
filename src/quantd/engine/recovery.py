"""What a fold leaves open, and what becomes of it before the first event: nothing stale is ever sent late."""

from quantd.engine.context import Context
from quantd.engine.intake import Intake
from quantd.engine.protection import Protection
from quantd.engine.trading import Trading


def count_on(context: Context) -> None:
    """Never count out an id again that the fold has seen, of an order or of a write of a lot's exits."""
    state = context.state
    for order in state.orders.all_orders():
        context.ids.seen(order.client_order_id)
    context.ids.seen(state.last_order_id)
    context.ids.seen(state.guarding.last_id)


def lose_in_flight(context: Context, *, intake: Intake, trading: Trading, protection: Protection, cause: str) -> None:
    """Call everything that was pending or sent unknown; it may or may not have happened.

    A held order of an earlier epoch is cancelled: its trigger may have been reached, and it sent, since the backup.
    """
    protection.lose_in_flight(cause)
    for order in list(context.state.orders.all_orders()):
        operation = order.operation
        if operation is not None and not order.is_unknown:
            intake.lost(order, operation, cause)
        elif order.held and order.is_open and not context.ids.is_current(order.client_order_id):
            trading.cancel(order, "restored_backup")
