"""Every route that is served. Unknown query parameters are ignored; a known path with another method is a 405."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from quantd.ports import HttpRequest

_A = "/accounts/{account}"

ROUTES: tuple[tuple[str, str, str], ...] = (
    ("accounts", "GET", "/accounts"),
    ("user_accounts", "GET", "/users/@/accounts"),
    ("account", "GET", _A),
    ("summary", "GET", f"{_A}/summary"),
    ("instruments", "GET", f"{_A}/instruments"),
    ("configure", "PATCH", f"{_A}/configuration"),
    ("changes", "GET", f"{_A}/changes"),
    ("candles", "GET", "/instruments/{instrument}/candles"),
    ("account_candles", "GET", f"{_A}/instruments/{{instrument}}/candles"),
    ("latest_candles", "GET", f"{_A}/candles/latest"),
    ("pricing", "GET", f"{_A}/pricing"),
    ("pricing_stream", "GET", f"{_A}/pricing/stream"),
    ("create_order", "POST", f"{_A}/orders"),
    ("orders", "GET", f"{_A}/orders"),
    ("pending_orders", "GET", f"{_A}/pendingOrders"),
    ("order", "GET", f"{_A}/orders/{{order}}"),
    ("replace_order", "PUT", f"{_A}/orders/{{order}}"),
    ("cancel_order", "PUT", f"{_A}/orders/{{order}}/cancel"),
    ("order_extensions", "PUT", f"{_A}/orders/{{order}}/clientExtensions"),
    ("trades", "GET", f"{_A}/trades"),
    ("open_trades", "GET", f"{_A}/openTrades"),
    ("trade", "GET", f"{_A}/trades/{{trade}}"),
    ("close_trade", "PUT", f"{_A}/trades/{{trade}}/close"),
    ("trade_extensions", "PUT", f"{_A}/trades/{{trade}}/clientExtensions"),
    ("trade_orders", "PUT", f"{_A}/trades/{{trade}}/orders"),
    ("positions", "GET", f"{_A}/positions"),
    ("open_positions", "GET", f"{_A}/openPositions"),
    ("position", "GET", f"{_A}/positions/{{instrument}}"),
    ("close_position", "PUT", f"{_A}/positions/{{instrument}}/close"),
    ("transactions", "GET", f"{_A}/transactions"),
    ("transactions_range", "GET", f"{_A}/transactions/idrange"),
    ("transactions_since", "GET", f"{_A}/transactions/sinceid"),
    ("transactions_stream", "GET", f"{_A}/transactions/stream"),
    ("transaction", "GET", f"{_A}/transactions/{{transaction}}"),
)
"""(operation, method, path below ``/v3``); fixed words come before parts that stand for anything."""

_PATTERNS = tuple(
    (name, method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", f"/v3{path}") + "/?"))
    for name, method, path in ROUTES
)
WRONG_METHOD = "wrong_method"


class Asked(msgspec.Struct, frozen=True):
    """A request, taken apart."""

    operation: str
    path: str
    """Without the query."""
    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""

    @property
    def is_unix(self) -> bool:
        """Whether the client wants times as seconds; RFC 3339 without its word."""
        return self.headers.get("accept-datetime-format", "").upper() == "UNIX"

    @property
    def host(self) -> str:
        """The address that the client used, for links."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"


def match(request: HttpRequest) -> Asked | None:
    """Return what a request asks for, None for a path that there is not."""
    url = urlsplit(request.path)
    headers = {key.lower(): value for key, value in request.headers.items()}
    known = None
    for name, method, pattern in _PATTERNS:
        found = pattern.fullmatch(url.path)
        if found is None:
            continue
        parts = {key: unquote(value) for key, value in found.groupdict().items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if method == request.method:
            return Asked(name, url.path, parts, query, headers)
        known = known or Asked(WRONG_METHOD, url.path, parts, query, headers)
    return known
