"""TradeLocker's own client, unmodified, at the simulated server: what it can do with the real one, it can here.

It sleeps a second before each request, so that this is the short form, on two accounts at a time; the whole is in
`test_official_client_whole.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.component.tradelocker.official import (
    BTC,
    HEDGING,
    OTHER,
    Client,
    Desk,
    client_of,
    require_client,
    standard_setup,
)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    require_client()
    desk = Desk(standard_setup(limits={"QUOTES_HISTORY_BARS": 50_000, "MAX_ORDERS_COUNT_IN_HISTORY": 3}))
    await desk.server.start()
    yield desk
    await desk.server.stop()


async def test_it_logs_in_reads_trades_guards_closes_and_pages(desk: Desk, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as scenes:
        scenes.create_task(reads_places_amends_and_cancels(desk, tmp_path), name="orders")
        scenes.create_task(guards_a_position_closes_it_in_part_and_pages(desk, tmp_path), name="positions")
    assert desk.counted("rate_limited")["total"] == 0
    assert set(desk.counted("statuses")) == {"200", "201"}


async def reads_places_amends_and_cancels(desk: Desk, folder: Path) -> None:
    async with client_of(desk, folder, HEDGING) as client:
        assert await client.ask("get_instrument_id_from_symbol_name", symbol_name="BTCUSD") == BTC
        assert await client.ask("get_latest_asking_price", instrument_id=BTC) == 60_010.0
        bars = await client.ask("get_price_history", instrument_id=BTC, resolution="1m", lookback_period="5m")
        assert [bar["c"] for bar in bars] == [59_997.0, 59_998.0, 59_999.0, 60_000.0]
        order = await client.ask(
            # Below all that the other scene does to the market.
            "create_order", instrument_id=BTC, quantity=0.02, side="buy", price=57_000.5, type_="limit",
            validity="GTC", strategy_id="tag-1",
        )  # fmt: skip
        assert order > 2**53
        assert await client.ask(
            "modify_order", order_id=order, modification_params={"price": "56000.25", "qty": "0.03"}
        )
        (row,) = await client.ask("get_all_orders")
        assert (row["id"], row["status"], row["isOpen"]) == (order, "New", "true")
        assert (row["price"], row["qty"], row["strategyId"]) == (56_000.25, 0.03, "tag-1")
        assert await client.ask("delete_order", order_id=order)
        (row,) = await client.ask("get_all_orders", history=True)
        assert (row["id"], row["status"], row["filledQty"], row["positionId"]) == (order, "Cancelled", 0.0, 0)
        assert client.complaints() == []


async def guards_a_position_closes_it_in_part_and_pages(desk: Desk, folder: Path) -> None:
    async with client_of(desk, folder, OTHER) as client:
        order = await client.ask(
            "create_order", instrument_id=BTC, quantity=0.05, side="buy", stop_loss=50_000.0, stop_loss_type="absolute",
            take_profit=70_000.0, take_profit_type="absolute",
        )  # fmt: skip
        position = await client.ask("get_position_id_from_order_id", order_id=order)
        assert position > 2**53
        assert position != order
        exits = {"stopLoss": 59_000.0, "takeProfit": 65_000.0}
        assert await client.ask("modify_position", position_id=position, modification_params=exits)
        working = {row["id"]: row for row in await client.ask("get_all_orders")}
        assert await client.ask("close_position", position_id=position, close_quantity=0.02)
        (row,) = await client.ask("get_all_positions")
        assert (row["id"], row["qty"], row["avgPrice"], row["side"]) == (position, 0.03, 60_010.0, "buy")
        assert working[row["stopLossId"]]["stopPrice"] == 59_000.0
        assert working[row["takeProfitId"]]["price"] == 65_000.0
        desk.move(bid=58_990.0)  # through the stop
        assert await client.ask("get_all_positions") == []
        rows = await pages(client)
        ended = {row["id"]: row["status"] for row in rows}
        assert ended[order] == "Filled"
        assert sum(row["positionId"] == position and row["status"] == "Filled" for row in rows) == 3
        assert client.complaints() == []


async def pages(client: Client) -> list[Any]:
    """Return the whole history of orders, page by page: the server tells three rows at once."""
    found: dict[int, Any] = {}
    window: dict[str, int] = {}
    while True:
        rows = await client.ask("get_all_orders", history=True, **window)
        assert len(rows) <= 3
        fresh = {row["id"]: row for row in rows if row["id"] not in found}
        if not fresh:
            assert len(found) > 3, "one page was enough, so that nothing was shown"
            return list(found.values())
        found |= fresh
        window = {"end_timestamp": min(row["createdDate"] for row in rows)}
