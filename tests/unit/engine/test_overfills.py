"""What a venue says was filled beyond what an order can have traded is never booked."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import OperationResolved, ReconcileAction, TradingState
from quantd.domain.facts import FillRecorded, OrderMoved, StateSet
from quantd.domain.fills import Fill
from quantd.domain.orders import OrderKind, OrderState, Side
from quantd.domain.outcomes import Accepted, Found, Unknown
from quantd.domain.reports import OrderReport
from quantd.engine.differences import Policies
from quantd.testing.builders import BTC, Rig, make_snapshot
from tests.invariants import check_rig
from tests.unit.engine.acts import buy
from tests.unit.engine.lots import enter, fill, make_rig

D = Decimal


@pytest.mark.parametrize("state", [OrderState.PARTIALLY_FILLED, OrderState.FILLED, OrderState.CANCELLED])
def test_a_fill_beyond_the_order_is_refused_and_the_instrument_may_only_reduce(state: OrderState) -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D(3000), state=state)
    assert not rig.of(FillRecorded)
    assert rig.live(order).is_open
    (latched,) = rig.of(StateSet)
    assert (latched.scope, latched.state) == (f"instrument:{BTC}", TradingState.REDUCING)
    assert "3000 filled, and at most 3 can be" in latched.why
    rig.report(order, filled_quantity=D(3000), state=state)
    assert len(rig.of(StateSet)) == 1
    rig.report(order, filled_quantity=D(3), state=OrderState.FILLED)
    assert [fact.fill.quantity for fact in rig.of(FillRecorded)] == [D(3)]


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_order_that_a_person_made_larger_at_the_venue_ends_with_its_cancel(is_lost: bool) -> None:
    """Nothing could end it: each word of it was more than it can have traded."""
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    report = rig.report_of(order, filled_quantity=D(5), quantity=D(5), state=OrderState.FILLED)
    rig.handle(report)
    assert rig.live(order).is_open
    rig.do(lambda s: s.cancel(order))
    cancel = rig.sent(Cancel)[-1]
    if is_lost:
        rig.answer(order, Unknown("timeout"))
        rig.handle(OperationResolved(cancel.client_order_id, cancel.operation, Found(report), rig.now_ns))
    else:
        rig.answer(order, Accepted((report,)))
    assert (rig.live(order).is_open, rig.live(order).filled) == (False, D(0))
    assert not rig.of(FillRecorded)
    assert rig.of(OrderMoved)[-1].reason == "cancelled_beyond_its_terms"
    check_rig(rig)


@pytest.mark.parametrize("fee", [("BTC", D(3)), ("BTC", D(-3)), ("USD", D(300))])
def test_a_fee_as_large_as_what_was_traded_is_refused(fee: tuple[str, Decimal]) -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    fills = (Fill("t1", D(3), D(100), fees=(fee,)),)
    rig.report(order, filled_quantity=D(3), fills=fills, state=OrderState.FILLED)
    assert not rig.of(FillRecorded)
    assert f"a fee of {fee[1]} {fee[0]} for 3 at 100" in rig.of(StateSet)[0].why


def test_a_rounding_of_less_than_a_lot_is_booked() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D("3.001"), state=OrderState.FILLED)
    assert rig.of(FillRecorded)
    assert not rig.of(StateSet)


def test_an_amendment_under_way_may_have_been_filled() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    assert rig.do(lambda s: s.amend(order, quantity=5))
    rig.report(order, filled_quantity=D(5), state=OrderState.PARTIALLY_FILLED)
    assert [fact.fill.quantity for fact in rig.of(FillRecorded)] == [D(5)]


def test_an_exit_of_the_venue_takes_no_more_than_its_lot_holds() -> None:
    rig = make_rig()
    enter(rig, None, quantity=2)
    told = OrderReport(
        rig.instruments[0].id, "x9", OrderState.FILLED, D(2000), rig.now_ns, side=Side.SELL, quantity=D(2000),
        average_price=D(100), kind=OrderKind.STOP, lot="7",
    )  # fmt: skip
    before = len(rig.of(FillRecorded))
    rig.handle(told)
    assert len(rig.of(FillRecorded)) == before
    assert rig.of(StateSet)
    rig.handle(OrderReport(
        rig.instruments[0].id, "x9", OrderState.FILLED, D(2), rig.now_ns, side=Side.SELL, quantity=D(2),
        average_price=D(100), kind=OrderKind.STOP, lot="7",
    ))  # fmt: skip
    assert len(rig.of(FillRecorded)) == before + 1


def test_an_exit_of_the_venue_that_stretched_with_its_lot_takes_what_has_been_added() -> None:
    rig = make_rig()
    entry = buy(rig, 6)
    rig.accept(entry)
    fill(rig, entry, "7", 2)

    def told(filled: str, state: OrderState, whole: str) -> OrderReport:
        return OrderReport(
            rig.instruments[0].id, "x9", state, D(filled), rig.now_ns, side=Side.SELL, quantity=D(whole),
            average_price=D(100), kind=OrderKind.STOP, lot="7",
        )  # fmt: skip

    rig.handle(told("1.9", OrderState.PARTIALLY_FILLED, "2"))
    fill(rig, entry, "7", 4)  # into the same lot, while its stop closes it
    rig.handle(told("5.8", OrderState.PARTIALLY_FILLED, "6"))
    rig.handle(told("6", OrderState.FILLED, "6"))
    assert not rig.of(StateSet)
    assert rig.state.portfolio.book("s1", rig.instruments[0].id).quantity == 0


def test_an_order_keeps_the_name_that_a_refused_report_gives_it() -> None:
    """Else nothing could cancel it, and the next look would take it for a stranger's."""
    rig = Rig()
    rig.engine.context.policies["paper"] = Policies(ReconcileAction.REFUSE)
    order = rig.live(buy(rig, 3))
    shown = rig.report_of(order, filled_quantity=D(3000), state=OrderState.PARTIALLY_FILLED, venue_order_id="v7")
    rig.answer(order, Accepted((shown,)))
    assert order.venue_order_id == "v7"
    assert not rig.of(FillRecorded)
    listed = msgspec.structs.replace(shown, client_order_id=None, side=Side.BUY, quantity=D(3))
    for _ in range(3):
        rig.wait(10)
        rig.handle(make_snapshot({"USD": 1_000_000, "BTC": 1_000}, at_ns=rig.now_ns, orders=(listed,)))
    assert [one.scope for one in rig.of(StateSet)] == [f"instrument:{BTC}"]
    assert {one.venue_order_id for one in rig.sent(Cancel)} == {"v7"}
