"""All that TradeLocker's own client can do, at the simulated server; by `make campaign`, for it sleeps before each request.

QUANTD_WHOLE_CLIENT=1 runs it by hand. The short form is `test_official_client.py`.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from quantd.simulators.faults import Action, FaultRule
from quantd.simulators.tradelocker.options import InstrumentRules
from tests.component.tradelocker.official import (
    BTC,
    ETH,
    HEDGING,
    NETTING,
    OTHER,
    Client,
    Desk,
    Raised,
    client_of,
    require_client,
    standard_setup,
)

pytestmark = [
    pytest.mark.skipif(not os.environ.get("QUANTD_WHOLE_CLIENT"), reason="minutes long: make campaign runs it"),
    pytest.mark.timeout(300),
]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    require_client()
    desk = Desk()
    await desk.server.start()
    yield desk
    await desk.server.stop()


async def market(client: Client, quantity: float = 0.01, side: str = "buy", **terms: Any) -> Any:
    wanted = {"instrument_id": BTC, "quantity": quantity, "side": side, **terms}
    return await client.ask("create_order", **wanted)


async def limit(client: Client, price: float, side: str = "buy", **terms: Any) -> Any:
    return await market(client, side=side, **{"type_": "limit", "validity": "GTC", "price": price, **terms})


async def ids(client: Client, method: str = "get_all_orders", **arguments: Any) -> set[int]:
    return {row["id"] for row in await client.ask(method, **arguments)}


async def test_it_picks_accounts_renews_both_tokens_and_is_told_when_it_is_refused(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path, None) as client:
        with pytest.raises(Raised, match=r"^ValueError: .*400"):
            await client.log_in(password="wrong")
        with pytest.raises(Raised, match=r"^ValueError: acc_num '-1' not found"):
            await client.log_in(-1)
        assert await client.log_in() == {"account_id": 1_000_001, "acc_num": HEDGING}
        assert await client.log_in(account_id=1_000_003) == {"account_id": 1_000_003, "acc_num": NETTING}
        accounts = await client.ask("get_all_accounts")
        assert [(one["accNum"], one["accountBalance"]) for one in accounts] == [(60, 1e5), (61, 1e5), (62, 5e4)]
        before = [await client.ask("get_access_token"), await client.ask("get_refresh_token")]
        await client.ask("refresh_access_tokens")
        after = [await client.ask("get_access_token"), await client.ask("get_refresh_token")]
        assert before[0] != after[0]
        assert before[1] != after[1]
        tokens = {"access_token": after[0], "refresh_token": after[1]}
        again = await client.log_in(OTHER, username=None, password=None, server=None, **tokens)
        assert again["acc_num"] == OTHER
        desk.venue.command("revoke", {})
        with pytest.raises(Raised, match=r"^HTTPError: .*401"):
            await client.ask("get_account_state")


async def test_it_renews_a_token_of_less_than_half_an_hour_before_each_request(tmp_path: Path) -> None:
    require_client()
    desk = Desk(access_s=1_700.0)
    await desk.server.start()
    async with client_of(desk, tmp_path) as client:
        state = await client.ask("get_account_state")
    await desk.server.stop()
    assert state["balance"] == 100_000
    assert desk.counted("sessions") == {"log_ins": 1, "refreshes": 3, "unauthorized": 0}


async def test_it_reads_all_that_there_is_to_read(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        listed = await client.ask("get_all_instruments")
        assert [(one["name"], one["tradableInstrumentId"]) for one in listed] == [("BTCUSD", BTC), ("ETHUSD", ETH)]
        assert await client.ask("get_instrument_id_from_symbol_id", symbol_id=listed[1]["id"]) == ETH
        assert await client.ask("get_symbol_name_from_instrument_id", instrument_id=ETH) == "ETHUSD"
        details = await client.ask("get_instrument_details", instrument_id=BTC)
        assert (details["lotSize"], details["lotStep"], details["symbolStatus"]) == (1, 0.01, "FULLY_OPEN")
        session = await client.ask("get_session_details", session_id=details["tradeSessionId"])
        assert session["blockTrading"] is False
        status = await client.ask("get_session_status_details", session_status_id=details["tradeSessionStatusId"])
        assert (len(status["allowedOperations"]), len(status["allowedOrderTypes"])) == (3, 6)
        assert set(await client.ask("get_quotes", instrument_id=BTC)) == {"ap", "as", "bp", "bs"}
        depth = await client.ask("get_market_depth", instrument_id=BTC)
        assert depth["bids"][0][0] == 60_000.0
        assert depth["asks"][0][0] == 60_010.0
        for kind in ("BID", "ASK", "TRADE"):
            assert (await client.ask("get_daily_bar", instrument_id=BTC, bar_type=kind))["c"] == 60_000.0
        for resolution in ("1M", "1W", "1D", "4H", "1H", "30m", "15m", "5m", "1m"):
            span = "1D" if resolution == "1m" else "2M"  # of minutes the client itself refuses more than 50,000
            bars = await client.ask("get_price_history", instrument_id=BTC, resolution=resolution, lookback_period=span)
            assert bars[-1]["c"] == 60_000.0
            assert bars == sorted(bars, key=lambda bar: bar["t"])
        past = {"start_timestamp": 1_600_000_000_000, "end_timestamp": 1_600_000_000_000}
        assert await client.ask("get_price_history", instrument_id=BTC, resolution="1W", **past) == []
        (account,) = await client.ask("get_trade_accounts")
        assert account["id"] == "1000001"
        assert account["tradingRules"]["supportPartialClosePosition"] is True
        await market(client)
        (fill,) = await client.ask("get_all_executions")
        assert (fill["qty"], fill["price"], fill["tradableInstrumentId"]) == (0.01, 60_010.0, BTC)
        state = await client.ask("get_account_state")
        assert len(state) == 26
        assert (state["positionsCount"], state["openGrossPnL"]) == (1, -0.1)
        rate = await client.ask("get_route_rate_limit", route_name="GET_ACCOUNTS_STATE")
        assert (rate["limit"], rate["intervalNum"], rate["measure"]) == (4, 2, "SECONDS")
    assert desk.counted("rate_limited")["total"] == 0


async def test_it_finds_the_info_route_that_answers_and_columns_that_have_moved(tmp_path: Path) -> None:
    require_client()
    desk = Desk(
        standard_setup(instruments=(InstrumentRules(info_routes=(452, 453)), InstrumentRules("ETH", tradable_id=ETH))),
        dead_info_routes=1, more_columns=True, status_words="upper",
    )  # fmt: skip
    await desk.server.start()
    async with client_of(desk, tmp_path) as client:
        assert await client.ask("get_latest_bid_price", instrument_id=BTC) == 60_000.0
        order = await limit(client, 50_000.0)
        (row,) = await client.ask("get_all_orders")
        assert (row["id"], row["price"], row["status"]) == (order, 50_000.0, "NEW")
    await desk.server.stop()


async def test_it_places_moves_and_deletes_orders_of_each_type(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        stop = await market(client, type_="stop", validity="GTC", stop_price=61_000.0)
        assert await client.ask("modify_order", order_id=stop, modification_params={"stopPrice": "62000"})
        first, second = await limit(client, 50_000.0), await limit(client, 2_000.0, instrument_id=ETH)
        rows = {row["id"]: row for row in await client.ask("get_all_orders")}
        assert rows.keys() == {stop, first, second}
        assert rows[stop]["stopPrice"] == 62_000.0
        assert await ids(client, instrument_id_filter=ETH) == {second}
        assert await client.ask("delete_all_orders", instrument_id_filter=ETH)
        assert await ids(client) == {stop, first}
        desk.move(bid=62_000.0)
        filled = await limit(client, 0.01, side="sell")
        assert not await client.ask("delete_order", order_id=filled)
        assert await client.ask("delete_all_orders")
        history = {row["id"]: row["status"] for row in await client.ask("get_all_orders", history=True)}
        assert history == {stop: "Filled", first: "Cancelled", second: "Cancelled", filled: "Filled"}
        assert await ids(client, history=True, instrument_id_filter=ETH) == {second}
        assert await ids(client, history=True, lookback_period="1H") == set(history)
        assert await ids(client, history=True, end_timestamp=1_600_000_000_000) == set()


async def test_it_tags_orders_with_32_characters_and_not_with_33(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        order = await market(client, strategy_id="a" * 32)
        (row,) = await client.ask("get_all_orders", history=True)
        (position,) = await client.ask("get_all_positions")
        assert (row["id"], row["strategyId"], position["strategyId"]) == (order, "a" * 32, "a" * 32)
        with pytest.raises(Raised, match=r"^TLAPIOrderException: .*strategyId"):
            await market(client, strategy_id="a" * 33, _ignore_len_check=True)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"quantity": 0.001}, "lotStep"),
        ({"quantity": 0.123}, "lotStep"),
        ({"quantity": -0.05}, "greater than 0"),
        ({"quantity": 900.0}, "Not enough margin to create Order"),
        ({"stop_loss": 61_000.0, "stop_loss_type": "absolute"}, "SL price is not valid"),
        ({"take_profit": 50_000.0, "take_profit_type": "absolute"}, "TP price is not valid"),
    ],
)
async def test_it_hands_on_why_an_order_is_refused(desk: Desk, tmp_path: Path, terms: Any, words: str) -> None:
    async with client_of(desk, tmp_path) as client:
        with pytest.raises(Raised, match=rf"^TLAPIOrderException: .*{words}"):
            await market(client, **terms)
    assert desk.counted("orders")["created"] == 0


async def test_it_hands_on_that_a_market_is_closed_or_only_reduces(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        for status, words in (("closed", "out of session"), ("reduce_only", "Only positions closing")):
            desk.venue.command("market", {"symbol": "BTCUSD", "status": status})
            with pytest.raises(Raised, match=rf"^TLAPIOrderException: .*{words}"):
                await market(client)


async def test_it_closes_by_order_by_position_in_part_and_by_instrument(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        order = await market(client, 0.02)
        assert await client.ask("close_position", order_id=order, close_quantity=0.01)
        (position,) = await client.ask("get_all_positions")
        assert position["qty"] == 0.01
        assert await client.ask("close_position", position_id=position["id"])
        with pytest.raises(Raised, match=r"^HTTPError: .*404"):
            await client.ask("close_position", position_id=position["id"])
        await market(client, 0.01)
        await market(client, 0.02, side="sell")
        await market(client, 0.01, instrument_id=ETH)
        assert await client.ask("close_all_positions", instrument_id_filter=ETH)
        held = await client.ask("get_all_positions")
        assert [(one["side"], one["qty"]) for one in held] == [("buy", 0.01), ("sell", 0.02)]
        await market(client, 0.02, position_netting=True)  # the client closes what is opposite by itself
        assert [one["side"] for one in await client.ask("get_all_positions")] == ["buy"]
        assert await client.ask("close_all_positions")
        assert await client.ask("get_all_positions") == []


async def test_exits_keep_their_orders_when_they_move_and_the_target_takes_the_position(
    desk: Desk, tmp_path: Path
) -> None:
    async with client_of(desk, tmp_path) as client:
        order = await market(client, 0.01, stop_loss=100.0, stop_loss_type="offset")
        position = await client.ask("get_position_id_from_order_id", order_id=order)
        seen = []
        for stop, target in ((100.0, 10_000_000.0), (59_000.0, 61_000.0)):
            wanted = {"stopLoss": stop, "takeProfit": target}
            assert await client.ask("modify_position", position_id=position, modification_params=wanted)
            rows = {row["id"]: row for row in await client.ask("get_all_orders")}
            (held,) = await client.ask("get_all_positions")
            assert (rows[held["stopLossId"]]["stopPrice"], rows[held["takeProfitId"]]["price"]) == (stop, target)
            assert {held["stopLossId"], held["takeProfitId"]} == set(rows)
            assert {row["positionId"] for row in rows.values()} == {position}
            seen.append(set(rows))
        assert seen[0] == seen[1]
        desk.move(bid=61_500.0)
        assert await client.ask("get_all_positions") == []
        ended = {row["id"]: row["status"] for row in await client.ask("get_all_orders", history=True)}
        assert sorted(ended[one] for one in seen[0]) == ["Cancelled", "Filled"]


async def test_on_a_netting_account_the_opposite_order_reduces(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path, NETTING) as client:
        await market(client, 0.03)
        await market(client, 0.01, side="sell")
        (position,) = await client.ask("get_all_positions")
        assert (position["side"], position["qty"]) == ("buy", 0.02)


async def test_it_sends_an_order_again_whose_answer_was_lost_and_so_has_two(desk: Desk, tmp_path: Path) -> None:
    """Why quantd's own connector never does so: see docs/venues/tradelocker.md."""
    async with client_of(desk, tmp_path) as client:
        desk.faults.add([FaultRule(Action.DROP_AFTER, "place_order", times=1)])
        await market(client, strategy_id="once")
        assert [one["strategyId"] for one in await client.ask("get_all_positions")] == ["once", "once"]
    assert desk.counted("violations")["strategy_id_twice"] == 1


async def test_it_raises_at_one_request_too_many_and_at_an_answer_without_a_body(desk: Desk, tmp_path: Path) -> None:
    async with client_of(desk, tmp_path) as client:
        order = await limit(client, 50_000.0)
        desk.faults.add([FaultRule(Action.THROTTLE, "state", times=1)])
        with pytest.raises(Raised, match=r"^HTTPError: .*1015.*429"):
            await client.ask("get_account_state")
        desk.venue.adjust({"no_content": True})
        with pytest.raises(Raised, match=r"^ValueError: Empty response"):
            await client.ask("delete_order", order_id=order)
        assert await ids(client) == set()  # done all the same
