"""The thirteen routes: method, path, name and scope. Anything else is 404.

Used by the venue to tell what a request asks for.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from quantd.ports import HttpRequest


class Route(msgspec.Struct, frozen=True):
    """One route; an empty scope is public."""

    operation: str
    method: str
    path: str
    scope: str = ""
    query: tuple[str, ...] = ()
    is_order_route: bool = False


ROUTES = (
    Route("list_markets", "GET", "/v1/markets", query=("quote",)),
    Route("market", "GET", "/v1/markets/{part}", "markets:read"),
    Route("ticker", "GET", "/v1/markets/{part}/ticker", "markets:read"),
    Route("order_book", "GET", "/v1/markets/{part}/orderbook", "markets:read", ("depth",)),
    Route("create_order", "POST", "/v1/orders", "orders:write", is_order_route=True),
    Route(
        "list_orders", "GET", "/v1/orders", "orders:read", ("symbol", "status", "page", "pageSize"), is_order_route=True
    ),
    Route("get_order", "GET", "/v1/orders/{part}", "orders:read", is_order_route=True),
    Route("cancel_order", "DELETE", "/v1/orders/{part}", "orders:write", is_order_route=True),
    Route("portfolio", "GET", "/v1/portfolio", "portfolio:read"),
    Route("wallets", "GET", "/v1/wallets", "wallet:read", ("type",)),
    Route("transactions", "GET", "/v1/transactions", "transactions:read", ("type", "from", "to", "page", "pageSize")),
    Route("create_webhook", "POST", "/v1/webhooks", "webhooks:write"),
    Route("status", "GET", "/v1/status"),
)
"""In the order of the venue's document."""

_PATTERNS = tuple((route, re.compile(route.path.replace("{part}", "([^/]+)"))) for route in ROUTES)


class Asked(msgspec.Struct, frozen=True):
    """A request, taken apart."""

    route: Route
    part: str
    """The symbol or id in the path."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    peer: str


def match(request: HttpRequest) -> Asked | None:
    """Return what a request asks for, None when no route fits."""
    url = urlsplit(request.path)
    for route, pattern in _PATTERNS:
        if route.method != request.method:
            continue
        found = pattern.fullmatch(url.path)
        if found is not None:
            return Asked(
                route,
                unquote(found.group(1)) if found.groups() else "",
                dict(parse_qsl(url.query, keep_blank_values=True)),
                {name.lower(): value for name, value in request.headers.items()},
                request.body,
                request.peer,
            )
    return None
