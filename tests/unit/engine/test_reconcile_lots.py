"""Lots that came or went without a report: whose book takes them, at what price, and what becomes of their exits."""

from typing import Any

import pytest

from quantd.domain.commands import CloseLot, Submit
from quantd.domain.events import ReconcileAction
from quantd.domain.facts import ExternalOrderSeen, FillRecorded, PositionAdjusted, Reconciled
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Limit, OrderState, Protect, Side
from quantd.engine.differences import Policies
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.testing.builders import BTC, SECOND_NS, Puppet, Rig, make_instrument, make_snapshot
from tests.unit.engine.lots import STOP, D, enter, exit_report, fill, held, make_rig, show, venue_exit
from tests.unit.engine.test_reconcile import reconcile, shown

SET = LotProtection(stop=D(95))


def make_adopting(*, policy: str = "adopt", **more: Any) -> Rig:
    rig = make_rig(**more)
    rig.engine.context.policies["paper"] = Policies(ReconcileAction(policy))
    return rig


def looks(rig: Rig, *lots: tuple[str, Any, LotProtection], count: int = 3) -> None:
    for _ in range(count):
        show(rig, *lots)


# -- whose book ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hedging", [True, False])
def test_a_lot_that_went_without_a_report_leaves_its_strategy_s_book_and_its_guard_ends(hedging: bool) -> None:
    rig = make_adopting(hedging=hedging)
    enter(rig, STOP)
    show(rig, ("7", 2, SET))
    rig.quote(110)
    looks(rig)
    assert held(rig) == held(rig, "") == 0, "else the strategy goes on exiting what is not there"
    assert rig.state.guarding.held == {}
    (told,) = rig.of(PositionAdjusted)
    assert (told.strategy, told.quantity) == ("s1", D(-2))
    assert rig.state.portfolio.book("s1", BTC).realised == 2 * (told.price - 100)
    assert rig.do(lambda s: s.buy(BTC, 1, Limit(100))), "it may begin anew"


@pytest.mark.parametrize("hedging", [True, False])
def test_a_lot_that_shrank_without_a_report_is_guarded_and_closed_for_what_is_left(hedging: bool) -> None:
    rig = make_adopting(hedging=hedging)
    enter(rig, STOP)
    show(rig, ("7", 2, SET))
    looks(rig, ("7", 1, SET))
    assert (held(rig), held(rig, "")) == (D(1), D(0))
    (guard,) = rig.state.guarding.held.values()
    assert guard.quantity == 1
    rig.do(lambda s: s.close(BTC))
    sent = [*rig.sent(CloseLot), *(one for one in rig.sent(Submit) if one.exit)]
    assert len(sent) == 1


def test_the_look_that_confirms_a_difference_and_tells_what_made_it_books_it_once() -> None:
    """It was taken over as nobody's work, and the execution was booked on top of that."""
    rig = make_adopting()
    enter(rig, STOP)
    show(rig, ("7", 2, SET))
    show(rig, ("7", 1, SET))
    rig.now_ns += SECOND_NS
    report = exit_report(rig, "7", 1, 94.5)
    lot = Lot("7", BTC, Side.BUY, D(1), D(100), SET)
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=(lot,), orders=(report,)))
    looks(rig, ("7", 1, SET))
    assert rig.of(PositionAdjusted) == []
    assert (held(rig), held(rig, "")) == (D(1), D(0))
    assert rig.of(FillRecorded)[-1].fill.price == D("94.5")


def test_a_quantity_that_is_written_with_another_number_of_digits_is_the_same() -> None:
    """Two fills of 0.05 make 0.10, and the venue shows 0.1: as a difference it had the next one adopted at its first look."""
    rig = make_adopting()
    order = rig.do(lambda s: s.buy(BTC, D("0.10"), Limit(100), protect=STOP))
    rig.accept(order)
    for _ in range(2):
        fill(rig, order, "7", "0.05")
    looks(rig, ("7", "0.1", SET))
    assert [fact.differences for fact in rig.of(Reconciled)] == []
    assert rig.engine.context.suspicions.of("paper") == ()
    show(rig)
    assert rig.of(PositionAdjusted) == [], "that it is gone wants a second look"


