"""The simulated Ripio Trade's lists: the user's orders with every filter, open orders, trades, statement, and cursors."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from quantd.simulators.ripio.options import PairRules
from tests.component.simulators.ripio_desk import OTHER, Desk, market

D = Decimal
DAY_S = 86_400


def with_orders(count: int, **changes: Any) -> tuple[Desk, list[str]]:
    """Return a desk with open orders, and their ids, the newest first."""
    desk = Desk()
    ids = [desk.create(external_id=f"x{number}", **changes)["id"] for number in range(count)]
    return desk, ids[::-1]


def listed(desk: Desk, query: str = "", **how: Any) -> list[str]:
    """Return the ids that the user's orders show."""
    return [order["id"] for order in desk.data("GET", f"/orders?pair=BTC_BRL{query}", **how)["orders"]]


def test_orders_have_the_seed_document_s_fields_and_kinds() -> None:
    desk = Desk()
    desk.create()
    desk.quote(299_000, 299_010)
    answer = desk.ask("GET", "/orders?pair=BTC_BRL")[1]
    assert set(answer) == {"data", "error_code", "message", "timestamp"}
    data = answer["data"]
    assert set(data) == {"orders", "pagination", "nc", "pc"}
    assert data["pagination"] == {"current_page": 1, "registers_count": 1, "total_pages": 1, "page_size": 100}
    (order,) = data["orders"]
    assert order == {
        "create_date": "2026-05-28T20:26:40.001Z", "executed_amount": D("0.01"), "external_id": "one",
        "id": order["id"], "pair": "BTC_BRL", "price": 300_000, "remaining_amount": 0, "remaining_value": 0,
        "requested_amount": D("0.01"), "requested_value": 3000, "side": "buy", "status": "executed_completely",
        "total_value": 3000, "type": "limit", "update_date": "2026-05-28T20:26:40.001Z", "fee": D("0.000025"),
    }  # fmt: skip


def test_pair_is_required_and_must_exist() -> None:
    desk = Desk()
    assert desk.code("GET", "/orders") == (400, 40000)
    assert desk.code("GET", "/orders?pair=ABC_DEF") == (400, 40000)


def test_pair_chooses() -> None:
    desk = Desk(pairs=(PairRules(), PairRules("ETH_BRL")))
    desk.quote(10_000, 10_010, pair="ETH_BRL")
    order = desk.create()
    desk.create(pair="ETH_BRL", price="10000")
    assert listed(desk) == [order["id"]]


def test_status_chooses_one_or_several() -> None:
    desk = Desk()
    canceled = desk.create(external_id="a")["id"]
    desk.data("POST", "/orders/cancel", {"id": canceled})
    done = desk.create(external_id="b", price="301000", amount="0.5")["id"]
    part = desk.create(external_id="c", price="300010", amount="0.6")["id"]
    still = desk.create(external_id="d", price="299000")["id"]
    assert listed(desk) == [still, part, done, canceled], "newest first"
    assert listed(desk, "&status=open") == [still]
    assert listed(desk, "&status=executed_partially") == [part]
    assert listed(desk, "&status=executed_completely,canceled") == [done, canceled]
    assert listed(desk, "&status=executed_completely&status=canceled") == [done, canceled]
    assert desk.code("GET", "/orders?pair=BTC_BRL&status=cancelled") == (400, 40000)
    desk.switches.default_status = "executed_completely,canceled"
    assert listed(desk) == [done, canceled]
    assert listed(desk, "&status=open,executed_partially") == [still, part]


def test_side_and_type_choose() -> None:
    desk = Desk()
    buy = desk.create()["id"]
    sell = desk.create(side="sell", price="301000")["id"]
    sold = desk.create(**market(side="sell"))["id"]
    stop = desk.create(type="stop_limit", side="sell", stop_price="290000", price="290000")["id"]
    trailing = desk.create(type="trailing", side="sell", price=None, distance="5000")["id"]
    ceiling = desk.create(type="ceiling", price=None, amount=None, value="100")["id"]
    iceberg = desk.create(type="iceberg", step_amount="0.005")["id"]
    assert listed(desk, "&side=buy") == [iceberg, ceiling, buy]
    assert listed(desk, "&side=sell&type=limit") == [sell]
    by_type = {"market": sold, "stop_limit": stop, "trailing": trailing, "ceiling": ceiling, "iceberg": iceberg}
    for name, order_id in by_type.items():
        assert listed(desk, f"&type={name}") == [order_id]
    assert desk.code("GET", "/orders?pair=BTC_BRL&side=long") == (400, 40000)
    assert desk.code("GET", "/orders?pair=BTC_BRL&type=stop") == (400, 40000)


def test_ids_choose_up_to_ten_in_either_case() -> None:
    desk, ids = with_orders(11)
    assert listed(desk, f"&ids={ids[3].lower()},{ids[7]},{OTHER.token}") == [ids[3], ids[7]]
    assert listed(desk, "&ids=" + ",".join(ids[:10])) == ids[:10]
    assert desk.code("GET", "/orders?pair=BTC_BRL&ids=" + ",".join(ids)) == (400, 40000)


