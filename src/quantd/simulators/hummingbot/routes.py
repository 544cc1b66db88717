"""Which route a request asks for. Slashes count: two routes need the last one, all others must not have it."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from quantd.ports import HttpRequest

ROUTES: tuple[tuple[str, str, str], ...] = (
    ("root", "GET", "/"),
    ("place_order", "POST", "/trading/orders"),
    ("cancel_order", "POST", "/trading/{account}/{connector}/orders/{order}/cancel"),
    ("active_orders", "POST", "/trading/orders/active"),
    ("search_orders", "POST", "/trading/orders/search"),
    ("trades", "POST", "/trading/trades"),
    ("positions", "POST", "/trading/positions"),
    ("funding_payments", "POST", "/trading/funding-payments"),
    ("set_leverage", "POST", "/trading/{account}/{connector}/leverage"),
    ("set_position_mode", "POST", "/trading/{account}/{connector}/position-mode"),
    ("position_mode", "GET", "/trading/{account}/{connector}/position-mode"),
    ("portfolio", "POST", "/portfolio/state"),
    ("prices", "POST", "/market-data/prices"),
    ("order_book", "POST", "/market-data/order-book"),
    ("candles", "POST", "/market-data/candles"),
    ("historical_candles", "POST", "/market-data/historical-candles"),
    ("add_pair", "POST", "/market-data/trading-pair/add"),
    ("connectors", "GET", "/connectors/"),
    ("trading_rules", "GET", "/connectors/{connector}/trading-rules"),
    ("order_types", "GET", "/connectors/{connector}/order-types"),
    ("accounts", "GET", "/accounts/"),
    ("credentials", "GET", "/accounts/{account}/credentials"),
)
_PATTERNS = tuple(
    (name, method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))) for name, method, path in ROUTES
)


class Asked(msgspec.Struct, frozen=True):
    """A request, taken apart."""

    operation: str
    parts: Mapping[str, str]
    query: Mapping[str, list[str]]


def match(request: HttpRequest) -> Asked | None:
    """Return what a request asks for, None for a path or a method that there is not."""
    url = urlsplit(request.path)
    for name, method, pattern in _PATTERNS:
        found = pattern.fullmatch(url.path) if method == request.method else None
        if found is not None:
            parts = {key: unquote(value) for key, value in found.groupdict().items()}
            return Asked(name, parts, parse_qs(url.query))
    return None


def is_known_path(request: HttpRequest) -> bool:
    """Tell whether the path exists under another method: 405 instead of 404."""
    path = urlsplit(request.path).path
    return any(pattern.fullmatch(path) for _, _, pattern in _PATTERNS)
