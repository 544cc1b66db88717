"""What the venue closes by itself, and what a close settles: booked on whose lot it is, once, at its own price."""

from typing import Any

import msgspec
import pytest

from quantd.domain.commands import CloseLot
from quantd.domain.events import OperationSent
from quantd.domain.facts import ExternalOrderSeen, FillRecorded, OrderMoved
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Limit, Market, OrderKind, OrderState, Origin, Protect, Role, Side
from quantd.domain.outcomes import Accepted, Rejected
from quantd.domain.reports import OrderReport
from quantd.testing.builders import (
    BTC,
    SECOND_NS,
    Puppet,
    Rig,
    make_instrument,
    make_lot_capabilities,
    make_snapshot,
)
from tests.invariants import check_image, check_rig
from tests.unit.engine.lots import STOP, D, enter, fill, held, make_rig, show, venue_exit

# -- closed by the venue -------------------------------------------------------------------------------------------


def test_an_exit_that_the_venue_executes_is_booked_on_whose_lot_it_is() -> None:
    rig = make_rig()
    entry = enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    venue_exit(rig, "7", 2, 94.5)
    assert held(rig) == 0
    assert held(rig, "") == 0
    (seen,) = rig.of(ExternalOrderSeen)
    assert (seen.strategy, seen.role, seen.entry) == ("s1", Role.STOP, entry.client_order_id)
    assert rig.state.orders[seen.client_order_id].origin is Origin.VENUE
    assert rig.of(FillRecorded)[-1].strategy == "s1"
    assert rig.state.guarding.held == {}
    assert rig.strategies["s1"].hooks("on_fill")[-1][1].price == D("94.5")
    check_rig(rig)
    check_image(rig)


def test_the_same_report_twice_is_booked_once() -> None:
    rig = make_rig()
    enter(rig, STOP)
    for _ in range(2):
        venue_exit(rig, "7", 2, 94.5)
    assert held(rig) == 0
    assert len(rig.of(ExternalOrderSeen)) == 1


def test_an_exit_that_hangs_on_a_lot_is_no_order_until_it_trades() -> None:
    rig = make_rig()
    enter(rig, STOP)
    venue_exit(rig, "7", 2, 95, state=OrderState.WORKING, filled_quantity=D(0), fills=())
    assert rig.of(ExternalOrderSeen) == []
    venue_exit(rig, "7", 1, 95, state=OrderState.PARTIALLY_FILLED, quantity=D(2))
    assert held(rig) == 1
    (guard,) = rig.state.guarding.held.values()
    assert guard.quantity == 1


def test_a_snapshot_that_comes_before_the_report_does_not_cost_the_lot_its_owner() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    show(rig)
    check_image(rig)
    venue_exit(rig, "7", 2, 94.5)
    assert held(rig) == 0
    assert rig.of(ExternalOrderSeen)[0].strategy == "s1"


def test_a_lot_that_a_fill_opened_survives_a_snapshot_that_was_asked_for_before() -> None:
    rig = make_rig()
    asked_at_ns = rig.now_ns
    rig.now_ns += SECOND_NS
    enter(rig, STOP)
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=asked_at_ns))
    out = rig.do(lambda s: s.sell(BTC, 2, Market(reduce_only=True)))
    assert out, f"the lot was forgotten: {out}"
    assert rig.sent(CloseLot)[-1].lot == "7"


def test_a_lot_whose_fill_was_never_told_is_known_by_its_tag() -> None:
    rig = make_rig()
    order = rig.do(lambda s: s.buy(BTC, 2, Limit(100), protect=STOP))
    rig.now_ns += SECOND_NS
    lot = Lot("7", BTC, Side.BUY, D(2), D(100), tag=order.id)
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=(lot,)))
    known = rig.state.lots["paper"].get("7")
    assert known is not None
    assert (known.strategy, known.entry) == ("s1", order.id)


