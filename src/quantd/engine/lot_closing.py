"""Reducing a book by closing lots: a named one, or on a hedging account the oldest; never by an opposite order there.

Used by `Trading` once the gate has let the wish pass, and by `Intake` for what venues close by themselves.
"""

import msgspec

from quantd.domain.commands import CloseLot
from quantd.domain.facts import ExternalOrderSeen, OrderIntended
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ClientOrderId, Effect, OperationPhase, OrderKind, OrderSpec, Role
from quantd.domain.reports import OrderReport
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.lots import HeldLot, Lots
from quantd.engine.orders import LiveOrder
from quantd.engine.overfills import is_beyond_lot
from quantd.engine.risk.wish import Denial, Denied, Wish


def close_lot(context: Context, ticket: Ticket, wish: Wish) -> LiveOrder | Denied:
    """Reduce a book by closing the ticket's lot, else its oldest, for a wish that passed the gate; a larger wish goes on when that is done."""
    spec, rules = wish.spec, wish.instrument
    busy = [order.lot for order in context.state.orders.open_orders(rules.id) if order.lot]
    lots = context.state.lots.get(rules.venue)
    lot = None if lots is None else lots.to_close(ticket.strategy, rules.id, spec.side, busy, ticket.lot)
    if lot is None or spec.kind is not OrderKind.MARKET:
        found = spec.kind.value if lot is not None else "no lot of this strategy is free"
        return Denied(Denial.UNSUPPORTED, 6, "order", "a market order that closes a lot", found)
    quantity = min(spec.quantity, lot.quantity)
    spec = msgspec.structs.replace(spec, quantity=quantity, effect=Effect.CLOSE)
    order_id = context.ids.next()
    deadline = context.now_ns + int((ticket.how.good_for_s or context.settings.good_for_s) * 1e9)
    context.record(
        OrderIntended(
            order_id,
            ticket.strategy,
            spec,
            ticket.origin,
            ticket.role,
            deadline,
            context.now_ns,
            exit=True,
            why=ticket.why,
            parent=ticket.parent,
            group=ticket.group,
            lot=lot.venue_id,
            reference=wish.price,
            input=context.input,
            for_target=ticket.for_target,
        )
    )
    whole = quantity == lot.quantity
    context.send(
        CloseLot(
            order_id,
            1,
            rules.id,
            lot.venue_id,
            None if whole else quantity,
            deadline,
            context.state.halt_generation,
        )
    )
    return context.state.orders[order_id]


_ROLES = {OrderKind.STOP: Role.STOP, OrderKind.LIMIT: Role.TARGET, OrderKind.MARKET: Role.CLOSE, None: Role.TRAIL}


def lot_exit(context: Context, report: OrderReport) -> LiveOrder | None:
    """Take in an order of the venue's that has closed a lot of ours, or a part of one; None for any other report.

    It belongs to the strategy whose lot it is. An exit that hangs on a lot and has not traded is no exposure and stays
    outside; and while a close of ours has been sent and is unanswered, what may be that very close waits.
    """
    lots = context.state.lots.get(report.instrument.partition(":")[0])
    held = None if lots is None or not report.lot or not report.filled_quantity else lots.get(report.lot)
    if lots is None or held is None or _is_booked(context, lots, held) or is_beyond_lot(context, held, report):
        return None
    if report.kind not in (OrderKind.STOP, OrderKind.LIMIT) and any(
        order.lot == report.lot and _may_have_closed(order)
        for order in context.state.orders.open_orders(report.instrument)
    ):
        return None
    kind = report.kind or OrderKind.STOP
    spec = OrderSpec(
        report.instrument,
        report.side or held.lot.side.opposite,
        max(report.quantity or held.lot.quantity, report.filled_quantity),
        kind,
        report.price if kind is OrderKind.LIMIT else None,
        report.trigger,
        reduce_only=True,
        effect=Effect.CLOSE,
    )
    order_id = ClientOrderId(f"x-{held.lot.instrument.partition(':')[0]}-{report.venue_order_id}")
    context.record(
        ExternalOrderSeen(
            order_id,
            report.venue_order_id,
            spec,
            ZERO,
            context.now_ns,
            held.strategy,
            report.lot,
            held.entry,
            _ROLES[report.kind],
        )
    )
    return context.state.orders[order_id]


def _may_have_closed(order: LiveOrder) -> bool:
    """Whether a close of ours may be what a report tells of; one that has not left is not."""
    sent = order.operation is not None and order.operation.phase is not OperationPhase.PENDING
    return sent and not order.is_acknowledged


def _is_booked(context: Context, lots: Lots, held: HeldLot) -> bool:
    """Whether a lot that no snapshot shows any more is out of its owner's book: reconciliation did not wait for this report."""
    if not held.strategy or held not in lots.gone():
        return False
    own = (
        one.lot.signed
        for one in lots.all()
        if (one.strategy, one.lot.instrument) == (held.strategy, held.lot.instrument)
    )
    untold = context.state.portfolio.book(held.strategy, held.lot.instrument).quantity - sum(own, ZERO)
    return untold * held.lot.signed <= 0
