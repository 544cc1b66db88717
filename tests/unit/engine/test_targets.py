"""Targets: remembered, at most one order at a time, counting what is in flight."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import CancelOrdered, FlattenOrdered, HaltOrdered, TradingState
from quantd.domain.facts import TargetSet
from quantd.domain.orders import Limit, Market, OrderState, Side, Stop
from quantd.domain.outcomes import Accepted, NotExecuted, NotFound, Rejected, Unknown
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities
from tests.unit.engine.acts import buy, resolve

D = Decimal


def target(rig: Rig, quantity: Any, how: Any = None, **rest: Any) -> None:
    rig.do(lambda s: s.target(BTC, quantity, how or Market(), **rest))


def working(rig: Rig) -> LiveOrder:
    (order,) = rig.state.orders.open_orders(BTC)
    return order


def shown(order: LiveOrder) -> tuple[Side, Decimal]:
    return order.spec.side, order.spec.quantity


def fill_working(rig: Rig) -> None:
    order = working(rig)
    rig.accept(order)
    rig.fill(order)


def test_a_target_sends_what_is_missing_and_ends_when_it_is_reached() -> None:
    rig = Rig()
    rig.hold(1)
    target(rig, 3)
    assert shown(working(rig)) == (Side.BUY, D(2))
    fill_working(rig)
    assert rig.state.portfolio.book("s1", BTC).quantity == 3
    assert rig.state.targets == {}


def test_repeating_a_target_sends_nothing() -> None:
    rig = Rig()
    for _ in range(3):
        target(rig, 3, Limit(99.5))
    rig.wait()
    assert len(rig.commands) == 1
    assert len(rig.of(TargetSet)) == 1
    rig.accept(working(rig))
    rig.fill(working(rig), 1)
    target(rig, 3, Limit(99.5))
    rig.wait()
    assert len(rig.commands) == 1, "a part was filled, the rest is in flight"


def test_a_target_that_is_met_already_sends_nothing() -> None:
    rig = Rig()
    rig.hold(1)
    before = len(rig.facts)
    target(rig, 1)
    assert len(rig.facts) == before


def test_a_new_target_replaces_the_order_in_flight() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    order = working(rig)
    rig.accept(order)
    rig.fill(order, 1)
    target(rig, 5, Limit(98))
    assert len(rig.sent(Submit)) == 1, "the new one waits until the old one is gone"
    rig.accept(order)
    assert shown(working(rig)) == (Side.BUY, D(4))
    assert working(rig).spec.price == 98


def test_a_new_target_at_the_same_terms_keeps_an_order_that_fits() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    rig.accept(working(rig))
    rig.hold(1)
    target(rig, 4, Limit(99))
    assert rig.sent(Cancel) == [], "1 held and 3 on their way make 4"


def test_a_market_target_takes_the_place_of_a_resting_limit() -> None:
    rig = Rig()
    rig.hold(2)
    target(rig, 0, Limit(110))
    order = working(rig)
    rig.accept(order)
    target(rig, 0)
    rig.accept(order)
    assert working(rig).spec.price is None
    fill_working(rig)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0


def test_a_flip_is_a_close_and_then_an_open_once_the_close_is_confirmed() -> None:
    rig = Rig(margin=True, instruments=[make_instrument(margin_rate=D("0.1"))])
    rig.hold(2)
    target(rig, -3)
    first = working(rig)
    assert (shown(first), first.exit) == ((Side.SELL, D(2)), True)
    rig.accept(first)
    rig.fill(first, 1)
    assert len(rig.sent(Submit)) == 2
    rig.fill(first)
    second = working(rig)
    assert (shown(second), second.exit) == ((Side.SELL, D(3)), False)
    fill_working(rig)
    assert rig.state.portfolio.book("s1", BTC).quantity == -3


def test_each_strategy_has_its_own_target() -> None:
    rig = Rig()
    target(rig, 2)
    rig.do(lambda s: s.target(BTC, 1), "s2")
    assert {(one.strategy, one.spec.quantity) for one in rig.state.orders.open_orders()} == {("s1", D(2)), ("s2", D(1))}


# -- denials ---------------------------------------------------------------------------------------------------------


def test_a_passing_denial_is_tried_again_until_the_time_is_over() -> None:
    rig = Rig(risk=RiskSettings(base_currency="USD", account=Limits(max_quote_age_s=5.0)))
    rig.wait(6)
    target(rig, 1, Market(good_for_s=10.0))
    for _ in range(5):
        rig.wait()
        assert rig.commands == []
    rig.quote(100)
    rig.wait()
    assert len(rig.sent(Submit)) == 1


def test_a_passing_denial_does_not_last_for_ever() -> None:
    rig = Rig(risk=RiskSettings(base_currency="USD", account=Limits(max_quote_age_s=5.0)))
    rig.wait(6)
    target(rig, 1, Market(good_for_s=3.0))
    rig.wait(3)
    rig.quote(100)
    rig.wait()
    assert rig.commands == []
    assert rig.state.targets == {}


def test_a_lasting_denial_ends_it_and_is_told() -> None:
    rig = Rig(limits={"s1": Limits(max_position=D(2))})
    target(rig, 3)
    (denied,) = rig.strategies["s1"].hooks("on_denied")
    assert denied.code is Denial.POSITION
    assert rig.state.targets == {}
    rig.wait()
    assert rig.commands == []


def test_an_unknown_outcome_is_waited_for() -> None:
    rig = Rig()
    order = buy(rig, 1, 99)
    rig.answer(order, Unknown("timeout"))
    target(rig, 3)
    rig.wait()
    assert len(rig.sent(Submit)) == 1
    resolve(rig, order, NotFound())
    rig.wait()
    assert shown(working(rig)) == (Side.BUY, D(3))


@pytest.mark.parametrize("end", [Rejected("no_funds"), NotExecuted("rate_limited")])
def test_a_refused_order_is_not_sent_again_at_once_but_at_the_next_tick(end: Any) -> None:
    rig = Rig()
    target(rig, 1)
    rig.answer(working(rig), end)
    assert list(rig.state.orders.open_orders(BTC)) == []
    rig.wait()
    assert shown(working(rig)) == (Side.BUY, D(1))


def test_an_order_that_a_venue_refuses_on_and_on_leaves_it_calm_for_longer_and_longer() -> None:
    """A close of less than the venue takes, for one: sent twice a second it used up the budget that reads need."""
    rig = Rig()
    buy(rig, 1, 100)
    rig.fill(working(rig))
    target(rig, 0)
    for _ in range(80):
        for order in list(rig.state.orders.open_orders(BTC)):
            rig.answer(order, Rejected("below_minimum"))
        rig.wait(0.5)
    assert len(rig.sent(Submit)) == 1 + 7, "at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s"
    rig.wait(8)
    rig.accept(working(rig))
    rig.fill(working(rig))
    target(rig, 1)
    rig.answer(working(rig), Rejected("busy"))
    rig.wait(0.5)
    assert shown(working(rig)) == (Side.BUY, D(1)), "a target that was reached begins anew"


def test_a_market_order_that_the_venue_kills_unfilled_is_not_sent_in_a_loop() -> None:
    rig = Rig()
    target(rig, 1)
    order = working(rig)
    rig.answer(order, Accepted((rig.report_of(order, state=OrderState.CANCELLED),)))
    assert len(rig.sent(Submit)) == 1
    rig.wait()
    assert len(rig.sent(Submit)) == 2


def test_the_message_limit_delays_a_target() -> None:
    rig = Rig(risk=RiskSettings(base_currency="USD", account=Limits(submit_rate=RateLimit(count=1, per_s=5.0))))
    buy(rig, 1, 90)
    target(rig, 2)
    assert len(rig.sent(Submit)) == 1
    for _ in range(5):
        rig.wait()
    assert len(rig.sent(Submit)) == 2


# -- who cancels its order does not want it -------------------------------------------------------------------------


def test_a_strategy_that_cancels_the_order_ends_the_target() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    order = working(rig)
    rig.accept(order)
    rig.do(lambda s: s.cancel_all())
    rig.accept(order)
    rig.wait(5)
    assert list(rig.state.orders.open_orders(BTC)) == []
    assert rig.state.targets == {}


def test_an_operator_who_cancels_the_order_ends_the_target() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    order = working(rig)
    rig.accept(order)
    rig.handle(CancelOrdered("all", "ann", rig.now_ns))
    rig.accept(order)
    rig.wait(5)
    assert list(rig.state.orders.open_orders(BTC)) == []


def test_a_halt_ends_it_with_a_denial() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    order = working(rig)
    rig.accept(order)
    rig.handle(HaltOrdered("all", TradingState.HALTED, "ann", "drill", 1, rig.now_ns))
    rig.accept(order)
    rig.wait()
    assert list(rig.state.orders.open_orders(BTC)) == []
    assert [one.code for one in rig.strategies["s1"].hooks("on_denied")] == [Denial.TRADING_STATE]


# -- closing beside other exits --------------------------------------------------------------------------------------


def test_close_cancels_own_resting_exits_and_waits_for_them() -> None:
    rig = Rig()
    rig.hold(2)
    resting = rig.do(lambda s: s.sell(BTC, 2, Limit(120)))
    rig.accept(resting)
    rig.do(lambda s: s.close())
    assert len(rig.sent(Cancel)) == 1
    assert len(rig.sent(Submit)) == 2
    rig.accept(resting)
    assert shown(working(rig)) == (Side.SELL, D(2))


def test_close_counts_a_fill_that_crosses() -> None:
    rig = Rig()
    rig.hold(2)
    resting = rig.do(lambda s: s.sell(BTC, 2, Limit(120)))
    rig.accept(resting)
    rig.do(lambda s: s.close())
    rig.fill(resting, D("1.5"))
    rig.accept(resting)
    assert shown(working(rig)) == (Side.SELL, D("0.5"))


# -- held orders, and books that are closed ----------------------------------------------------------------------


def test_a_target_by_a_held_stop_is_replaced_without_the_venue() -> None:
    rig = Rig(capabilities=make_plain_capabilities())
    target(rig, 1, Stop(105))
    target(rig, 1, Stop(104))
    assert [one.spec.trigger for one in rig.state.orders.open_orders(BTC)] == [D(104)]
    rig.quote(104.5)
    assert len(rig.sent(Submit)) == 1
    fill_working(rig)
    assert rig.state.targets == {}


def test_a_book_that_is_closed_while_flat_closes_what_its_outgoing_orders_still_traded() -> None:
    rig = Rig()
    order = buy(rig, 2, 99)
    rig.accept(order)
    rig.handle(FlattenOrdered("strategy:s1", "ann", "drill", rig.now_ns))
    rig.fill(order, 2)  # it traded before the cancel came
    rig.answer(order, NotExecuted("already_filled"))
    rig.wait()
    assert shown(working(rig)) == (Side.SELL, D(2))
    fill_working(rig)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0
    assert rig.state.targets == {}


def test_a_book_that_is_closed_while_flat_stays_so_once_its_orders_are_gone() -> None:
    rig = Rig()
    order = buy(rig, 2, 99)
    rig.accept(order)
    rig.handle(FlattenOrdered("strategy:s1", "ann", "drill", rig.now_ns))
    assert len(rig.state.targets) == 1
    rig.accept(order)
    rig.wait()
    assert rig.state.targets == {}
    later = buy(rig, 1, 99)
    rig.accept(later)
    rig.fill(later, 1)
    rig.wait()
    assert rig.state.portfolio.book("s1", BTC).quantity == 1, "what comes later is the strategy's own affair"


def test_a_target_that_follows_a_close_ends_when_it_is_reached() -> None:
    rig = Rig()
    outgoing = buy(rig, 2, 99)
    rig.accept(outgoing)
    rig.handle(FlattenOrdered("strategy:s1", "ann", "drill", rig.now_ns))
    target(rig, 3)
    (entry,) = (one for one in rig.state.orders.open_orders(BTC) if one.client_order_id != outgoing.id)
    rig.accept(entry)
    rig.fill(entry)
    assert rig.state.targets == {}
