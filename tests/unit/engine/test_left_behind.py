"""What a configuration before this one left behind: the orders and positions of a venue or a strategy that was taken out.

Method: a rig trades on two venues; what it recorded is folded by one that has the first of them alone.
"""

import pytest

from quantd.domain.events import FlattenOrdered, HaltOrdered, TradingState
from quantd.domain.facts import OperationLost, RequestDenied
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, Market, Protect
from quantd.domain.outcomes import NotExecuted, Rejected
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
