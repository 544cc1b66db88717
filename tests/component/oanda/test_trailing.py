"""A trailing stop at the simulated OANDA keeps its place while other exits of its trade change, whatever meets those writes."""

from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest

from quantd.clock import LoopClock
from quantd.domain.commands import SetProtection
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.ports import Connector
from quantd.simulators.faults import Action, FaultRule
from quantd.testing.loop import run_virtual
from tests.contract.conformance.oanda_rig import OandaRig

D = Decimal


class Trade:
    """An open trade with a trailing stop 0.01 away, which followed the price up to 1.12 and stands at 1.11."""

    def __init__(self, clock: LoopClock) -> None:
        self.rig = OandaRig(clock)
        self.connector: Connector = self.rig.connect()

    async def open(self) -> None:
        await self.connector.start()
        self.price("1.10")
        order = {
            "type": "MARKET",
            "instrument": "EUR_USD",
            "units": "100",
            "trailingStopLossOnFill": {"distance": "0.01"},
        }
        self.id = self.rig._ask("POST", "/orders", {"order": order})["orderFillTransaction"]["tradeOpened"]["tradeID"]
        self.price("1.12")
        self.price("1.115")
        await self.connector.snapshot()
        self.first = self.trail()
        assert self.first["trailingStopValue"] == "1.11000"

    def price(self, bid: str) -> None:
        self.rig.move(D(bid), D(bid) + D("0.0001"))

    def trail(self) -> Any:
        return self.rig._ask("GET", f"/trades/{self.id}")["trade"].get("trailingStopLossOrder")

    def fault(self, action: Action, **terms: Any) -> None:
        self.rig.faults.add([FaultRule(action, "trade_orders", times=1, **terms)])

    async def protect(self, **exits: str) -> Outcome:
        wanted = LotProtection(**{name: D(value) for name, value in exits.items()})
        command = SetProtection(ClientOrderId("q1-8"), 1, InstrumentId("oanda:EUR_USD"), self.id, wanted)
        return await self.connector.set_protection(command)


def run(test: Callable[[Trade], Coroutine[Any, Any, None]]) -> None:
    async def main(clock: LoopClock) -> None:
        trade = Trade(clock)
        await trade.open()
        await test(trade)

    run_virtual(main)


@pytest.mark.parametrize(
    ("action", "terms", "outcome"),
    [
        (Action.ERROR, {"status": 400}, Rejected),
        (Action.ERROR, {"status": 429}, NotExecuted),
        (Action.DROP_BEFORE, {}, Unknown),
        (Action.DROP_AFTER, {}, Unknown),
        (Action.ERROR_AFTER, {"status": 500}, Unknown),
    ],
)
def test_the_write_after_one_that_went_wrong_leaves_the_trail_where_it_is(
    action: Action, terms: dict[str, Any], outcome: type[Outcome]
) -> None:
    async def body(trade: Trade) -> None:
        trade.fault(action, **terms)
        assert isinstance(await trade.protect(stop="1.05", trail="0.01"), outcome)
        assert isinstance(await trade.protect(stop="1.06", trail="0.01"), Accepted)
        assert trade.trail() == trade.first

    run(body)


def test_a_trail_that_a_lost_write_took_away_or_moved_is_set_again() -> None:
    async def body(trade: Trade) -> None:
        for lost in ({"stop": "1.05"}, {"stop": "1.05", "trail": "0.02"}):
            trade.fault(Action.DROP_AFTER)
            assert isinstance(await trade.protect(**lost), Unknown)
            assert isinstance(await trade.protect(stop="1.05", trail="0.01"), Accepted)
            assert trade.trail()["distance"] == "0.01000"

    run(body)


def test_a_snapshot_says_what_became_of_a_lost_write() -> None:
    async def body(trade: Trade) -> None:
        trade.fault(Action.DROP_BEFORE)
        assert isinstance(await trade.protect(stop="1.05"), Unknown)
        await trade.connector.snapshot()
        assert isinstance(await trade.protect(stop="1.05", trail="0.01"), Accepted)
        assert trade.trail() == trade.first, "it was not taken away, so it stays"

    run(body)
