"""Cases 1 to 9: instruments, prices, books, bars, status."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.instruments import MarketStatus
from quantd.errors import Refused
from tests.contract.conformance.case import case
from tests.contract.conformance.rig import SECOND_NS, Rig


@case("1", "instruments: names, steps and bounds, exact; asked again they are the same")
async def reads_rules(rig: Rig) -> None:
    rules = rig.instrument
    assert rules.id == f"{rig.connector.venue}:{rig.symbol}"
    assert rules.base
    assert rules.quote
    assert rules.base != rules.quote
    for step in (rules.lot, *(tier.tick for tier in rules.ticks)):
        assert isinstance(step, Decimal)
        assert step > 0
    assert rules.ticks[0].from_price == 0
    assert rules.status is MarketStatus.OPEN
    assert rules.min_quantity is None or 0 < rules.min_quantity <= rig.quantity
    (again,) = await rig.connector.instruments([rig.symbol])
    assert again == rules


@case("2", "an unknown instrument is refused by name")
async def refuses_unknown(rig: Rig) -> None:
    with pytest.raises(Refused, match=rig.unknown_symbol):
        await rig.connector.instruments([rig.unknown_symbol])


@case("3", "quotes: both sides, the venue's digits, a time that is sound")
async def reads_quotes(rig: Rig) -> None:
    (quote,) = await rig.connector.quotes([rig.instrument])
    assert (quote.instrument, quote.bid, quote.ask) == (rig.instrument_id, float(rig.bid), float(rig.ask))
    assert abs(quote.received_at_ns - rig.clock.now_ns()) <= SECOND_NS
    assert quote.occurred_at_ns is None or abs(quote.occurred_at_ns - rig.clock.now_ns()) <= 2 * SECOND_NS


@case("4", "book: best first, both sides, no more than asked for", lambda rig: _books(rig))
async def reads_book(rig: Rig) -> None:
    book = await rig.connector.book(rig.instrument, 3)
    assert 0 < len(book.bids) <= 3
    assert 0 < len(book.asks) <= 3
    assert (book.bids[0][0], book.asks[0][0]) == (float(rig.bid), float(rig.ask))
    assert [price for price, _ in book.bids] == sorted((price for price, _ in book.bids), reverse=True)
    assert [price for price, _ in book.asks] == sorted(price for price, _ in book.asks)
    assert all(size > 0 for _, size in (*book.bids, *book.asks))


def _books(rig: Rig) -> str:
    return "" if rig.connector.capabilities.books else "the venue has no books"


@case("5", "bars: history oldest first, whole ones only", lambda rig: _bars(rig))
async def reads_bars(rig: Rig) -> None:
    every_s = min(rig.connector.capabilities.native_bars_s)
    for step in range(4):
        rig.move(rig.price(step), rig.price(step + 2))
        await asyncio.sleep(every_s)
    bars = await rig.connector.bars(rig.instrument, every_s, 3)
    assert 0 < len(bars) <= 3
    assert [bar.closed_at_ns for bar in bars] == sorted(bar.closed_at_ns for bar in bars)
    for bar in bars:
        assert bar.complete
        assert bar.closed_at_ns - bar.opened_at_ns == every_s * SECOND_NS
        assert bar.closed_at_ns <= rig.clock.now_ns()
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


def _bars(rig: Rig) -> str:
    return "" if rig.connector.capabilities.native_bars_s else "no history: bars are built from quotes"


@case("6", "status: what the market accepts now")
async def reads_status(rig: Rig) -> None:
    assert dict(await rig.connector.statuses([rig.instrument])) == {rig.instrument_id: MarketStatus.OPEN}


@case("7", "conversion: the instrument between two currencies, either way round; none where there is none")
async def finds_conversion(rig: Rig) -> None:
    rules = rig.instrument
    assert await rig.connector.conversion(rules.base, rules.quote) == rig.symbol
    assert await rig.connector.conversion(rules.quote, rules.base) == rig.symbol
    assert await rig.connector.conversion("XXA", "XXB") is None
