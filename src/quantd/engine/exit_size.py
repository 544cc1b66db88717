"""How large one exit may be: no larger than what is held, than one order may be, and than a spot account has to give.

The engine chooses the size of what closes, so what one order cannot do several do, one after the other; and what is to
reduce only may have become larger than its book while it waited. Nothing is ever made larger here.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import Effect, OrderSpec, Side
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.state import State


def fitted(wish: Wish) -> OrderSpec | Denied:
    """Return the terms in the size that one order may have now, of what the engine closes and of a held exit.

    Anything else keeps the size that its author chose. What cannot be sent in any size is denied.
    """
    spec, rules, quantity = wish.spec, wish.instrument, wish.spec.quantity
    if spec.effect is not Effect.CLOSE and (wish.amends is None or not (wish.amends.exit or wish.reduces)):
        return spec
    if (spec.reduce_only or spec.effect is Effect.CLOSE) and wish.closable > 0:
        quantity = min(quantity, wish.closable)
    if rules.max_quantity is not None:
        quantity = min(quantity, rules.max_quantity)
    price = wish.named_price
    if rules.max_notional is not None and price is not None and price > 0:
        quantity = min(quantity, rules.max_notional / rules.notional(ONE, price))
    total = _to_sell(wish.state, rules.id, spec.side)
    if total is not None:
        account, own = wish.account, ZERO if wish.amends is None else wish.amends.reservation[1]
        free = account.free(rules.base) + own
        if rules.quantity(free / rules.units_per_quantity) <= 0:
            return wish.deny(Denial.BALANCE, 18, f"venue:{rules.venue}", f"{free} {rules.base}", quantity)
        quantity = min(quantity, free / rules.units_per_quantity)
    quantity = rules.quantity(quantity)
    return spec if quantity == spec.quantity else msgspec.structs.replace(spec, quantity=quantity)


def cut_to_book(state: State, order: LiveOrder, quantity: Decimal) -> Decimal:
    """Return how much of `quantity` is to follow an order that has ended, at most what is left to close if it may only reduce.

    The book may have shrunk while it was replaced: denied for its size, what is left of the position would have no exit.
    """
    closable = closable_by(state, order)
    bound = order.spec.reduce_only or order.spec.effect is Effect.CLOSE
    return min(quantity, closable) if bound and closable > 0 else quantity


def closable_by(state: State, order: LiveOrder) -> Decimal:
    """Return what is held that an order of the same side would close once this one has ended, other exits taken off."""
    book = state.portfolio.book(order.strategy, order.instrument)
    return book.worst_short if order.spec.side is Side.SELL else -book.worst_long


def is_dust(state: State, instrument: InstrumentId, side: Side, quantity: Decimal) -> bool:
    """Whether so little is left to close by orders of `side` that no order can be as small, or the account has as little."""
    rules = state.portfolio.instruments[instrument]
    total = _to_sell(state, instrument, side)
    quantity = rules.quantity(quantity if total is None else min(quantity, total))
    if quantity <= 0 or quantity < (rules.min_quantity or ZERO):
        return True
    price = state.rates.marks[instrument].exact()
    if rules.min_notional is None or price is None:
        return False
    return rules.notional(quantity, price) < rules.min_notional


def _to_sell(state: State, instrument: InstrumentId, side: Side) -> Decimal | None:
    """Return all that a spot account has to sell, in the instrument's unit; None where nothing bounds it.

    A book may say more than the account holds. Only a word of the venue's that is newer than all that our orders did is
    taken for it: an older one may count a sale or a lock twice, and an exit would wait for nothing.
    """
    rules = state.portfolio.instruments[instrument]
    account = state.portfolio.account(rules.venue)
    if side is not Side.SELL or account.account is None or account.is_margin:
        return None
    if state.last_order_event_ns.get(instrument, 0) >= account.asked_at_ns:
        return None
    return max(account.totals.get(rules.base, ZERO), ZERO) / rules.units_per_quantity
