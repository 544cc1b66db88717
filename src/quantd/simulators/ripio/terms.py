"""Reads the bodies of order writes: strict about fields, types and formats, so that a sloppy client learns it here.

Used by the order desk. Each type of order has its own fields, and no others are taken (the v4 document's variants).
"""

import re
from collections import Counter
from decimal import Decimal

import msgspec

from quantd.domain.numbers import on_step
from quantd.domain.orders import Side, TimeInForce
from quantd.simulators.ripio.answers import BELOW_MINIMUM, INVALID, NS_PER_S, Problem
from quantd.simulators.ripio.pairs import Pair, Pairs
from quantd.simulators.ripio.routes import Asked
from quantd.simulators.venue import Json

EXTERNAL_ID_MAX = 36
STEPS_MAX = 10
"""Of an iceberg: amount over step."""
_SECONDS_MAX = 10**10
"""Expirations have ten digits; more would be milliseconds, taken for the distant future."""
_DECIMAL = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_DECODER = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)

_EVERY = ("pair", "side", "type")
_FLAGS = ("post_only", "immediate_or_cancel", "fill_or_kill")
REQUIRED: dict[str, tuple[str, ...]] = {
    "limit": ("amount", "price"),
    "market": (),
    "stop_limit": ("amount", "price", "stop_price"),
    "trailing": ("amount", "distance"),
    "ceiling": ("value",),
    "iceberg": ("amount", "step_amount", "price"),
}
"""Beside pair, side and type; a market order has one of amount and value."""
OPTIONAL: dict[str, tuple[str, ...]] = {
    "limit": ("post_only", "expiration", "immediate_or_cancel", "fill_or_kill", "external_id"),
    "market": ("amount", "value", "fill_or_kill", "external_id"),
    "stop_limit": ("external_id",),
    "trailing": ("price", "external_id"),
    "ceiling": ("fill_or_kill", "external_id"),
    "iceberg": ("external_id",),
}
_PRICES = ("price", "stop_price", "distance")
_AMOUNTS = ("amount", "step_amount")


class Terms(msgspec.Struct, frozen=True):
    """An order as it was asked for; numbers are those of its type, the others None."""

    pair: Pair
    type: str
    side: Side
    amount: Decimal | None = None
    """In base."""
    value: Decimal | None = None
    """In quote."""
    price: Decimal | None = None
    stop_price: Decimal | None = None
    distance: Decimal | None = None
    step_amount: Decimal | None = None
    post_only: bool = False
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at_ns: int | None = None
    """By the venue's clock."""
    external_id: str | None = None

    @property
    def is_buy(self) -> bool:
        """Which side it is on."""
        return self.side is Side.BUY


def read_object(asked: Asked) -> Json:
    """Return the JSON object in a body; its fractions are Decimals.

    Raises:
        Problem: there is none.
    """
    if asked.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(INVALID, "Content-Type must be application/json")
    return decode(asked.body)


