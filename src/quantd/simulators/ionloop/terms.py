"""Reads the body of a create: strict about fields, types and formats, so that a sloppy client learns it here.

Used by the order desk. Types, tick and step are 422; what the engine decides is not its matter.
"""

import re
from collections import Counter
from decimal import Decimal

import msgspec

from quantd.domain.numbers import on_step
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.simulators.ionloop.envelope import Problem
from quantd.simulators.ionloop.markets import Market, Markets
from quantd.simulators.ionloop.options import Switches
from quantd.simulators.ionloop.routes import Asked
from quantd.simulators.venue import Json

_FIELDS = ("symbol", "side", "type", "quantity", "price", "timeInForce")
_DECIMAL = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_TIMES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}


class Terms(msgspec.Struct, frozen=True):
    """An order as it was asked for."""

    market: Market
    spec: OrderSpec
    price: str
    """As sent; answers repeat it."""
    quantity: str


def read_object(asked: Asked) -> Json:
    """Return the JSON object in a body.

    Raises:
        Problem: there is none.
    """
    if asked.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem("VALIDATION_ERROR", "Content-Type must be application/json")
    try:
        return msgspec.json.decode(asked.body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem("VALIDATION_ERROR", "Body must be a JSON object") from None


def read_terms(asked: Asked, markets: Markets, switches: Switches, violations: Counter[str]) -> Terms:
    """Return the terms in a create's body; each breach is counted in `violations`.

    Raises:
        Problem: they cannot be taken.
    """
    body = read_object(asked)
    texts = _read_texts(body, violations)
    if texts["side"] not in ("buy", "sell"):
        raise _breach(violations, "bad_side", "side must be buy or sell")
    if texts["type"] != "limit":
        raise _breach(violations, "bad_type", "type must be limit")
    time_in_force = _TIMES.get(texts["timeInForce"])
    if time_in_force is None or (time_in_force is not TimeInForce.GTC and not switches.accept_ioc_fok):
        raise _breach(violations, "bad_time_in_force", "timeInForce must be GTC")
    for name in ("quantity", "price"):
        if not _DECIMAL.fullmatch(texts[name]) or not Decimal(texts[name]):
            raise _breach(violations, "bad_decimal", f"{name} must be a decimal string above zero")
    market = markets.find(texts["symbol"])
    quantity, price = Decimal(texts["quantity"]), Decimal(texts["price"])
    if not on_step(price, market.rules.tick_size):
        raise _breach(violations, "wrong_tick", f"price must be a multiple of {market.rules.tick_size}")
    if not on_step(quantity, market.rules.step_size):
        raise _breach(violations, "wrong_step", f"quantity must be a multiple of {market.rules.step_size}")
    side = Side.BUY if texts["side"] == "buy" else Side.SELL
    spec = OrderSpec(
        market.instrument.id, side, quantity, OrderKind.LIMIT, price, time_in_force=time_in_force
    )  # fmt: skip
    return Terms(market, spec, texts["price"], texts["quantity"])


def _read_texts(body: Json, violations: Counter[str]) -> dict[str, str]:
    """Return the fields of a create, all of them text."""
    for name in body:
        if name not in _FIELDS:
            raise _breach(violations, "unknown_field", f"Unknown field {name[:32]}")
    texts: dict[str, str] = {}
    for name in _FIELDS:
        value = body.get(name, "GTC" if name == "timeInForce" else None)
        if not isinstance(value, str):
            raise _breach(violations, "not_text", f"{name} must be a string")
        texts[name] = value
    return texts


def _breach(violations: Counter[str], kind: str, message: str) -> Problem:
    violations[kind] += 1
    return Problem("VALIDATION_ERROR", message)


def read_page(asked: Asked, size_default: int) -> tuple[int, int]:
    """Return page and page size.

    Raises:
        Problem: they are no numbers in range.
    """
    numbers = []
    for name, default, highest in (("page", 1, 1_000_000), ("pageSize", size_default, 100)):
        text = asked.query.get(name, str(default))
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
        if not 1 <= value <= highest:
            raise Problem("VALIDATION_ERROR", f"{name} must be 1 to {highest}")
        numbers.append(value)
    return numbers[0], numbers[1]
