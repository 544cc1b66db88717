"""Strategies in the engine: hooks, faults that stay their own, state that is saved, timers, schedules, shutdown."""

import math
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import (
    DayRolled,
    HaltOrdered,
    JobDone,
    Resumed,
    ShutDown,
    Stopping,
    StrategyInterrupted,
    StrategyStarted,
    TimerFired,
    TradingState,
)
from quantd.domain.facts import DayStarted, TimerRecorded
from quantd.domain.orders import Limit, Side, Stop
from quantd.domain.strategy_facts import StrategySaved
from quantd.engine.context import EngineSettings
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denied
from quantd.engine.strategy import Strategy
from quantd.testing.builders import BTC, Puppet, Rig, make_instrument, make_plain_capabilities
from tests.unit.engine.acts import buy

D = Decimal
ETH = "paper:ETH-USD"


# -- faults ----------------------------------------------------------------------------------------------------------


def fail(strategy: Strategy) -> None:
    raise ZeroDivisionError("by the author")


def test_a_raising_hook_quarantines_its_strategy_and_no_other() -> None:
    rig = Rig()
    rig.hold(2)
    entry, target = buy(rig, 1, 90), rig.do(lambda s: s.sell(BTC, 1, Limit(110)))
    rig.accept(entry)
    rig.accept(target)
    rig.do(fail)
    assert rig.state.quarantined["s1"].error == "ZeroDivisionError: by the author"
    assert rig.state.latches["strategy:s1"].state is TradingState.REDUCING
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id], "entries go, exits stay"
    assert rig.do(lambda s: s.buy(BTC, 1)) is None, "it is not called any more"
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(99)), "s2"), Order)


def test_a_quarantine_survives_a_restart_until_a_person_resumes_it() -> None:
    rig = Rig()
    rig.do(fail)
    again = Rig(facts=rig.facts)
    assert again.do(lambda s: s.buy(BTC, 1)) is None
    again.handle(Resumed("strategy:s1", "ann", "fixed", again.now_ns))
    assert isinstance(again.do(lambda s: s.buy(BTC, 1)), Order)
    assert again.state.quarantined == {}


def test_an_interrupted_callback_quarantines_once() -> None:
    rig = Rig()
    for _ in range(2):
        rig.handle(StrategyInterrupted("s1", "deadline of 250 ms", rig.now_ns))
    assert len([fact for fact in rig.facts if type(fact).__name__ == "StrategyFaulted"]) == 1


def test_a_quarantine_does_not_loosen_a_halt() -> None:
    rig = Rig()
    rig.handle(HaltOrdered("strategy:s1", TradingState.HALTED, "ann", "drill", 1, rig.now_ns))
    rig.do(fail)
    assert rig.state.latches["strategy:s1"].state is TradingState.HALTED


class Restless(Puppet):
    """Answers each end of an order with a new order that it takes back at once."""

    def on_order(self, order: Order) -> None:
        self.stir()

    def stir(self) -> None:
        placed = self.buy(BTC, 1, _stop())
        if isinstance(placed, Order):
            self.cancel(placed)


def _stop() -> Any:
    return Stop(105)


def test_a_storm_of_callbacks_is_stopped() -> None:
    rig = Rig(
        strategies={"s1": Restless(), "s2": Puppet()},
        capabilities=make_plain_capabilities(),
        settings=EngineSettings(journal_id="0test", epoch=1, notices_max=50),
    )
    rig.do(lambda s: s.stir())
    assert rig.state.quarantined["s1"].hook == "storm"
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1), "s2"), Order)


def test_effects_of_a_call_arrive_after_the_hook_has_returned() -> None:
    order_of_things: list[str] = []

    class Nested(Puppet):
        def on_order(self, order: Order) -> None:
            order_of_things.append("on_order")

    rig = Rig(strategies={"s1": Nested()}, capabilities=make_plain_capabilities())

    def script(strategy: Strategy) -> None:
        placed = strategy.buy(BTC, 1, _stop())
        assert isinstance(placed, Order)
        strategy.cancel(placed)
        order_of_things.append("returned")

    rig.do(script)
    assert order_of_things == ["returned", "on_order"]


# -- state of its own ------------------------------------------------------------------------------------------------


class Counter(Puppet):
    """Counts its timers, and keeps the count."""

    state_version = 3

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.loaded: Any = None

    def on_timer(self, name: str) -> None:
        self.count += 1

    def save(self) -> Any:
        return {"count": self.count}

    def load(self, state: Any, version: int) -> None:
        self.count, self.loaded = state["count"], (state, version)


