"""A small OANDA in memory behind the `Transport` port: one account as its log, which lags, has holes and fails when told to.

For the connector's own tests of what a well-behaved simulator does not do. It asserts against us: a body that the reference
does not know, a number where text belongs, a missing header or an unknown path is an error here.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from quantd.ports import Clock, HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.venues.oanda.formats import instant_text

Json = dict[str, Any]

TOKEN = "token-0123456789"
ACCOUNT = "101-001-1234567-001"
RULES: Json = {
    "name": "EUR_USD", "type": "CURRENCY", "displayPrecision": 5, "tradeUnitsPrecision": 0, "minimumTradeSize": "1",
    "maximumOrderUnits": "100000000", "maximumPositionSize": "0", "minimumTrailingStopDistance": "0.00050",
    "maximumTrailingStopDistance": "1.00000", "marginRate": "0.02",
}  # fmt: skip
PRICE: Json = {
    "type": "PRICE", "instrument": "EUR_USD", "time": "2020-09-13T12:26:40.000000000Z", "tradeable": True,
    "bids": [{"price": "1.09990", "liquidity": 1000000}], "asks": [{"price": "1.10000", "liquidity": 1000000}],
}  # fmt: skip

_ROUTES = (
    ("GET", "", "account"),
    ("GET", "/summary", "summary"),
    ("GET", "/instruments", "instruments"),
    ("GET", "/pricing", "pricing"),
    ("GET", "/instruments/[^/]+/candles", "candles"),
    ("POST", "/orders", "create_order"),
    ("GET", "/orders/[^/]+", "order"),
    ("PUT", "/orders/[^/]+", "replace_order"),
    ("PUT", "/orders/[^/]+/cancel", "cancel_order"),
    ("GET", "/pendingOrders", "pending_orders"),
    ("PUT", "/trades/[^/]+/close", "close_trade"),
    ("PUT", "/trades/[^/]+/orders", "set_dependents"),
    ("GET", "/transactions", "transactions"),
    ("GET", "/transactions/sinceid", "transactions_since"),
    ("GET", "/transactions/idrange", "transaction_range"),
    ("GET", r"/transactions/\d+", "transaction"),
)


class ScriptedVenue:
    """One account with a log, pending orders and trades."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log: list[Json] = []
        self.orders: dict[str, Json] = {}
        self.trades: dict[str, Json] = {}
        self.requests: list[HttpRequest] = []
        self.faults: dict[str, list[str]] = {}
        """By operation: ``refuse``, ``drop_before``, ``drop_after``, ``500_before``, ``500_after``, ``html_after``."""
        self.answers: dict[str, list[HttpResponse]] = {}
        """Canned answers by operation, served first."""
        self.lag = 0
        """So many of the newest entries are not shown yet; `lastTransactionID` tells of them."""
        self.page_max = 1000
        self.missing: set[int] = set()
        """Entries that the log leaves out."""
        self.since_limit = 0
        """Ids below are out of reach: 416."""
        self.balance = "10000.0000"
        self.hedging = False
        self.fills_at_once = False
        self.kills_at_once = ""
        """Reason with which a new order is cancelled in the same breath."""
        self.entry("CREATE")

    async def close(self) -> None:
        """Do nothing."""

    # --- the venue's side of the world ---

    def entry(self, type: str, **fields: Any) -> Json:
        """Append to the log."""
        number = str(len(self.log) + 1)
        told = {
            "id": number,
            "type": type,
            "time": instant_text(self.clock.now_ns()),
            "accountID": ACCOUNT,
            "batchID": number,
        }
        self.log.append(told | fields)
        return self.log[-1]

    def place(self, order: Json, **more: Any) -> Json:
        """Create an order as a client's request would."""
        terms = {key: value for key, value in order.items() if key not in ("type", "id", "state", "createTime")}
        created = self.entry(f"{order['type']}_ORDER", **({"reason": "CLIENT_ORDER"} | terms | more))
        self.orders[created["id"]] = {**order, "id": created["id"], "state": "PENDING", "createTime": created["time"]}
        return created

    def fill(self, order_id: str, units: str | None = None, reason: str = "LIMIT_ORDER") -> Json:
        """Fill an order, or so many units of it, by opening a trade."""
        order = self.orders[order_id]
        took = units or order["units"]
        number = str(len(self.log) + 1)
        price = order.get("price", "1.10000")
        opened = {"tradeID": number, "units": took, "price": price}
        done = self.entry(
            "ORDER_FILL", orderID=order_id, instrument=order["instrument"], units=took, fullVWAP=price, reason=reason,
            tradeOpened=opened, commission="0.5000", financing="0.0000", **self._client(order),
        )  # fmt: skip
        order.update(state="FILLED", fillingTransactionID=done["id"])
        self.trades[number] = {
            "id": number, "instrument": order["instrument"], "price": price, "openTime": done["time"], "state": "OPEN",
            "currentUnits": took, "clientExtensions": order.get("tradeClientExtensions", {}),
        }  # fmt: skip
        return done

    def fill_part(self, order_id: str, units: str) -> Json:
        """Fill a part of an order; the rest goes on under a new number, as the venue's own doing."""
        order = dict(self.orders[order_id])
        self.fill(order_id, units)
        rest = str(int(order["units"]) - int(units))
        created = self.place({**order, "units": rest}, replacesOrderID=order_id, reason="REPLACEMENT")
        self.orders[created["id"]]["replacesOrderID"] = order_id
        self.orders[order_id]["replacedByOrderID"] = created["id"]
        return created

    def close_trade(self, trade_id: str, order_id: str, reason: str, pl: str = "-1.0000") -> Json:
        """Close a whole trade on behalf of an order."""
        trade = self.trades.pop(trade_id)
        units = str(-int(trade["currentUnits"]))
        gone = {"tradeID": trade_id, "units": units, "price": "1.09000", "realizedPL": pl, "financing": "0.0000"}
        return self.entry(
            "ORDER_FILL", orderID=order_id, instrument=trade["instrument"], units=units, fullVWAP="1.09000", reason=reason,
            tradesClosed=[gone], financing="0.0000",
        )  # fmt: skip

    def cancelled(self, order_id: str, reason: str = "CLIENT_REQUEST", **more: str) -> Json:
        """Cancel an order."""
        order = self.orders[order_id]
        done = self.entry("ORDER_CANCEL", orderID=order_id, reason=reason, **more, **self._client(order))
        replaced = {"replacedByOrderID": more["replacedByOrderID"]} if more else {}
        order.update(state="CANCELLED", cancellingTransactionID=done["id"], **replaced)
        return done

    def _client(self, order: Json) -> Json:
        return {"clientOrderID": order["clientExtensions"]["id"]} if "clientExtensions" in order else {}

    def pending(self) -> list[Json]:
        """Return what works."""
        return [order for order in self.orders.values() if order["state"] == "PENDING"]

    def count(self, operation: str) -> int:
        """Return how many requests of a kind came."""
        return sum(self._operation(request) == operation for request in self.requests)

    # --- transport ---

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Answer, or fail as scripted."""
        operation = self._operation(request)
        faults = self.faults.get(operation, [])
        fault = faults.pop(0) if faults else ""
        if fault == "refuse":
            raise NotSent("no connection")
        self.requests.append(request)
        assert request.headers["Accept-Datetime-Format"] in ("RFC3339", "UNIX")
        if fault == "drop_before":
            raise ReplyLost("no answer in time")
        if fault == "500_before":
            return self.error(504, "", "Timeout waiting for response.")
        canned = self.answers.get(operation)
        response = canned.pop(0) if canned else self._answer(operation, request)
        if fault == "drop_after":
            raise ReplyLost("connection reset")
        if fault == "500_after":
            return self.error(500)
        return HttpResponse(502, {}, b"<html>Bad gateway</html>") if fault == "html_after" else response

    def _operation(self, request: HttpRequest) -> str:
        path = urlsplit(request.path).path.removeprefix(f"/v3/accounts/{ACCOUNT}")
        return next(
            (name for method, pattern, name in _ROUTES if method == request.method and re.fullmatch(pattern, path)),
            "no_route",
        )

    def _answer(self, operation: str, request: HttpRequest) -> HttpResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.error(401, "", "Insufficient authorization to perform request.")
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = [unquote(part) for part in url.path.split("/")]
        body = json.loads(request.body) if request.body else {}
        handlers: dict[str, Callable[[], HttpResponse]] = {
            "account": lambda: self.ok({"account": self.account()}),
            "summary": lambda: self.ok({"account": self.account(lists=False)}),
            "instruments": lambda: self.ok({"instruments": [RULES]}),
            "pricing": lambda: self.ok({"prices": [PRICE]}),
            "create_order": lambda: self._create(body["order"]),
            "order": lambda: self._order(parts[-1]),
            "replace_order": lambda: self._replace(parts[-1], body["order"]),
            "cancel_order": lambda: self._cancel(parts[-2]),
            "pending_orders": lambda: self.ok({"orders": self.pending()}),
            "close_trade": lambda: self._close(parts[-2], body["units"]),
            "set_dependents": lambda: self._dependents(parts[-2], body),
            "transactions": self._pages,
            "transactions_since": lambda: self._since(int(query["id"])),
            "transaction_range": lambda: self._range(int(query["from"]), int(query["to"])),
            "transaction": lambda: self.ok({"transaction": self.log[int(parts[-1]) - 1]}),
        }
        handler = handlers.get(operation)
        return handler() if handler is not None else self.error(404, "", "Not found")

    def account(self, *, lists: bool = True) -> Json:
        """Return the account, with all that is open or without."""
        told: Json = {
            "id": ACCOUNT, "currency": "USD", "balance": self.balance, "hedgingEnabled": self.hedging, "NAV": self.balance,
            "marginUsed": "0.0000", "marginAvailable": self.balance, "lastTransactionID": str(len(self.log)), "newField": [1],
        }  # fmt: skip
        return told | (self._lists() if lists else {})

    def _lists(self) -> Json:
        units = [int(trade["currentUnits"]) for trade in self.trades.values()]
        sides = {"long": sum(one for one in units if one > 0), "short": sum(one for one in units if one < 0)}
        position = {"instrument": "EUR_USD", **{side: {"units": str(total)} for side, total in sides.items()}}
        return {"trades": list(self.trades.values()), "orders": self.pending(), "positions": [position]}

    def _create(self, order: Json) -> HttpResponse:
        assert all(isinstance(order[key], str) for key in ("units", "timeInForce", "positionFill")), order
        created = self.place(order)
        answer = {"orderCreateTransaction": created}
        if self.kills_at_once:
            answer["orderCancelTransaction"] = self.cancelled(created["id"], self.kills_at_once)
        elif self.fills_at_once:
            answer["orderFillTransaction"] = self.fill(created["id"])
        return self.ok(answer, 201)

    def _find(self, specifier: str) -> Json | None:
        if not specifier.startswith("@"):
            return self.orders.get(specifier)
        return next((one for one in self.pending() if self._client(one).get("clientOrderID") == specifier[1:]), None)

    def _order(self, specifier: str) -> HttpResponse:
        order = self._find(specifier)
        return self.ok({"order": order}) if order else self.error(404, "NO_SUCH_ORDER")

    def _replace(self, specifier: str, order: Json) -> HttpResponse:
        before = self._find(specifier)
        if before is None or before["state"] != "PENDING":
            return self.error(404, "ORDER_DOESNT_EXIST")
        next_id = str(len(self.log) + 2)
        gone = self.cancelled(before["id"], "CLIENT_REQUEST_REPLACED", replacedByOrderID=next_id)
        inherited = {key: before[key] for key in ("clientExtensions",) if key in before}
        created = self.place({**inherited, **order}, replacesOrderID=before["id"], cancellingTransactionID=gone["id"])
        self.orders[created["id"]]["replacesOrderID"] = before["id"]
        return self.ok({"orderCancelTransaction": gone, "orderCreateTransaction": created}, 201)

    def _cancel(self, specifier: str) -> HttpResponse:
        order = self._find(specifier)
        if order is None or order["state"] != "PENDING":
            reject = self.entry("ORDER_CANCEL_REJECT", orderID=specifier, rejectReason="ORDER_DOESNT_EXIST")
            return self.error(404, "ORDER_DOESNT_EXIST", orderCancelRejectTransaction=reject)
        return self.ok({"orderCancelTransaction": self.cancelled(order["id"])})

    def _close(self, trade_id: str, units: str) -> HttpResponse:
        if trade_id not in self.trades:
            return self.error(404, "TRADE_DOESNT_EXIST")
        trade = self.trades[trade_id]
        create = self.entry(
            "MARKET_ORDER", instrument=trade["instrument"], units=str(-int(trade["currentUnits"])), reason="TRADE_CLOSE",
            timeInForce="FOK", positionFill="REDUCE_ONLY", tradeClose={"tradeID": trade_id, "units": units},
        )  # fmt: skip
        if self.kills_at_once:
            self.orders[create["id"]] = {"id": create["id"], "state": "PENDING", "type": "MARKET"}
            return self.ok(
                {
                    "orderCreateTransaction": create,
                    "orderCancelTransaction": self.cancelled(create["id"], self.kills_at_once),
                }
            )
        done = self.close_trade(trade_id, create["id"], "MARKET_ORDER_TRADE_CLOSE")
        self.orders[create["id"]] = {
            "id": create["id"],
            "state": "FILLED",
            "type": "MARKET",
            "fillingTransactionID": done["id"],
        }
        return self.ok({"orderCreateTransaction": create, "orderFillTransaction": done})

    def _dependents(self, trade_id: str, body: Json) -> HttpResponse:
        types = {"takeProfit": "TAKE_PROFIT", "stopLoss": "STOP_LOSS", "trailingStopLoss": "TRAILING_STOP_LOSS"}
        assert set(body) <= set(types), body
        for key, details in body.items():
            for order in self.pending():
                if order.get("tradeID") == trade_id and order["type"] == types[key]:
                    self.cancelled(order["id"])
            if details is not None:
                assert all(isinstance(value, str) for value in details.values()), details
                self.place({"type": types[key], "tradeID": trade_id, **details})
        return self.ok({})

    def _shown(self) -> list[Json]:
        newest = len(self.log) - self.lag
        return [one for one in self.log[:newest] if int(one["id"]) not in self.missing]

    def _since(self, number: int) -> HttpResponse:
        if number < self.since_limit:
            return self.error(416, "INVALID_TRANSACTION_RANGE", "The transaction range specified is invalid")
        found = [one for one in self._shown() if int(one["id"]) > number][: self.page_max]
        return self.ok({"transactions": found})

    def _range(self, first: int, last: int) -> HttpResponse:
        return self.ok({"transactions": [one for one in self._shown() if first <= int(one["id"]) <= last]})

    def _pages(self) -> HttpResponse:
        page = f"https://elsewhere.example/v3/accounts/{ACCOUNT}/transactions/idrange?from=1&to={len(self.log)}"
        return self.ok({"pages": [page], "count": len(self.log)})

    def ok(self, data: Json, status: int = 200) -> HttpResponse:
        """Return `data` with the newest id and a field that nobody has heard of."""
        told = {**data, "lastTransactionID": str(len(self.log)), "aFieldFromTomorrow": {"x": 1}}
        return HttpResponse(status, {"requestid": "1"}, json.dumps(told).encode())

    def error(self, status: int, code: str = "", message: str = "no", **more: Any) -> HttpResponse:
        """Return an error body."""
        body = {"errorMessage": message, **({"errorCode": code} if code else {}), **more}
        return HttpResponse(status, {}, json.dumps(body).encode())
