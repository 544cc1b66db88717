"""The simulated Ripio Trade's market data, balances, fees, failures and switches."""

from decimal import Decimal

import pytest

from quantd.domain.market import Bar, Book
from quantd.exchange import DepthRules
from quantd.simulators.ripio.options import PairRules
from quantd.simulators.ripio.signing import checksum
from tests.component.simulators.ripio_desk import LIMIT, OTHER, PAIR, Desk, market

D = Decimal
BTC = PAIR.instrument().id


def levels(*texts: tuple[str, str]) -> list[tuple[Decimal, Decimal]]:
    return [(D(price), D(amount)) for price, amount in texts]


def test_checksum_vectors_of_the_official_samples() -> None:
    assert checksum(levels(("0.99", "1")), levels(("1.01", "2"))) == "2111165642"
    bids = levels(("15977.45", "0.00620606"), ("15977.44", "0.1"), ("15977.4", "0.35"))
    asks = levels(("16015.39", "0.15"), ("16015.4", "1.73639097"), ("16015.56", "2"))
    assert checksum(bids, asks) == "2863372953"
    assert checksum([], []) == "0"
    ten = levels(*((str(price), "1") for price in range(20, 10, -1)))
    assert checksum([*ten, (D(1), D(1))], []) == checksum(ten, []), "ten levels a side count"


def test_server_time_is_public_and_never_cached() -> None:
    desk = Desk()
    desk.switches.public_cache_s = 30
    assert desk.public("/public/server-time")[1]["data"] == {"timestamp": 1_780_000_000_000}
    desk.wait(1.5)
    desk.switches.clock_skew_s = 10
    tree = desk.public("/public/server-time")[1]
    assert tree["data"] == {"timestamp": 1_780_000_011_500}
    assert tree["timestamp"] == 1_780_000_011_500


