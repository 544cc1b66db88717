"""From the engine's commands to the bodies of requests; pure.

Our id stands on the order as its client id, and on the trade that it opens as a tag: a client id of a trade would
have to be unique among open trades, and the rest of a partly filled order opens another one.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from quantd.domain.instruments import symbol_of
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import plain
from quantd.domain.orders import OrderKind, OrderSpec, TimeInForce
from quantd.venues.oanda import wire
from quantd.venues.oanda.formats import instant_text, signed_units

TYPES = {OrderKind.MARKET: "MARKET", OrderKind.LIMIT: "LIMIT", OrderKind.STOP: "STOP"}
"""The kinds that the venue takes; a stop limit is the engine's business."""
_IN_FORCE = {
    TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK", TimeInForce.DAY: "GFD", TimeInForce.GTD: "GTD",
}  # fmt: skip


def new_order(spec: OrderSpec, client_order_id: str, protection: LotProtection | None) -> dict[str, Any]:
    """Return the body that places an order, with exits for the trade that it opens."""
    order = _terms(spec, spec.quantity)
    order["clientExtensions"] = {"id": client_order_id}
    order["tradeClientExtensions"] = {"tag": client_order_id}
    if protection is not None:
        if protection.stop is not None:
            order["stopLossOnFill"] = {"price": plain(protection.stop)}
        if protection.take is not None:
            order["takeProfitOnFill"] = {"price": plain(protection.take)}
        if protection.trail is not None:
            order["trailingStopLossOnFill"] = {"distance": plain(protection.trail)}
    return {"order": order}


def replacement(spec: OrderSpec, rest: Decimal, before: wire.Transaction | None) -> dict[str, Any]:
    """Return the body that replaces an order by one for `rest` units, with what hung on the one before.

    The client id is inherited where it is left out; the exits for the trade to come are not known to be.
    """
    order = _terms(spec, rest)
    if before is not None:
        if before.trade_client_extensions is not None and before.trade_client_extensions.tag:
            order["tradeClientExtensions"] = {"tag": before.trade_client_extensions.tag}
        kept = {
            "stopLossOnFill": before.stop_loss_on_fill,
            "takeProfitOnFill": before.take_profit_on_fill,
            "guaranteedStopLossOnFill": before.guaranteed_stop_loss_on_fill,
            "trailingStopLossOnFill": before.trailing_stop_loss_on_fill,
        }
        order.update((key, value) for key, value in kept.items() if value is not None)
    return {"order": order}


def _terms(spec: OrderSpec, quantity: Decimal) -> dict[str, Any]:
    order: dict[str, Any] = {
        "type": TYPES[spec.kind],
        "instrument": symbol_of(spec.instrument),
        "units": signed_units(spec, quantity),
        "timeInForce": _IN_FORCE[spec.time_in_force],
        "positionFill": "REDUCE_ONLY" if spec.reduce_only else "DEFAULT",
    }
    if spec.kind is OrderKind.MARKET:
        # GTC is refused for market orders. As much as there is at once, as the engine counts what is left.
        order["timeInForce"] = "FOK" if spec.time_in_force is TimeInForce.FOK else "IOC"
    price = spec.trigger if spec.kind is OrderKind.STOP else spec.price
    if spec.kind is not OrderKind.MARKET and price is not None:
        order["price"] = plain(price)
    if spec.time_in_force is TimeInForce.GTD and spec.expires_at_ns is not None:
        order["gtdTime"] = instant_text(spec.expires_at_ns)
    return order


def dependents(
    wanted: LotProtection, shown: LotProtection | None, unsure: Collection[str] = frozenset()
) -> dict[str, Any]:
    """Return the body that makes a trade's exits what is wanted: an object sets, null cancels, absent leaves alone.

    A trailing stop that stands at the wanted distance is left alone: set anew, it would begin at the present price. What
    is known not to be there is not cancelled. A stop or a target is always said again, as what was shown may be old.

    Args:
        wanted: All exits that the trade shall have.
        shown: Those that the venue last showed, None when it has not shown the trade.
        unsure: Members of bodies that were sent since, and whose outcome is unknown: what was shown of these may be old.
    """
    had = shown or LotProtection()
    body: dict[str, Any] = {}
    for key, member, value, was in (
        ("stopLoss", "price", wanted.stop, had.stop),
        ("takeProfit", "price", wanted.take, had.take),
        ("trailingStopLoss", "distance", wanted.trail, had.trail),
    ):
        is_known = shown is not None and key not in unsure
        if is_known and value == was and (value is None or key == "trailingStopLoss"):
            continue
        body[key] = None if value is None else {member: plain(value)}
    return body


def close(quantity: Decimal | None) -> dict[str, str]:
    """Return the body that closes a trade, or so many units of it: positive, whatever its side."""
    return {"units": "ALL" if quantity is None else plain(quantity)}
