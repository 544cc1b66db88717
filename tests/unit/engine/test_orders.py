"""Orders from wish to end, as plain calls: outcomes, reports, fills, cancels."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import OperationSent, OutcomeReceived
from quantd.domain.facts import FillRecorded, OrderIntended
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import Limit, Market, OrderState, Side
from quantd.domain.outcomes import Accepted, NotExecuted, NotFound, Rejected, Scheduled, Unknown
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.unit.engine.acts import buy, resolve

D = Decimal


# -- the plain way ---------------------------------------------------------------------------------------------------


def test_an_order_is_intended_before_it_is_sent_and_the_command_says_everything() -> None:
    rig = Rig()
    order = buy(rig, D("1.5"), 99)
    (intent,) = rig.of(OrderIntended)
    (submit,) = rig.sent(Submit)
    assert (intent.client_order_id, intent.spec, intent.deadline_at_ns) == (
        order.id,
        submit.spec,
        submit.deadline_at_ns,
    )
    assert submit.deadline_at_ns == rig.now_ns + 2_000_000_000
    assert (submit.spec.quantity, submit.spec.price, submit.operation) == (D("1.5"), D(99), 1)


def test_accepted_then_filled_in_parts_then_whole() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    assert (order.state, order.is_open) == (OrderState.WORKING, True)
    rig.fill(order, 1)
    assert (order.state, order.filled) == (OrderState.PARTIALLY_FILLED, D(1))
    rig.fill(order, 2)
    assert (order.state, order.is_open, order.filled) == (OrderState.FILLED, False, D(3))
    puppet = rig.strategies["s1"]
    assert [fill.quantity for _, fill in puppet.hooks("on_fill")] == [1, 2]
    assert [state for _, state in puppet.hooks("on_order")][-1] is OrderState.FILLED
    assert rig.do(lambda s: s.position().quantity) == 3
    assert rig.strategies["s2"].hooks("on_fill") == []


def test_an_acceptance_may_already_say_filled() -> None:
    rig = Rig()
    order = buy(rig, 2)
    filled = rig.report_of(order, state=OrderState.FILLED, filled_quantity=D(2), average_price=D(99))
    rig.answer(order, Accepted((filled,)))
    assert (order.state, rig.do(lambda s: s.position().average_price)) == (OrderState.FILLED, 99.0)


def test_filled_by_the_venue_s_word_ends_an_order_whose_last_crumbs_are_missing() -> None:
    rig = Rig()
    order = buy(rig, 2)
    rig.accept(order)
    rig.report(order, state=OrderState.FILLED, filled_quantity=D("1.999"), average_price=D(100))
    assert (order.state, order.filled) == (OrderState.FILLED, D("1.999"))


def test_a_rejected_order_ends_and_frees_what_it_reserved() -> None:
    rig = Rig()
    order = buy(rig)
    rig.answer(order, Rejected("insufficient_funds", "not enough"))
    assert (order.state, order.reason) == (OrderState.REJECTED, "insufficient_funds")
    assert rig.state.portfolio.account("paper").free("USD") == 1_000_000


def test_an_order_that_never_left_is_denied_and_the_strategy_is_told() -> None:
    rig = Rig()
    order = buy(rig)
    live = rig.live(order)
    rig.handle(OutcomeReceived(live.client_order_id, 1, NotExecuted("deadline"), rig.now_ns))
    assert order.state is OrderState.DENIED
    (denied,) = rig.strategies["s1"].hooks("on_denied")
    assert (denied.code, denied.observed) == (Denial.NOT_EXECUTED, "deadline")


def test_an_order_that_the_venue_has_shown_was_not_refused() -> None:
    rig = Rig()
    order = buy(rig, 2)
    rig.fill(order, 1)
    rig.answer(order, NotExecuted("rate_limited"))
    assert (order.state, order.is_open) == (OrderState.PARTIALLY_FILLED, True)


def test_a_scheduled_order_works_until_it_is_reported() -> None:
    rig = Rig()
    order = buy(rig)
    rig.answer(order, Scheduled("task-1"))
    assert order.is_open
    assert rig.live(order).operation is None


def test_answers_to_settled_operations_and_unknown_orders_change_nothing() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    live, facts = rig.live(order), len(rig.facts)
    for outcome in (Accepted(), Rejected("late"), Unknown("late"), NotExecuted("late")):
        rig.handle(OutcomeReceived(live.client_order_id, 1, outcome, rig.now_ns))
        rig.handle(OutcomeReceived(live.client_order_id, 9, outcome, rig.now_ns))
    rig.handle(OperationSent(live.client_order_id, 1, rig.now_ns))
    assert len(rig.facts) == facts


# -- fills -----------------------------------------------------------------------------------------------------------


def test_duplicate_and_older_reports_change_nothing() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    first = rig.report_of(
        order, filled_quantity=D(1), fills=(Fill("a", D(1), D(100)),), state=OrderState.PARTIALLY_FILLED
    )
    second = rig.report_of(
        order,
        filled_quantity=D(2),
        fills=(Fill("a", D(1), D(100)), Fill("b", D(1), D(99))),
        state=OrderState.PARTIALLY_FILLED,
    )
    for report in (first, first, second, first, second):
        rig.handle(report)
    assert (order.filled, len(rig.of(FillRecorded))) == (D(2), 2)
    assert rig.state.portfolio.book("s1", BTC).average_price == D("99.5")
    facts = len(rig.facts)
    rig.handle(first)
    rig.handle(second)
    assert len(rig.facts) == facts


def test_a_fill_that_is_told_once_one_by_one_and_once_in_sum_counts_once() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.report(order, filled_quantity=D(2), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    rig.report(order, filled_quantity=D(2), fills=(Fill("a", D(2), D(100)),), state=OrderState.PARTIALLY_FILLED)
    assert order.filled == 2


def test_cumulative_fills_are_estimated_at_the_bound_and_corrected_by_the_average() -> None:
    rig = Rig(instruments=[make_instrument(fees=FeeSchedule(taker=D("0.001")))], balances={"USD": 1_000})
    order = buy(rig, 4)
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), state=OrderState.PARTIALLY_FILLED)
    rig.report(order, filled_quantity=D(3), state=OrderState.PARTIALLY_FILLED)
    book = rig.state.portfolio.book("s1", BTC)
    assert [one.quality for one in rig.live(order).fills.values()] == [Quality.ESTIMATED] * 2
    assert (book.quantity, book.realised) == (D(3), D("-0.3"))
    rig.report(order, filled_quantity=D(3), average_price=D(98), state=OrderState.PARTIALLY_FILLED)
    assert [one.quality for one in rig.live(order).fills.values()] == [Quality.CONFIRMED] * 2
    assert book.quantity == 3
    assert book.realised + book.unrealised(D(98)) == D("-0.294")
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_000 - 3 * 98 - D("0.294")
    facts = len(rig.facts)
    rig.report(order, filled_quantity=D(3), average_price=D(98), state=OrderState.PARTIALLY_FILLED)
    assert len(rig.facts) == facts, "what is corrected is corrected once"


def test_an_average_prices_the_new_part_so_that_the_sum_is_exact() -> None:
    rig = Rig(balances={"USD": 1_000})
    order = buy(rig, 4)
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
    rig.report(order, filled_quantity=D(4), average_price=D("98.5"), state=OrderState.FILLED)
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_000 - 4 * D("98.5")


def test_fees_that_the_venue_tells_replace_those_of_the_schedule() -> None:
    rig = Rig(instruments=[make_instrument(fees=FeeSchedule(taker=D("0.01")))], balances={"USD": 1_000})
    order = buy(rig, 4)
    rig.accept(order)
    rig.report(
        order, filled_quantity=D(1), average_price=D(100), fees=(("USD", D("0.5")),), state=OrderState.PARTIALLY_FILLED
    )
    rig.report(order, filled_quantity=D(4), average_price=D(100), state=OrderState.FILLED)
    assert rig.state.portfolio.book("s1", BTC).realised == D("-3.5")
    rig.report(order, filled_quantity=D(4), average_price=D(100), fees=(("USD", D("1.25")),), state=OrderState.FILLED)
    assert rig.state.portfolio.book("s1", BTC).realised == D("-1.25")
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_000 - 400 - D("1.25")


@pytest.mark.parametrize(
    ("schedule", "side", "fee"),
    [
        (FeeSchedule(taker=D("0.01")), Side.BUY, ("USD", D("1.00"))),
        (FeeSchedule(taker=D("0.01"), asset="base"), Side.BUY, ("BTC", D("0.01"))),
        (FeeSchedule(taker=D("0.01"), asset="received"), Side.BUY, ("BTC", D("0.01"))),
        (FeeSchedule(taker=D("0.01"), asset="received"), Side.SELL, ("USD", D("1.00"))),
        (FeeSchedule(per_unit=D("0.25")), Side.SELL, ("USD", D("0.25"))),
        (FeeSchedule(per_unit=D("0.25"), per_unit_asset="EUR"), Side.SELL, ("EUR", D("0.25"))),
    ],
)
def test_the_schedule_says_in_what_a_fee_is_taken(schedule: FeeSchedule, side: Side, fee: tuple[str, Decimal]) -> None:
    rig = Rig(instruments=[make_instrument(fees=schedule)])
    order = rig.do(lambda s: (s.buy if side is Side.BUY else s.sell)(BTC, 1, Limit(100)))
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.FILLED)
    (recorded,) = rig.of(FillRecorded)
    assert recorded.fill.fees == (fee,)


def test_a_fee_in_base_leaves_dust_and_close_sells_what_is_there_rounded_down() -> None:
    fees = FeeSchedule(taker=D("0.0015"), asset="received")
    rig = Rig(instruments=[make_instrument(fees=fees)], balances={"USD": 1_000})
    order = buy(rig, 1)
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.FILLED)
    assert rig.do(lambda s: s.position().quantity) == D("0.9985")
    rig.do(lambda s: s.close())
    (closing,) = rig.state.orders.open_orders(BTC)
    assert closing.spec.quantity == D("0.998")
    rig.accept(closing)
    rig.report(closing, filled_quantity=D("0.998"), average_price=D(100), state=OrderState.FILLED)
    assert rig.do(lambda s: s.position().quantity) == D("0.0005")
    assert rig.state.targets == {}, "what is left is dust"


def test_a_late_fill_counts_after_a_cancel_and_reopens_nothing() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    rig.accept(order)
    rig.fill(order, 1, 100)
    assert (order.state, order.filled, order.is_open) == (OrderState.CANCELLED, D(1), False)
    rig.report(order, filled_quantity=D(3), average_price=D(100), state=OrderState.FILLED)
    assert rig.live(order).state is OrderState.FILLED
    assert rig.do(lambda s: s.position().quantity) == 3


@pytest.mark.parametrize("end", [Rejected("no"), NotExecuted("deadline")])
def test_a_fill_proves_a_refused_order_alive(end: Any) -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.answer(order, end)
    rig.fill(order, 1, 100)
    assert (order.state, order.is_open) == (OrderState.PARTIALLY_FILLED, True)


def test_only_newer_evidence_reopens_an_end() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    rig.accept(order)
    rig.report(order, state=OrderState.WORKING)
    rig.report(order, state=OrderState.WORKING, occurred_at_ns=rig.now_ns)
    assert order.state is OrderState.CANCELLED
    rig.report(order, state=OrderState.WORKING, occurred_at_ns=rig.now_ns + 1)
    assert (order.state, order.is_open) == (OrderState.WORKING, True)


def test_a_report_without_our_id_is_found_by_the_venue_s() -> None:
    rig = Rig()
    order = buy(rig, 2)
    rig.accept(order)
    rig.report(order, client_order_id=None, filled_quantity=D(2), average_price=D(100), state=OrderState.FILLED)
    assert order.state is OrderState.FILLED


def test_a_report_of_a_stranger_is_left_to_reconciliation() -> None:
    rig = Rig()
    order = buy(rig)
    facts = len(rig.facts)
    rig.report(order, client_order_id=None, venue_order_id="stranger", state=OrderState.WORKING)
    assert len(rig.facts) == facts


# -- cancels ---------------------------------------------------------------------------------------------------------


def test_a_cancel_of_an_unsent_order_withdraws_it() -> None:
    rig = Rig()
    order = buy(rig)
    assert rig.do(lambda s: s.cancel(order))
    (withdrawal,) = rig.sent(Cancel)
    assert withdrawal.operation == 0
    live = rig.live(order)
    rig.handle(OutcomeReceived(live.client_order_id, 1, NotExecuted("cancelled"), rig.now_ns))
    assert order.state is OrderState.DENIED
    assert len(rig.commands) == 2


def test_a_cancel_of_an_order_on_its_way_leaves_when_the_order_is_there() -> None:
    rig = Rig()
    order = buy(rig)
    live = rig.live(order)
    rig.handle(OperationSent(live.client_order_id, 1, rig.now_ns))
    assert rig.do(lambda s: s.cancel(order))
    assert rig.do(lambda s: s.cancel(order)), "a second one is the same one"
    assert rig.sent(Cancel) == []
    rig.answer(order, Accepted((rig.report_of(order),)))
    (cancel,) = rig.sent(Cancel)
    assert (cancel.operation, cancel.venue_order_id) == (2, f"v-{order.id}")
    rig.accept(order)
    assert order.state is OrderState.CANCELLED


def test_a_cancel_that_came_too_late_leaves_the_order_as_it_is() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    rig.fill(order)
    rig.answer(order, Rejected("filled"))
    assert order.state is OrderState.FILLED
    assert rig.do(lambda s: s.cancel(order)) is False


@pytest.mark.parametrize("turned_away", [NotExecuted("rate_limited", 1.0), "not_found"])
def test_a_cancel_that_was_turned_away_is_sent_again(turned_away: Any) -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    if turned_away == "not_found":
        rig.answer(order, Unknown("timeout"))
        resolve(rig, order, NotFound())
    else:
        rig.answer(order, turned_away)
    assert len(rig.sent(Cancel)) == 1
    again = Rig(facts=rig.facts)
    for one in (rig, again):
        one.wait()
        assert len(one.sent(Cancel)) - (one is rig) == 1
    rig.accept(order)
    assert order.state is OrderState.CANCELLED


def test_the_end_of_an_order_answers_a_cancel_whose_outcome_is_unknown() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    rig.answer(order, Unknown("timeout"))
    assert rig.state.portfolio.nets[BTC].unknown == 1
    rig.report(order, state=OrderState.CANCELLED)
    assert rig.state.portfolio.nets[BTC].unknown == 0


# -- strategies see what is theirs -----------------------------------------------------------------------------------


def test_a_strategy_can_neither_cancel_nor_amend_another_s_order() -> None:
    rig = Rig()
    order = buy(rig)
    rig.accept(order)
    assert rig.do(lambda s: s.cancel(order), "s2") is False
    rig.do(lambda s: s.amend(order, quantity=2), "s2")
    assert "s2" in rig.state.quarantined
    assert rig.do(lambda s: s.orders()) == [order]


def test_a_market_order_is_reserved_at_the_price_it_may_cost() -> None:
    rig = Rig(balances={"USD": 1_000})
    rig.quote(99, 101)
    rig.do(lambda s: s.buy(BTC, 1, Market()))
    assert rig.state.portfolio.account("paper").free("USD") == 899


def test_a_crumb_after_an_estimated_fill_has_no_absurd_price() -> None:
    rig = Rig()
    order = buy(rig, 2, 100)
    rig.accept(order)
    rig.handle(rig.report_of(order.id, filled_quantity=D("1.999"), state=OrderState.PARTIALLY_FILLED))
    rig.handle(rig.report_of(order.id, filled_quantity=D(2), state=OrderState.FILLED, average_price=D("99")))
    fills = list(rig.live(order).fills.values())
    assert [fill.price for fill in fills] == [D(99), D(99)]
    told = [fill.price for _, fill in rig.strategies["s1"].hooks("on_fill")]
    assert all(90 < price <= 100 for price in told)
