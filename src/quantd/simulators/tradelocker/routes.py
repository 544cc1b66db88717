"""Every route that is served, with the rate limit that it draws on. Unknown query parameters are ignored."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from quantd.ports import HttpRequest

BASE = "/backend-api"
_ACCOUNT = "/trade/accounts/{account}"

ROUTES: tuple[tuple[str, str, str, str], ...] = (
    ("log_in", "POST", "/auth/jwt/token", ""),
    ("refresh", "POST", "/auth/jwt/refresh", ""),
    ("all_accounts", "GET", "/auth/jwt/all-accounts", ""),
    ("config", "GET", "/trade/config", ""),
    ("accounts", "GET", "/trade/accounts", "GET_ACCOUNTS"),
    ("instruments", "GET", f"{_ACCOUNT}/instruments", "GET_INSTRUMENTS"),
    ("state", "GET", f"{_ACCOUNT}/state", "GET_ACCOUNTS_STATE"),
    ("orders", "GET", f"{_ACCOUNT}/orders", "GET_ORDERS"),
    ("orders_history", "GET", f"{_ACCOUNT}/ordersHistory", "GET_ORDERS_HISTORY"),
    ("executions", "GET", f"{_ACCOUNT}/executions", "GET_EXECUTIONS"),
    ("positions", "GET", f"{_ACCOUNT}/positions", "GET_POSITIONS"),
    ("place_order", "POST", f"{_ACCOUNT}/orders", "PLACE_ORDER"),
    ("cancel_orders", "DELETE", f"{_ACCOUNT}/orders", ""),
    ("close_positions", "DELETE", f"{_ACCOUNT}/positions", ""),
    ("modify_order", "PATCH", "/trade/orders/{order}", "MODIFY_ORDER"),
    ("cancel_order", "DELETE", "/trade/orders/{order}", ""),
    ("modify_position", "PATCH", "/trade/positions/{position}", "MODIFY_POSITION"),
    ("close_position", "DELETE", "/trade/positions/{position}", ""),
    ("instrument", "GET", "/trade/instruments/{instrument}", "GET_INSTRUMENT_DETAILS"),
    ("session", "GET", "/trade/sessions/{session}", "GET_TRADE_SESSIONS"),
    ("session_status", "GET", "/trade/sessionStatuses/{session}", "GET_SESSION_STATUSES"),
    ("quotes", "GET", "/trade/quotes", "QUOTES"),
    ("depth", "GET", "/trade/depth", "DEPTH"),
    ("daily_bar", "GET", "/trade/dailyBar", "DAILY_BAR"),
    ("history", "GET", "/trade/history", "QUOTES_HISTORY"),
)
"""(operation, method, path, rate limit type); no type is told for sessions of log-in and for the DELETE routes."""

_PATTERNS = tuple(
    (name, method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", BASE + path) + "/?"), limit)
    for name, method, path, limit in ROUTES
)


class Asked(msgspec.Struct, frozen=True):
    """A request, taken apart."""

    operation: str
    limit: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""


def match(request: HttpRequest) -> Asked | None:
    """Return what a request asks for, None for a path or a method that there is not."""
    url = urlsplit(request.path)
    for name, method, pattern, limit in _PATTERNS:
        found = pattern.fullmatch(url.path) if method == request.method else None
        if found is not None:
            parts = {key: unquote(value) for key, value in found.groupdict().items()}
            headers = {key.lower(): value for key, value in request.headers.items()}
            return Asked(name, limit, parts, dict(parse_qsl(url.query)), headers)
    return None
