"""The table of routes, the limits made from it, and reading by pages."""

import msgspec
import pytest

from quantd.venues.budget import Bucket, Window, with_models
from quantd.venues.ionloop.limits import LIMITS, ORDERS, budget_route, ticker_limit
from quantd.venues.ionloop.paging import read_pages
from quantd.venues.ionloop.routes import PATH_NAMES, ROUTES, Evidence, route_table, target
from quantd.venues.ionloop.settings import IonloopPaths


def test_there_are_thirteen_routes_and_each_path_can_be_overridden() -> None:
    assert len(route_table({})) == len(ROUTES) == 13
    assert set(IonloopPaths.model_fields) == PATH_NAMES
    assert IonloopPaths().model_dump() == {route.path_name: route.path for route in ROUTES}


def test_an_override_changes_every_route_of_that_path_and_no_other() -> None:
    table = route_table({"orders": "/v2/orders"})
    changed = {name for name, route in table.items() if route.path.startswith("/v2")}
    assert changed == {"create_order", "list_orders"}
    with pytest.raises(ValueError, match="no such path: order_list"):
        route_table({"order_list": "/v1/x"})


def test_the_uncertain_paths_are_marked() -> None:
    inferred = {route.operation for route in ROUTES if route.evidence is Evidence.INFERRED}
    assert inferred == {"market", "order_book", "list_orders", "wallets", "transactions", "status"}


def test_targets_are_percent_encoded() -> None:
    table = route_table({})
    assert target(table["get_order"], {"id": "a/b?c"}) == "/v1/orders/a%2Fb%3Fc"
    asked = target(table["list_orders"], {}, {"status": "open,filled", "from": "2026-05-14T12:00:00Z"})
    assert asked == "/v1/orders?status=open,filled&from=2026-05-14T12:00:00Z"


def test_order_routes_draw_on_the_burst_control_and_tickers_on_their_symbol() -> None:
    assert set(ORDERS.routes) == {"create_order", "list_orders", "get_order", "cancel_order"}
    table = route_table({})
    assert budget_route(table["ticker"], "BTC-USDT") == ticker_limit("BTC-USDT").name == "ticker:BTC-USDT"
    assert budget_route(table["get_order"]) == "get_order"


def test_limits_can_be_configured_by_name() -> None:
    limits = {limit.name: limit for limit in with_models(LIMITS, {"orders": Bucket(2.0, 3)})}
    assert limits["orders"].model == Bucket(2.0, 3)
    assert limits["orders"].routes == ORDERS.routes
    assert {limit.name for limit in LIMITS} == set(limits)
    with pytest.raises(ValueError, match="no such rate limit: order"):
        with_models(LIMITS, {"order": Window(1, 1.0)})


class Row(msgspec.Struct):
    id: str
    sight: int = 0


async def read(pages: list[list[Row]], echoed: int | None = 2, pages_max: int = 10) -> tuple[dict[str, Row], bool, int]:
    asked = 0

    async def fetch(page: int) -> tuple[list[Row], int | None]:
        nonlocal asked
        asked += 1
        assert page == asked
        return (pages[page - 1] if page <= len(pages) else []), echoed

    rows, complete = await read_pages(fetch, pages_max=pages_max)
    return rows, complete, asked


async def test_reading_stops_at_a_short_or_empty_page() -> None:
    a, b, c, d = (Row(name) for name in "abcd")
    assert await read([[a, b], [c]]) == ({"a": a, "b": b, "c": c}, True, 2)
    assert await read([[a, b], [c, d]]) == ({"a": a, "b": b, "c": c, "d": d}, True, 3)
    assert await read([]) == ({}, True, 1)


async def test_a_row_that_moved_to_a_later_page_is_kept_once_as_seen_last() -> None:
    rows, complete, _ = await read([[Row("a"), Row("b", 1)], [Row("b", 2), Row("c")]])
    assert list(rows) == ["a", "b", "c"]
    assert rows["b"].sight == 2
    assert complete


async def test_a_venue_that_turns_no_pages_and_one_that_never_ends_are_not_complete() -> None:
    page = [Row("a"), Row("b")]
    assert await read([page] * 10) == ({"a": page[0], "b": page[1]}, False, 2)
    _, complete, asked = await read([[Row(f"{n}x"), Row(f"{n}y")] for n in range(20)], pages_max=5)
    assert (complete, asked) == (False, 5)
