"""The paper account as a venue: it holds a close to the book that it closes, and shows exits for what they are."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted
from quantd.domain.reports import AccountSnapshot
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