def test_skewed_clock_checks_timestamps_and_dates_orders() -> None:
    desk = Desk()
    desk.switches.clock_skew_s = 60
    assert desk.ask("GET", "/user/balances")[0] == 401
    ahead = str(desk.clock.now_ns() // 1_000_000 + 60_000)
    shown = desk.data("POST", "/orders", LIMIT, timestamp=ahead)
    assert shown["create_date"].startswith("2026-05-28T20:27:40")
    listed = desk.data("GET", "/orders?pair=BTC_BRL", timestamp=str(int(ahead) + 1))["orders"]
    assert [order["id"] for order in listed] == [shown["id"]]


def test_skewed_clock_expires_orders_and_dates_the_statement() -> None:
    desk = Desk()
    desk.switches.clock_skew_s = -60
    behind = desk.clock.now_ns() // 1_000_000 - 60_000
    shown = desk.data("POST", "/orders", LIMIT | {"expiration": 1_779_999_950}, timestamp=str(behind))
    assert shown["status"] == "open", "ten seconds are left by the venue's clock"
    rows = desk.data("GET", "/user/statement", timestamp=str(behind + 2))["statement"]
    assert {row["date"] for row in rows} == {"2026-05-28T20:25:40.000Z"}
    desk.wait(11)
    whole = desk.data("GET", f"/orders/{shown['id']}", timestamp=str(behind + 11_000))
    assert whole["status"] == "canceled"


def test_pairs_tell_rules_and_whether_they_are_enabled() -> None:
    desk = Desk(pairs=(PairRules(), PairRules("ETH_BRL", max_price_variation=None)))
    desk.venue.command("market", {"pair": "ETH_BRL", "enabled": False})
    pairs = {pair["symbol"]: pair for pair in desk.data("GET", "/pairs")}
    assert pairs["BTC_BRL"] == {
        "symbol": "BTC_BRL", "base": "BTC", "quote": "BRL", "base_name": "Bitcoin", "quote_name": "Brazilian real",
        "enabled": True, "amount_tick": D("1E-8"), "price_tick": D("0.01"), "min_amount": D("0.00001"),
        "min_value": 10, "max_price_variation": 10, "countries": ["BR"],
    }  # fmt: skip
    assert pairs["ETH_BRL"]["enabled"] is False
    assert "max_price_variation" not in pairs["ETH_BRL"]
    (one,) = desk.public("/public/pairs?pair=ETH_BRL")[1]["data"]
    assert one["symbol"] == "ETH_BRL"
    assert desk.public("/public/pairs?countries=AR")[1]["data"] == []
    assert desk.data("GET", "/ticker/ETH_BRL")["is_frozen"] is True
    with pytest.raises(ValueError, match="there are BTC_BRL, ETH_BRL"):
        desk.venue.command("market", {"pair": "ABC_DEF", "enabled": False})


def test_currencies_tell_their_precision() -> None:
    desk = Desk()
    (one,) = desk.data("GET", "/currencies?currency_code=BRL")
    assert (one["code"], one["precision"], one["name"], one["can_withdraw"]) == ("BRL", 2, "Brazilian real", False)
    assert [row["precision"] for row in desk.public("/public/currencies")[1]["data"]] == [2, 8]


def test_ticker_has_the_day() -> None:
    desk = Desk()
    assert desk.data("GET", "/ticker/BTC_BRL")["trades_quantity"] == 0
    desk.create(price="301000")
    desk.quote(303_000, 303_010)
    desk.quote(299_000, 299_010)
    ticker = desk.data("GET", "/ticker/BTC_BRL")
    assert ticker == {
        "pair": "BTC_BRL", "bid": 299_000, "ask": 299_010, "last": 299_005, "first": 300_005, "high": 303_005,
        "low": 299_005, "volume": D("0.01"), "quote_volume": D("3000.1"), "trades_quantity": 1,
        "price_change_percent_24h": "-0.33", "is_frozen": False, "date": "2026-05-28T20:26:40.003Z",
        "base_code": "BTC", "base_id": "BTC-1", "quote_code": "BRL", "quote_id": "BRL-1",
    }  # fmt: skip
    assert desk.data("GET", "/ticker") == [desk.data("GET", "/ticker/BTC_BRL") | {"date": "2026-05-28T20:26:40.004Z"}]
    desk.wait(25 * 3600)
    assert desk.data("GET", "/ticker/BTC_BRL")["volume"] == 0
    assert desk.code("GET", "/ticker/ABC_DEF") == (404, 40400)


def test_public_routes_repeat_themselves_for_half_a_minute_and_private_twins_do_not() -> None:
    desk = Desk()
    desk.switches.public_cache_s = 30
    assert desk.public("/public/tickers/BTC_BRL")[1]["data"]["bid"] == 300_000
    desk.quote(301_000, 301_010)
    desk.wait(29)
    assert desk.public("/public/tickers/BTC_BRL")[1]["data"]["bid"] == 300_000
    assert desk.data("GET", "/ticker/BTC_BRL")["bid"] == 301_000
    desk.wait(1)
    assert desk.public("/public/tickers/BTC_BRL")[1]["data"]["bid"] == 301_000
    assert desk.public("/public/tickers")[1]["data"][0]["bid"] == 301_000


def test_level_2_has_market_and_resting_orders_and_a_hash_only_in_public() -> None:
    desk = Desk(depth=DepthRules(levels=300))
    desk.create(price="300000.5", amount="0.25")
    book = desk.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=2")
    assert set(book) == {"timestamp", "bids", "asks"}
    assert book["bids"] == [{"price": D("300000.5"), "amount": D("0.25")}, {"price": 300_000, "amount": 1}]
    assert book["asks"][0] == {"price": 300_010, "amount": 1}
    assert len(desk.data("GET", "/book/orders/level-2?pair=BTC_BRL")["asks"]) == 100
    assert len(desk.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=max")["asks"]) == 300
    public = desk.public("/public/orders/level-2?pair=BTC_BRL&limit=1")[1]["data"]
    assert int(public["hash"]) > 2**32, "no CRC32"
    for query in ("", "?pair=ABC_DEF", "?pair=BTC_BRL&limit=0", "?pair=BTC_BRL&limit=all"):
        assert desk.code("GET", f"/book/orders/level-2{query}") == (400, 40000)


def test_level_3_has_ids() -> None:
    desk = Desk(depth=DepthRules(levels=300))
    book = desk.data("GET", "/book/orders/level-3?pair=BTC_BRL&limit=250")
    assert len({row["id"] for row in book["bids"] + book["asks"]}) == 500
    assert "hash" in desk.public("/public/orders/level-3?pair=BTC_BRL")[1]["data"]
    assert desk.code("GET", "/book/orders/level-3?pair=BTC_BRL&limit=251") == (400, 40000)


def test_estimate_walks_the_book() -> None:
    desk = Desk()
    desk.venue.on_market(Book(BTC, ((300_000.0, 1.0), (299_000.0, 1.0)), ((300_010.0, 1.0), (301_010.0, 1.0)), 0))
    price = "/orders/estimate-price/BTC_BRL"
    assert desk.data("GET", f"{price}?amount=2&side=buy") == {"price": 300_510}
    assert desk.data("GET", f"{price}?amount=1.5&side=sell") == {"price": D("299666.67")}
    assert desk.code("GET", f"{price}?amount=3&side=buy") == (400, 40000)
    assert desk.code("GET", f"{price}?amount=3") == (400, 40000)
    assert desk.code("GET", f"{price}?side=buy&amount=NaN") == (400, 40000)
    assert desk.code("GET", "/orders/estimate-price/ABC_DEF?amount=1&side=buy") == (404, 40400)


def test_market_order_by_value_walks_the_book() -> None:
    desk = Desk()
    desk.venue.on_market(Book(BTC, ((300_000.0, 1.0),), ((300_010.0, 1.0), (301_010.0, 1.0)), 0))
    shown = desk.create(**market(amount=None, value="450515"))
    assert (shown["status"], shown["executed_amount"]) == ("executed_completely", D("1.5"))
    assert desk.get(shown["id"])["total_value"] == 450_515


def test_bar_moves_the_market_along_its_path() -> None:
    desk = Desk()
    order_id = desk.create(price="290000")["id"]
    desk.venue.on_market(Bar(BTC, 0, 60_000_000_000, 300_000, 310_000, 289_000, 305_000, 1.0, 0))
    assert desk.get(order_id)["status"] == "executed_completely"
    assert desk.data("GET", "/ticker/BTC_BRL")["high"] == 310_000


def test_balances_of_all_or_named_assets() -> None:
    desk = Desk()
    rows = desk.data("GET", "/user/balances")
    assert rows[0] == {
        "currency_code": "BRL", "available_amount": 1_000_000, "locked_amount": 0,
        "last_update": "2026-05-28T20:26:40.001Z",
    }  # fmt: skip
    assert [row["currency_code"] for row in rows] == ["BRL", "BTC"]
    assert [row["currency_code"] for row in desk.data("GET", "/user/balances?currency_code=BTC,ETH")] == ["BTC"]
    assert desk.balance("BRL", who=OTHER) == (500_000, 0)
    desk.switches.nested_balances = True
    assert desk.data("GET", "/user/balances") == [[row | {"last_update": "2026-05-28T20:26:40.004Z"} for row in rows]]


def test_small_amounts_have_exponents() -> None:
    desk = Desk(balances={"main": {"BTC": D("0.0000001")}})
    request = desk.signed("GET", "/trade/user/balances")
    assert b'"available_amount":1E-7' in desk.venue.handle(request).body
    assert desk.balance("BTC") == (D("0.0000001"), 0)


def test_fees_are_told_in_percent_and_as_fractions() -> None:
    desk = Desk()
    fees = {"maker": D("0.25"), "taker": D("0.5")}
    assert desk.data("GET", "/user/trading-fees?pair=BTC_BRL") == [{"side": "buy", **fees}, {"side": "sell", **fees}]
    assert desk.code("GET", "/user/trading-fees") == (400, 40000)
    (row,) = desk.data("GET", "/user/fees-and-limits")
    assert [one["tax_index"] for one in row["operations"]] == [D("0.0025"), D("0.005")]


@pytest.mark.parametrize("code", [50000, 50001, 50002, 50003])
def test_internal_errors_have_their_numbers(code: int) -> None:
    desk = Desk()
    desk.venue.adjust({"internal_error": code})
    response = desk.venue.failure(500)
    assert response.status == 500
    assert f'"error_code":{code},'.encode() in response.body


@pytest.mark.parametrize("status", [502, 504])
def test_gateway_answers_pages(status: int) -> None:
    response = Desk().venue.failure(status)
    assert (response.status, response.headers["content-type"]) == (status, "text/html")


def test_too_many_names_no_time_to_wait() -> None:
    response = Desk().venue.failure(429, 3.0)
    assert response.body == b'{"message":"Too many requests"}'
    assert "retry-after" not in response.headers


def test_maintenance_is_503_for_everything() -> None:
    desk = Desk()
    desk.switches.maintenance = True
    assert desk.code("GET", "/user/balances") == (503, 503)
    assert desk.public("/public/server-time")[0] == 503
    assert b'"error_code":503,' in desk.venue.failure(503).body


def test_envelope_can_be_bare_and_call_its_number_code() -> None:
    desk = Desk()
    desk.switches.bare_envelope = True
    assert set(desk.ask("GET", "/user/balances")[1]) == {"message", "data"}
    desk.switches.code_key = "code"
    tree = desk.ask("GET", "/orders?pair=ABC_DEF")[1]
    assert (tree["code"], "error_code" in tree) == (40000, False)


def test_numbers_of_errors_and_dates_of_executions_can_be_of_an_older_make() -> None:
    desk = Desk()
    desk.switches.text_codes = desk.switches.old_dates = True
    assert desk.ask("GET", "/orders?pair=ABC_DEF")[1]["error_code"] == "40000"
    (row,) = desk.get(desk.create(price="301000")["id"])["transactions"]
    assert row["create_date"] == "2026-05-28 20:26:40.002"


def test_paused_market_stands_still() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    desk.switches.market_paused = True
    desk.quote(200_000, 200_010)
    assert desk.get(order_id)["status"] == "open"
    assert desk.data("GET", "/ticker/BTC_BRL")["bid"] == 300_000


def test_commands_move_money_and_say_what_is_wrong() -> None:
    desk = Desk()
    desk.venue.command("deposit", {"asset": "BRL", "amount": "0.5", "account": "other"})
    assert desk.balance("BRL", who=OTHER) == (D("500000.5"), 0)
    for arguments in ({"asset": "BRL", "amount": "9999999"}, {"asset": "BRL", "amount": "-1"}, {"asset": "BRL"}):
        with pytest.raises(ValueError, match=r"insufficient|above 0|amount"):
            desk.venue.command("withdraw", arguments)
    with pytest.raises(ValueError, match="there are deposit"):
        desk.venue.command("dance", {})
    with pytest.raises(ValueError, match="unknown"):
        desk.venue.adjust({"nonsense": 1})


def test_truth_adds_up_after_a_day_s_trading() -> None:
    desk = Desk()
    desk.create(amount="0.5")
    desk.create(price="301000", amount="0.3")
    desk.create(side="sell", price="300500", amount="0.4")
    for number in range(20):
        desk.quote(299_500 + number * 100, 299_510 + number * 100, size=0.07)
    state = desk.venue.state()
    for asset in ("BRL", "BTC"):
        moved = D(0)
        for order in state["orders"]:
            sign = 1 if order["side"] == "buy" else -1
            amount = D(order["executed"]) if asset == "BTC" else -D(order["cost"])
            moved += sign * amount - D(order["fees"].get(asset, "0"))
        opening = D(state["opening_balances"]["main"][asset])
        assert opening + moved == D(state["balances"]["main"][asset]["total"])
    counted = desk.venue.counters()["orders"]
    assert counted["fills"] == sum(len(order["fills"]) for order in state["orders"])
    assert desk.venue.counters()["requests"]["create_order"] == counted["created"] == 3