def fire(rig: Rig, name: str = "tick", strategy: str = "s1") -> None:
    rig.handle(TimerFired(strategy, name, rig.now_ns, rig.now_ns))


def test_what_a_strategy_saves_is_recorded_when_it_changes_and_loaded_with_its_version() -> None:
    rig = Rig(strategies={"s1": Counter()})
    fire(rig)
    rig.wait()
    fire(rig)
    assert [one.state for one in rig.of(StrategySaved)] == [b'{"count":0}', b'{"count":1}', b'{"count":2}']
    counter = Counter()
    again = Rig(strategies={"s1": counter}, facts=rig.facts)
    assert counter.loaded == ({"count": 2}, 3)
    again.wait()
    assert len(again.of(StrategySaved)) == 3


class Broken(Puppet):
    """Its state cannot be kept."""

    def save(self) -> Any:
        return object()


def test_a_state_that_cannot_be_written_quarantines() -> None:
    rig = Rig(strategies={"s1": Broken(), "s2": Puppet()})
    assert rig.state.quarantined["s1"].hook == "save"


class Unreadable(Counter):
    """Cannot take back what it saved."""

    def load(self, state: Any, version: int) -> None:
        raise ValueError("too old")


def test_a_state_that_cannot_be_loaded_quarantines() -> None:
    rig = Rig(strategies={"s1": Counter()})
    again = Rig(strategies={"s1": Unreadable()}, facts=rig.facts)
    assert again.state.quarantined["s1"].hook == "load"


def test_a_strategy_that_was_quarantined_before_a_restart_begins_once_it_is_resumed() -> None:
    rig = Rig(strategies={"s1": Counter()})
    fire(rig)
    rig.do(fail)
    counter = Counter()
    again = Rig(strategies={"s1": counter}, facts=rig.facts)
    fire(again)
    assert counter.seen == []
    again.handle(Resumed("strategy:s1", "ann", "fixed", again.now_ns))
    assert counter.loaded == ({"count": 1}, 3)
    fire(again)
    assert (counter.seen, counter.count) == ([("on_start", None)], 2)
    again.do(fail)
    again.handle(Resumed("strategy:s1", "ann", "fixed", again.now_ns))
    assert len(counter.hooks("on_start")) == 1, "it has begun already"


def test_a_strategy_whose_state_cannot_be_loaded_does_not_begin_by_a_resume_either() -> None:
    rig = Rig(strategies={"s1": Counter()})
    unreadable = Unreadable()
    again = Rig(strategies={"s1": unreadable}, facts=rig.facts)
    again.handle(Resumed("strategy:s1", "ann", "a try", again.now_ns))
    assert again.state.quarantined["s1"].hook == "load"
    assert unreadable.seen == []


def test_jobs_are_given_away_and_their_results_come_back() -> None:
    class Worker(Puppet):
        def on_job(self, name: str, result: Any, error: str) -> None:
            super().on_job(name, result, error)
            self.seen.append(("on_job", (name, result, error)))

    worker = Worker()
    rig = Rig(strategies={"s1": worker})
    rig.do(lambda s: s.job("fit", max, 1, 2))
    (job,) = rig.engine.take_jobs()
    assert (job.strategy, job.name, job.function(*job.args)) == ("s1", "fit", 2)
    assert rig.engine.take_jobs() == []
    rig.handle(JobDone("s1", "fit", b"2", rig.now_ns))
    rig.handle(JobDone("s1", "fit", b"", rig.now_ns, "boom"))
    assert worker.hooks("on_job")[1:] == [("fit", 2, ""), ("fit", None, "boom")]


# -- timers, schedules, days, the end --------------------------------------------------------------------------------


def test_a_timer_is_recorded_and_called() -> None:
    rig = Rig()
    fire(rig)
    assert rig.strategies["s1"].hooks("on_timer") == ["tick"]
    assert rig.of(TimerRecorded)[-1].name == "tick"
    assert rig.state.timers["s1", "tick"] == rig.now_ns


def test_flat_closes_cancels_and_stops_opening_until_start() -> None:
    rig = Rig()
    rig.hold(2)
    entry = buy(rig, 1, 90)
    rig.accept(entry)
    fire(rig, "@flat")
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id]
    closing = [one for one in rig.state.orders.open_orders() if one.exit]
    assert [(one.spec.side, one.spec.quantity) for one in closing] == [(Side.SELL, D(2))]
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(91))), Denied)
    assert rig.strategies["s1"].hooks("on_timer") == []
    fire(rig, "@start")
    assert rig.state.latches == {}