def test_a_lot_that_is_known_by_its_tag_before_its_fill_is_told_counts_once() -> None:
    rig = make_rig()
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100)))
    rig.accept(order)
    for told, shown in ((1, 2), (1, 3), (1, 3)):
        rig.now_ns += SECOND_NS
        lot = Lot("7", BTC, Side.BUY, D(shown), D(100), tag=order.id)
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=(lot,)))
        fill(rig, order, "7", told)
        known = rig.state.lots["paper"].get("7")
        assert known is not None
        assert held(rig) <= known.lot.quantity <= shown
    assert held(rig) == 3
    check_rig(rig)


def test_a_snapshot_that_tells_an_exit_shows_what_it_did_already() -> None:
    rig = make_rig()
    enter(rig, None)
    rig.now_ns += SECOND_NS
    told = OrderReport(
        BTC, "take-7", OrderState.FILLED, D(1), rig.now_ns, None, Side.SELL, D(1), D(110), kind=OrderKind.LIMIT, lot="7",
        fills=(Fill("x7", D(1), D(110), lot="7"),),
    )  # fmt: skip
    lots = (Lot("7", BTC, Side.BUY, D(1), D(100)),)
    rig.handle(make_snapshot({"USD": 1_000_010}, at_ns=rig.now_ns, lots=lots, orders=(told,)))
    known = rig.state.lots["paper"].get("7")
    assert held(rig) == 1
    assert known is not None
    assert known.lot.quantity == 1
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_000_010


@pytest.mark.parametrize("hedging", [True, False])
def test_a_lot_that_a_snapshot_shows_smaller_before_our_own_close_is_told_shrinks_once(hedging: bool) -> None:
    rig = make_rig(hedging=hedging)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    out = rig.do(lambda s: s.sell(BTC, 1, Market()))
    rig.accept(out)
    show(rig, ("7", 1, LotProtection(stop=D(95))))
    fill(rig, out, "7")
    (known,) = rig.state.lots["paper"].all()
    assert (known.strategy, known.lot.quantity) == ("s1", D(1)), "else nobody owns, guards or closes what is left"
    (guard,) = rig.state.guarding.held.values()
    assert guard.quantity == 1


def test_a_lot_in_an_instrument_that_we_do_not_know_is_looked_at_again_and_again() -> None:
    rig = make_rig()
    stranger = Lot("9", InstrumentId("paper:XRP-USD"), Side.BUY, D(2), D(1))
    for quantity in (2, 2, 1):
        rig.now_ns += SECOND_NS
        lots = (msgspec.structs.replace(stranger, quantity=D(quantity)),)
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=lots))
    (known,) = rig.state.lots["paper"].all()
    assert known.lot.quantity == 1


def test_a_foreign_lot_s_exit_is_external() -> None:
    rig = make_rig()
    show(rig, ("9", 1, LotProtection(stop=D(95))))
    venue_exit(rig, "9", 1, 95)
    assert rig.of(ExternalOrderSeen)[0].strategy == ""
    assert held(rig) == 0
    assert held(rig, "") == -1, "its opening was never ours: reconciliation has to bring the rest"


def leave(rig: Rig, order: Any) -> None:
    """Let an order's write leave; its answer is still to come."""
    live = rig.live(order)
    assert live.operation is not None
    rig.handle(OperationSent(live.client_order_id, live.operation.number, rig.now_ns))


@pytest.mark.parametrize("left", [True, False])
def test_what_is_told_before_our_close_has_left_is_not_our_close(left: bool) -> None:
    """The venue's stop filled by two orders of one answer, and the first made the strategy close the rest."""
    rig = make_rig()
    enter(rig, None)
    venue_exit(rig, "7", 1, 94, kind=OrderKind.MARKET, venue_order_id="first")
    out = rig.do(lambda s: s.sell(BTC, 1, Market(reduce_only=True)))
    if left:
        leave(rig, out)
    venue_exit(rig, "7", 1, 94, kind=OrderKind.MARKET, venue_order_id="second")
    assert held(rig) == (1 if left else 0)
    rig.answer(out, Rejected("no_such_lot"))
    assert held(rig) == 0
    assert [one.venue_order_id for one in rig.of(ExternalOrderSeen)] == ["first", "second"]
    check_rig(rig)


