"""What a configuration before this one left behind: the orders and positions of a venue or a strategy that was taken out.

Method: a rig trades on two venues; what it recorded is folded by one that has the first of them alone.
"""

import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import FlattenOrdered, HaltOrdered, OperationResolved, TimerFired, TradingState
from quantd.domain.facts import OperationLost, RequestDenied
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, Market, OrderState, Protect
from quantd.domain.outcomes import Found, NotExecuted, Rejected
from quantd.engine.runs import left_behind
from quantd.testing.builders import BTC, Puppet, Rig, make_instrument
from tests.unit.engine.test_targets import target

ETH = InstrumentId("gone:ETH-USD")


@pytest.fixture
def before() -> Rig:
    """A rig that holds 5 at a second venue, where one bid works and another is on its way."""
    rig = Rig(instruments=(make_instrument(), make_instrument(ETH)))
    rig.hold(5, instrument=ETH)
    rig.accept(rig.do(lambda s: s.buy(ETH, 1, Limit(90))))
    rig.do(lambda s: s.buy(ETH, 2, Limit(91)))
    return rig


def restarted(before: Rig) -> Rig:
    """Return a rig without the second venue that goes on from there, as a restart does."""
    rig = Rig(instruments=[make_instrument()], facts=before.facts)
    rig.engine.lose_in_flight("restart", rig.now_ns)
    rig.wait(0)
    return rig


def test_what_stands_at_a_venue_or_of_a_strategy_that_was_taken_out_is_told(before: Rig) -> None:
    left = [*(f"order {one.client_order_id}" for one in before.state.orders.open_orders()), f"5 {ETH}"]
    assert left_behind(before.state, {"paper"}, {"s1"}) == {"venue:gone": left}
    assert left_behind(before.state, {"paper", "gone"}, {"s2"}) == {"strategy:s1": left}
    assert left_behind(before.state, {"paper", "gone"}, {"s1"}) == {}


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_halt_sends_nothing_to_a_venue_that_was_taken_out(before: Rig, state: TradingState) -> None:
    rig = restarted(before)
    assert len(rig.of(OperationLost)) == 1
    rig.accept(rig.do(lambda s: s.buy(BTC, 1, Limit(90))))
    rig.commands.clear()
    rig.handle(HaltOrdered("all", state, "ann", "drill", 1, rig.now_ns))
    rig.wait(10)
    assert {getattr(one, "instrument", "") for one in rig.commands} == {BTC}


def test_a_flatten_closes_what_can_be_reached_and_leaves_the_rest(before: Rig) -> None:
    before.hold(3)
    rig = restarted(before)
    rig.handle(FlattenOrdered("all", "ann", "enough", rig.now_ns))
    for _ in range(20):
        rig.wait()
    assert {getattr(one, "instrument", "") for one in rig.commands} == {BTC}
    assert {one.instrument for one in rig.of(RequestDenied)} <= {BTC}
    assert ETH not in {instrument for _, instrument in rig.state.targets}


def test_a_stop_that_was_reached_at_a_venue_that_was_taken_out_is_not_tried_for_ever(before: Rig) -> None:
    entry = before.do(lambda s: s.buy(ETH, 1, Limit(100), protect=Protect(stop=95)))
    before.accept(entry)
    before.fill(entry)
    before.quote(94, instrument=ETH)
    (exit_,) = [one for one in before.state.orders.open_orders(ETH) if one.parent]
    before.answer(exit_, Rejected("no"))
    rig = restarted(before)
    for _ in range(30):
        rig.wait()
    assert rig.commands == []
    assert rig.of(RequestDenied) == before.of(RequestDenied)


def test_a_target_of_a_strategy_that_was_taken_out_opens_nothing() -> None:
    before = Rig(price=None)
    target(before, 3)
    assert before.commands == []
    rig = Rig(facts=before.facts, strategies={"s2": Puppet()})
    rig.wait()
    rig.wait()
    assert rig.commands == []
    assert rig.state.targets == {}


@pytest.mark.parametrize("flatten", [True, False])
def test_a_target_of_nothing_is_pursued_though_its_strategy_was_taken_out(flatten: bool) -> None:
    before = Rig()
    before.hold(3)
    if flatten:
        before.handle(FlattenOrdered("all", "ann", "enough", before.now_ns))
    else:
        target(before, 0, Market())
    (closing,) = before.state.orders.open_orders()
    before.answer(closing, NotExecuted("deadline"))
    rig = Rig(facts=before.facts, strategies={"s2": Puppet()})
    rig.wait()
    (again,) = rig.state.orders.open_orders()
    assert again.remaining == 3
    assert again.exit


def gone(before: Rig) -> Rig:
    """Return a rig from which the strategy was taken out, and that goes on from there after a kill."""
    rig = Rig(facts=before.facts, strategies={"s2": Puppet()})
    rig.engine.lose_in_flight("restart", rig.now_ns)
    return rig


def test_entries_of_a_strategy_that_was_taken_out_are_cancelled_until_they_are_gone_and_its_exits_stay() -> None:
    """A shutdown would have cancelled them; after a kill they worked on, and opened what nobody closes."""
    before = Rig()
    before.hold(3)
    entry = before.do(lambda s: s.buy(BTC, 1, Limit(90)))
    exit_ = before.do(lambda s: s.sell(BTC, 3, Limit(110)))
    mine = before.do(lambda s: s.buy(BTC, 1, Limit(80)))
    for one in (entry, exit_, mine):
        before.accept(one)
    theirs = before.do(lambda s: s.buy(BTC, 1, Limit(85)), "s2")
    before.accept(theirs)
    rig = gone(before)
    assert rig.engine.awaits_time
    rig.wait(10)
    assert {one.client_order_id for one in rig.sent(Cancel)} == {entry.id, mine.id}
    rig.answer(entry.id, NotExecuted("not_ready"))
    rig.accept(mine.id)
    rig.commands.clear()
    rig.wait(10)
    assert entry.id in {one.client_order_id for one in rig.sent(Cancel)}, "a cancel that came to nothing is sent again"


def test_an_entry_that_was_in_flight_when_its_strategy_went_is_cancelled_once_it_is_known_to_work() -> None:
    before = Rig()
    entry = before.do(lambda s: s.buy(BTC, 1, Limit(90)))
    rig = gone(before)
    rig.wait(10)
    assert not rig.sent(Cancel)
    operation = rig.live(entry.id).operation
    assert operation is not None
    found = rig.report_of(entry.id, state=OrderState.WORKING)
    rig.handle(OperationResolved(entry.id, operation.number, Found(found), rig.now_ns))
    rig.wait(10)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id]


@pytest.mark.parametrize(("name", "left"), [("@flat", 0), ("@stop", 3)])
def test_the_schedule_of_a_strategy_that_could_not_be_loaded_holds(name: str, left: int) -> None:
    """A file with a fault leaves positions, which are to be flat in time all the same."""
    before = Rig()
    before.hold(3)
    entry = before.do(lambda s: s.buy(BTC, 1, Limit(90)))
    before.accept(entry)
    rig = gone(before)
    rig.handle(TimerFired("s1", name, rig.now_ns, rig.now_ns))
    assert rig.state.latches["strategy:s1"].by == "schedule"
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id]
    rig.report(entry.id, state=OrderState.CANCELLED)
    rig.wait(1)
    for order in [one for one in rig.state.orders.open_orders() if one.exit]:
        rig.accept(order)
        rig.fill(order)
    assert rig.state.portfolio.book("s1", BTC).quantity == left
    rig.handle(TimerFired("s1", "@start", rig.now_ns, rig.now_ns))
    assert not rig.state.latches
