"""Turns the nodes of a set of limits, and of the trading day, into the engine's own values.

Used by the checks. Every key is converted by itself, so that all that is wrong is reported together.
"""

import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from quantd.config.expectations import bare, expected, options
from quantd.config.problems import Problem, choice, nearest
from quantd.config.tree import Node, Path, shortened
from quantd.engine.risk.limits import SCOPES, DayEnd, Limits, RateLimit, Scope, expectation, refusal
from quantd.plugins.cron import is_time_zone

DAY_ENDS = "day_ends"
"""The one key of `risk.account` that is no limit."""

_DAY_ENDS_FORM = "a time and a time zone such as 17:00 America/New_York"
LIMIT_TYPES: dict[str, Any] = get_type_hints(Limits)
"""Type of each limit."""
RATE_TYPES: dict[str, Any] = get_type_hints(RateLimit)
"""Type of each key of a rate limit."""


def limit_keys(scope: Scope) -> tuple[str, ...]:
    """Return the keys that a set of limits in `scope` may have."""
    keys = tuple(name for name, scopes in SCOPES.items() if scope in scopes)
    return (*keys, DAY_ENDS) if scope == "account" else keys


def read_limits(node: Node, scope: Scope, path: Path, problems: list[Problem]) -> Limits:
    """Return the limits that `node` writes; what is wrong goes to `problems` and is left out."""
    if node.value is None:
        return Limits()
    if not isinstance(node.value, dict):
        problems.append(Problem(node.named_at, path, node.describe(), "a mapping of limits"))
        return Limits()
    values: dict[str, Any] = {}
    for name, child in node.value.items():
        if name == DAY_ENDS and scope == "account":
            continue
        place = (*path, name)
        if name not in SCOPES:
            keys = limit_keys(scope)
            near = nearest(name, keys)
            problems.append(Problem(child.named_at, place, "an unknown key", choice(keys), near))
        elif scope not in SCOPES[name]:
            found = f"a limit that makes no sense for {_article(scope)}"
            problems.append(Problem(child.named_at, place, found, f"it under {' or '.join(_places(SCOPES[name]))}"))
        elif child.value is not None:
            _read_one(name, child, place, problems, values)
    return Limits(**values)


def _article(scope: str) -> str:
    return f"an {scope}" if scope[0] in "aeiou" else f"a {scope}"


def _places(scopes: Iterable[Scope]) -> list[str]:
    names = {
        "order": "risk.order",
        "strategy": "a strategy's risk",
        "instrument": "risk.instruments",
        "venue": "risk.venues",
        "account": "risk.account",
    }
    return [names[scope] for scope in scopes]


def _read_one(name: str, child: Node, place: Path, problems: list[Problem], values: dict[str, Any]) -> None:
    kind = bare(LIMIT_TYPES[name])[0]
    if kind is RateLimit:
        rate = _read_rate(child, place, problems)
        if rate is not None:
            values[name] = rate
        return
    if get_origin(kind) is tuple:
        listed = _read_list(get_args(kind)[0], child, place, problems)
        if listed is not None:
            wrong = refusal(name, listed)
            if wrong is not None:
                problems.append(Problem(child.named_at, place, "an empty list", wrong))
            values[name] = listed
        return
    value = _convert(kind, child)
    if value is None:
        problems.append(_mismatch(kind, child, place, expectation(name)))
        return
    wrong = refusal(name, value)
    if wrong is not None:
        problems.append(Problem(child.origin, place, child.describe(), wrong))
        return
    values[name] = value


def _convert(kind: Any, child: Node) -> Any:
    """Return the value as `kind`, or None where it is none."""
    if isinstance(child.value, bool) != (kind is bool) or not isinstance(child.value, str | bool):
        return None
    try:
        return msgspec.convert(child.value, kind, strict=False)
    except msgspec.ValidationError:
        return None


def _mismatch(kind: Any, child: Node, place: Path, wanted: str | None) -> Problem:
    words = options(kind)
    near = nearest(child.value, words) if words and isinstance(child.value, str) else None
    return Problem(child.origin, place, child.describe(), wanted or expected(kind), near)


def _read_list(kind: Any, node: Node, place: Path, problems: list[Problem]) -> tuple[Any, ...] | None:
    if not isinstance(node.value, list):
        problems.append(Problem(node.origin, place, node.describe(), f"a list such as [{_sample(kind)}]"))
        return None
    values = []
    for index, item in enumerate(node.value):
        value = _convert(kind, item)
        if value is None:
            problems.append(_mismatch(kind, item, (*place, str(index)), None))
        else:
            values.append(value)
    return tuple(values)


def _sample(kind: Any) -> str:
    return ", ".join(options(kind)[:2]) or "paper:BTC-USDT"


def _read_rate(node: Node, place: Path, problems: list[Problem]) -> RateLimit | None:
    if not isinstance(node.value, dict):
        problems.append(Problem(node.origin, place, node.describe(), "a mapping such as {count: 10, per_s: 1}"))
        return None
    values: dict[str, Any] = {}
    before = len(problems)
    for name, child in node.value.items():
        if name not in RATE_TYPES:
            near = nearest(name, RATE_TYPES)
            problems.append(Problem(child.named_at, (*place, name), "an unknown key", choice(tuple(RATE_TYPES)), near))
            continue
        value = _convert(RATE_TYPES[name], child)
        if value is None:
            problems.append(_mismatch(RATE_TYPES[name], child, (*place, name), None))
        elif name != "policy" and not 0 < value < float("inf"):
            problems.append(Problem(child.origin, (*place, name), child.describe(), "a number above 0"))
        else:
            values[name] = value
    for name in ("count", "per_s"):
        if name not in node.value:
            problems.append(Problem(node.named_at, (*place, name), "nothing", "a number above 0"))
    return RateLimit(**values) if len(problems) == before else None


def read_day_ends(node: Node | None, place: Path, problems: list[Problem]) -> DayEnd:
    """Return when the trading day ends; midnight UTC where nothing is written."""
    if node is None or node.value is None:
        return DayEnd()
    match = (
        re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?:\s+(\S+))?", node.value) if isinstance(node.value, str) else None
    )
    if match is None:
        problems.append(Problem(node.origin, place, node.describe(), _DAY_ENDS_FORM))
        return DayEnd()
    zone = match[3] or "UTC"
    if not is_time_zone(zone):
        found = f"the time zone {shortened(zone)}"
        problems.append(Problem(node.origin, place, found, "a time zone of the IANA data base", _near_zone(zone)))
        return DayEnd()
    return DayEnd(hour=int(match[1]), minute=int(match[2]), time_zone=zone)


def _near_zone(zone: str) -> str | None:
    from zoneinfo import available_timezones

    return nearest(zone, available_timezones())