def test_a_close_of_ours_that_is_unanswered_is_not_taken_for_the_venue_s() -> None:
    rig = make_rig()
    enter(rig, None)
    out = rig.do(lambda s: s.sell(BTC, 2, Market(reduce_only=True)))
    leave(rig, out)
    report = {"kind": OrderKind.MARKET, "venue_order_id": "c1"}
    venue_exit(rig, "7", 2, 99, **report)
    assert held(rig) == 2, "whose order it is comes with the answer"
    told = rig.report_of(out, venue_order_id="c1", client_order_id=None)
    rig.answer(out, Accepted((told,)))
    assert held(rig) == 0
    assert rig.of(ExternalOrderSeen) == []


def test_a_close_out_that_crossed_our_refused_close_is_booked_after_the_answer() -> None:
    rig = make_rig()
    enter(rig, None)
    out = rig.do(lambda s: s.sell(BTC, 2, Market(reduce_only=True)))
    leave(rig, out)
    venue_exit(rig, "7", 2, 80, kind=OrderKind.MARKET, venue_order_id="margin-call")
    rig.answer(out, Rejected("no_such_lot"))
    assert held(rig) == 0
    assert rig.of(ExternalOrderSeen)[0].role is Role.CLOSE


def test_another_s_close_of_the_lot_while_ours_was_unanswered_is_booked_after_the_answer_to_ours() -> None:
    rig = make_rig()
    enter(rig, None)
    out = rig.do(lambda s: s.sell(BTC, 1, Market(reduce_only=True)))
    leave(rig, out)
    venue_exit(rig, "7", 1, 80, kind=OrderKind.MARKET, venue_order_id="by-hand")
    done = Fill("c1", D(1), D(100), lot="7")
    rig.answer(out, Accepted((rig.report_of(out, filled_quantity=D(1), fills=(done,), state=OrderState.FILLED),)))
    assert held(rig) == 0
    assert [one.venue_order_id for one in rig.of(ExternalOrderSeen)] == ["by-hand"]
    check_rig(rig)


@pytest.mark.parametrize("early", [True, False])
def test_a_close_that_the_venue_made_by_two_orders_is_booked_once_under_both_names(early: bool) -> None:
    rig = make_rig()
    enter(rig, None)
    rig.do(lambda s: s.close(BTC))
    out = rig.sent(CloseLot)[-1].client_order_id
    rig.handle(OperationSent(out, 1, rig.now_ns))
    fills = tuple(Fill(f"c{n}", D(1), D(100), lot="7") for n in (1, 2))
    parts = [
        OrderReport(
            BTC, f"p{n}", OrderState.FILLED, D(1), rig.now_ns, side=Side.SELL, quantity=D(1), fills=(fill,),
            kind=OrderKind.MARKET, lot="7",
        )
        for n, fill in enumerate(fills, start=1)
    ]  # fmt: skip
    for part in parts if early else ():
        rig.handle(part)
    whole = rig.report_of(out, venue_order_id="p2", parts=("p1",), filled_quantity=D(2), fills=fills)
    rig.answer(out, Accepted((msgspec.structs.replace(whole, state=OrderState.FILLED),)))
    for part in parts:
        rig.handle(part)
    assert (held(rig), rig.live(out).filled, rig.live(out).state) == (D(0), D(2), OrderState.FILLED)
    assert rig.live(out).venue_order_ids == ["p1", "p2"]
    assert rig.of(OrderMoved) == [], "ended short by its first part, the rest would be closed again"
    assert rig.of(ExternalOrderSeen) == []
    check_rig(rig)
    check_image(rig)


def test_what_closed_a_part_of_a_lot_is_booked_also_when_it_is_told_after_the_rest_was_closed() -> None:
    rig = make_rig()
    enter(rig, None)
    show(rig, ("7", 1, LotProtection()))
    out = rig.do(lambda s: s.sell(BTC, 1, Market(reduce_only=True)))
    done = Fill("c1", D(1), D(100), lot="7")
    rig.answer(out, Accepted((rig.report_of(out, filled_quantity=D(1), fills=(done,), state=OrderState.FILLED),)))
    assert rig.state.lots["paper"].all() == ()
    venue_exit(rig, "7", 1, 94.5)
    assert held(rig) == 0
    assert rig.of(ExternalOrderSeen)[0].strategy == "s1"
    check_image(rig)


