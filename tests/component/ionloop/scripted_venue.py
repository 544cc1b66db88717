"""A small ionloop in memory behind the `Transport` port: keeps orders, answers in the envelope, fails when told to.

For the connector's own tests. It knows the routes of the document and asserts against us: a create with a field
missing, a number for a decimal, a key used with other bytes, or a path that does not exist is an error there.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from quantd.ports import Clock, HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.venues.ionloop.translate import instant_text

Json = dict[str, Any]

KEY = "key-0123456789"
MARKET = {"symbol": "BTC-USDT", "status": "online", "baseAsset": "BTC", "quoteAsset": "USDT"}
TICKER = {"symbol": "BTC-USDT", "lastPrice": "65102.45", "bid": "65100.10", "ask": "65103.80"}

_ROUTES = (
    ("GET", "/v1/markets", "list_markets"),
    ("GET", "/v1/markets/[^/]+", "market"),
    ("GET", "/v1/markets/[^/]+/ticker", "ticker"),
    ("GET", "/v1/markets/[^/]+/orderbook", "order_book"),
    ("POST", "/v1/orders", "create_order"),
    ("GET", "/v1/orders", "list_orders"),
    ("GET", "/v1/orders/[^/]+", "get_order"),
    ("DELETE", "/v1/orders/[^/]+", "cancel_order"),
    ("GET", "/v1/portfolio", "portfolio"),
    ("GET", "/v1/wallets", "wallets"),
    ("GET", "/v1/transactions", "transactions"),
    ("POST", "/v1/webhooks", "create_webhook"),
    ("GET", "/v1/status", "status"),
)

Fault = str
"""``refuse`` (nothing leaves), ``drop_before``, ``drop_after``, ``500_before``, ``500_after``, ``html_after``."""


class ScriptedVenue:
    """One account with orders, balances and a ledger."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.orders: dict[str, Json] = {}
        self.requests: list[HttpRequest] = []
        self.faults: dict[str, list[Fault]] = {}
        self.answers: dict[str, list[HttpResponse]] = {}
        """Canned answers by operation, served first."""
        self.honours_keys = True
        self.clock_offset_ns = 0
        self.hidden: set[str] = set()
        """Orders that look-ups do not show yet."""
        self.fill_on_create = False
        self.cancel_lag = 0
        """Looks after a cancel that still show the order open."""
        self.balances: list[Json] = [
            {"asset": "USDT", "available": "12540.22", "locked": "250.00"},
            {"asset": "BTC", "available": "0.845", "locked": "0.010"},
        ]
        self.wallets: list[Json] = [{"id": "wal_main", "type": "spot", "balances": self.balances}]
        self.transactions: list[Json] = []
        self.status: Json = {"api": "operational", "matchingEngine": "operational", "withdrawals": "degraded"}
        self.market_status = "online"
        self.sequence = 100
        self._keys: dict[str, tuple[bytes, HttpResponse]] = {}
        self._lagging: dict[str, int] = {}

    async def close(self) -> None:
        """Do nothing."""

    # --- the venue's side of the world ---

    def add_order(self, order_id: str, **fields: str) -> Json:
        """Put an order there that some other program placed."""
        order = {
            "id": order_id, "symbol": "BTC-USDT", "side": "buy", "type": "limit", "status": "open", "quantity": "0.01",
            "filledQuantity": "0", "price": "65000.00", "createdAt": self.now(), **fields,
        }  # fmt: skip
        self.orders[order_id] = order
        return order

    def fill(self, order_id: str, quantity: str) -> None:
        """Fill an order up to a cumulative quantity."""
        order = self.orders[order_id]
        order["filledQuantity"] = quantity
        if Decimal(quantity) == Decimal(order["quantity"]):
            order["status"] = "filled"

    def now(self) -> str:
        """Return the venue's time, whole seconds."""
        return instant_text(self.clock.now_ns() + self.clock_offset_ns)

    def count(self, method: str, path: str = "/v1/orders") -> int:
        """Return how many requests came with this method to paths that begin so."""
        return sum(request.method == method and request.path.startswith(path) for request in self.requests)

    # --- transport ---

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Answer, or fail as scripted."""
        operation = self._operation(request)
        faults = self.faults.get(operation, [])
        fault = faults.pop(0) if faults else ""
        if fault == "refuse":
            raise NotSent("no connection")
        self.requests.append(request)
        if fault == "drop_before":
            raise ReplyLost("no answer in time")
        if fault == "500_before":
            return self.error(500, "INTERNAL_ERROR")
        canned = self.answers.get(operation)
        response = canned.pop(0) if canned else self._answer(operation, request)
        if fault == "drop_after":
            raise ReplyLost("connection reset")
        if fault == "500_after":
            return self.error(500, "INTERNAL_ERROR")
        if fault == "html_after":
            return HttpResponse(502, {"content-type": "text/html"}, b"<html>Bad gateway</html>")
        return response

    def _operation(self, request: HttpRequest) -> str:
        path = urlsplit(request.path).path
        for method, pattern, operation in _ROUTES:
            if method == request.method and re.fullmatch(pattern, path):
                return operation
        return "no_route"

    def _answer(self, operation: str, request: HttpRequest) -> HttpResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self.error(401, "UNAUTHORIZED")
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        last = url.path.rsplit("/", 1)[-1]
        handlers: dict[str, Callable[[], HttpResponse]] = {
            "create_order": lambda: self._create(request),
            "get_order": lambda: self._get(last),
            "cancel_order": lambda: self._cancel(last),
            "list_orders": lambda: self._list(query),
            "list_markets": lambda: self.ok({"items": [MARKET]}),
            "market": lambda: self._market(last),
            "ticker": lambda: self.ok(TICKER),
            "order_book": lambda: self._book(query),
            "portfolio": lambda: self.ok({"balances": self.balances}),
            "wallets": lambda: self.ok(
                {"wallets": [w for w in self.wallets if query.get("type", w["type"]) == w["type"]]}
            ),
            "transactions": lambda: self._transactions(query),
            "status": lambda: self.ok(self.status),
            "create_webhook": lambda: self._create_webhook(request),
        }
        handler = handlers.get(operation)
        return handler() if handler is not None else self.error(404, "NOT_FOUND")

    def _book(self, query: dict[str, str]) -> HttpResponse:
        assert int(query["depth"]) <= 500
        self.sequence += 1
        book = {"bids": [["65100.10", "0.542"]], "asks": [["65103.80", "0.318"]], "sequence": self.sequence}
        return self.ok({"symbol": "BTC-USDT", **book})

    def _create_webhook(self, request: HttpRequest) -> HttpResponse:
        body = json.loads(request.body)
        if not body["url"].startswith("https://"):
            return self.error(422, "VALIDATION_ERROR")
        return self.ok({"id": "wh_1", "url": body["url"], "status": "active"})

    def _market(self, symbol: str) -> HttpResponse:
        if symbol != "BTC-USDT":
            return self.error(404, "NOT_FOUND")
        rules = {"tickSize": "0.01", "stepSize": "0.000001", "minNotional": "10"}
        return self.ok({"symbol": symbol, "status": self.market_status, **rules})

    def _create(self, request: HttpRequest) -> HttpResponse:
        key = request.headers["Idempotency-Key"]
        if self.honours_keys and key in self._keys:
            body, response = self._keys[key]
            assert body == request.body, "a key was used for other bytes"
            return response
        terms = json.loads(request.body)
        assert set(terms) == {"symbol", "side", "type", "quantity", "price", "timeInForce"}, terms
        assert all(isinstance(value, str) for value in terms.values()), terms
        order_id = f"ord_{len(self.orders) + 1}"
        del terms["timeInForce"]
        filled = terms["quantity"] if self.fill_on_create else "0"
        state = "filled" if self.fill_on_create else "open"
        order = self.add_order(order_id, **terms, filledQuantity=filled, status=state)
        response = self.ok(order)
        self._keys[key] = (request.body, response)
        return response

    def _get(self, order_id: str) -> HttpResponse:
        if order_id not in self.orders or order_id in self.hidden:
            return self.error(404, "NOT_FOUND")
        if self._lagging.get(order_id, 0) > 0:
            self._lagging[order_id] -= 1
            return self.ok({**self.orders[order_id], "status": "open"})
        return self.ok(self.orders[order_id])

    def _cancel(self, order_id: str) -> HttpResponse:
        order = self.orders.get(order_id)
        if order is None or order_id in self.hidden:
            return self.error(404, "NOT_FOUND")
        if order["status"] != "open":
            return self.error(409, "ORDER_REJECTED")
        order["status"] = "cancelled"
        self._lagging[order_id] = self.cancel_lag
        return self.ok({"id": order_id, "status": "cancelled", "cancelledAt": self.now()})

    def _list(self, query: dict[str, str]) -> HttpResponse:
        wanted = query["status"].split(",")
        rows = [
            {name: order[name] for name in ("id", "symbol", "side", "status", "quantity", "filledQuantity")}
            for order in reversed(self.orders.values())
            if order["status"] in wanted and query.get("symbol") in (None, order["symbol"])
            and order["id"] not in self.hidden
        ]  # fmt: skip
        return self._page(rows, query)

    def _transactions(self, query: dict[str, str]) -> HttpResponse:
        if query["from"] >= query["to"]:
            return self.error(400, "VALIDATION_ERROR")
        rows = [
            row for row in self.transactions
            if query["from"] <= row["createdAt"] <= query["to"] and query.get("type") in (None, row["type"])
        ]  # fmt: skip
        return self._page(rows, query)

    def _page(self, rows: list[Json], query: dict[str, str]) -> HttpResponse:
        page, size = int(query["page"]), int(query["pageSize"])
        if page < 1 or size > 100:
            return self.error(422, "VALIDATION_ERROR")
        return self.ok({"items": rows[(page - 1) * size : page * size], "page": page, "pageSize": size})

    def ok(self, data: Json) -> HttpResponse:
        """Return `data` in a good envelope, with a field that nobody has heard of."""
        meta = {"requestId": "req_1", "timestamp": self.now(), "region": "x"}
        return HttpResponse(200, {}, json.dumps({"success": True, "data": {**data, "new": [1]}, "meta": meta}).encode())

    def error(self, status: int, code: str, **headers: str) -> HttpResponse:
        """Return a failure in the envelope."""
        meta = {"requestId": "req_2", "timestamp": self.now()}
        body = {"success": False, "error": {"code": code, "message": "no"}, "meta": meta}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return HttpResponse(status, named, json.dumps(body).encode())