def test_dates_choose_and_ten_days_are_the_default() -> None:
    desk = Desk()
    old = desk.create(external_id="a")
    desk.wait(11 * DAY_S)
    new = desk.create(external_id="b")
    assert listed(desk) == [new["id"]]
    assert listed(desk, f"&start_date={old['create_date']}") == [new["id"], old["id"]], "both ends belong to it"
    window = f"&start_date={old['create_date']}&end_date={old['create_date']}"
    assert listed(desk, window) == [old["id"]]
    assert listed(desk, f"&end_date={old['create_date']}") == [old["id"]], "ten days before the end"
    zoned = quote("2026-05-28T17:26:40.000-03:00")
    assert listed(desk, f"&start_date={zoned}") == [new["id"], old["id"]]


@pytest.mark.parametrize(
    "query",
    [
        "start_date=2017-09-30T23:59:59.999Z", "start_date=soon", "end_date=later",
        "start_date=2025-11-01&end_date=2026-06-01", "start_date=2026-05-02&end_date=2026-05-01",
        "page_size=0", "page_size=1001", "page_size=many", "current_page=0", "current_page=-1", "c=nonsense",
    ],
)  # fmt: skip
def test_filters_that_are_none_are_40000(query: str) -> None:
    assert Desk().code("GET", f"/orders?pair=BTC_BRL&{query}") == (400, 40000)


def test_six_months_are_the_longest_span() -> None:
    desk = Desk()
    assert listed(desk, "&start_date=2025-12-01&end_date=2026-06-01") == []
    assert listed(desk, "&start_date=2017-10-01&end_date=2018-03-01") == []


def test_page_numbers_count_and_shift_when_rows_come() -> None:
    desk, ids = with_orders(5)
    first = desk.data("GET", "/orders?pair=BTC_BRL&page_size=2&current_page=1")
    assert [order["id"] for order in first["orders"]] == ids[:2]
    assert first["pagination"] == {"current_page": 1, "registers_count": 5, "total_pages": 3, "page_size": 2}
    desk.create(external_id="late")
    assert listed(desk, "&page_size=2&current_page=2") == ids[1:3], "one row is seen twice"
    assert listed(desk, "&page_size=2&current_page=9") == []


def test_cursor_walks_on_and_back_and_nothing_that_comes_moves_it() -> None:
    desk, ids = with_orders(5)
    page = desk.data("GET", "/orders?pair=BTC_BRL&page_size=2")
    assert page["pc"] is None
    walked = [order["id"] for order in page["orders"]]
    late = desk.create(external_id="late")["id"]
    while page["nc"] is not None:
        page = desk.data("GET", f"/orders?pair=BTC_BRL&page_size=2&c={page['nc']}")
        walked += [order["id"] for order in page["orders"]]
    assert walked == ids
    back = desk.data("GET", f"/orders?pair=BTC_BRL&page_size=2&c={page['pc']}")
    assert [order["id"] for order in back["orders"]] == ids[2:4]
    front = desk.data("GET", f"/orders?pair=BTC_BRL&page_size=100&c={back['pc']}")
    assert [order["id"] for order in front["orders"]] == [late, *ids[:2]]
    assert front["pc"] is None
    rest = desk.data("GET", f"/orders?pair=BTC_BRL&c={front['nc']}")
    assert ([order["id"] for order in rest["orders"]], rest["nc"]) == (ids[2:], None)


def test_open_orders_are_the_open_ones_of_all_pairs_or_one() -> None:
    desk = Desk(pairs=(PairRules(), PairRules("ETH_BRL")))
    desk.quote(10_000, 10_010, pair="ETH_BRL")
    desk.create(price="301000")
    first = desk.create()["id"]
    part = desk.create(side="sell", price="300005", amount="1.5")["id"]
    other = desk.create(pair="ETH_BRL", price="10000")["id"]
    desk.quote(300_006, 300_010, size=0.5)

    def open_(query: str = "") -> list[str]:
        return [order["id"] for order in desk.data("GET", f"/orders/open{query}")["orders"]]

    assert open_() == [other, part, first]
    assert open_("?pair=BTC_BRL") == [part, first]
    assert open_("?pair=BTC_BRL&side=sell") == [part]
    assert open_("?page_size=2&current_page=2") == [first]
    cursor = desk.data("GET", "/orders/open?page_size=1")["nc"]
    assert open_(f"?page_size=1&c={cursor}") == [part]
    assert desk.data("GET", "/orders/open", who=OTHER)["orders"] == []
    assert desk.code("GET", "/orders/open?side=up") == (400, 40000)
    assert desk.code("GET", "/orders/open?pair=ABC_DEF") == (400, 40000)


def with_trades(count: int) -> tuple[Desk, list[str]]:
    """Return a desk with orders that were filled at once, and their ids, the newest first."""
    return with_orders(count, price="301000")


