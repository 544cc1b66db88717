"""Reads what a client wants of an order, as strictly as the venue: what is malformed is an error that nothing records, what
the rules forbid is a rejection with a reason that takes an id of the log.

Used by the desks for orders and trades. What the simulated exchange cannot do says so: fills that open only on a netting
account or reduce first on a hedging one, triggers by another price than the order's own side, guaranteed stops.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.numbers import on_step
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.simulators.oanda.answers import At, Failed, decimal_of, malformed, moment_of, units_text
from quantd.simulators.oanda.calendar import day_ends
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.records import MEMBERS, STOP_LOSS, TAKE_PROFIT
from quantd.simulators.venue import Json

TEXT_MAX = 128
"""Of a client's id, tag and comment; 129 was seen refused for ids, the rest is assumed."""
_WHOLE = {"MARKET": ("FOK", "IOC"), "LIMIT": ("GTC", "GTD", "GFD", "FOK", "IOC"), "STOP": ("GTC", "GTD", "GFD", "FOK", "IOC"),
          "MARKET_IF_TOUCHED": ("GTC", "GTD", "GFD")}  # fmt: skip
_GUARD_TIMES = ("GTC", "GTD", "GFD")
_TIMES = frozenset({"GTC", "GTD", "GFD", "FOK", "IOC"})
_FILLS = frozenset({"OPEN_ONLY", "REDUCE_FIRST", "REDUCE_ONLY", "DEFAULT"})
_TRIGGERS = frozenset({"DEFAULT", "INVERSE", "BID", "ASK", "MID"})
ENTRY_TYPES = frozenset(_WHOLE)
GUARD_TYPES = frozenset(MEMBERS)


class Rejected(Exception):
    """Ends a request with a rejection that the log records."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Guard(msgspec.Struct, frozen=True):
    """What guards a trade, read."""

    type: str
    price: Decimal | None
    distance: Decimal | None
    shown: Json
    """Its members as orders and transactions show them."""
    expires_ns: int | None


class Wanted(msgspec.Struct, frozen=True):
    """An order that opens or reduces, read."""

    type: str
    rules: InstrumentRules
    units: Decimal
    spec: OrderSpec
    shown: Json
    guards: Mapping[str, Guard]


def _is_one(raw: Mapping[str, Any], name: str, otherwise: str, known: frozenset[str]) -> str:
    value = raw.get(name, otherwise)
    if value not in known:
        raise malformed(f"order.{name}")
    return str(value)


def read_extensions(raw: Any, name: str, prefix: str) -> Json:
    """Return a client's id, tag and comment.

    Raises:
        Failed: it is no object of texts (400).
        Rejected: one is empty or too long.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise malformed(name)
    found: Json = {}
    for key, word in (("id", "ID"), ("tag", "TAG"), ("comment", "COMMENT")):
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise malformed(f"{name}.{key}")
        if not value or len(value) > TEXT_MAX:
            raise Rejected(f"{prefix}_{word}_INVALID")
        found[key] = value
    return found


def _price(value: object, rules: InstrumentRules, name: str, reason: str) -> Decimal:
    """Return a price or a distance on a step."""
    found = decimal_of(value, name)
    if found <= 0:
        raise Rejected(f"{reason}_INVALID")
    if not on_step(found, rules.tick):
        raise Rejected(f"{reason}_PRECISION_EXCEEDED")
    return found


def read_expiry(raw: Mapping[str, Any], time: str, now_ns: int, prefix: str) -> int | None:
    """Return when an order ends, None for never.

    Raises:
        Failed: the time is malformed (400).
        Rejected: it is missing or has passed.
    """
    if time == "GFD":
        return day_ends(now_ns)
    if time != "GTD":
        return None
    if raw.get("gtdTime") is None:
        raise Rejected(f"{prefix}GTD_TIMESTAMP_MISSING")
    found = moment_of(raw["gtdTime"], "gtdTime")
    if found <= now_ns:
        raise Rejected(f"{prefix}GTD_TIMESTAMP_IN_PAST")
    return found


# --- guards -----------------------------------------------------------------------------------------------------------