def test_what_a_snapshot_tells_of_executions_is_in_its_lots_already() -> None:
    rig = make_rig()
    enter(rig, STOP)
    rig.now_ns += SECOND_NS
    told = Fill("x7", D(1), D(94), lot="7", settled=("USD", D(-6)))
    exit = OrderReport(
        BTC, "stop-7", OrderState.FILLED, D(1), rig.now_ns, side=Side.SELL, quantity=D(1), fills=(told,),
        kind=OrderKind.STOP, trigger=D(95), lot="7",
    )  # fmt: skip
    left = Lot("7", BTC, Side.BUY, D(1), D(100), LotProtection(stop=D(95)))
    rig.handle(make_snapshot({"USD": 999_994}, at_ns=rig.now_ns, lots=(left,), orders=(exit,)))
    assert [one.lot.quantity for one in rig.state.lots["paper"].all()] == [D(1)]
    assert held(rig) == 1


def test_a_strategy_that_gets_out_itself_leaves_a_guard_as_large_as_its_lots() -> None:
    rig = make_rig(hedging=False)
    first, second = enter(rig, STOP, "7", 2), enter(rig, Protect(stop=90), "8", 3)
    out = rig.do(lambda s: s.sell(BTC, 3, Market()))
    live = rig.live(out)
    told = (Fill("a", D(2), D(100), lot="7"), Fill("b", D(1), D(100), lot="8"))
    rig.accept(out)
    rig.report(live, filled_quantity=D(3), fills=told, state=OrderState.FILLED)
    guards = {entry: guard.quantity for entry, guard in rig.state.guarding.held.items()}
    assert guards == {second.client_order_id: 2}
    assert first.client_order_id not in guards


# -- money ---------------------------------------------------------------------------------------------------------


def make_pounds_rig() -> Rig:
    """Return a rig on a dollar account whose instrument settles in pounds, at 1.25 dollars."""
    cable = make_instrument("paper:GBP-USD")
    traded = make_instrument(margin_rate=D("0.1"), settlement="GBP")
    rig = Rig(
        instruments=[traded, cable], margin=True, strategies={"s1": Puppet()}, capabilities=make_lot_capabilities()
    )
    rig.quote(1.25, instrument=cable.id)
    return rig


def test_a_close_costs_what_its_own_lot_cost_and_not_the_average() -> None:
    rig = make_rig()
    enter(rig, None, "7", 1)
    rig.quote(110)
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(110)))
    rig.accept(order)
    fill(rig, order, "8", price=110)
    venue_exit(rig, "7", 1, 120)
    book = rig.state.portfolio.book("s1", BTC)
    assert (book.realised, book.cost) == (D(20), D(110))
    venue_exit(rig, "8", 1, 120)
    assert (book.realised, book.cost) == (D(30), D(0))


def test_the_account_takes_what_the_venue_settled_in_its_own_currency() -> None:
    rig = make_pounds_rig()
    enter(rig, STOP)
    before = rig.state.portfolio.account("paper").totals["USD"]
    told = Fill("x", D(2), D(110), lot="7", settled=("USD", D("24.68")))
    venue_exit(rig, "7", 2, 110, fills=(told,))
    account = rig.state.portfolio.account("paper")
    assert account.totals["USD"] - before == D("24.68")
    assert account.totals.get("GBP", 0) == 0
    assert rig.state.portfolio.book("s1", BTC).realised == 20, "the book counts in pounds"
    check_rig(rig)


def test_where_the_venue_does_not_tell_it_is_settled_at_our_rate_at_once() -> None:
    rig = make_pounds_rig()
    enter(rig, STOP)
    before = rig.state.portfolio.account("paper").totals["USD"]
    venue_exit(rig, "7", 2, 110)
    account = rig.state.portfolio.account("paper")
    assert account.totals["USD"] - before == 25
    assert account.totals.get("GBP", 0) == 0
    check_rig(rig)
