"""Our state against the simulated TradeLocker's own truth, to the last digit: orders, lots, money."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from quantd.domain.orders import ClientOrderId, OrderState
from quantd.engine.state import State


def differences(state: State, truth: Any) -> list[str]:
    """Everything in which we and the server do not agree; empty at quiescence."""
    found = [f"{count} orders under {tag}" for tag, count in _tags(truth).items() if count > 1]
    for order in state.orders.all_orders():
        if order.operation is not None:
            found.append(f"{order.client_order_id}: {order.operation.kind.value} {order.operation.phase.value}")
    return found + _orders(state, truth) + _holdings(state, truth)


def _tags(truth: Any) -> Counter[str]:
    return Counter(one["strategyId"] for one in truth["orders"] if one["role"] == "entry" and one["strategyId"])


def _orders(state: State, truth: Any) -> list[str]:
    """Compare orders: what carries our id and what closed a position must be known to us, with what traded of it."""
    found = []
    ours = {venue_id: order for order in state.orders.all_orders() for venue_id in order.venue_order_ids}
    made_by: defaultdict[ClientOrderId, list[Any]] = defaultdict(list)
    """By our order, those of the server's that are it: a close may be two."""
    for theirs in truth["orders"]:
        order = ours.pop(theirs["id"], None)
        if order is not None:
            made_by[order.client_order_id].append(theirs)
        elif Decimal(theirs["filledQuantity"]) or theirs["role"] == "entry":
            found.append(f"we know nothing of {theirs}")
    for order_id, parts in made_by.items():
        order, names = state.orders[order_id], [one["id"] for one in parts]
        filled = sum(Decimal(one["filledQuantity"]) for one in parts)
        states = {one["state"] for one in parts}
        if order.filled != filled:
            found.append(f"{names}: filled {order.filled} with us, {filled} there")
        elif order.is_open != bool(states & {"working", "partially_filled"}):
            found.append(f"{names}: {order.state.value} with us, {states} there")
    # What the server refused and lists all the same was never at its exchange.
    held = (venue_id for venue_id, order in ours.items() if order.state is not OrderState.REJECTED)
    return found + [f"we have {venue_id}, the server does not" for venue_id in held]


def _holdings(state: State, truth: Any) -> list[str]:
    """Compare lots, the sum of the books, and the money."""
    found = []
    lots = {held.lot.venue_id: (held.lot.side.value, held.lot.quantity) for held in state.lots["tradelocker"].all()}
    there = {one["id"]: (one["side"], Decimal(one["quantity"])) for one in truth["lots"]}
    if lots != there:
        found.append(f"lots: {lots} with us, {there} there")
    net = sum((book.quantity for book in state.portfolio.books()), Decimal(0))
    signed = sum((quantity if side == "buy" else -quantity for side, quantity in there.values()), Decimal(0))
    if net != signed:
        found.append(f"position {net} with us, {signed} there")
    balance = Decimal(truth["balances"]["1000001"]["USD"]["total"])
    if state.portfolio.accounts["tradelocker"].totals["USD"] != balance:
        found.append(f"USD: {state.portfolio.accounts['tradelocker'].totals['USD']} with us, {balance} there")
    return found