def test_user_trades_are_the_user_s_fills_with_fees() -> None:
    desk, ids = with_trades(1)
    data = desk.data("GET", "/user/trades?pair=BTC_BRL")
    assert set(data) == {"trades", "nc", "pc"}, "page numbers vanished on 2026-06-01"
    (trade,) = data["trades"]
    assert trade == {
        "id": trade["id"], "pair_code": "BTC_BRL", "side": "buy", "type": "limit", "amount": D("0.01"),
        "price": 300_010, "total_value": D("3000.1"), "fee": D("0.00005"), "fee_currency": "BTC",
        "taker_or_maker": "taker", "maker_order_id": trade["maker_order_id"], "taker_order_id": ids[0],
        "date": "2026-05-28T20:26:40.001Z", "timestamp": 1_780_000_000_001,
    }  # fmt: skip
    assert trade["maker_order_id"] not in ids
    desk.switches.trade_pagination = True
    assert desk.data("GET", "/user/trades?pair=BTC_BRL")["pagination"]["registers_count"] == 1


def test_user_trades_are_chosen_by_order_external_id_and_date() -> None:
    desk, ids = with_trades(3)

    def orders_of(query: str) -> list[str]:
        trades = desk.data("GET", f"/user/trades?pair=BTC_BRL{query}")["trades"]
        return [trade["taker_order_id"] for trade in trades]

    assert orders_of("") == ids
    assert orders_of(f"&order_id={ids[1].lower()}") == [ids[1]]
    assert orders_of("&external_id=x0") == [ids[2]]
    assert orders_of("&start_date=2026-05-28T20:26:40.003Z") == [ids[0]]
    assert orders_of("&end_date=2026-05-28T20:26:40.001Z") == [ids[2]]
    desk.wait(10 * DAY_S)
    assert orders_of("") == [], "ten days by default"
    assert desk.code("GET", "/user/trades") == (400, 40000)


def test_trades_page_by_cursor_only() -> None:
    desk, ids = with_trades(5)
    for path in ("/user/trades?pair=BTC_BRL", "/trades?pair=BTC_BRL"):
        walked: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = desk.data("GET", f"{path}&page_size=2&c={cursor}")
            walked += [trade["taker_order_id"] for trade in page["trades"]]
            cursor = page["nc"]
        assert walked == ids
        assert desk.code("GET", f"{path}&current_page=2") == (400, 40000)


def test_trades_of_one_order() -> None:
    desk = Desk()
    order = desk.create(price="300010", amount="1.5")["id"]
    desk.quote(299_000, 300_010)
    trades = desk.data("GET", f"/orders/trades?order_id={order}")["trades"]
    assert [trade["amount"] for trade in trades] == [D("0.5"), 1]
    assert len({trade["id"] for trade in trades}) == 2
    assert desk.code("GET", "/orders/trades") == (404, 40400)
    assert desk.code("GET", f"/orders/trades?order_id={order}", who=OTHER) == (404, 40400)


def test_public_trades_name_both_sides() -> None:
    desk, ids = with_trades(2)
    status, tree = desk.public("/public/trades?pair=BTC_BRL&page_size=1")
    assert status == 200
    (trade,) = tree["data"]["trades"]
    assert trade == {
        "id": trade["id"], "pair": "BTC_BRL", "price": 300_010, "amount": D("0.01"), "total_value": D("3000.1"),
        "date": "2026-05-28T20:26:40.002Z", "timestamp": 1_780_000_000_002, "maker_side": "sell",
        "maker_type": "limit", "maker_order_id": trade["maker_order_id"], "taker_side": "buy", "taker_type": "limit",
        "taker_order_id": ids[0],
    }  # fmt: skip
    window = "start_time=2026-05-28T20:26:40.001Z&end_time=2026-05-28T20:26:40.001Z"
    (first,) = desk.public(f"/public/trades?pair=BTC_BRL&{window}")[1]["data"]["trades"]
    assert first["taker_order_id"] == ids[1]
    assert desk.public("/public/trades")[0] == 400


def test_statement_adds_up_to_the_balances() -> None:
    desk, _ = with_trades(2)
    desk.create(**market(side="sell", amount="0.5"))
    desk.venue.command("deposit", {"asset": "BRL", "amount": "12.5"})
    desk.venue.command("withdraw", {"asset": "BRL", "amount": "2.5"})
    for asset in ("BRL", "BTC"):
        data = desk.data("GET", f"/user/statement?currency_code={asset}")
        rows = data["statement"]
        assert sum(row["amount"] for row in rows) == sum(desk.balance(asset))
        assert rows[0]["after_balance"] == sum(desk.balance(asset)), "newest first"
    operations = [row["operation"] for row in desk.data("GET", "/user/statement?currency_code=BRL")["statement"]]
    assert operations[:4] == ["withdrawal", "deposit", "fee", "trade"]
    second = desk.data("GET", "/user/statement?page_size=3&current_page=2")
    assert len(second["statement"]) == 3
    assert second["pagination"]["current_page"] == 2
    assert desk.data("GET", "/user/statement?start_time=2027-01-01&end_time=2027-01-02")["statement"] == []
