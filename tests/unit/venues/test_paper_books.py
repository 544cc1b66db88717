"""The paper account as a venue: it holds a close to the book that it closes, and shows exits for what they are."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted, Rejected
from quantd.domain.reports import AccountSnapshot
from quantd.testing.builders import make_capabilities, make_instrument
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings

BTC = InstrumentId("paper:BTC-USD")


def make_paper(**section: Any) -> PaperConnector:
    data = {"synthetic": {"instruments": [{"symbol": "BTC-USD", "price": 100}]}}
    plain = {"type": "paper", "data": data, "balances": {"USD": 100_000, "BTC": 5}, "latency_s": 0}
    return PaperConnector("paper", PaperSettings.model_validate(plain | section), ManualClock(1_000_000_000))


@pytest.mark.parametrize("account", [{"account": "margin"}, {"account": "spot"}])
def test_a_close_is_held_to_the_book_that_it_closes_and_not_to_the_account(account: dict[str, Any]) -> None:
    paper = make_paper(**account)
    spec = OrderSpec(BTC, Side.BUY, Decimal(1), OrderKind.MARKET, None, None, reduce_only=True, effect=Effect.CLOSE)

    async def close() -> object:
        await paper.start()
        paper.on_market(Quote(BTC, 99.0, 101.0, 1_000_000_000), lambda event: None)
        return await paper.submit(Submit(ClientOrderId("q1"), 1, spec, 2_000_000_000, 0))

    assert isinstance(asyncio.run(close()), Accepted)


@pytest.mark.parametrize("positions", ["netting", "hedging"])
def test_exits_that_it_holds_are_shown_with_their_lot_so_that_nobody_takes_them_for_foreign_orders(
    positions: str,
) -> None:
    paper = make_paper(account="margin", protection="venue", positions=positions)
    spec = OrderSpec(BTC, Side.BUY, Decimal(1), OrderKind.MARKET)
    exits = LotProtection(stop=Decimal(90), take=Decimal(120), trail=Decimal(5))

    async def look() -> AccountSnapshot:
        await paper.start()
        for _ in range(2):
            paper.on_market(Quote(BTC, 99.0, 101.0, 1_000_000_000), lambda event: None)
            await paper.submit(Submit(ClientOrderId("q1"), 1, spec, 2_000_000_000, 0, exits))
        return await paper.snapshot()

    shown = asyncio.run(look())
    (lot,) = shown.lots
    told = [
        (order.lot, order.kind, order.price, order.trigger) for order in shown.orders if order.client_order_id is None
    ]
    assert told == [
        (lot.venue_id, OrderKind.STOP, None, Decimal(90)),
        (lot.venue_id, OrderKind.LIMIT, Decimal(120), None),
        (lot.venue_id, None, None, Decimal(94)),
    ]


class SpotData:
    """A venue without margin, on whose data a paper account trades."""

    venue = "spot"
    capabilities = make_capabilities()

    async def start(self) -> None:
        pass

    async def instruments(self, symbols: list[str]) -> list[Instrument]:
        return [make_instrument(f"spot:{one}", fees=FeeSchedule(), margin_rate=None) for one in symbols]


def test_a_margin_account_on_a_spot_venue_s_data_is_held_to_a_margin() -> None:
    """Without a rate a position bound nothing, and a thousand dollars bought whatever was wanted."""
    paper = make_paper(account="margin", balances={"USD": 1_000}, data={"venue": "spot"})
    source: Any = SpotData()
    paper.source = source

    async def buy(quantity: str) -> object:
        await paper.start()
        (rules,) = await paper.instruments(["BTC-USD"])
        assert rules.margin_rate == Decimal("0.05")
        paper.on_market(Quote(BTC, 99.0, 101.0, 1_000_000_000), lambda event: None)
        spec = OrderSpec(BTC, Side.BUY, Decimal(quantity), OrderKind.MARKET)
        return await paper.submit(Submit(ClientOrderId(f"q{quantity}"), 1, spec, 2_000_000_000, 0))

    assert isinstance(asyncio.run(buy("100000")), Rejected)
    assert isinstance(asyncio.run(buy("100")), Accepted)
