"""Reads what a client wants of an order or a position, as strictly as the venue does.

Types that mean nothing are a 400; what the venue's rules forbid is a refusal with status 200. Assumed: a pip is ten
ticks, and offsets count from the order's own price, or from the quote for a market order.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.instruments import Instrument
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import decimal_from_text
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.simulators.tradelocker.answers import Failed, RefusedByVenue
from quantd.simulators.tradelocker.options import InstrumentRules

STRATEGY_ID_MAX = 32
"""The document says 31; the official client's tests pass at 32 and fail at 33."""
_PIP_TICKS = 10
_TYPES = ("absolute", "offset", "trailingOffset")


class Wanted(msgspec.Struct, frozen=True):
    """A create, read."""

    rules: InstrumentRules
    spec: OrderSpec
    protection: LotProtection | None
    strategy_id: str


def decimal_of(body: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a member that is a number or the text of one, None where it is absent or null.

    Raises:
        Failed: it is neither (400).
    """
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Failed(400, f"{name}: expected a number")
    try:
        return decimal_from_text(str(value))
    except ValueError as error:
        raise Failed(400, f"{name}: expected a number") from error


def read_create(body: Mapping[str, Any], rules: Mapping[str, InstrumentRules], quotes: Mapping[str, Decimal]) -> Wanted:
    """Return what a create wants; `quotes` are the present mid prices by instrument's name.

    Raises:
        Failed: a member is malformed (400).
        RefusedByVenue: the venue's rules forbid it.
    """
    found = rules.get(str(body.get("tradableInstrumentId")))
    if found is None:
        raise RefusedByVenue("Order cannot be created. Instrument not found")
    if str(body.get("routeId")) != str(found.trade_route):
        raise RefusedByVenue("Order cannot be created. Route is not valid")
    quantity = decimal_of(body, "qty")
    if quantity is None or quantity <= 0:
        raise RefusedByVenue("{qty=[must be greater than 0]}")
    side, kind = body.get("side"), body.get("type")
    if side not in ("buy", "sell") or kind not in ("market", "limit", "stop"):
        raise Failed(400, "expected side buy or sell, type market, limit or stop")
    if body.get("validity") != ("IOC" if kind == "market" else "GTC"):
        raise RefusedByVenue(f"Order cannot be created. TIF is not supported for {kind} orders")
    price = decimal_of(body, "price") if kind == "limit" else None
    trigger = decimal_of(body, "stopPrice") if kind == "stop" else None
    if kind != "market" and not (price or trigger):
        raise RefusedByVenue("{price=[must be greater than 0]}")
    spec = OrderSpec(
        found.instrument().id, Side(side), quantity, OrderKind(kind), price, trigger,
        TimeInForce.IOC if kind == "market" else TimeInForce.GTC,
    )  # fmt: skip
    strategy_id = str(body.get("strategyId") or "")
    if len(strategy_id) > STRATEGY_ID_MAX:
        raise RefusedByVenue("{strategyId=[size must be between 0 and 32]}")
    protection = _exits(body, spec, price or trigger or quotes.get(found.name), found.instrument())
    return Wanted(found, spec, protection, strategy_id)


def _exits(
    body: Mapping[str, Any], spec: OrderSpec, base: Decimal | None, instrument: Instrument
) -> LotProtection | None:
    """Return the exits that are wanted; a value without its type is silently ignored, as the venue does."""
    types = {name: body.get(f"{name}Type") for name in ("stopLoss", "takeProfit")}
    if any(kind is not None and kind not in _TYPES for kind in types.values()) or types["takeProfit"] == _TYPES[2]:
        raise Failed(400, "expected absolute, offset or (stop loss only) trailingOffset")
    stop = take = trail = None
    if types["stopLoss"] == "trailingOffset":
        offset = decimal_of(body, "trStopOffset")
        if offset is not None and base is not None:
            trail = offset * _PIP_TICKS * instrument.tick(base)
    else:
        stop = _exit(body, "stopLoss", base, instrument)
        if stop is not None and types["stopLoss"] == "offset":
            stop = (base or stop) - stop if spec.side is Side.BUY else (base or stop) + stop
    take = _exit(body, "takeProfit", base, instrument)
    if take is not None and types["takeProfit"] == "offset":
        take = (base or take) + take if spec.side is Side.BUY else (base or take) - take
    if base is not None:
        check_exits(LotProtection(stop, take), is_long=spec.side is Side.BUY, price=base)
    return None if stop is None and take is None and trail is None else LotProtection(stop, take, trail)


def _exit(body: Mapping[str, Any], name: str, base: Decimal | None, instrument: Instrument) -> Decimal | None:
    value = decimal_of(body, name)
    if value is None or body.get(f"{name}Type") is None:
        return None
    if body[f"{name}Type"] == "absolute":
        return value
    if base is None:
        raise RefusedByVenue("Order cannot be created. No price")
    return value * _PIP_TICKS * instrument.tick(base)


def check_exits(exits: LotProtection, *, is_long: bool, price: Decimal) -> None:
    """Let exits pass that lie on their sides of a price.

    Raises:
        RefusedByVenue: one does not.
    """
    for name, level, below in (("SL", exits.stop, is_long), ("TP", exits.take, not is_long)):
        if level is not None and (level <= 0 or (level < price) is not below or level == price):
            raise RefusedByVenue(f"{name} price is not valid for the order. ")
