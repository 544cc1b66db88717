"""Refusals as facts: what was asked for, and which control in which scope said no."""

from decimal import Decimal

from quantd.domain.facts import RequestDenied
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.wish import Denied


def record_denied(context: Context, ticket: Ticket, denied: Denied, client_order_id: str = "") -> Denied:
    """Record that a new order was denied, and return the denial; a quantity that is no number is recorded as 0."""
    try:
        quantity = Decimal(str(ticket.quantity))
    except ArithmeticError:
        quantity = Decimal(0)
    context.record(
        RequestDenied(
            strategy=ticket.strategy,
            instrument=ticket.instrument,
            side=ticket.side,
            quantity=quantity if quantity.is_finite() else Decimal(0),
            code=denied.code.value,
            control=denied.control,
            scope=denied.scope,
            limit=denied.limit,
            observed=denied.observed,
            at_ns=context.now_ns,
            why=ticket.why,
            client_order_id=client_order_id,
            input=context.input,
        )
    )
    return denied


def record_refused(context: Context, order: LiveOrder, denied: Denied) -> Denied:
    """Record that an amendment was denied, and return the denial."""
    context.record(
        RequestDenied(
            strategy=order.strategy,
            instrument=order.spec.instrument,
            side=order.spec.side,
            quantity=order.spec.quantity,
            code=denied.code.value,
            control=denied.control,
            scope=denied.scope,
            limit=denied.limit,
            observed=denied.observed,
            at_ns=context.now_ns,
            why="amend",
            client_order_id=order.client_order_id,
            input=context.input,
        )
    )
    return denied
