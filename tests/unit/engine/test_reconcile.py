"""Our books against the venue's: the plan, what each policy does, and that a second pass changes nothing."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import ReconcileAction, ReconcileOrdered, TradingState
from quantd.domain.facts import CashFlowRecorded, PositionAdjusted, Reconciled
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import OrderState, Side
from quantd.domain.outcomes import NotExecuted, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.differences import Policies, plan
from quantd.engine.risk.wish import Denied
from quantd.testing.builders import BTC, Rig, make_balance, make_instrument, make_snapshot
from tests.invariants import check_rig
from tests.unit.engine.acts import buy

D = Decimal
ADOPT, CLOSE, IGNORE, REFUSE = (ReconcileAction(name) for name in ("adopt", "close", "ignore", "refuse"))
MARGIN: dict[str, Any] = {"margin": True, "instruments": [make_instrument(margin_rate=D("0.1"))]}


def foreign(rig: Rig, venue_order_id: str = "f1", instrument: str = BTC, **fields: Any) -> OrderReport:
    told: dict[str, Any] = {
        "state": OrderState.WORKING,
        "filled_quantity": D(0),
        "side": Side.BUY,
        "quantity": D(2),
        "price": D(95),
    }
    named: dict[str, Any] = {
        "instrument": InstrumentId(instrument),
        "venue_order_id": venue_order_id,
        "received_at_ns": rig.now_ns,
    }
    return OrderReport(**(named | told | fields))


def shown(rig: Rig, *orders: OrderReport, lots: tuple[Lot, ...] = (), usd: Any = 1_000_000) -> AccountSnapshot:
    """Return a snapshot that was asked for a second after all that happened."""
    rig.wait()
    account = rig.state.portfolio.account("paper")
    balances = tuple(
        make_balance(asset, total if asset != "USD" else usd, locked=account.reserved.get(asset, 0))
        for asset, total in account.totals.items()
    )
    return make_snapshot({}, at_ns=rig.now_ns, balances=balances, orders=orders, lots=lots)


def kinds(rig: Rig, snapshot: AccountSnapshot) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in plan(rig.state, snapshot, Policies(ADOPT))]


def reconcile(rig: Rig, snapshot: AccountSnapshot, policy: ReconcileAction) -> None:
    """Show a snapshot, and the same again a second later: only what both show counts."""
    rig.handle(ReconcileOrdered(snapshot, policy, rig.now_ns))
    rig.wait()
    again = msgspec.structs.replace(snapshot, asked_at_ns=rig.now_ns, answered_at_ns=rig.now_ns)
    rig.handle(ReconcileOrdered(again, policy, rig.now_ns))


def long(quantity: Any, price: Any = 90) -> Lot:
    return Lot("1", BTC, Side.BUY, D(quantity), D(price))


def test_a_foreign_order_of_an_inverse_contract_for_which_nobody_names_a_price_is_adopted_like_any_other() -> None:
    """Its worth divides by the price, which ended the daemon, and again at each start."""
    rules = make_instrument("paper:XBT-USD", base="XBT", inverse=True, margin_rate=D("0.01"))
    rig = Rig(instruments=[rules], margin=True, price=None)
    reconcile(rig, shown(rig, foreign(rig, instrument=rules.id, price=None)), ADOPT)
    (order,) = rig.state.orders.open_orders()
    assert order.reservation[1] == 0
    rig.report(order, filled_quantity=D(1), state=OrderState.PARTIALLY_FILLED)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    rig.quote(110, instrument=rules.id)
    book = rig.state.portfolio.book("", rules.id)
    assert (book.average_price, book.unrealised(D(100))) == (D(100), D(0))
    check_rig(rig)


def test_what_agrees_is_no_difference() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    assert kinds(rig, shown(rig, rig.report_of(order))) == []


def test_every_kind_of_difference_is_found() -> None:
    rig = Rig(**MARGIN)
    order = buy(rig)
    rig.accept(order)
    snapshot = shown(rig, foreign(rig), lots=(long(3),), usd=5)
    assert kinds(rig, snapshot) == [
        ("foreign_order", "f1"),
        ("missing_order", order.id),
        ("position", BTC),
        ("balance", "USD"),
    ]


def test_what_is_in_flight_or_changed_after_the_venue_was_asked_is_no_difference_yet() -> None:
    rig = Rig(**MARGIN)
    snapshot = shown(rig, lots=())
    rig.hold(2)
    assert kinds(rig, snapshot) == []
    flying = Rig(**MARGIN)
    buy(flying)
    assert ("position", BTC) not in kinds(flying, shown(flying, lots=(long(1),)))


def test_an_order_that_may_be_our_unknown_one_is_no_foreigner() -> None:
    rig = Rig()
    order = buy(rig, 2, 95)
    rig.answer(order, Unknown("timeout"))
    assert kinds(rig, shown(rig, foreign(rig))) == []
    assert kinds(rig, shown(rig, foreign(rig, price=D(94)))) == [("foreign_order", "f1")]


def test_pages_that_are_missing_prove_no_order_missing() -> None:
    rig = Rig()
    rig.accept(buy(rig))
    rig.wait()
    snapshot = shown(rig)
    partial = make_snapshot({}, at_ns=rig.now_ns, balances=snapshot.balances, orders_complete=False)
    assert kinds(rig, partial) == []


def test_adopting_takes_orders_positions_and_balances_and_a_second_pass_finds_nothing() -> None:
    rig = Rig(**MARGIN)
    rig.hold(1)
    snapshot = shown(rig, foreign(rig, filled_quantity=D("0.5")), lots=(long(4),), usd=999)
    reconcile(rig, snapshot, ADOPT)
    net, external = rig.state.portfolio.nets[BTC], rig.state.portfolio.book("", BTC)
    assert (net.quantity, external.quantity, external.buys) == (D(4), D(3), D("1.5"))
    assert rig.state.portfolio.account("paper").totals["USD"] == 999
    again = shown(rig, foreign(rig, filled_quantity=D("0.5")), lots=(long(4),), usd=999)
    assert kinds(rig, again) == []
    before = (len(rig.of(PositionAdjusted)), len(rig.commands))
    reconcile(rig, again, ADOPT)
    assert (len(rig.of(PositionAdjusted)), len(rig.commands)) == before
    assert [sum(one.differences.values()) for one in rig.of(Reconciled)] == [3, 2, 0, 0]


def test_an_adopted_order_is_followed_like_ours_and_can_be_cancelled() -> None:
    rig = Rig()
    reconcile(rig, shown(rig, foreign(rig)), ADOPT)
    (order,) = rig.state.orders.open_orders()
    assert rig.state.last_order_id == "", "it has none of our ids"
    rig.handle(foreign(rig, filled_quantity=D(2), average_price=D(95), state=OrderState.FILLED))
    assert (order.state, rig.state.portfolio.book("", BTC).quantity) == (OrderState.FILLED, D(2))


def test_closing_cancels_foreign_orders_and_closes_foreign_positions() -> None:
    rig = Rig(**MARGIN)
    rig.hold(1)
    reconcile(rig, shown(rig, foreign(rig), lots=(long(4),)), CLOSE)
    assert [one.venue_order_id for one in rig.sent(Cancel)] == ["f1"]
    closing = [one for one in rig.state.orders.open_orders() if one.spec.side is Side.SELL]
    assert [(one.strategy, one.remaining) for one in closing] == [("", D(3))]


def test_a_foreign_position_is_closed_once_the_foreign_exit_that_is_cancelled_with_it_is_gone() -> None:
    rig = Rig(**MARGIN)
    exit_ = foreign(rig, side=Side.SELL, quantity=D(4), price=D(120))
    reconcile(rig, shown(rig, exit_, lots=(long(4),)), CLOSE)
    (cancel,) = rig.sent(Cancel)
    assert rig.sent(Submit) == [], "both together would close it twice"
    rig.fill(cancel.client_order_id, 1)
    rig.accept(cancel.client_order_id)
    rig.wait()
    assert [(one.spec.side, one.spec.quantity) for one in rig.sent(Submit)] == [(Side.SELL, D(3))]


def test_a_close_that_did_not_leave_is_tried_again() -> None:
    rig = Rig(**MARGIN)
    reconcile(rig, shown(rig, lots=(long(4),)), CLOSE)
    (first,) = rig.sent(Submit)
    rig.answer(first.client_order_id, NotExecuted("deadline"))
    rig.wait()
    (_, second) = rig.sent(Submit)
    rig.accept(second.client_order_id)
    rig.fill(second.client_order_id)
    assert rig.state.portfolio.nets[BTC].quantity == 0
    assert rig.state.targets == {}


def test_a_foreign_position_alone_is_closed() -> None:
    rig = Rig(**MARGIN)
    rig.hold(1)
    reconcile(rig, shown(rig, lots=(long(4),)), CLOSE)
    closing = [one for one in rig.state.orders.open_orders()]
    assert [(one.strategy, one.spec.side, one.remaining) for one in closing] == [("", Side.SELL, D(3))]


def test_ignoring_changes_no_book() -> None:
    rig = Rig(**MARGIN)
    reconcile(rig, shown(rig, foreign(rig), lots=(long(4),)), IGNORE)
    assert rig.state.portfolio.nets[BTC].quantity == 0
    assert list(rig.state.orders.open_orders()) == []
    assert rig.state.latches == {}


def test_refusing_latches_the_venue_and_names_what_it_found_once() -> None:
    rig = Rig(**MARGIN)
    snapshot = shown(rig, foreign(rig), lots=(long(4),))
    reconcile(rig, snapshot, REFUSE)
    latch = rig.state.latches["venue:paper"]
    assert latch.state is TradingState.REDUCING
    assert "f1" in latch.why
    assert BTC in latch.why
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1)), Denied)
    generation = rig.state.halt_generation
    reconcile(rig, snapshot, REFUSE)
    assert rig.state.halt_generation == generation


@pytest.mark.parametrize("policy", [ADOPT, CLOSE, REFUSE])
def test_what_is_held_or_ordered_in_an_unknown_instrument_is_named_in_a_halt(policy: ReconcileAction) -> None:
    rig = Rig(**MARGIN)
    stranger = InstrumentId("paper:XRP-USD")
    lot = Lot("9", stranger, Side.BUY, D(1), D(1))
    reconcile(rig, shown(rig, foreign(rig, instrument=stranger), lots=(lot,)), policy)
    assert stranger in rig.state.latches["venue:paper"].why


def test_what_the_snapshot_says_of_our_orders_counts() -> None:
    rig = Rig(balances={"USD": 1_000})
    order = buy(rig, 2)
    rig.accept(order)
    rig.wait()
    told = rig.report_of(order, filled_quantity=D(1), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    reconcile(rig, shown(rig, told, usd=900), ADOPT)
    assert order.filled == 1


# -- plain snapshots -------------------------------------------------------------------------------------------------


def test_a_snapshot_older_than_the_last_is_left_aside() -> None:
    rig = Rig(balances={"USD": 1_000})
    rig.wait()
    rig.handle(make_snapshot({"USD": 900}, at_ns=rig.now_ns))
    rig.handle(make_snapshot({"USD": 500}, at_ns=rig.now_ns - 1))
    assert rig.state.portfolio.account("paper").totals["USD"] == 900


def test_what_was_executed_and_what_money_moved_count_though_a_clock_says_that_the_snapshot_is_an_older_one() -> None:
    rig = Rig(balances={"USD": 1_000})
    rig.engine.context.policies["paper"] = Policies(REFUSE)
    order = buy(rig, 2)
    rig.accept(order)
    rig.wait()
    rig.handle(make_snapshot({"USD": 900}, at_ns=rig.now_ns))
    filled = rig.report_of(order, filled_quantity=D(2), average_price=D(100), state=OrderState.FILLED)
    flow = CashFlow("paper", "d1", CashFlowKind.DEPOSIT, "USD", D(500), rig.now_ns)
    rig.handle(make_snapshot({"USD": 77}, at_ns=rig.now_ns - 1, orders=(filled,), flows=(flow,)))
    assert order.state is OrderState.FILLED
    assert [one.flow for one in rig.of(CashFlowRecorded)] == [flow]
    assert rig.state.portfolio.account("paper").totals["USD"] == 700


def test_a_snapshot_that_agrees_writes_nothing() -> None:
    rig = Rig(balances={"USD": 1_000})
    facts = len(rig.facts)
    rig.wait()
    rig.handle(make_snapshot({"USD": 1_000}, at_ns=rig.now_ns))
    assert len(rig.facts) == facts


def test_a_fill_after_the_venue_was_asked_is_subtracted_again() -> None:
    rig = Rig(balances={"USD": 1_000})
    asked = rig.now_ns
    rig.now_ns += 1
    order = buy(rig, 2)
    rig.accept(order)
    rig.fill(order)
    rig.handle(make_snapshot({"USD": 1_000}, at_ns=asked, answered_at_ns=rig.now_ns))
    assert rig.state.portfolio.account("paper").free("USD") == 800


def test_money_that_the_venue_has_locked_for_an_order_of_ours_counts_once() -> None:
    rig = Rig(balances={"USD": 1_000})
    order = buy(rig, 2)
    rig.accept(order)
    rig.wait()
    rig.handle(make_snapshot({}, at_ns=rig.now_ns, balances=(make_balance("USD", 1_000, locked=200),)))
    assert rig.state.portfolio.account("paper").free("USD") == 800
    rig.handle(make_snapshot({}, at_ns=rig.now_ns, balances=(make_balance("USD", 1_000, locked=250),)))
    assert rig.state.portfolio.account("paper").free("USD") == 750, "50 are locked by others"
