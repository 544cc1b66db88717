"""What the server says of markets, where its words mean less than they say."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.errors import Refused, Unavailable, Unreadable, Unsound
from tests.component.hummingbot.bench import Bench, Json, on_bench


def test_an_exchange_that_the_server_cannot_reach_is_an_outage_and_no_refusal() -> None:
    """It is told like a connector that the server does not know: a refusal stopped the poll for minutes, and a start for good."""

    async def act(b: Bench) -> None:
        rules = await b.connector.instruments(["BTC-USDT"])
        b.venue.adjust({"exchange_down": True})
        with pytest.raises(Unavailable, match="not found or error: Cannot connect to host"):
            await b.connector.statuses(rules)
        with pytest.raises(Unavailable):
            await b.connector.instruments(["BTC-USDT"])
        b.venue.adjust({"exchange_down": False})
        assert await b.connector.statuses(rules) == {"hummingbot:BTC-USDT": MarketStatus.OPEN}

    on_bench(act)


def test_a_time_without_candles_is_no_bars_and_no_refusal() -> None:
    async def act(b: Bench) -> None:
        (rules,) = await b.connector.instruments(["BTC-USDT"])
        await asyncio.sleep(7_200)
        assert await b.connector.bars(rules, 60, 5) == ()

    on_bench(act)


def test_a_pair_that_is_unknown_among_others_hides_none_of_them() -> None:
    async def act(b: Bench) -> None:
        (rules,) = await b.connector.instruments(["BTC-USDT"])
        told: list[Json] = []

        def unknown(answer: Json, asked: Json) -> Json:
            told.append(answer)
            return {**told[0], "ETH-USDT": {"error": "Trading pair ETH-USDT not found"}}

        b.tampers.append(("/connectors/binance/trading-rules.*", unknown))
        assert await b.connector.statuses([rules]) == {rules.id: MarketStatus.OPEN}
        with pytest.raises(Refused, match="no such pair: ETH-USDT"):
            await b.connector.instruments(["BTC-USDT", "ETH-USDT"])

    on_bench(act)


def test_rules_and_books_that_cannot_be_read_hide_no_others() -> None:
    async def act(b: Bench) -> None:
        (rules,) = await b.connector.instruments(["BTC-USDT"])
        odd = msgspec.structs.replace(rules, id=InstrumentId("hummingbot:ETH-USDT"))
        told: list[Json] = []

        def unread(answer: Json, asked: Json) -> Json:
            told.append(answer)
            return {**told[0], "ETH-USDT": {"min_order_size": None}}

        b.tampers.append(("/connectors/binance/trading-rules.*", unread))
        assert await b.connector.instruments(["BTC-USDT"]) == (rules,)
        with pytest.raises(Unsound, match=r"ETH-USDT cannot be read: .*min_order_size"):
            await b.connector.instruments(["BTC-USDT", "ETH-USDT"])
        assert await b.connector.statuses([rules, odd]) == {rules.id: MarketStatus.OPEN, odd.id: MarketStatus.HALTED}
        assert await b.connector.conversion("ETH", "USDT") is None
        books: Iterator[Json] = iter(({"bids": {}}, {}, {"bids": {}}))
        b.tampers.append(("/market-data/order-book", lambda told, _: {**told, **next(books)}))
        assert [quote.instrument for quote in await b.connector.quotes([rules, rules])] == [rules.id]
        with pytest.raises(Unreadable, match="bids"):
            await b.connector.quotes([rules])

    on_bench(act)
