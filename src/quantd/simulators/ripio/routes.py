"""The routes of the simulated venue, and how a request finds its own.

Used by the venue and its access check. Paths are without the prefix.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from quantd.ports import HttpRequest

READ = "Read"
TRADE = "Buy/Sell"


class Route(msgspec.Struct, frozen=True):
    """One route."""

    operation: str
    method: str
    path: str
    """With ``{id}`` for the part that varies."""
    permission: str = ""
    """That a credential needs; empty on public routes."""
    query: tuple[str, ...] = ()
    """Parameters that the documents name."""


_TRADES = ("pair", "start_time", "end_time", "page_size", "c", "current_page")
_FILLS = ("page_size", "c", "current_page")
_DATES = ("start_date", "end_date")

ROUTES = (
    Route("server_time", "GET", "/public/server-time"),
    Route("public_pairs", "GET", "/public/pairs", "", ("pair", "countries")),
    Route("public_currencies", "GET", "/public/currencies", "", ("currency_code", "countries")),
    Route("public_tickers", "GET", "/public/tickers"),
    Route("public_ticker", "GET", "/public/tickers/{id}"),
    Route("public_level_2", "GET", "/public/orders/level-2", "", ("pair", "limit")),
    Route("public_level_3", "GET", "/public/orders/level-3", "", ("pair", "limit")),
    Route("public_trades", "GET", "/public/trades", "", _TRADES),
    Route("pairs", "GET", "/pairs", READ, ("pair", "countries")),
    Route("currencies", "GET", "/currencies", READ, ("currency_code", "countries")),
    Route("tickers", "GET", "/ticker", READ),
    Route("ticker", "GET", "/ticker/{id}", READ),
    Route("level_2", "GET", "/book/orders/level-2", READ, ("pair", "limit")),
    Route("level_3", "GET", "/book/orders/level-3", READ, ("pair", "limit")),
    Route("trades", "GET", "/trades", READ, _TRADES),
    Route("estimate_price", "GET", "/orders/estimate-price/{id}", READ, ("amount", "side")),
    Route("balances", "GET", "/user/balances", READ, ("currency_code",)),
    Route("trading_fees", "GET", "/user/trading-fees", READ, ("pair",)),
    Route("fees_and_limits", "GET", "/user/fees-and-limits", READ),
    Route("user_trades", "GET", "/user/trades", READ, ("pair", *_DATES, "order_id", "external_id", *_FILLS)),
    Route(
        "statement", "GET", "/user/statement", READ,
        ("currency_code", "start_time", "end_time", "page_size", "current_page"),
    ),
    Route("order_trades", "GET", "/orders/trades", READ, ("order_id", *_FILLS)),
    Route("open_orders", "GET", "/orders/open", READ, ("pair", "side", "page_size", "current_page", "c")),
    Route(
        "user_orders", "GET", "/orders", READ,
        ("pair", "status", "side", "type", "ids", *_DATES, "page_size", "current_page", "c"),
    ),
    Route("order_by_external_id", "GET", "/orders/by-external-id/{id}", READ),
    Route("order", "GET", "/orders/{id}", READ),
    Route("create_order", "POST", "/orders", TRADE),
    Route("amend_order", "PUT", "/orders", TRADE),
    Route("cancel_order", "POST", "/orders/cancel", TRADE),
    Route("cancel_by_external_id", "POST", "/orders/cancel-by-external-id", TRADE),
    Route("delete_order", "DELETE", "/orders", TRADE),
    Route("delete_by_external_id", "DELETE", "/orders/by-external-id", TRADE),
    Route("cancel_all", "DELETE", "/orders/all", TRADE),
    Route("ticket", "POST", "/ticket", READ),
)  # fmt: skip
"""Where two patterns fit, the first counts."""

_PATTERNS = tuple((route, re.compile(route.path.replace("{id}", "([^/]+)"))) for route in ROUTES)


class Asked(msgspec.Struct, frozen=True):
    """A request, taken apart."""

    route: Route
    part: str
    """The id or pair in the path."""
    path: str
    """As sent, with the prefix and without the query: what is signed."""
    query: Mapping[str, str]
    """A parameter that is repeated is joined by commas."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    peer: str


def match(request: HttpRequest, prefix: str) -> Asked | None:
    """Return what a request asks for, None when no route fits."""
    url = urlsplit(request.path)
    if not url.path.startswith(prefix):
        return None
    path = url.path.removeprefix(prefix)
    for route, pattern in _PATTERNS:
        found = pattern.fullmatch(path) if route.method == request.method else None
        if found is not None:
            return Asked(
                route,
                unquote(found.group(1)) if found.groups() else "",
                url.path,
                _query(url.query),
                {name.lower(): value for name, value in request.headers.items()},
                request.body,
                request.peer,
            )
    return None


def _query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    return query