def read_guard(kind: str, raw: Any, rules: InstrumentRules, *, now_ns: int, on_fill: bool) -> Guard:
    """Return what is to guard a trade.

    Raises:
        Failed: a member is malformed (400).
        Rejected: the rules forbid it; reasons differ by whether it comes with the order that opens.
    """
    member = MEMBERS[kind]
    if not isinstance(raw, dict):
        raise malformed(member)
    prefix = f"{kind}_ON_FILL_" if on_fill else ""
    if raw.get("guaranteed"):
        raise Rejected(f"STOP_LOSS_{'ON_FILL' if on_fill else 'ORDER'}_GUARANTEED_NOT_ALLOWED")
    price, distance = _levels(kind, raw, rules, on_fill=on_fill, prefix=prefix)
    time = _is_one(raw, "timeInForce", "GTC", _TIMES)
    if time not in _GUARD_TIMES:
        raise Rejected(f"{prefix}TIME_IN_FORCE_INVALID")
    gtd_prefix = prefix if on_fill else "TIME_IN_FORCE_"
    expires_ns = read_expiry(raw, time, now_ns, gtd_prefix)
    if _is_one(raw, "triggerCondition", "DEFAULT", _TRIGGERS) != "DEFAULT":
        raise Failed(400, "triggerCondition other than DEFAULT is not simulated for orders that guard a trade")
    shown: Json = {}
    if price is not None:
        shown["price"] = f"{price:.{rules.precision}f}"
    if distance is not None:
        shown["distance"] = f"{distance:.{rules.precision}f}"
    shown["timeInForce"] = time
    if time == "GTD":
        shown["gtdTime"] = At(expires_ns or 0)
    if not on_fill:
        shown["triggerCondition"] = "DEFAULT"
    extensions = read_extensions(raw.get("clientExtensions"), f"{member}.clientExtensions", f"{prefix}CLIENT_ORDER")
    if extensions:
        shown["clientExtensions"] = extensions
    return Guard(kind, price, distance, shown, expires_ns)


def _levels(
    kind: str, raw: Mapping[str, Any], rules: InstrumentRules, *, on_fill: bool, prefix: str
) -> tuple[Decimal | None, Decimal | None]:
    """Return price and distance of a guard, of which there is exactly one."""
    has_price, has_distance = raw.get("price") is not None, raw.get("distance") is not None
    member = MEMBERS[kind]
    if kind == TAKE_PROFIT:
        if not has_price:
            raise Rejected(f"{prefix}PRICE_MISSING")
        return _price(raw["price"], rules, f"{member}.price", f"{prefix}PRICE"), None
    if kind == STOP_LOSS:
        if has_price is has_distance:
            which = "SPECIFIED" if has_price else "MISSING"
            raise Rejected(f"STOP_LOSS_{'ON_FILL' if on_fill else 'ORDER'}_PRICE_AND_DISTANCE_BOTH_{which}")
        if has_price:
            return _price(raw["price"], rules, f"{member}.price", f"{prefix}PRICE"), None
        reason = f"{prefix}DISTANCE" if on_fill else "PRICE_DISTANCE"
        return None, _price(raw["distance"], rules, f"{member}.distance", reason)
    if not has_distance:
        raise Rejected(f"{prefix}PRICE_DISTANCE_MISSING")
    distance = _price(raw["distance"], rules, f"{member}.distance", f"{prefix}PRICE_DISTANCE")
    if distance < rules.least_trail:
        raise Rejected(f"{prefix}PRICE_DISTANCE_MINIMUM_NOT_MET")
    if distance > rules.largest_trail:
        raise Rejected(f"{prefix}PRICE_DISTANCE_MAXIMUM_EXCEEDED")
    return None, distance


# --- orders -----------------------------------------------------------------------------------------------------------


def read_order(
    raw: Mapping[str, Any], instruments: Mapping[str, InstrumentRules], *, hedging: bool, now_ns: int
) -> Wanted:
    """Return the order that is wanted.

    Raises:
        Failed: a member is malformed (400), or the simulation cannot do it.
        Rejected: the rules forbid it.
    """
    kind = str(raw["type"])
    if raw.get("instrument") is None:
        raise Rejected("INSTRUMENT_MISSING")
    rules = instruments.get(str(raw["instrument"]))
    if rules is None:
        raise malformed("order.instrument")
    units = _units(raw, rules)
    price, bound = _prices(kind, raw, rules)
    time = _is_one(raw, "timeInForce", "FOK" if kind == "MARKET" else "GTC", _TIMES)
    if time not in _WHOLE[kind]:
        raise Rejected("TIME_IN_FORCE_INVALID")
    expires_ns = read_expiry(raw, time, now_ns, "TIME_IN_FORCE_")
    fill = _position_fill(raw, hedging=hedging)
    guards = _guards(raw, rules, now_ns)
    shown = _shown(rules, units, (price, bound), time)
    if time == "GTD":
        shown["gtdTime"] = At(expires_ns or 0)
    shown["positionFill"] = fill
    if kind != "MARKET":
        if not _is_natural(_is_one(raw, "triggerCondition", "DEFAULT", _TRIGGERS), is_buy=units > 0):
            raise Failed(400, "a triggerCondition other than the order's own side of the price is not simulated")
        shown["triggerCondition"] = raw.get("triggerCondition", "DEFAULT")
    shown |= {f"{MEMBERS[guard]}OnFill": read.shown for guard, read in guards.items()}
    for name, prefix in (("clientExtensions", "CLIENT_ORDER"), ("tradeClientExtensions", "CLIENT_TRADE")):
        extensions = read_extensions(raw.get(name), f"order.{name}", prefix)
        if extensions:
            shown[name] = extensions
    spec = _spec(kind, rules, units, levels=(price, bound), timing=(time, expires_ns))
    if fill == "REDUCE_ONLY":
        spec = msgspec.structs.replace(spec, reduce_only=True)
    return Wanted(kind, rules, units, spec, shown, guards)


