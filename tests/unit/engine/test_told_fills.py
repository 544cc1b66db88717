"""Fills that a venue tells one by one after it told their sum."""

from decimal import Decimal

import pytest

from quantd.domain.events import FlattenOrdered
from quantd.domain.facts import FillCorrected, FillRecorded
from quantd.domain.fills import Fill, Quality
from quantd.domain.orders import Limit, Market, OrderState
from quantd.engine.risk.limits import Limits
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


@pytest.mark.parametrize(
    ("averages", "part", "limit", "price"),
    [
        (("100.00", "100.01"), "0.001", "100.02", "100.01"),  # 10,100.01 by the sums
        (("100.01", "100.00"), "0.001", "100.02", "100.00"),  # -9,900
        (("100.00", "100.01"), "0.001", None, "100.01"),
        (("100", "101"), "1", "10000", "1101"),  # more than rounding: the order has walked up an empty book
        (("98", "99"), "1000", "110", "100"),
    ],
)
def test_what_rounding_of_the_average_does_to_a_small_last_part_is_no_price(
    averages: tuple[str, str], part: str, limit: str | None, price: str
) -> None:
    """An average is told to the cent: on a thousand coins that is ten dollars, and a thousandth of one did not cost them."""
    rig = Rig(balances={"USD": 90_000_000}, defaults=Limits(price_collar_bps=D(10_000_000), self_match="deny"))
    how = Market() if limit is None else Limit(D(limit))
    order = rig.do(lambda s: s.buy(BTC, D(3_000), how))
    rig.accept(order)
    first, second = map(D, averages)
    rig.report(order, filled_quantity=D(1_000), average_price=first, state=OrderState.PARTIALLY_FILLED)
    for _ in range(2):
        rig.report(order, filled_quantity=1_000 + D(part), average_price=second, state=OrderState.PARTIALLY_FILLED)
    assert [one.fill.price for one in rig.of(FillRecorded)] == [first, D(price)]
    assert rig.of(FillCorrected) == []


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