def test_stop_cancels_entries_and_a_restart_at_night_does_not_keep_it_from_starting() -> None:
    rig = Rig()
    rig.hold(1)
    fire(rig, "@stop")
    again = Rig(facts=rig.facts)
    assert isinstance(again.do(lambda s: s.buy(BTC, 1, Limit(91))), Denied), "it is called, and may not open"
    fire(again, "@start")
    assert isinstance(again.do(lambda s: s.buy(BTC, 1, Limit(91))), Order)


def test_a_schedule_clears_only_its_own_latch() -> None:
    rig = Rig()
    fire(rig, "@stop")
    rig.do(fail)
    fire(rig, "@start")
    assert rig.state.latches["strategy:s1"].by == "supervision"


def test_a_day_is_rolled_once() -> None:
    rig = Rig()
    rig.handle(DayRolled("2026-01-02", rig.now_ns))
    rig.handle(DayRolled("2026-01-02", rig.now_ns))
    rig.handle(DayRolled("2026-01-03", rig.now_ns))
    assert [one.day for one in rig.of(DayStarted)] == ["2026-01-02", "2026-01-03"]


@pytest.mark.parametrize(
    ("policy", "cancelled", "closing"),
    [
        ("keep", set(), False),
        ("cancel_entries", {"entry"}, False),
        ("cancel_all", {"entry", "exit"}, False),
        ("flatten", {"entry", "exit"}, True),
    ],
)
def test_at_shutdown(policy: str, cancelled: set[str], closing: bool) -> None:
    rig = Rig(setups={"s1": {"at_shutdown": policy}})
    rig.hold(2)
    orders = {"entry": buy(rig, 1, 90), "exit": rig.do(lambda s: s.sell(BTC, 2, Limit(110)))}
    for order in orders.values():
        rig.accept(order)
    rig.handle(Stopping("signal", rig.now_ns))
    rig.handle(ShutDown(rig.now_ns))
    names = {order.id: name for name, order in orders.items()}
    assert {names[one.client_order_id] for one in rig.sent(Cancel)} == cancelled
    for name in cancelled:
        rig.accept(orders[name])
    assert (len(rig.sent(Submit)) == 4) == closing


def test_a_strategy_is_not_called_before_it_is_started() -> None:
    rig = Rig()
    rig.handle(StrategyStarted("s1", rig.now_ns))
    assert len(rig.strategies["s1"].hooks("on_start")) == 1, "twice started is once started"


# -- declarations ----------------------------------------------------------------------------------------------------


def test_declarations_are_for_setup_and_orders_are_not() -> None:
    rig = Rig()
    for script in (lambda s: s.bars(), lambda s: s.timer("t", every_s=1.0), lambda s: s.quotes(), lambda s: s.book()):
        fresh = Rig()
        fresh.do(script)
        assert "RuntimeError" in fresh.state.quarantined["s1"].error

    class Eager(Puppet):
        def setup(self) -> None:
            self.buy(BTC, 1)

    with pytest.raises(RuntimeError, match="not possible in setup"):
        Rig(strategies={"s1": Eager()})
    assert rig.state.quarantined == {}


def test_names_that_are_not_the_strategy_s_are_refused() -> None:
    rig = Rig(instruments=[make_instrument(), make_instrument(ETH)], setups={"s1": {"roles": {"a": BTC, "b": ETH}}})
    assert rig.do(lambda s: s.instruments["b"]) == ETH
    assert rig.do(lambda s: s.position("a").instrument) == BTC
    rig.do(lambda s: s.buy("paper:XRP-USD", 1))
    assert "not an instrument of s1" in rig.state.quarantined["s1"].error
    rig.do(lambda s: s.position(), "s2")
    assert "name one" in rig.state.quarantined["s2"].error


def test_what_a_strategy_reads() -> None:
    rig = Rig(balances={"USD": 10_000, "BTC": 2})
    rig.hold(1)
    rig.quote(109, 111)
    position = rig.do(lambda s: s.position())
    assert (position.quantity, position.average_price, position.unrealised, position.realised) == (
        D(1),
        100.0,
        10.0,
        0.0,
    )
    assert bool(position)
    assert not rig.do(lambda s: s.position(), "s2")
    assert rig.do(lambda s: s.balance("USD")) == 9_900
    assert rig.do(lambda s: s.equity) == 9_900 + 3 * 110
    assert rig.do(lambda s: s.trading_state) is TradingState.ACTIVE
    assert rig.do(lambda s: s.quote().ask) == 111
    assert rig.do(lambda s: s.now.timestamp()) * 1e9 == rig.now_ns
    rig.quote(0, 0)
    assert rig.do(lambda s: s.quote()) is None
    assert math.isnan(rig.do(lambda s: s.equity))
