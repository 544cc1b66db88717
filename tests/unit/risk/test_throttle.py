"""Control 12: a strategy in a loop stops at its limit, stays stopped over a restart, and goes on when a person says so."""

import pytest

from quantd.domain.events import Resumed, TradingState
from quantd.domain.facts import StateSet
from quantd.domain.orders import Limit, Side, Stop
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument, make_plain_capabilities
from tests.unit.risk.cases import place, resting, rig_with

LIMITS = Limits(max_fires=3, fires_window_s=10.0)
ETH = "paper:ETH-USD"


def trips(rig: Rig) -> list[StateSet]:
    return [fact for fact in rig.of(StateSet) if fact.by == "repeated_execution"]


def looping(rig: Rig, times: int = 20) -> int:
    """Let s1 fire again and again; return how many orders left."""
    return sum(isinstance(place(rig, Side.BUY, "1", f"{90 + n}"), Order) for n in range(times))


def test_a_strategy_in_a_loop_stops_at_its_limit_and_the_alert_is_raised_once() -> None:
    rig = rig_with("strategy:s1", LIMITS)
    first = resting(rig, Side.BUY, "1", "89")
    assert looping(rig) == 2
    assert [(one.scope, one.state) for one in trips(rig)] == [("strategy:s1", TradingState.REDUCING)]
    assert rig.live(first).operation is not None, "its entries are cancelled"
    assert isinstance(place(rig, Side.BUY, "1", "90", "s2"), Order), "other strategies go on"


def test_waiting_does_not_enable_it_again_nor_does_a_restart() -> None:
    rig = rig_with("strategy:s1", LIMITS)
    looping(rig)
    rig.wait(3_600)
    assert looping(rig) == 0
    again = rig_with("strategy:s1", LIMITS, facts=rig.facts)
    denied = place(again, Side.BUY, "1", "99")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.TRADING_STATE
    assert len(trips(again)) == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_named_person_enables_it_and_it_may_fire_as_often_again(restart: bool) -> None:
    rig = rig_with("strategy:s1", LIMITS)
    looping(rig)
    rig.now_ns += SECOND_NS
    rig.handle(Resumed("strategy:s1", "ann", "loop is fixed", rig.now_ns))
    cleared = rig.of(StateSet)[-1]
    assert (cleared.state, cleared.by, cleared.why) == (TradingState.ACTIVE, "ann", "loop is fixed")
    rig.now_ns += SECOND_NS
    if restart:
        rig = rig_with("strategy:s1", LIMITS, facts=rig.facts)
    assert looping(rig) == 3
    assert len(trips(rig)) == 2


def test_what_was_fired_before_a_restart_counts_after_it() -> None:
    rig = rig_with("strategy:s1", LIMITS)
    assert looping(rig, 2) == 2
    again = rig_with("strategy:s1", LIMITS, facts=rig.facts)
    assert looping(again) == 1


def test_the_window_slides() -> None:
    rig = rig_with("strategy:s1", LIMITS)
    assert looping(rig, 3) == 3
    rig.wait(10)
    assert looping(rig, 3) == 3
    assert trips(rig) == []


def test_each_instrument_counts_for_itself_and_exits_are_never_stopped() -> None:
    rig = rig_with("strategy:s1", LIMITS, instruments=[make_instrument(), make_instrument(ETH)])
    rig.hold(10)
    for number in range(5):
        assert isinstance(place(rig, Side.SELL, "1", f"{100 + number}"), Order)
    assert isinstance(rig.do(lambda s: s.buy(ETH, 1, Limit(99))), Order)
    assert isinstance(place(rig, Side.BUY, "1", "90"), Denied)
    assert isinstance(place(rig, Side.SELL, "1", "106"), Order), "nor when it is disabled"


def test_a_stop_that_is_held_here_fires_once() -> None:
    rig = rig_with("strategy:s1", LIMITS, capabilities=make_plain_capabilities())
    stop = rig.do(lambda s: s.buy(BTC, 1, Stop(110)))
    rig.quote(111)
    assert rig.live(stop).operation is not None, "it was released"
    assert looping(rig, 5) == 2
