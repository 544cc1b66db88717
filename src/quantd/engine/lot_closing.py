"""Reducing a book on a hedging account: by closing lots, oldest first, never by an opposite order.

Used by `Trading` once the gate has let the wish pass.
"""

import msgspec

from quantd.domain.cash import PositionMode
from quantd.domain.commands import CloseLot
from quantd.domain.facts import OrderIntended
from quantd.domain.orders import Effect, OrderKind
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.portfolio import AccountBalances
from quantd.engine.risk.wish import Denial, Denied, Wish


def closes_lots(account: AccountBalances) -> bool:
    """Whether what reduces a book on this account is the closing of lots, never an opposite order."""
    return account.account is not None and account.account.mode is PositionMode.HEDGING


def close_lot(context: Context, ticket: Ticket, wish: Wish) -> LiveOrder | Denied:
    """Reduce a book by closing its oldest lot, for a wish that passed the gate; a larger wish goes on when that is done."""
    spec, rules = wish.spec, wish.instrument
    busy = [order.lot for order in context.state.orders.open_orders(rules.id) if order.lot]
    lots = context.state.lots.get(rules.venue)
    lot = None if lots is None else lots.to_close(ticket.strategy, rules.id, spec.side, busy)
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
