"""Callbacks that are cut short: what they had done stands, they do no more, and a replay cuts them at the same place."""

from collections.abc import Callable
from typing import Any

from quantd.domain.events import JobDone, Resumed, StrategyInterrupted, TradingState
from quantd.domain.facts import OrderIntended
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.domain.orders import Limit
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.strategy import Strategy
from quantd.testing.builders import BTC, Rig


class Cut(Strategy):
    """Orders as often as it is told, and is cut short there as a watchdog would do it."""

    def __init__(self, orders: int = 0, after: Callable[[Any], None] | None = None) -> None:
        self.orders_to_send, self.after = orders, after
        self.went_on = False

    def on_job(self, name: str, result: Any, error: str) -> None:
        for number in range(self.orders_to_send):
            self.buy(BTC, 1, Limit(90 - number))
        if self.after is not None:
            self.after(self)
        self.went_on = True


def cut(strategy: Any) -> None:
    strategy._desk.cut_short("overran its deadline of 0.25 s")


def swallow(strategy: Any) -> None:
    for _ in range(3):
        try:
            cut(strategy)
        except BaseException:  # noqa: BLE001, S110 -- what a careless author writes
            pass
        try:
            strategy.buy(BTC, 7, Limit(50))
        except BaseException:  # noqa: BLE001, S110 -- the same
            pass


def called(rig: Rig) -> None:
    rig.handle(JobDone("s1", "go", b"", rig.now_ns))


def test_a_callback_that_is_cut_short_keeps_what_it_ordered_and_is_not_called_again() -> None:
    rig = Rig(strategies={"s1": Cut(2, cut), "s2": Cut(1)})
    called(rig)
    assert len([one for one in rig.facts if isinstance(one, OrderIntended)]) == 2
    faults = [one for one in rig.facts if isinstance(one, StrategyFaulted)]
    assert [(one.strategy, one.hook, one.error) for one in faults] == [
        ("s1", "on_job", "overran its deadline of 0.25 s")
    ]
    assert rig.state.latches["strategy:s1"].state is TradingState.REDUCING
    assert not rig.strategies["s1"].went_on
    rig.handle(Resumed("strategy:s1", "ann", "looked at it", rig.now_ns))
    called(rig)
    assert len([one for one in rig.facts if isinstance(one, OrderIntended)]) == 2, "its attributes may be half-written"


def test_code_that_swallows_the_interruption_can_order_nothing_more() -> None:
    rig = Rig(strategies={"s1": Cut(1, swallow)})
    called(rig)
    assert len([one for one in rig.facts if isinstance(one, OrderIntended)]) == 1
    assert rig.state.quarantined["s1"].error == "overran its deadline of 0.25 s"


def test_a_replay_of_the_interruption_gives_the_same_facts_though_the_code_would_never_return() -> None:
    for orders in (0, 1, 3):
        live = Rig(strategies={"s1": Cut(orders, cut), "s2": Cut(1)})
        called(live)
        (event,) = live.engine.context.take_interruptions()
        assert (event.callback, event.acts, event.hook) == (2, orders, "on_job"), "the first callback was on_start"

        def hang(strategy: Any) -> None:
            raise AssertionError("the replay went on behind the place of the interruption")

        again = Rig(strategies={"s1": Cut(orders, hang), "s2": Cut(1)})
        again.handle(event)
        called(again)
        assert again.facts == live.facts
        assert again.commands == live.commands


def test_an_interruption_of_a_later_callback_leaves_earlier_ones_alone() -> None:
    rig = Rig(strategies={"s1": Cut(1)})
    rig.handle(StrategyInterrupted("s1", "late", rig.now_ns, "on_job", callback=3, acts=1))
    called(rig)
    assert rig.state.quarantined == {}
    called(rig)
    assert rig.state.quarantined["s1"].error == "late"
    assert len([one for one in rig.facts if isinstance(one, OrderIntended)]) == 2


class BadIndicator:
    """An author's own indicator that raises from its third bar on."""

    period = 1

    def __init__(self) -> None:
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count >= 3:
            raise ZeroDivisionError("in the indicator")


class Indicated(Strategy):
    """Tracks it."""

    def setup(self) -> None:
        track: Any = self.bars().track
        self.indicator = track(BadIndicator())


def test_an_indicator_that_raises_quarantines_its_strategy_and_is_not_fed_again() -> None:
    rig = Rig(strategies={"s1": Indicated(), "s2": Cut()})
    for number in range(6):
        opened_at_ns = rig.now_ns + number * 60_000_000_000
        closed_at_ns = opened_at_ns + 60_000_000_000
        rig.handle(Bar(InstrumentId(BTC), opened_at_ns, closed_at_ns, 100, 101, 99, 100, 1, closed_at_ns))
    assert rig.state.quarantined["s1"].error == "ZeroDivisionError: in the indicator"
    assert len([one for one in rig.facts if isinstance(one, StrategyFaulted)]) == 1
    assert rig.strategies["s1"].indicator.count == 4, "once more in quarantine, then never again"


def test_a_budget_of_errors_quarantines_at_its_last_error_within_the_window() -> None:
    def fail(strategy: Any) -> None:
        raise KeyError("by the author")

    rig = Rig(strategies={"s1": Cut(0, fail)}, setups={"s1": {"max_errors": 3, "errors_within_s": 60.0}})
    for wait_s in (0, 50, 50):  # the first is too old when the third comes
        rig.now_ns += wait_s * 1_000_000_000
        called(rig)
        assert rig.state.quarantined == {}
    assert rig.engine.context.tolerated == [("s1", "on_job", "KeyError: 'by the author'")] * 3
    called(rig)
    assert rig.state.quarantined["s1"].error == "KeyError: 'by the author'"


def test_no_budget_tolerates_an_overrun() -> None:
    rig = Rig(strategies={"s1": Cut(0, cut)}, setups={"s1": {"max_errors": 3}})
    called(rig)
    assert "s1" in rig.state.quarantined
