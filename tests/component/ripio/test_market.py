"""Rules, fees, prices, prints and statuses, as the connector reads them from the private routes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.instruments import FeeSchedule, MarketStatus
from quantd.domain.soundness import flaw_of_snapshot
from quantd.errors import Contradicts, Refused, Unavailable, Unsound
from quantd.ports import HttpResponse
from tests.component.ripio.bench import ASK, BID, BTC, ETH, Bench, on_bench


def test_fees_are_the_account_s_own_and_the_configured_ones_only_where_the_venue_tells_none() -> None:
    async def act(bench: Bench) -> None:
        assert bench.instrument.fees == FeeSchedule(Decimal("0.0025"), Decimal("0.005"), "received")
        bench.tampers.append(("GET", "/user/trading-fees", lambda rows: [{**row, "maker": 0.1} for row in rows]))
        (rules,) = await bench.connector.instruments(["BTC_BRL"])
        assert rules.fees.maker == Decimal("0.001")
        assert rules.version == bench.instrument.version + 1, "rules that changed are another version"
        bench.canned["/user/trading-fees"] = HttpResponse(404, {}, b'{"error_code":40400,"message":"Not found"}')
        (rules,) = await bench.connector.instruments(["BTC_BRL"])
        assert rules.fees == bench.instrument.fees
        bench.canned["/user/trading-fees"] = HttpResponse(200, {}, b'{"data":[{"side":"buy","maker":25,"taker":50}]}')
        with pytest.raises(Unavailable, match="percent"):
            await bench.connector.instruments(["BTC_BRL"])

    on_bench(act)


def test_quotes_of_several_pairs_take_one_request() -> None:
    async def act(bench: Bench) -> None:
        both = await bench.connector.instruments(["BTC_BRL", "ETH_BRL"])
        bench.sent.clear()
        quotes = {quote.instrument: (quote.bid, quote.ask) for quote in await bench.connector.quotes(both)}
        assert quotes == {BTC: (float(BID), float(ASK)), ETH: (17_500.0, 17_503.0)}
        assert bench.paths() == ["/ticker"]

    on_bench(act)


def test_an_empty_side_gives_no_quote() -> None:
    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/ticker/BTC_BRL", lambda data: {**data, "ask": 0}))
        assert await bench.connector.quotes([bench.instrument]) == ()
        bench.tampers.append(("GET", "/ticker/BTC_BRL", lambda data: {**data, "ask": None}))
        assert await bench.connector.quotes([bench.instrument]) == ()

    on_bench(act)


def test_a_pair_that_is_not_enabled_does_not_trade_and_one_that_is_gone_is_delisted() -> None:
    async def act(bench: Bench) -> None:
        both = await bench.connector.instruments(["BTC_BRL", "ETH_BRL"])
        bench.venue.command("market", {"pair": "ETH_BRL", "enabled": False})
        assert await bench.connector.statuses(both) == {BTC: MarketStatus.OPEN, ETH: MarketStatus.HALTED}
        bench.tampers.append(("GET", "/pairs", lambda rows: [row for row in rows if row["symbol"] != "BTC_BRL"]))
        assert (await bench.connector.statuses(both))[BTC] is MarketStatus.DELISTED
        with pytest.raises(Refused, match="BTC_BRL"):
            await bench.connector.instruments(["BTC_BRL"])
        assert await bench.connector.conversion("ETH", "BRL") is None, "what does not trade converts nothing"

    on_bench(act)


def test_the_market_s_prints_are_read_newest_first() -> None:
    async def act(bench: Bench) -> None:
        for step in range(3):
            await bench.place(bench.submit(str(ASK), quantity=f"0.000{step + 1}"))
        prints = await bench.connector.market.trades("BTC_BRL", 2)
        assert [one.amount for one in prints] == [0.0003, 0.0002]
        assert {(one.price, one.taker_side) for one in prints} == {(float(ASK), "buy")}

    on_bench(act)


def test_nothing_that_decides_a_trade_comes_from_a_public_route() -> None:
    async def act(bench: Bench) -> None:
        await bench.connector.quotes([bench.instrument])
        await bench.connector.book(bench.instrument, 500)
        await bench.connector.statuses([bench.instrument])
        await bench.connector.snapshot()
        assert [path for path in bench.paths() if path.startswith("/public")] == ["/public/server-time"]
        assert any("limit=max" in one.path for one in bench.sent), "more than a hundred levels are had at once only"

    on_bench(act)


def test_a_pair_that_is_listed_twice_is_taken_once_and_one_listed_in_two_ways_is_named() -> None:
    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/pairs", lambda rows: [*rows, *rows]))
        assert await bench.connector.instruments(["BTC_BRL"]) == (bench.instrument,)
        assert bench.anomalies("listed_twice") > 0
        bench.tampers.append(
            ("GET", "/pairs", lambda rows: [*rows, *({**one, "price_tick": 7} for one in rows if one["base"] == "ETH")])
        )
        with pytest.raises(Contradicts, match=r"ETH_BRL is listed more than once, with price_tick .+ and 7"):
            await bench.connector.instruments(["BTC_BRL", "ETH_BRL"])
        assert await bench.connector.instruments(["BTC_BRL"]) == (bench.instrument,)
        assert await bench.connector.conversion("ETH", "BRL") is None
        assert await bench.connector.conversion("BTC", "BRL") == "BTC_BRL"
        assert await bench.connector.statuses([bench.instrument]) == {BTC: MarketStatus.OPEN}

    on_bench(act)


def test_a_balance_that_is_told_twice_is_taken_once_and_one_told_in_two_ways_is_in_doubt() -> None:
    async def act(bench: Bench) -> None:
        plain = await bench.connector.snapshot()
        bench.tampers.append(("GET", "/user/balances", lambda rows: [*rows, *rows]))
        assert (await bench.connector.snapshot()).balances == plain.balances
        assert bench.anomalies("listed_twice") == len(plain.balances)
        other = {"currency_code": "BTC", "available_amount": 5, "locked_amount": 0}
        bench.tampers.append(("GET", "/user/balances", lambda rows: [*rows, other]))
        snapshot = await bench.connector.snapshot()
        assert flaw_of_snapshot(snapshot) == ""
        assert snapshot.doubtful == ("BTC",)
        assert snapshot.balances == tuple(one for one in plain.balances if one.asset != "BTC")

    on_bench(act)


def test_a_row_that_cannot_be_read_hides_no_other_pair_and_no_other_price() -> None:
    def odd(field: str) -> Callable[[Any], Any]:
        return lambda rows: [{**row, field: []} if "ETH_BRL" in row.values() else row for row in rows]

    async def act(bench: Bench) -> None:
        both = await bench.connector.instruments(["BTC_BRL", "ETH_BRL"])
        bench.tampers.append(("GET", "/pairs", odd("price_tick")))
        bench.tampers.append(("GET", "/ticker", odd("bid")))
        assert await bench.connector.instruments(["BTC_BRL"]) == (bench.instrument,)
        with pytest.raises(Unsound, match=r"ETH_BRL cannot be read: .*price_tick"):
            await bench.connector.instruments(["BTC_BRL", "ETH_BRL"])
        assert await bench.connector.conversion("ETH", "BRL") is None
        assert await bench.connector.statuses(both) == {BTC: MarketStatus.OPEN, ETH: MarketStatus.HALTED}
        assert [quote.instrument for quote in await bench.connector.quotes(both)] == [BTC]
        bench.tampers.append(("GET", "/ticker", lambda rows: [{"pair": "BTC_BRL"}]))
        with pytest.raises(Unavailable, match=r"no ticker can be read: .*BTC_BRL"):
            await bench.connector.quotes(both)

    on_bench(act)