def decode(body: bytes | str) -> Json:
    """Return a JSON object; its fractions are Decimals.

    Raises:
        Problem: it is none.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(INVALID, "Body must be a JSON object") from None


def read_text(body: Json, names: tuple[str, ...], violations: Counter[str]) -> list[str]:
    """Return the texts of a body that must have them and nothing else.

    Raises:
        Problem: one is missing or no text, or there is more.
    """
    for name in body:
        if name not in names:
            raise breach(violations, "unknown_field", f"{name[:32]} is not allowed")
    texts = [body.get(name) for name in names]
    found = [text for text in texts if isinstance(text, str) and text]
    if len(found) < len(names):
        raise breach(violations, "missing_field", f"{' and '.join(names)} must be text")
    return found


def read_terms(body: Json, pairs: Pairs, violations: Counter[str], now_ns: int) -> Terms:
    """Return the terms in a create's body; each breach is counted in `violations`.

    Raises:
        Problem: they cannot be taken.
    """
    kind, side = body.get("type"), body.get("side")
    if not isinstance(kind, str) or kind not in REQUIRED:
        raise breach(violations, "bad_type", f"type must be one of {', '.join(REQUIRED)}")
    if side not in ("buy", "sell"):
        raise breach(violations, "bad_side", "side must be buy or sell")
    allowed = (*_EVERY, *REQUIRED[kind], *OPTIONAL[kind])
    for name in body:
        if name not in allowed:
            raise breach(violations, "unknown_field", f"{name[:32]} is not allowed for {kind}")
    for name in REQUIRED[kind]:
        if name not in body:
            raise breach(violations, "missing_field", f"{name} is required for {kind}")
    if kind == "market" and ("amount" in body) is ("value" in body):
        raise breach(violations, "missing_field", "market needs amount or value")
    symbol = body.get("pair")
    pair = pairs.find(symbol if isinstance(symbol, str) else None)
    numbers = {
        name: read_decimal(body[name], name, violations)
        for name in (*_PRICES, *_AMOUNTS, "value")
        if name in body
    }  # fmt: skip
    flags = _read_flags(body, violations)
    terms = Terms(
        pair, kind, Side(side), **numbers,
        post_only=flags["post_only"],
        time_in_force=_time_in_force(flags, body, violations),
        expires_at_ns=_read_expiration(body, violations, now_ns),
        external_id=_read_external_id(body, violations),
    )  # fmt: skip
    check_steps(terms, violations)
    return terms


def read_decimal(value: object, name: str, violations: Counter[str]) -> Decimal:
    """Return a number that is written as a JSON number or as text.

    Raises:
        Problem: it is none above 0.
    """
    text = value if isinstance(value, str) else f"{value:f}" if isinstance(value, Decimal) else str(value)
    if not _DECIMAL.fullmatch(text) or not Decimal(text):
        raise breach(violations, "bad_decimal", f"{name} must be a number above 0")
    return Decimal(text)


def check_steps(terms: Terms, violations: Counter[str]) -> None:
    """Hold prices and amounts against the pair's ticks, and a value against its minimum.

    Raises:
        Problem: one is off its tick, or too small.
    """
    rules = terms.pair.rules
    for name in _PRICES:
        price = getattr(terms, name)
        if price is not None and not on_step(price, rules.price_tick):
            raise breach(violations, "wrong_tick", f"{name} must be a multiple of {rules.price_tick:f}")
    for name in _AMOUNTS:
        amount = getattr(terms, name)
        if amount is not None and not on_step(amount, rules.amount_tick):
            raise breach(violations, "wrong_tick", f"{name} must be a multiple of {rules.amount_tick:f}")
    if terms.value is not None and terms.value < rules.min_value:
        raise Problem(BELOW_MINIMUM, f"Minimum value not reached: {rules.min_value:f}")
    step, amount = terms.step_amount, terms.amount
    if step is not None and amount is not None and not step <= amount <= step * STEPS_MAX:
        raise breach(violations, "bad_step", f"amount may be at most {STEPS_MAX} steps, and at least one")


def _read_flags(body: Json, violations: Counter[str]) -> dict[str, bool]:
    flags: dict[str, bool] = {}
    for name in _FLAGS:
        value = body.get(name, False)
        if not isinstance(value, bool):
            raise breach(violations, "bad_flag", f"{name} must be true or false")
        flags[name] = value
    if sum(flags.values()) > 1:
        raise breach(violations, "bad_flag", f"only one of {', '.join(_FLAGS)} may be true")
    return flags


def _time_in_force(flags: dict[str, bool], body: Json, violations: Counter[str]) -> TimeInForce:
    if flags["fill_or_kill"]:
        found = TimeInForce.FOK
    elif flags["immediate_or_cancel"] or body["type"] in ("market", "ceiling"):
        found = TimeInForce.IOC
    else:
        return TimeInForce.GTC if "expiration" not in body else TimeInForce.GTD
    if "expiration" in body:
        raise breach(violations, "bad_expiration", "what does not rest does not expire")
    return found


def _read_expiration(body: Json, violations: Counter[str], now_ns: int) -> int | None:
    value = body.get("expiration")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not now_ns < value * NS_PER_S < _SECONDS_MAX * NS_PER_S:
        raise breach(violations, "bad_expiration", "expiration must be a coming time in seconds")
    return value * NS_PER_S


def _read_external_id(body: Json, violations: Counter[str]) -> str | None:
    value = body.get("external_id")
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= EXTERNAL_ID_MAX:
        raise breach(violations, "bad_external_id", f"external_id must be text of 1 to {EXTERNAL_ID_MAX} characters")
    return value


def breach(violations: Counter[str], kind: str, message: str) -> Problem:
    """Count a breach and return the refusal for it."""
    violations[kind] += 1
    return Problem(INVALID, message)
