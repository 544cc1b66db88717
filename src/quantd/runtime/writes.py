"""Writes of orders: which one has left, as it was sent, and by which method of a connector each leaves."""

from typing import assert_never

from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.orders import OperationKind
from quantd.domain.outcomes import Outcome
from quantd.engine.core import Engine
from quantd.engine.orders import LiveOrder, amended
from quantd.ports import Connector

Write = Submit | Amend | Cancel | CloseLot | SetProtection


async def send(connector: Connector, write: Write) -> Outcome:
    """Carry a write out and return what came of it."""
    match write:
        case Submit():
            return await connector.submit(write)
        case Amend():
            return await connector.amend(write)
        case Cancel():
            return await connector.cancel(write)
        case CloseLot():
            return await connector.close_lot(write)
        case SetProtection():
            return await connector.set_protection(write)
        case _:
            assert_never(write)


def sent_at_ns(order: LiveOrder) -> int:
    """Return the earliest time at which the write in flight can have left; an order that was held is older than that."""
    return order.intended_at_ns if order.operation is None else order.operation.since_ns


def is_unknown(engine: Engine, client_order_id: str, operation: int) -> bool:
    """Whether nobody knows yet what became of a write, by its order and its number."""
    order = engine.state.orders.get(client_order_id)
    in_flight = order.operation if order is not None and order.is_unknown else None
    return in_flight is not None and in_flight.number == operation


def write_of(order: LiveOrder, engine: Engine) -> Write | None:
    """Return the write that an order has in flight as it was sent, so that the venue can be asked for it."""
    operation = order.operation
    if operation is None:
        return None
    if operation.kind is OperationKind.SUBMIT and order.lot:
        return CloseLot(order.client_order_id, operation.number, order.instrument, order.lot, order.spec.quantity, 0, 0)
    if operation.kind is OperationKind.SUBMIT:
        protect = None if order.exit else order.protect
        attached = engine.protection.exits.attached(engine.context.instrument(order.instrument), protect)
        return Submit(order.client_order_id, operation.number, order.spec, 0, 0, attached, order.exit)
    if operation.kind is OperationKind.AMEND and operation.quantity is not None:
        return Amend(
            order.client_order_id,
            operation.number,
            order.instrument,
            order.venue_order_id,
            amended(order.spec, operation.quantity, operation.price),
            0,
            0,
            operation.quantity,
            operation.price,
        )
    return Cancel(order.client_order_id, operation.number, order.instrument, order.venue_order_id)
