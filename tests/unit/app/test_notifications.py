"""What a daemon tells on its own account: what stands since before a start, writes that stay unknown, venues that are away."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest

from quantd.app import notifications
from quantd.app.notifications import Notifications
from quantd.app.shared import Shared
from quantd.clock import LoopClock
from quantd.domain.events import TradingState
from quantd.domain.facts import (
    Fact,
    InstrumentRecorded,
    OperationLost,
    OperationSentRecorded,
    OperationSettled,
    OrderIntended,
    StateSet,
)
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OperationKind, OrderKind, OrderSpec, Origin, Role, Side
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.notify.delivery import Channel
from quantd.notify.settings import ChannelSettings, NotifySettings
from quantd.runtime.supervisor import Supervisor
from quantd.testing.builders import make_instrument
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from tests.unit.notify.receiving import Receiver

ID, BTC = ClientOrderId("q-1"), InstrumentId("ionloop:BTC-USDT")
SECTION = {"webhooks": {"desk": {"url": "http://127.0.0.1:1", "least": "info", "rate_count": 1000}}}


class House:
    """A daemon as far as its notifications see it: a real state, followers that a test moves, one receiver in memory."""

    def __init__(self, clock: LoopClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.state = State(Rates("USDT"))
        self.receiver = Receiver(clock)
        self.followers: dict[str, SimpleNamespace] = {}
        self._monkeypatch = monkeypatch

    def apply(self, *facts: Fact) -> None:
        """Have facts happened."""
        for fact in facts:
            self.state.apply(fact)
        for tell in self.shared.fact_readers if hasattr(self, "shared") else ():
            tell(facts)

    def start(self) -> Notifications:
        """Start: what was applied before is what the journal was folded to."""

        def channels(settings: NotifySettings) -> Iterator[tuple[str, Channel, ChannelSettings]]:
            yield "webhooks.desk", self.receiver, settings.webhooks["desk"]

        self._monkeypatch.setattr(notifications, "channels_of", channels)
        observer = RecordingObserver()
        parts = SimpleNamespace(
            settings=SimpleNamespace(notify=NotifySettings.model_validate(SECTION)),
            clock=self.clock,
            observer=observer,
            engine=SimpleNamespace(state=self.state, context=SimpleNamespace(venue_reasons={})),
            supervisor=Supervisor(observer),
            followers=self.followers,
            fact_readers=[],
        )
        self.shared = cast(Shared, parts)
        return Notifications(self.shared, list, str)

    def told(self) -> list[tuple[float, str, str]]:
        """Second, key and state of each notice but that of the start."""
        found = [
            (round(at_s), one.key, one.state) for at_s, message in self.receiver.attempts for one in message.notices
        ]
        return [one for one in found if one[1] != "daemon"]


def sent(now_ns: int) -> tuple[Fact, ...]:
    """An order whose submit has left."""
    spec = OrderSpec(BTC, Side.BUY, Decimal(1), OrderKind.LIMIT, Decimal(100))
    return (
        InstrumentRecorded(make_instrument(BTC), now_ns),
        OrderIntended(ID, "trend", spec, Origin.STRATEGY, Role.ENTRY, 0, now_ns),
        OperationSentRecorded(ID, 1, now_ns),
    )


async def running(told: Notifications, seconds: float) -> None:
    """Let it run for a while."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.run()


def test_what_stands_since_before_the_start_is_told_once_since_when_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: LoopClock) -> House:
        house = House(clock, monkeypatch)
        house.apply(StateSet("all", TradingState.HALTED, "ann", "drill", 1, 7))
        house.apply(StrategyFaulted("trend", "on_bar", "x", 8))
        house.apply(StateSet("strategy:trend", TradingState.REDUCING, "supervision", "x", 1, 8))
        house.apply(StateSet("venue:oanda", TradingState.REDUCING, "bob", "x", 1, 9))
        house.apply(StateSet("venue:oanda", TradingState.ACTIVE, "bob", "x", 1, 9))
        await running(house.start(), 30)
        return house

    house = run_virtual(main)
    assert house.told() == [(0, "state all", "halted"), (0, "state strategy:trend", "quarantined")]
    assert [one.since_ns for message in house.receiver.taken for one in message.notices if one.key != "daemon"] == [
        7,
        8,
    ]


def test_a_write_that_stays_unknown_is_told_after_its_time_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: LoopClock) -> House:
        house = House(clock, monkeypatch)
        told = house.start()
        lost = (*sent(clock.now_ns()), OperationLost(ID, 1, "no answer", clock.now_ns() + 5 * 10**9))
        asyncio.get_running_loop().call_later(5, house.apply, *lost)
        settled = OperationSettled(ID, 1, OperationKind.SUBMIT, "accepted", 0)
        asyncio.get_running_loop().call_later(45.5, house.apply, settled)
        await running(told, 60)
        return house

    assert run_virtual(main).told() == [(35, "unknown q-1 1", "unknown"), (46, "unknown q-1 1", "known")]


def test_a_write_that_is_known_before_its_time_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: LoopClock) -> House:
        house = House(clock, monkeypatch)
        told = house.start()
        house.apply(*sent(clock.now_ns()), OperationLost(ID, 1, "no answer", clock.now_ns()))
        settled = OperationSettled(ID, 1, OperationKind.SUBMIT, "rejected", 0)
        asyncio.get_running_loop().call_later(25, house.apply, settled)
        await running(told, 60)
        return house

    assert run_virtual(main).told() == []


def test_a_write_that_was_unknown_before_the_start_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: LoopClock) -> House:
        house = House(clock, monkeypatch)
        house.apply(*sent(7), OperationLost(ID, 1, "no answer", 8))
        await running(house.start(), 60)
        return house

    house = run_virtual(main)
    assert house.told() == [(30, "unknown q-1 1", "unknown")]
    assert house.receiver.taken[-1].notices[0].why == "no answer"


def test_a_venue_that_is_away_is_told_after_its_time_and_so_is_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: LoopClock) -> House:
        house = House(clock, monkeypatch)
        venue = house.followers["ionloop"] = SimpleNamespace(venue="ionloop", is_ready=True, reason="")
        loop = asyncio.get_running_loop()

        def turns(is_ready: bool) -> None:
            venue.is_ready, venue.reason = is_ready, "503"

        for at_s, is_ready in ((10, False), (50, True), (100, False), (200, True)):
            loop.call_later(at_s + 0.5, turns, is_ready)
        await running(house.start(), 300)
        return house

    house = run_virtual(main)
    assert house.told() == [(161, "venue:ionloop", "down"), (201, "venue:ionloop", "ready")]
    assert house.receiver.taken[1].notices[0].why == "503"
