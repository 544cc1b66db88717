"""What the scheduler tells while a strategy is still warming up: timers wait for it, trading schedules do not."""

import random

from quantd.domain.events import InstrumentListed, StrategyStarted, TimerFired, TradingState
from quantd.domain.facts import TimerRecorded
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.runtime.scheduler import START, STOP
from quantd.testing.builders import BTC, STARTED_AT_NS, Puppet, make_capabilities, make_instrument


def warming_up() -> tuple[Engine, Puppet]:
    puppet = Puppet()
    engine = Engine(
        EngineSettings(journal_id="0", epoch=1),
        RiskSettings(base_currency="USD"),
        [(StrategySetup(id="s", instruments=(BTC,)), puppet, Limits())],
        make_random=random.Random,
        log=lambda strategy: lambda *args, **values: None,
    )
    engine.connect("paper", make_capabilities())
    engine.declare()
    engine.handle(InstrumentListed(make_instrument(), STARTED_AT_NS))
    engine.take_facts()
    return engine, puppet


def test_a_timer_waits_for_the_start_and_counts_as_fired_only_then() -> None:
    engine, puppet = warming_up()
    engine.handle(TimerFired("s", "daily", STARTED_AT_NS, STARTED_AT_NS))
    assert puppet.hooks("on_timer") == []
    assert engine.take_facts() == [], "a restart now would fire it again"
    engine.handle(StrategyStarted("s", STARTED_AT_NS + 1))
    assert puppet.hooks("on_timer") == ["daily"]
    assert TimerRecorded("s", "daily", STARTED_AT_NS, STARTED_AT_NS + 1) in engine.take_facts()
    assert engine.state.timers["s", "daily"] == STARTED_AT_NS


def test_of_a_timer_that_came_due_twice_only_the_newest_is_told() -> None:
    engine, puppet = warming_up()
    for number in (1, 2):
        engine.handle(TimerFired("s", "daily", STARTED_AT_NS + number, STARTED_AT_NS + number))
    engine.handle(StrategyStarted("s", STARTED_AT_NS + 3))
    assert puppet.hooks("on_timer") == ["daily"]
    assert engine.state.timers["s", "daily"] == STARTED_AT_NS + 2


def test_a_trading_schedule_holds_before_the_start() -> None:
    engine, _ = warming_up()
    engine.handle(TimerFired("s", STOP, STARTED_AT_NS, STARTED_AT_NS))
    assert engine.state.trading_state(["strategy:s"]) is TradingState.REDUCING
    engine.handle(StrategyStarted("s", STARTED_AT_NS + 1))
    assert engine.state.trading_state(["strategy:s"]) is TradingState.REDUCING
    engine.handle(TimerFired("s", START, STARTED_AT_NS + 2, STARTED_AT_NS + 2))
    assert engine.state.trading_state(["strategy:s"]) is TradingState.ACTIVE
