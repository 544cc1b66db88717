"""Every route of the ionloop API in one table, with how sure we are of each path.

Used by the connector and by the documentation's test. The venue's document lost the captions of its route blocks, so
some paths are inferred; any path can be overridden by its name. Sends nothing.
"""

from collections.abc import Mapping
from enum import Enum
from urllib.parse import quote, urlencode

import msgspec


class Evidence(Enum):
    """Where a path comes from."""

    PRINTED = "printed"
    """It stands verbatim in the venue's document."""
    INFERRED = "inferred"
    """Derived from its neighbours; the sandbox has the last word."""


class Route(msgspec.Struct, frozen=True):
    """One route: what it is called here, how it is asked for, and what it draws on."""

    operation: str
    """Our name; also the label of metrics and log lines."""
    method: str
    path: str
    """Template; ``{symbol}`` and ``{id}`` are filled in percent-encoded."""
    path_name: str
    """Name of the path in the configuration's overrides."""
    evidence: Evidence
    scope: str
    """Scope that the API key needs; empty on public routes."""
    rates: Mapping[str, int] = {}
    """Weight by name of a budget in `limits.py`, beside the one that every request draws on."""
    per_symbol: bool = False
    """Whether those budgets count for each symbol by itself."""


_P, _I = Evidence.PRINTED, Evidence.INFERRED

ROUTES: tuple[Route, ...] = (
    Route("list_markets", "GET", "/v1/markets", "markets", _P, ""),
    Route("market", "GET", "/v1/markets/{symbol}", "market", _I, "markets:read"),
    Route("ticker", "GET", "/v1/markets/{symbol}/ticker", "ticker", _P, "markets:read", {"ticker": 1}, per_symbol=True),
    Route("order_book", "GET", "/v1/markets/{symbol}/orderbook", "order_book", _I, "markets:read"),
    Route("create_order", "POST", "/v1/orders", "orders", _P, "orders:write", {"orders": 1}),
    Route("list_orders", "GET", "/v1/orders", "orders", _I, "orders:read", {"orders": 1}),
    Route("get_order", "GET", "/v1/orders/{id}", "order", _P, "orders:read", {"orders": 1}),
    Route("cancel_order", "DELETE", "/v1/orders/{id}", "order", _P, "orders:write", {"orders": 1}),
    Route("portfolio", "GET", "/v1/portfolio", "portfolio", _P, "portfolio:read"),
    Route("wallets", "GET", "/v1/wallets", "wallets", _I, "wallet:read"),
    Route("transactions", "GET", "/v1/transactions", "transactions", _I, "transactions:read"),
    Route("create_webhook", "POST", "/v1/webhooks", "webhooks", _P, "webhooks:write"),
    Route("status", "GET", "/v1/status", "status", _I, "", {"status": 1}),
)
"""All thirteen, in the order of the venue's document."""

PATH_NAMES = frozenset(route.path_name for route in ROUTES)
"""Names under which paths can be overridden."""


def route_table(overrides: Mapping[str, str]) -> dict[str, Route]:
    """Return the routes by operation, with `overrides` (path name -> template) put in.

    Raises:
        ValueError: when an override names no path.
    """
    unknown = sorted(set(overrides) - PATH_NAMES)
    if unknown:
        raise ValueError(f"no such path: {', '.join(unknown)}; expected some of {', '.join(sorted(PATH_NAMES))}")
    return {
        route.operation: msgspec.structs.replace(route, path=overrides.get(route.path_name, route.path))
        for route in ROUTES
    }


def target(route: Route, parts: Mapping[str, str], query: Mapping[str, str] | None = None) -> str:
    """Return path and query of a request, percent-encoded; `parts` fill the template."""
    path = route.path
    if "{" in path:
        path = path.format(**{name: quote(value, safe="") for name, value in parts.items()})
    # Commas stay readable: the venue's lists of states are comma-separated.
    return f"{path}?{urlencode(query, safe=',:')}" if query else path