@pytest.mark.parametrize("quantity", [2, 5, -2])
def test_a_foreign_lot_in_the_place_of_a_strategy_s_is_external_s(quantity: int) -> None:
    rig = make_adopting()
    enter(rig, STOP)
    show(rig, ("7", 2, SET))
    looks(rig, ("9", quantity, LotProtection()))
    assert (held(rig), held(rig, "")) == (D(0), D(quantity))
    assert rig.state.guarding.held == {}


def test_of_two_strategies_lots_each_loses_its_own() -> None:
    rig = make_adopting(strategies={"s1": Puppet(), "s2": Puppet()})
    enter(rig, STOP)
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100), protect=Protect(stop=90)), "s2")
    rig.accept(order)
    fill(rig, order, "8")
    looks(rig, ("8", 1, LotProtection(stop=D(90))))
    assert (held(rig), held(rig, "s2"), held(rig, "")) == (D(0), D(1), D(0))
    guards = {guard.strategy: guard.quantity for guard in rig.state.guarding.held.values()}
    assert guards == {"s2": D(1)}


def test_where_several_share_a_netting_position_nobody_can_tell_and_external_takes_it() -> None:
    rig = make_adopting(strategies={"s1": Puppet(), "s2": Puppet()}, hedging=False)
    enter(rig, None)
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100)), "s2")
    rig.accept(order)
    fill(rig, order, "8")
    looks(rig, ("8", 3, LotProtection()))
    assert (held(rig), held(rig, "s2"), held(rig, "")) == (D(2), D(3), D(-2))


def test_a_lot_that_is_ours_by_its_tag_and_whose_fill_was_never_told_is_its_strategy_s() -> None:
    rig = make_adopting()
    order = rig.do(lambda s: s.buy(BTC, 2, Limit(100)))
    rig.accept(order)
    rig.report(order, state=OrderState.CANCELLED)
    for _ in range(3):
        rig.now_ns += SECOND_NS
        lot = Lot("7", BTC, Side.BUY, D(2), D(100), tag=order.id)
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=(lot,)))
    assert (held(rig), held(rig, "")) == (D(2), D(0)), "else nobody could close it"
    rig.do(lambda s: s.close(BTC))
    assert [one.lot for one in rig.sent(CloseLot)] == ["7"]


def test_an_exit_that_is_told_after_reconciliation_has_booked_it_is_not_booked_again() -> None:
    rig = make_adopting()
    enter(rig, STOP)
    enter(rig, Protect(stop=90), "8", 1)
    looks(rig, ("8", 1, LotProtection(stop=D(90))))
    venue_exit(rig, "7", 2, 94)
    assert held(rig) == 1
    assert rig.of(ExternalOrderSeen) == []
    assert [guard.quantity for guard in rig.state.guarding.held.values()] == [D(1)]


def test_every_lot_of_a_foreign_position_is_closed() -> None:
    rig = make_adopting(policy="close")
    looks(rig, ("8", 1, LotProtection()), ("9", 2, LotProtection()))
    for lot in ("8", "9"):
        (order,) = rig.state.orders.open_orders()
        assert order.lot == lot
        rig.accept(order)
        fill(rig, order, lot)
    assert rig.state.portfolio.nets[BTC].quantity == 0


# -- at what price -------------------------------------------------------------------------------------------------


def netting(**more: Any) -> Rig:
    rig = Rig(margin=True, instruments=[make_instrument(margin_rate=D("0.1"))], **more)
    rig.hold(2)
    return rig


def test_what_went_before_there_is_a_price_is_no_loss() -> None:
    rig = netting(risk=RiskSettings(base_currency="USD", account=Limits(max_daily_loss=D(50))))
    mark = rig.state.rates.marks[BTC]
    mark.__init__(mark.instrument)  # type: ignore[misc]  # as a start finds it
    reconcile(rig, shown(rig), ReconcileAction.ADOPT)
    rig.quote(100)
    assert rig.state.latches == {}
    (told,) = rig.of(PositionAdjusted)
    assert told.price == 100, "what it cost"


def test_what_went_is_booked_at_the_market_s_price_and_not_at_what_is_left_cost() -> None:
    rig = netting()
    rig.quote(150, 150)
    reconcile(rig, shown(rig, lots=(Lot("1", BTC, Side.BUY, D(1), D(100)),)), ReconcileAction.ADOPT)
    (told,) = rig.of(PositionAdjusted)
    assert (told.quantity, told.price) == (D(-1), D(150))
