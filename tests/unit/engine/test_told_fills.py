"""Fills that a venue tells one by one after it told their sum."""

from decimal import Decimal

from quantd.domain.events import FlattenOrdered
from quantd.domain.facts import FillRecorded
from quantd.domain.fills import Fill, Quality
from quantd.domain.orders import OrderState
from quantd.testing.builders import BTC, Rig
from tests.unit.engine.acts import buy

D = Decimal


def test_fills_that_are_told_late_are_those_after_what_was_derived_before() -> None:
    """The sum came first: the fills that it stood for are the first ones, and the last keeps its lot and its price."""
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D(2), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    told = (Fill("a", D(1), D(100), lot="7"), Fill("b", D(1), D(100), lot="7"), Fill("c", D(1), D(99), lot="8"))
    rig.report(order, filled_quantity=D(3), fills=told, state=OrderState.FILLED)
    booked = [(one.fill.id, one.fill.quantity, one.fill.lot) for one in rig.of(FillRecorded)]
    assert booked[1:] == [("c", D(1), "8")]
    assert booked[0][1:] == (D(2), "")


def test_fills_that_are_news_alone_are_booked_after_a_derived_one() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D(2), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    rig.report(order, filled_quantity=D(3), fills=(Fill("c", D(1), D(99), lot="8"),), state=OrderState.FILLED)
    assert [one.fill.lot for one in rig.of(FillRecorded)] == ["", "8"]


def test_what_told_fills_leave_open_is_of_the_newest_one_s_lot() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    for filled in (D(1), D(3)):
        told = (Fill(f"v/{filled}", filled, D(100), lot="7"),)
        rig.report(order, filled_quantity=filled, fills=told, average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    assert [(one.fill.quantity, one.fill.lot) for one in rig.of(FillRecorded)] == [(D(1), "7"), (D(2), "7")]


def test_an_execution_of_nothing_is_none() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D(0), fills=(Fill("a", D(0), D(100)),))
    assert rig.of(FillRecorded) == []
    told = (Fill("a", D(0), D(100)), Fill("b", D(1), D(99)))
    rig.report(order, filled_quantity=D(1), fills=told, state=OrderState.PARTIALLY_FILLED)
    assert [(one.fill.id, one.fill.quantity) for one in rig.of(FillRecorded)] == [("b", D(1))]


def test_a_close_without_a_told_price_is_not_booked_at_nothing() -> None:
    """Sent while there is no price, and settled by a word that names none: the last good one counts."""
    rig = Rig()
    rig.hold(2)
    rig.quote(0.0, 0.0)
    assert rig.state.rates.marks[BTC].exact() is None
    rig.handle(FlattenOrdered("all", "ann", "get out", rig.now_ns))
    (order,) = rig.state.orders.open_orders()
    rig.report(order, filled_quantity=D(2), state=OrderState.FILLED)
    (fill,) = [one.fill for one in rig.of(FillRecorded) if one.client_order_id == order.client_order_id]
    assert (fill.price, fill.quality) == (D(100), Quality.ESTIMATED)
    assert rig.state.portfolio.book("s1", BTC).realised == 0
