"""A quarantined strategy gets a fresh object after a while, as often as it may, and never over somebody else's halt."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.events import HaltOrdered, Resumed, StrategyStarted, TradingState
from quantd.domain.facts import StateSet
from quantd.domain.market import Bar
from quantd.domain.orders import Limit, OrderState, Side
from quantd.domain.strategy_facts import StrategyFaulted, StrategyRenewed
from quantd.engine.risk.wish import Denied
from quantd.testing.builders import BTC, Puppet, Rig

SCOPE = "strategy:s1"


class Kept(msgspec.Struct):
    seen: int


class Fragile(Puppet):
    """Counts bars, keeps the count, and raises on a bar above 150."""

    def setup(self) -> None:
        self.series = self.bars(BTC)
        self.count = 0
        self.loaded = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if bar.close > 150:
            raise ZeroDivisionError("too high")

    def save(self) -> msgspec.Struct:
        return Kept(self.count)

    def load(self, state: Any, version: int) -> None:
        self.loaded = state["seen"]


def rig_with(**setup: Any) -> Rig:
    return Rig(strategies={"s1": Fragile()}, setups={"s1": {"restarts_max": 2, "restart_after_s": 10.0, **setup}})


def bar(rig: Rig, close: float) -> None:
    opened = rig.now_ns // 60_000_000_000 * 60_000_000_000
    rig.now_ns = opened + 60_000_000_000
    rig.handle(Bar(BTC, opened, rig.now_ns, close, close, close, close, 1.0, rig.now_ns))


def fail(rig: Rig) -> None:
    bar(rig, 200.0)
    assert rig.engine.desks["s1"].is_quarantined


def start(rig: Rig) -> Any:
    """Do what the daemon does once the fresh object is warm."""
    rig.handle(StrategyStarted("s1", rig.now_ns))
    fresh = rig.engine.desks["s1"].strategy
    rig.strategies["s1"] = fresh
    return fresh


def test_it_waits_longer_each_time_and_stops_at_its_limit() -> None:
    rig = rig_with()
    waits = []
    for _ in range(3):
        fail(rig)
        began = rig.now_ns
        for _ in range(60):
            rig.wait(1)
            if not rig.engine.desks["s1"].is_quarantined:
                waits.append((rig.now_ns - began) / 1e9)
                start(rig)
                break
    assert waits == [10.0, 20.0]
    assert [one.number for one in rig.of(StrategyRenewed)] == [1, 2]
    assert len(rig.of(StrategyFaulted)) == 3
    assert rig.state.latches[SCOPE].state is TradingState.REDUCING


def test_the_fresh_object_knows_what_was_saved_and_is_another_one() -> None:
    rig = rig_with()
    before: Any = rig.engine.desks["s1"].strategy
    bar(rig, 100.0)
    fail(rig)
    rig.wait(11)
    after = start(rig)
    assert after is not before
    assert (after.count, after.loaded) == (0, 1)
    bar(rig, 101.0)
    assert after.count == 1, "it is called again"
    assert before.count == 2, "the old one is not"
    assert rig.state.latches == {}
    assert not isinstance(rig.do(lambda s: s.buy(BTC, 1), "s1"), Denied)


def test_without_restarts_it_stays_down_until_a_person_resumes_it() -> None:
    rig = rig_with(restarts_max=0)
    fail(rig)
    rig.wait(3_600)
    assert rig.engine.desks["s1"].is_quarantined
    rig.handle(Resumed(SCOPE, "mia", "looked at it", rig.now_ns))
    assert not rig.engine.desks["s1"].is_quarantined


def test_a_person_s_halt_is_not_cleared_by_a_restart() -> None:
    rig = rig_with()
    fail(rig)
    generation = rig.state.halt_generation + 1
    rig.handle(HaltOrdered(SCOPE, TradingState.HALTED, "mia", "look first", generation, rig.now_ns))
    rig.wait(60)
    assert rig.of(StrategyRenewed) == []
    assert rig.state.latches[SCOPE].by == "mia"


def test_a_person_s_resume_begins_a_new_count_and_a_fold_keeps_the_old_one() -> None:
    rig = rig_with()
    fail(rig)
    rig.wait(11)
    start(rig)
    assert rig.state.tallies.renewals == rig.shadow.tallies.renewals == {"s1": 1}
    fail(rig)
    rig.handle(Resumed(SCOPE, "mia", "mended", rig.now_ns))
    assert rig.state.tallies.renewals == {}


def test_supervision_s_restart_does_not_count_as_a_person_s_word() -> None:
    rig = rig_with()
    fail(rig)
    rig.wait(11)
    assert [one.by for one in rig.of(StateSet)] == ["supervision", "supervision"]
    assert rig.state.tallies.resumed == {}, "the throttle of repeated execution goes on counting"


@pytest.mark.parametrize(
    ("policy", "open_after", "closes"), [("cancel_entries", 0, 0), ("keep", 1, 0), ("flatten", 1, 1)]
)
def test_what_becomes_of_orders_and_book_is_configured(policy: str, open_after: int, closes: int) -> None:
    rig = rig_with(at_fault=policy)
    rig.hold(2, strategy="s1")
    entry = rig.do(lambda s: s.buy(BTC, 1, Limit(90)), "s1")
    rig.accept(entry)
    fail(rig)
    for order in list(rig.state.orders.open_orders()):
        if order.operation is not None and order.operation.kind.value == "cancel":
            rig.report(order, state=OrderState.CANCELLED)
    rig.wait(2)
    left = list(rig.state.orders.open_orders())
    assert len(left) == open_after
    assert sum(one.spec.side is Side.SELL and one.remaining == Decimal(2) for one in left) == closes
