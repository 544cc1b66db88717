"""The paper account takes what closes a strategy's book also where another's stands against it."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings

BTC = InstrumentId("paper:BTC-USD")


@pytest.mark.parametrize("account", [{"account": "margin"}, {"account": "spot"}])
def test_a_close_is_held_to_the_book_that_it_closes_and_not_to_the_account(account: dict[str, Any]) -> None:
    data = {"synthetic": {"instruments": [{"symbol": "BTC-USD", "price": 100}]}}
    section = {"type": "paper", "data": data, "balances": {"USD": 100_000, "BTC": 5}, "latency_s": 0} | account
    paper = PaperConnector("paper", PaperSettings.model_validate(section), ManualClock(1_000_000_000))
    spec = OrderSpec(BTC, Side.BUY, Decimal(1), OrderKind.MARKET, None, None, reduce_only=True, effect=Effect.CLOSE)

    async def close() -> object:
        await paper.start()
        paper.on_market(Quote(BTC, 99.0, 101.0, 1_000_000_000), lambda event: None)
        return await paper.submit(Submit(ClientOrderId("q1"), 1, spec, 2_000_000_000, 0))

    assert isinstance(asyncio.run(close()), Accepted)