def _guards(raw: Mapping[str, Any], rules: InstrumentRules, now_ns: int) -> dict[str, Guard]:
    """Return what is to guard the trade that an order opens."""
    if raw.get("guaranteedStopLossOnFill") is not None:
        raise Rejected("STOP_LOSS_ON_FILL_GUARANTEED_NOT_ALLOWED")
    return {
        kind: read_guard(kind, raw[f"{member}OnFill"], rules, now_ns=now_ns, on_fill=True)
        for kind, member in MEMBERS.items()
        if raw.get(f"{member}OnFill") is not None
    }


def _units(raw: Mapping[str, Any], rules: InstrumentRules) -> Decimal:
    if raw.get("units") is None:
        raise Rejected("UNITS_MISSING")
    units = decimal_of(raw["units"], "order.units")
    if not units:
        raise Rejected("UNITS_INVALID")
    check_units(abs(units), rules)
    if abs(units) < rules.minimum:
        raise Rejected("UNITS_MIMIMUM_NOT_MET")
    if abs(units) > rules.maximum:
        raise Rejected("UNITS_LIMIT_EXCEEDED")
    return units


def check_units(units: Decimal, rules: InstrumentRules) -> None:
    """Let units pass that are positive and a whole number of steps.

    Raises:
        Rejected: they are not.
    """
    if units <= 0:
        raise Rejected("UNITS_INVALID")
    if not on_step(units, rules.instrument().lot):
        raise Rejected("UNITS_PRECISION_EXCEEDED")


def _prices(kind: str, raw: Mapping[str, Any], rules: InstrumentRules) -> tuple[Decimal | None, Decimal | None]:
    """Return an order's price and its bound."""
    price = bound = None
    if kind != "MARKET":
        if raw.get("price") is None:
            raise Rejected("PRICE_MISSING")
        price = _price(raw["price"], rules, "order.price", "PRICE")
    if kind != "LIMIT" and raw.get("priceBound") is not None:
        bound = _price(raw["priceBound"], rules, "order.priceBound", "PRICE_BOUND")
    return price, bound


def _position_fill(raw: Mapping[str, Any], *, hedging: bool) -> str:
    fill = _is_one(raw, "positionFill", "DEFAULT", _FILLS)
    if fill == ("REDUCE_FIRST" if hedging else "OPEN_ONLY"):
        kind = "hedging" if hedging else "netting"
        raise Failed(400, f"positionFill {fill} is not simulated for a {kind} account")
    return fill


def _is_natural(trigger: str, *, is_buy: bool) -> bool:
    return trigger in ("DEFAULT", "ASK" if is_buy else "BID")


def _shown(rules: InstrumentRules, units: Decimal, levels: tuple[Decimal | None, Decimal | None], time: str) -> Json:
    shown: Json = {"instrument": rules.name, "units": units_text(units)}
    for name, value in zip(("price", "priceBound"), levels, strict=True):
        if value is not None:
            shown[name] = f"{value:.{rules.precision}f}"
    shown["timeInForce"] = time
    return shown


def _spec(
    kind: str, rules: InstrumentRules, units: Decimal, *, levels: tuple[Decimal | None, Decimal | None],
    timing: tuple[str, int | None],
) -> OrderSpec:  # fmt: skip
    """Return the order in the exchange's words; a bound is a limit that must fill whole.

    An order that is to be triggered from the better side is a limit there, see the page of the venue.
    """
    side, quantity = Side.BUY if units > 0 else Side.SELL, abs(units)
    price, bound = levels
    time, expires_ns = timing
    force = TimeInForce.GTD if expires_ns is not None else TimeInForce(time.lower())
    if kind == "MARKET":
        order = OrderKind.MARKET if bound is None else OrderKind.LIMIT
        return OrderSpec(rules.id, side, quantity, order, bound, None, force)
    if kind == "LIMIT":
        return OrderSpec(rules.id, side, quantity, OrderKind.LIMIT, price, None, force, expires_at_ns=expires_ns)
    order = OrderKind.STOP if bound is None else OrderKind.STOP_LIMIT
    if bound is not None:
        force = TimeInForce.FOK
    return OrderSpec(rules.id, side, quantity, order, bound, price, force, expires_at_ns=expires_ns)
