"""The simulated ionloop by itself: strictness, limits, paging, switches."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import ManualClock
from quantd.domain.market import Bar, Quote
from quantd.domain.numbers import ZERO
from quantd.exchange import DepthRules
from quantd.ports import HttpRequest
from quantd.simulators.ionloop.options import ApiKey, MarketRules, RateRules, Setup
from quantd.simulators.ionloop.venue import IonloopVenue

SECOND_NS = 1_000_000_000
STARTED_NS = 1_700_000_000 * SECOND_NS
BTC = MarketRules().instrument().id
OPEN_HANDED = RateRules(key_per_minute=10**6, orders_per_second=10**6, ticker_every_s=0, public_per_minute=10**6)
GOOD = {
    "symbol": "BTC-USDT", "side": "buy", "type": "limit", "quantity": "0.01", "price": "64000.00", "timeInForce": "GTC",
}  # fmt: skip


class Desk:
    """A venue and its client."""

    def __init__(self, **setup: Any) -> None:
        self.clock = ManualClock(STARTED_NS)
        chosen: dict[str, Any] = {"rates": OPEN_HANDED, **setup}
        self.venue = IonloopVenue(Setup(**chosen), clock=self.clock)
        self.quote(65_000, 65_010)

    def quote(self, bid: float, ask: float) -> None:
        self.venue.on_market(Quote(BTC, bid, ask, 0))

    def wait(self, seconds: float) -> None:
        self.clock.set(self.clock.now_ns() + round(seconds * SECOND_NS))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        named = {"Authorization": "Bearer sim-key", "Content-Type": "application/json"}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.venue.handle(HttpRequest(method, path, {k: v for k, v in named.items() if v}, content))
        self.headers = response.headers
        tree = json.loads(response.body) if response.headers["content-type"] == "application/json" else None
        return response.status, tree

    def code(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        status, tree = self.ask(method, path, body, **headers)
        return status, tree["error"]["code"] if tree is not None and not tree["success"] else ""

    def create(self, **changes: Any) -> tuple[int, str]:
        return self.code("POST", "/v1/orders", GOOD | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 0.01}, {"price": 64000}, {"quantity": "1e-2"}, {"quantity": "-1"}, {"quantity": "0"},
        {"quantity": "+1"}, {"quantity": " 1"}, {"quantity": "1."}, {"quantity": ".5"}, {"quantity": "NaN"},
        {"quantity": "\u0661"}, {"quantity": ""}, {"price": "0.00"}, {"price": "64000.001"}, {"quantity": "0.0000001"},
        {"side": "BUY"}, {"side": None}, {"type": "market"}, {"timeInForce": "IOC"}, {"timeInForce": "gtc"},
        {"symbol": 7}, {"clientOrderId": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_create_that_is_not_to_the_letter_is_422_and_counted(changes: dict[str, Any]) -> None:
    desk = Desk()
    assert desk.create(**changes) == (422, "VALIDATION_ERROR")
    assert desk.venue.desk.violations.total() == 1
    assert not desk.venue.desk.orders


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_422(body: bytes) -> None:
    assert Desk().code("POST", "/v1/orders", body) == (422, "VALIDATION_ERROR")
    assert Desk().code("POST", "/v1/webhooks", body) == (422, "VALIDATION_ERROR")


def test_a_body_without_its_content_type_is_422() -> None:
    assert Desk().code("POST", "/v1/orders", GOOD, Content_Type="text/plain") == (422, "VALIDATION_ERROR")


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.one_of(st.none(), st.integers(), st.text(max_size=8))))
def test_no_body_breaks_the_venue(changes: dict[str, Any]) -> None:
    status, _ = Desk().create(**changes)
    assert status in (200, 402, 404, 409, 422)


def test_time_in_force_may_be_left_out() -> None:
    desk = Desk()
    assert desk.code("POST", "/v1/orders", {k: v for k, v in GOOD.items() if k != "timeInForce"}) == (200, "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/markets"), ("POST", "/v1/markets"), ("DELETE", "/v1/orders"), ("GET", "/v1/markets/BTC-USDT/book"),
        ("GET", "/v1/orders/"), ("GET", "/"), ("PUT", "/v1/orders/ord_1"), ("GET", "/v1/markets/DOGE-USDT"),
        ("GET", "/v1/markets/DOGE-USDT/ticker"), ("GET", "/v1/orders/ord_1"), ("DELETE", "/v1/orders/ord_1"),
        ("GET", "/v1/orders?symbol=DOGE-USDT"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(method: str, path: str) -> None:
    assert Desk().code(method, path) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders?page=0", "/v1/orders?page=x", "/v1/orders?pageSize=101", "/v1/orders?pageSize=0",
        "/v1/orders?status=new", "/v1/orders?status=", "/v1/markets/BTC-USDT/orderbook?depth=501",
        "/v1/markets/BTC-USDT/orderbook?depth=0", "/v1/markets/BTC-USDT/orderbook?depth=-1", "/v1/wallets?type=margin",
        "/v1/transactions?type=gift", "/v1/transactions?pageSize=1000",
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_422(path: str) -> None:
    assert Desk().code("GET", path) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "window", ["from=yesterday", "to=2026-01-01", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"]
)
def test_a_bad_window_is_400(window: str) -> None:
    assert Desk().code("GET", f"/v1/transactions?{window}") == (400, "VALIDATION_ERROR")


def test_public_routes_need_no_key_and_private_ones_do() -> None:
    desk = Desk()
    assert desk.code("GET", "/v1/markets?quote=USDT", Authorization="") == (200, "")
    assert desk.code("GET", "/v1/status", Authorization="") == (200, "")
    for path in ("/v1/markets/BTC-USDT", "/v1/markets/BTC-USDT/ticker", "/v1/portfolio", "/v1/orders", "/v1/nothing"):
        assert desk.code("GET", path, Authorization="") == (401, "UNAUTHORIZED")
        assert desk.code("GET", path, Authorization="sim-key") == (401, "UNAUTHORIZED")
        assert desk.code("GET", path, Authorization="Bearer wrong") == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("limit", "span_s", "path", "header", "setup"),
    [
        (60, 60, "/v1/markets", "", {}),
        (1200, 60, "/v1/portfolio", "Bearer sim-key", {}),
        (10, 1, "/v1/orders", "Bearer sim-key", {}),
        (1, 1, "/v1/markets/BTC-USDT/ticker", "Bearer sim-key", {}),
        (1, 15, "/v1/status", "Bearer sim-key", {}),
    ],
    ids=["public", "key", "orders", "ticker", "status"],
)
def test_one_request_too_many_is_429_until_the_window_has_passed(
    limit: int, span_s: int, path: str, header: str, setup: dict[str, Any]
) -> None:
    desk = Desk(rates=RateRules(), **setup)
    for _ in range(limit):
        assert desk.code("GET", path, Authorization=header) == (200, "")
    assert desk.code("GET", path, Authorization=header) == (429, "RATE_LIMITED")
    assert desk.headers["retry-after"] == str(span_s)
    desk.wait(span_s - 0.001)
    assert desk.code("GET", path, Authorization=header) == (429, "RATE_LIMITED")
    desk.wait(0.001)
    assert desk.code("GET", path, Authorization=header) == (200, "")


def test_limits_hold_for_each_key_by_itself() -> None:
    desk = Desk(rates=RateRules(), keys=(ApiKey("a"), ApiKey("b")))
    for _ in range(10):
        desk.ask("GET", "/v1/orders", Authorization="Bearer a")
    assert desk.code("GET", "/v1/orders", Authorization="Bearer a")[0] == 429
    assert desk.code("GET", "/v1/orders", Authorization="Bearer b")[0] == 200


def test_bans_double_from_two_minutes() -> None:
    desk = Desk(rates=RateRules(ban_after=3))

    def insist() -> int:
        for _ in range(70):
            desk.ask("GET", "/v1/markets", Authorization="")
        assert desk.ask("GET", "/v1/markets")[0] == 418
        return int(desk.headers["retry-after"])

    assert insist() == 120
    desk.wait(120)
    assert desk.code("GET", "/v1/markets") == (200, "")
    assert insist() == 240


def test_times_have_whole_seconds_and_follow_a_skewed_clock() -> None:
    desk = Desk()
    assert desk.ask("GET", "/v1/markets")[1]["meta"]["timestamp"] == "2023-11-14T22:13:20Z"
    desk.venue.adjust({"clock_skew_s": -3.5})
    assert desk.ask("GET", "/v1/markets")[1]["meta"]["timestamp"] == "2023-11-14T22:13:16Z"


def test_switches_are_checked_and_a_bad_one_changes_nothing() -> None:
    desk = Desk()
    before = desk.venue.switches()
    for changes in ({"post_status": 300}, {"nonsense": 1}, {"api": "fine"}, {"clock_skew_s": "x"}):
        with pytest.raises(ValueError, match=r"."):
            desk.venue.adjust({"honour_keys": False, **changes})
    assert desk.venue.switches() == before
    desk.venue.adjust({"post_status": 201, "clamp_depth": True, "accept_ioc_fok": True})
    assert desk.create()[0] == 201
    assert desk.code("GET", "/v1/markets/BTC-USDT/orderbook?depth=9999") == (200, "")
    assert desk.create(timeInForce="IOC", price="65010.00") == (201, "")


def test_a_stale_market_stands_still_while_orders_fill() -> None:
    desk = Desk()
    desk.venue.adjust({"stale_market": True})
    before = desk.ask("GET", "/v1/markets/BTC-USDT/orderbook?depth=2")[1]["data"]
    desk.create()
    desk.quote(63_000, 63_010)
    assert desk.ask("GET", "/v1/markets/BTC-USDT/orderbook?depth=2")[1]["data"] == before
    assert desk.venue.counters()["orders"]["filled"] == 1
    desk.venue.adjust({"stale_market": False})
    after = desk.ask("GET", "/v1/markets/BTC-USDT/orderbook?depth=2")[1]["data"]
    assert after["sequence"] > before["sequence"]


def test_a_new_order_can_be_hidden_for_a_while() -> None:
    desk = Desk()
    desk.venue.adjust({"look_up_lag_s": 5})
    order_id = desk.ask("POST", "/v1/orders", GOOD)[1]["data"]["id"]
    assert desk.code("GET", f"/v1/orders/{order_id}")[0] == 404
    assert desk.ask("GET", "/v1/orders")[1]["data"]["items"] == []
    desk.wait(5)
    assert desk.code("GET", f"/v1/orders/{order_id}")[0] == 200


def test_fills_can_have_a_ledger_row_each() -> None:
    for per_fill in (False, True):
        desk = Desk(depth=DepthRules(levels=1, size=0.004))
        desk.venue.adjust({"transaction_per_fill": per_fill})
        desk.create(price="65010.00", quantity="0.02")
        for _ in range(10):
            desk.quote(65_000, 65_010)
        order = desk.venue.state()["orders"][0]
        rows = desk.ask("GET", "/v1/transactions?type=trade")[1]["data"]["items"]
        assert len(order["fills"]) > 1
        assert len(rows) == (len(order["fills"]) if per_fill else 1)
        assert sum(Decimal(row["quantity"]) for row in rows) == Decimal("0.02")
        assert sum(Decimal(row["fee"]) for row in rows) == Decimal(order["fees"]["USDT"])


@pytest.mark.parametrize("word", ["halted", "post_only", "offline"])
def test_only_an_online_market_trades_and_orders_may_still_be_cancelled(word: str) -> None:
    desk = Desk()
    order_id = desk.ask("POST", "/v1/orders", GOOD)[1]["data"]["id"]
    desk.venue.command("market", {"symbol": "BTC-USDT", "status": word})
    assert desk.create() == (503, "MARKET_CLOSED")
    assert desk.code("GET", "/v1/markets/BTC-USDT/ticker") == (503, "MARKET_CLOSED")
    assert desk.ask("GET", "/v1/markets/BTC-USDT")[1]["data"]["status"] == word
    desk.quote(60_000, 60_010)
    assert desk.venue.counters()["orders"]["filled"] == 0
    assert desk.code("DELETE", f"/v1/orders/{order_id}") == (200, "")
    assert desk.code("DELETE", f"/v1/orders/{order_id}") == (409, "ORDER_REJECTED")


def test_pages_are_newest_first_without_gaps() -> None:
    desk = Desk()
    for number in range(7):
        desk.create(price=f"{60_000 + number}.00")
    ids = list(desk.venue.desk.orders)
    pages = [desk.ask("GET", f"/v1/orders?page={page}&pageSize=3")[1]["data"] for page in (1, 2, 3, 4)]
    assert [len(page["items"]) for page in pages] == [3, 3, 1, 0]
    assert [item["id"] for page in pages for item in page["items"]] == ids[::-1]
    assert pages[1]["page"] == 2
    assert pages[1]["pageSize"] == 3


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/x", True), ("http://127.0.0.1:9102/x", True), ("http://localhost/x", True),
        ("http://hooks.example.com/x", False), ("ftp://127.0.0.1/x", False), ("https://", False), ("x", False),
        ("https://user@hooks.example.com/", False), ("http://127.0.0.1.example.com/", False), ("http://[::1", False),
        (7, False),
    ],
)  # fmt: skip
def test_webhooks_go_to_https_or_with_the_flag_to_this_machine(url: object, allowed: bool) -> None:
    body = {"url": url, "events": ["order.filled"], "secret": "s"}
    assert Desk(webhook_http=True).code("POST", "/v1/webhooks", body)[0] == (200 if allowed else 422)
    plain = allowed and str(url).startswith("https")
    assert Desk().code("POST", "/v1/webhooks", body)[0] == (200 if plain else 422)


@pytest.mark.parametrize("changes", [{"events": []}, {"events": ["order.lost"]}, {"events": "x"}, {"secret": ""}])
def test_a_webhook_with_unknown_events_or_no_secret_is_422(changes: dict[str, object]) -> None:
    body = {"url": "https://h.example.com/", "events": ["order.filled"], "secret": "s", **changes}
    assert Desk().code("POST", "/v1/webhooks", body) == (422, "VALIDATION_ERROR")


def test_an_address_that_registers_again_is_told_once() -> None:
    desk = Desk()
    body = {"url": "https://h.example.com/", "events": ["order.created"], "secret": "s"}
    ids = {desk.ask("POST", "/v1/webhooks", body)[1]["data"]["id"] for _ in range(3)}
    assert len(ids) == 3
    desk.create()
    assert len(desk.venue.due(desk.clock.now_ns())) == 1
    assert desk.venue.counters()["webhooks"]["registered_again"] == 2


def test_a_bar_moves_the_market_through_its_four_prices() -> None:
    desk = Desk()
    desk.create(price="64000.00")
    desk.venue.on_market(Bar(BTC, 0, SECOND_NS, 65_000, 65_500, 63_900, 65_200, 1, SECOND_NS))
    order = desk.venue.state()["orders"][0]
    assert order["status"] == "filled"
    ticker = desk.ask("GET", "/v1/markets/BTC-USDT/ticker")[1]["data"]
    assert (ticker["lastPrice"], ticker["low24h"], ticker["high24h"]) == ("65200.00", "63900.00", "65500.00")
    assert ticker["volume24h"] == "0.01"


def test_a_paused_market_lets_nothing_move() -> None:
    desk = Desk()
    desk.create()
    desk.venue.adjust({"market_paused": True})
    desk.quote(60_000, 60_010)
    assert desk.venue.counters()["orders"]["open"] == 1


def test_no_secret_shows_in_what_is_printed() -> None:
    desk = Desk(webhook_secret="whsec_deep")
    body = {"url": "https://h.example.com/", "events": ["order.created"], "secret": "whsec_deep"}
    desk.ask("POST", "/v1/webhooks", body)
    shown = repr(desk.venue.setup.keys) + repr(list(desk.venue.webhooks.hooks())) + str(desk.venue.state())
    assert "sim-key" not in shown
    assert "whsec_deep" not in shown


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans(), st.integers(1, 30)), min_size=1, max_size=40))
def test_money_is_neither_made_nor_lost(steps: list[tuple[int, bool, int]]) -> None:
    """Balances are the opening ones plus all fills and fees, to the last digit; nothing stays locked without orders."""
    opening = {"main": {"USDT": Decimal(50_000), "BTC": Decimal("0.5")}}
    desk = Desk(balances=opening, depth=DepthRules(levels=3, size=0.01))
    for offset, is_buy, quantity in steps:
        price = 65_005 + offset
        desk.create(side="buy" if is_buy else "sell", price=f"{price}.00", quantity=f"0.{quantity:03}")
        desk.quote(price - 5, price + 5)
    for order_id in list(desk.venue.desk.orders):
        desk.ask("DELETE", f"/v1/orders/{order_id}")
    state = desk.venue.state()
    expected = dict(opening["main"])
    for order in state["orders"]:
        sign = 1 if order["side"] == "buy" else -1
        filled = ZERO
        for fill in order["fills"]:
            quantity_, price_ = Decimal(fill["quantity"]), Decimal(fill["price"])
            filled += quantity_
            expected["BTC"] += sign * quantity_
            expected["USDT"] -= sign * quantity_ * price_ + Decimal(fill["fees"]["USDT"])
        assert filled == Decimal(order["filledQuantity"])
    held = state["balances"]["main"]
    assert {asset: Decimal(row["total"]) for asset, row in held.items()} == expected
    assert all(Decimal(row["locked"]) == 0 for row in held.values())
    assert msgspec.json.encode(state)
