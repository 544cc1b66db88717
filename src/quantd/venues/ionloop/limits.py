"""ionloop's rate limits as data, each marked as documented or assumed.

Used by the composition root to build the account's `RateBudget`, and by the connector, which adds the ticker's limit
of each symbol. The venue names none of its models: a window is declared unless an assumption is ours anyway.
"""

from quantd.venues.budget import Bucket, Limit, Window
from quantd.venues.ionloop.routes import ROUTES, Route

KEY = Limit("key", Window(1200, 60.0))
"""Documented: 1200 requests a minute for each API key."""

ORDERS = Limit(
    "orders", Bucket(5.0, 5), {route.operation: route.rates["orders"] for route in ROUTES if "orders" in route.rates}
)
"""Assumed: the venue has a burst control on order routes and gives no number. We take it for 10 a second and use a
steady 5 with a burst of 5, which never puts more than 10 into any second."""

STATUS = Limit("status", Window(1, 15.0), {"status": 1}, scope="address")
"""Documented: at most one look at the status in 15 s."""

PUBLIC = Limit("public", Window(60, 60.0), {"list_markets": 1, "status": 1}, scope="address")
"""Assumed: public routes have a soft throttle without a number. Our key should lift it; we keep to it all the same."""

LIMITS = (KEY, ORDERS, STATUS, PUBLIC)
"""What holds for every account."""


def ticker_limit(symbol: str) -> Limit:
    """Return the documented limit of one symbol's ticker: one request a second."""
    name = f"ticker:{symbol}"
    return Limit(name, Window(1, 1.0), {name: 1})


def budget_route(route: Route, symbol: str = "") -> str:
    """Return the name under which a request draws on the limits."""
    return f"{route.operation}:{symbol}" if route.per_symbol else route.operation
