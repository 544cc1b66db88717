"""A changed strategy takes the place of a running one: a restart of that strategy alone."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import FlattenOrdered, HaltOrdered, StrategiesReplaced, StrategyStarted, TradingState
from quantd.domain.facts import RunStarted
from quantd.domain.orders import Limit, Market
from quantd.domain.outcomes import NotExecuted
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded
from quantd.engine.context import StrategySetup
from quantd.testing.builders import BTC, Puppet, Rig
from tests.unit.engine.acts import buy


class Counter(Puppet):
    """Keeps a count, and why it was stopped."""

    count = 0
    stopped = ""

    def on_stop(self, reason: str) -> None:
        self.stopped = reason

    def save(self) -> int:
        return self.count

    def load(self, state: Any, version: int) -> None:
        self.count = state


class Broken(Puppet):
    """Cannot be set up."""

    def setup(self) -> None:
        raise ZeroDivisionError("no")


def setup_of(rig: Rig, **changes: Any) -> StrategySetup:
    before = rig.engine.desks["s1"].setup
    return before.__class__(**{**{name: getattr(before, name) for name in before.__struct_fields__}, **changes})


def replace(rig: Rig, strategy: Puppet, **changes: Any) -> None:
    rig.engine.replacements.offer(setup_of(rig, **changes), strategy)
    event = StrategiesReplaced({"s1": "f00d"}, {"s1": "params fast: 5 -> 7"}, "beef", "ann", rig.now_ns)
    rig.handle(event)


def test_the_old_object_is_stopped_its_entries_go_and_the_new_one_begins_with_what_was_saved() -> None:
    rig = Rig(strategies={"s1": Counter(), "s2": Puppet()})
    old: Any = rig.strategies["s1"]
    rig.do(lambda s: setattr(s, "count", 3))
    rig.hold(2)
    entry, exit_ = buy(rig, 1, 90), rig.do(lambda s: s.sell(BTC, 2, Limit(110)))
    rig.accept(entry)
    rig.accept(exit_)
    new = Counter()
    replace(rig, new)
    assert old.stopped == "reload"
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id]
    assert not rig.engine.desks["s1"].is_started
    rig.handle(StrategyStarted("s1", rig.now_ns))
    assert new.count == 3
    assert len(new.hooks("on_start")) == 1
    assert rig.state.portfolio.book("s1", BTC).quantity == 2
    (told,) = rig.of(StrategyReloaded)
    assert (told.by, told.source_hash, told.what) == ("ann", "f00d", "params fast: 5 -> 7")


def test_the_run_knows_the_new_source_so_that_the_next_start_does_not_name_it() -> None:
    rig = Rig()
    rig.engine.begin(RunStarted("1.0", "c0ffee", {"s1": "5eed", "s2": "5eed"}, "0test", 1, rig.now_ns))
    replace(rig, Puppet())
    assert rig.state.run is not None
    assert rig.state.run.strategy_sources == {"s1": "f00d", "s2": "5eed"}
    assert rig.state.run.config_hash == "beef"
    assert rig.shadow.run == rig.state.run


def test_a_target_of_the_old_object_is_not_pursued_for_the_new_one() -> None:
    rig = Rig()
    rig.do(lambda s: s.target(BTC, 3, Limit(99)))
    rig.accept(next(iter(rig.state.orders.open_orders())))
    replace(rig, Puppet())
    rig.accept(next(iter(rig.state.orders.open_orders())))
    rig.wait(5)
    assert list(rig.state.orders.open_orders()) == []
    assert rig.state.targets == {}


def test_what_a_person_or_a_limit_had_closed_is_closed_over_a_replacement() -> None:
    rig = Rig()
    rig.hold(2)
    rig.handle(FlattenOrdered("all", "ann", "storm", rig.now_ns))
    (first,) = rig.state.orders.open_orders()
    rig.answer(first, NotExecuted("deadline"))
    replace(rig, Puppet())
    rig.wait()
    (close,) = rig.state.orders.open_orders()
    assert (close.spec.side.value, close.spec.quantity) == ("sell", Decimal(2))


def test_what_the_old_object_noted_as_it_was_stopped_is_saved_for_the_new_one() -> None:
    class Noting(Counter):
        def on_stop(self, reason: str) -> None:
            self.count = 7

    rig, new = Rig(strategies={"s1": Noting(), "s2": Puppet()}), Counter()
    replace(rig, new)
    rig.handle(StrategyStarted("s1", rig.now_ns))
    assert new.count == 7


def test_a_policy_to_close_all_at_the_end_closes_all_here_too() -> None:
    rig = Rig(setups={"s1": {"at_shutdown": "flatten"}})
    rig.hold(2)
    replace(rig, Puppet())
    (close,) = rig.state.orders.open_orders()
    assert (close.spec.side.value, close.spec.quantity) == ("sell", Decimal(2))


def test_a_new_object_that_cannot_be_set_up_is_quarantined_and_takes_no_other_down() -> None:
    rig = Rig()
    replace(rig, Broken())
    assert [(one.strategy, one.hook) for one in rig.of(StrategyFaulted)] == [("s1", "setup")]
    assert rig.state.latches["strategy:s1"].state is TradingState.REDUCING
    assert rig.do(lambda s: s.buy(BTC, 1, Market()), "s2")


def test_a_halt_stays_over_a_replacement() -> None:
    rig = Rig()
    generation = rig.state.halt_generation + 1
    rig.handle(HaltOrdered("strategy:s1", TradingState.HALTED, "mia", "look first", generation, rig.now_ns))
    replace(rig, Puppet())
    assert rig.state.latches["strategy:s1"].by == "mia"


def test_settings_of_supervision_come_with_the_new_object() -> None:
    rig = Rig()
    replace(rig, Puppet(), at_shutdown="keep", max_errors=4)
    assert rig.engine.desks["s1"].setup.at_shutdown == "keep"


def test_an_event_without_its_objects_is_a_crash_and_no_guess() -> None:
    rig = Rig()
    with pytest.raises(AssertionError, match="nothing was offered for s1"):
        rig.handle(StrategiesReplaced({"s1": "f00d"}, {"s1": ""}, "beef", "ann", rig.now_ns))
