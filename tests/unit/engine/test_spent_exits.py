"""Orders that may only reduce keep to that while they rest: they are cut to what is left of what they were to close."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.capabilities import NoIdentity
from quantd.domain.commands import Amend, Cancel
from quantd.domain.events import OperationResolved
from quantd.domain.facts import OrderIntended
from quantd.domain.orders import Limit, Market, OrderState, Stop
from quantd.domain.outcomes import NotExecuted, NotFound, Rejected, Unknown
from quantd.engine.orders import LiveOrder, view_of
from quantd.testing.builders import BTC, Rig, make_capabilities, make_instrument, make_plain_capabilities

D = Decimal
MARGIN: dict[str, Any] = {"margin": True, "instruments": [make_instrument(margin_rate=D("0.1"))]}
PLAIN: dict[str, Any] = {"capabilities": make_plain_capabilities()}


def resting(rig: Rig, quantity: int | str, how: Any) -> LiveOrder:
    order = rig.do(lambda s: s.sell(BTC, D(quantity), how))
    assert order, f"denied: {order}"
    rig.accept(order)
    return rig.live(order)


def sold(rig: Rig, quantity: int | str) -> None:
    """Let the strategy get out of a part by another order."""
    order = rig.do(lambda s: s.sell(BTC, D(quantity), Limit(100)))
    assert order, f"denied: {order}"
    rig.accept(order)
    rig.fill(order)


@pytest.mark.parametrize("how", [Limit(110, reduce_only=True), Stop(90, reduce_only=True)], ids=["limit", "stop"])
def test_an_exit_goes_when_nothing_is_left_for_it(how: Any) -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, how)
    sold(rig, 2)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.client_order_id]
    rig.accept(order)
    assert order.state is OrderState.CANCELLED


@pytest.mark.parametrize("how", [Limit(110, reduce_only=True), Stop(90, reduce_only=True)], ids=["limit", "stop"])
def test_an_exit_is_cut_to_what_is_left_for_it(how: Any) -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, how)
    sold(rig, "0.5")
    assert [one.quantity for one in rig.sent(Amend)] == [D("1.5")]
    rig.accept(order)
    rig.fill(order)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0
    assert rig.sent(Cancel) == []


def test_one_that_is_partly_filled_keeps_what_it_has_and_the_rest_that_is_left() -> None:
    rig = Rig(**MARGIN)
    rig.hold(3)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    rig.fill(order, 1)
    assert rig.sent(Amend) == []
    sold(rig, "1.5")
    assert [one.quantity for one in rig.sent(Amend)] == [D("1.5")]
    rig.accept(order)
    rig.fill(order)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0


def test_of_several_the_stop_stays_and_the_older_comes_first() -> None:
    rig = Rig(**MARGIN)
    rig.hold(3)
    first = resting(rig, 1, Limit(110, reduce_only=True))
    second = resting(rig, 1, Limit(111, reduce_only=True))
    stop = resting(rig, 1, Stop(90, reduce_only=True))
    sold(rig, 1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [second.client_order_id]
    rig.accept(second)
    sold(rig, 1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [second.client_order_id, first.client_order_id]
    assert stop.is_open


def test_one_with_an_operation_in_flight_is_cut_when_that_is_settled() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    rig.do(lambda s: s.amend(view_of(order), price=D(109)))
    sold(rig, 1)
    assert len(rig.sent(Amend)) == 1
    rig.accept(order)
    rig.wait(1)
    assert [one.quantity for one in rig.sent(Amend)][1:] == [D(1)]


def test_where_orders_cannot_be_amended_the_rest_leaves_as_a_new_one() -> None:
    rig = Rig(**MARGIN, **PLAIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    sold(rig, 1)
    rig.accept(order)
    rest = [one.spec.quantity for one in rig.of(OrderIntended) if one.parent == order.client_order_id]
    assert rest == [D(1)]


def test_where_they_cannot_be_made_smaller_at_all_they_go() -> None:
    rig = Rig(**MARGIN, capabilities=make_capabilities(amend=make_plain_capabilities().post_only))
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    sold(rig, 1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.client_order_id]


def test_a_cut_that_a_restart_lost_is_made_with_the_next_tick() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    rig.do(lambda s: s.amend(view_of(order), price=D(109)))
    sold(rig, 1)
    rig.accept(order)
    again = Rig(**MARGIN, facts=rig.facts)
    again.now_ns = rig.now_ns
    again.wait(1)
    assert [one.quantity for one in again.sent(Amend)][-1:] == [D(1)]


def test_what_may_open_stays_as_it_is() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110))
    sold(rig, 2)
    rig.wait(1)
    assert not rig.sent(Cancel)
    assert not rig.sent(Amend)
    assert order.is_open


def test_other_strategies_orders_stay_as_they_are() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    rig.hold(2, "s2")
    other = rig.do(lambda s: s.sell(BTC, 2, Limit(110, reduce_only=True)), "s2")
    rig.accept(other)
    market = rig.do(lambda s: s.sell(BTC, 2, Market()))
    rig.accept(market)
    rig.fill(market)
    assert not rig.sent(Cancel)
    assert not rig.sent(Amend)


@pytest.mark.parametrize("answer", [Rejected("no"), NotExecuted("rate_limited")], ids=["rejected", "not executed"])
def test_a_cut_that_the_venue_turned_away_is_tried_again_and_less_often_each_time(answer: Any) -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    sold(rig, 1)
    for _ in range(40):
        if order.operation is not None:
            rig.answer(order, answer)
        rig.wait(1)
    assert order.is_open
    assert 4 <= len(rig.sent(Amend)) <= 8, "tried at 0, 0, 1, 3, 7, 15, 31 s: else it opens a short when it trades"
    assert {one.quantity for one in rig.sent(Amend)} == {D(1)}


def test_a_cut_that_is_denied_for_a_passing_reason_is_tried_again_and_the_exit_stays() -> None:
    """Two orders of the same terms in flight could not be told apart at a venue that takes no ids of ours."""
    rig = Rig(capabilities=make_capabilities(identity=NoIdentity()), **MARGIN)
    rig.hold(3)
    order = resting(rig, 3, Limit(110, reduce_only=True))
    twin = rig.do(lambda s: s.sell(BTC, 1, Limit(110)), "s2")
    sold(rig, 2)
    rig.wait(5)
    assert (rig.sent(Amend), rig.sent(Cancel)) == ([], []), "without it what is left would have no exit"
    rig.accept(twin)
    rig.wait(10)
    assert [(one.client_order_id, one.quantity) for one in rig.sent(Amend)] == [(order.client_order_id, D(1))]


def test_a_cut_whose_answer_was_lost_is_made_again_when_it_is_found_not_to_have_happened() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    sold(rig, 1)
    rig.answer(order, Unknown("timeout"))
    assert order.operation is not None
    rig.handle(OperationResolved(order.client_order_id, order.operation.number, NotFound(), rig.now_ns))
    rig.wait(1)
    assert [one.quantity for one in rig.sent(Amend)] == [D(1), D(1)]


def test_a_cut_that_was_made_is_not_looked_at_again() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    sold(rig, 1)
    rig.accept(order)
    rig.wait(1)
    rig.wait(60)
    assert len(rig.sent(Amend)) == 1
    assert not rig.engine.protection.waits


def test_what_is_left_of_an_exit_follows_a_book_that_shrinks_further_while_its_order_is_replaced() -> None:
    rig = Rig(**MARGIN, **PLAIN)
    rig.hold(3)
    order = resting(rig, 3, Limit(110, reduce_only=True))
    sold(rig, 1)
    sold(rig, 1)
    rig.accept(order)
    rest = [one for one in rig.state.orders.open_orders(BTC) if one.parent == order.client_order_id]
    assert [one.spec.quantity for one in rest] == [D(1)], "else the last of it has lost its exit"


def test_an_exit_that_turns_out_to_be_alive_after_all_is_cut_too() -> None:
    rig = Rig(**MARGIN)
    rig.hold(2)
    order = resting(rig, 2, Limit(110, reduce_only=True))
    rig.report(order, state=OrderState.CANCELLED)
    sold(rig, 2)
    rig.wait(1)
    rig.report(order, state=OrderState.WORKING, occurred_at_ns=rig.now_ns)
    assert order.is_open
    rig.wait(1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.client_order_id], "it would open a short"
