"""Cash flows: told once, inferred from balances where nothing else explains them, and no part of any profit."""

import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import CashMoved, ReconcileAction, ReconcileOrdered
from quantd.domain.facts import CashFlowRecorded
from quantd.engine.differences import Policies
from quantd.engine.images import dump, restore
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.testing.builders import Rig, make_snapshot
from tests.unit.engine.acts import buy

D = Decimal


def house() -> Rig:
    rig = Rig(balances={"USD": 1_000, "BTC": 1})
    rig.engine.context.policies["paper"] = Policies(ReconcileAction.REFUSE)
    look(rig, 1_000)
    return rig


def look(rig: Rig, usd: Any, *flows: CashFlow) -> None:
    rig.wait()
    rig.handle(make_snapshot({"USD": usd, "BTC": 1}, at_ns=rig.now_ns, flows=flows))


def deposit(rig: Rig, amount: Any = 500, name: str = "d1") -> CashFlow:
    return CashFlow("paper", name, CashFlowKind.DEPOSIT, "USD", D(amount), rig.now_ns)


def flows(rig: Rig) -> list[tuple[CashFlowKind, Decimal, bool]]:
    return [(one.flow.kind, one.flow.amount, one.flow.inferred) for one in rig.of(CashFlowRecorded)]


def test_a_change_of_balance_that_nothing_explains_is_inferred_once_a_second_look_agrees() -> None:
    rig = house()
    look(rig, 1_300)
    assert flows(rig) == []
    look(rig, 1_300)
    look(rig, 1_300)
    assert flows(rig) == [(CashFlowKind.ADJUSTMENT, D(300), True)]
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_300, "counted once"
    assert rig.engine.guards.losses.profit("account") == 0


def test_a_withdrawal_is_counted_once_too() -> None:
    rig = house()
    for _ in range(3):
        look(rig, 400)
    assert flows(rig) == [(CashFlowKind.ADJUSTMENT, D(-600), True)]
    assert rig.state.portfolio.account("paper").free("USD") == 400


def test_what_comes_and_goes_again_is_inferred_by_nobody() -> None:
    rig = house()
    look(rig, 1_300)
    look(rig, 1_000)
    look(rig, 1_000)
    assert (CashFlowKind.ADJUSTMENT, D(300), True) not in flows(rig)


def test_nothing_is_inferred_while_an_order_may_have_moved_the_money() -> None:
    rig = house()
    order = buy(rig, 1, 100)
    rig.accept(order)
    for _ in range(3):
        look(rig, 900)
    assert flows(rig) == []


def test_what_the_venue_tells_before_the_balance_shows_it_is_not_inferred() -> None:
    rig = house()
    rig.handle(CashMoved(deposit(rig), rig.now_ns))
    for _ in range(3):
        look(rig, 1_500)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


def test_what_the_venue_tells_along_with_the_balance_is_recorded_once_however_often_it_is_told() -> None:
    rig = house()
    told = deposit(rig)
    for _ in range(3):
        look(rig, 1_500, told)
    rig.handle(CashMoved(told, rig.now_ns))
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]
    assert rig.state.portfolio.account("paper").flows == {"USD": D(500)}
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_500


def test_a_flow_told_between_the_two_looks_takes_the_place_of_the_guess() -> None:
    rig = house()
    look(rig, 1_500)
    rig.handle(CashMoved(deposit(rig), rig.now_ns))
    look(rig, 1_500)
    look(rig, 1_500)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


def test_a_snapshot_of_the_journal_remembers_which_flows_were_told() -> None:
    rig = house()
    rig.handle(CashMoved(deposit(rig), rig.now_ns))
    state = State(Rates("USD"))
    restore(state, dump(rig.state))
    assert state.tallies.flows == rig.shadow.tallies.flows == {("paper", "d1"): None}


def test_flows_from_before_our_time_are_told_and_explain_nothing_that_comes_later() -> None:
    rig = house()
    old = CashFlow("paper", "d0", CashFlowKind.DEPOSIT, "USD", D(5_000), rig.now_ns - 10**15)
    look(rig, 1_000, old)
    for _ in range(3):
        look(rig, 1_100, old)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(5_000), False), (CashFlowKind.ADJUSTMENT, D(100), True)]


def test_a_start_reads_the_flows_that_its_snapshot_tells() -> None:
    rig = house()
    rig.wait()
    snapshot = make_snapshot({"USD": 1_500, "BTC": 1}, at_ns=rig.now_ns, flows=(deposit(rig),))
    rig.handle(ReconcileOrdered(snapshot, ReconcileAction.REFUSE, rig.now_ns))
    look(rig, 1_500)
    look(rig, 1_500)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


def test_a_flow_of_a_venue_whose_clock_is_behind_ours_explains_the_balance_that_comes_with_it() -> None:
    rig = house()
    told = CashFlow("paper", "d1", CashFlowKind.DEPOSIT, "USD", D(500), rig.now_ns - 60 * 10**9)
    for _ in range(3):
        look(rig, 1_500, told)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


def test_it_does_so_too_when_it_is_told_by_itself() -> None:
    rig = house()
    told = CashFlow("paper", "d1", CashFlowKind.DEPOSIT, "USD", D(500), rig.now_ns - 60 * 10**9)
    rig.handle(CashMoved(told, rig.now_ns))
    for _ in range(3):
        look(rig, 1_500)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


def test_it_does_so_too_when_the_balance_was_read_before_it() -> None:
    """The clock of the venue is behind ours, and a look reads the balance first and then the flows."""
    rig = house()
    told = CashFlow("paper", "d1", CashFlowKind.DEPOSIT, "USD", D(500), rig.now_ns - 60 * 10**9)
    look(rig, 1_000, told)
    for _ in range(3):
        look(rig, 1_500, told)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(500), False)]


@pytest.mark.parametrize("behind_s", [60, -1])
def test_two_flows_told_together_explain_two_looks_that_show_one_each(behind_s: int) -> None:
    rig = house()
    at_ns = rig.now_ns - behind_s * 10**9
    came = CashFlow("paper", "d1", CashFlowKind.DEPOSIT, "USD", D(500), at_ns)
    went = CashFlow("paper", "d2", CashFlowKind.WITHDRAWAL, "USD", D(-500), at_ns + 1)
    look(rig, 1_500, came, went)
    for _ in range(3):
        look(rig, 1_000, came, went)
    assert [kind for kind, _, _ in flows(rig)] == [CashFlowKind.DEPOSIT, CashFlowKind.WITHDRAWAL]


def test_a_flow_that_was_shown_before_it_was_told_explains_only_the_next_look() -> None:
    rig = house()
    old = CashFlow("paper", "d0", CashFlowKind.DEPOSIT, "USD", D(100), rig.now_ns - 60 * 10**9)
    for _ in range(3):
        look(rig, 1_000, old)
    for _ in range(3):
        look(rig, 1_100, old)
    assert flows(rig) == [(CashFlowKind.DEPOSIT, D(100), False), (CashFlowKind.ADJUSTMENT, D(100), True)]


def withdrawal_ahead(rig: Rig, ahead_s: int = 14) -> CashFlow:
    """Money that went out by a clock ahead of ours."""
    return CashFlow("paper", "w1", CashFlowKind.WITHDRAWAL, "USD", D(-250), rig.now_ns + ahead_s * 10**9)


@pytest.mark.parametrize("shown", [(750,), (1_000, 750), (1_000, 1_000, 750)], ids=["with it", "after it", "later"])
def test_a_withdrawal_by_a_clock_ahead_of_ours_is_counted_once(shown: tuple[int, ...]) -> None:
    """It is taken from our balance when it is told; the balance told with it may be from after it, or from before it."""
    rig = house()
    went = withdrawal_ahead(rig)
    for usd in (*shown, 750, 750, 750):
        look(rig, usd, went)
    assert flows(rig) == [(CashFlowKind.WITHDRAWAL, D(-250), False)]
    assert rig.state.portfolio.account("paper").totals["USD"] == 750


def test_it_is_so_too_when_it_is_told_by_itself() -> None:
    rig = house()
    look(rig, 750)
    rig.handle(CashMoved(withdrawal_ahead(rig), rig.now_ns))
    for _ in range(3):
        look(rig, 750)
    assert flows(rig) == [(CashFlowKind.WITHDRAWAL, D(-250), False)]


@pytest.mark.parametrize("more", [250, 10], ids=["as much again", "another amount"])
@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "restarted"])
def test_withdrawals_told_while_our_clock_stands_still_are_counted_once(restarts: bool, more: int) -> None:
    """It was set back: each look is asked for at the same time, and what left our balance is taken off what it shows again."""
    rig = house()
    rig.wait()
    first, second = withdrawal_ahead(rig), msgspec.structs.replace(withdrawal_ahead(rig, 20), id="w2", amount=D(-more))
    rig.handle(make_snapshot({"USD": 750, "BTC": 1}, at_ns=rig.now_ns, flows=(first,)))
    if restarts:
        stood_at_ns, rig = rig.now_ns, Rig(facts=rig.facts)
        rig.engine.context.policies["paper"] = Policies(ReconcileAction.REFUSE)
        rig.now_ns = stood_at_ns
    for _ in range(4):
        rig.handle(make_snapshot({"USD": 750 - more, "BTC": 1}, at_ns=rig.now_ns, flows=(first, second)))
    for _ in range(3):
        look(rig, 750 - more, first, second)
    assert flows(rig) == [(CashFlowKind.WITHDRAWAL, amount, False) for amount in (D(-250), D(-more))]
    assert rig.state.portfolio.account("paper").totals["USD"] == 750 - more


def test_the_same_amount_coming_back_later_is_money_of_its_own() -> None:
    rig = house()
    went = withdrawal_ahead(rig)
    for usd in (750, 750, 750, 1_000, 1_000, 1_000):
        look(rig, usd, went)
    assert flows(rig) == [(CashFlowKind.WITHDRAWAL, D(-250), False), (CashFlowKind.ADJUSTMENT, D(250), True)]


def test_a_deposit_that_comes_with_the_balance_given_back_is_told_apart_from_it() -> None:
    rig = house()
    went = withdrawal_ahead(rig)
    look(rig, 750, went)
    came = CashFlow("paper", "d2", CashFlowKind.DEPOSIT, "USD", D(250), rig.now_ns + 15 * 10**9)
    for _ in range(3):
        look(rig, 1_000, went, came)
    assert [kind for kind, _, _ in flows(rig)] == [CashFlowKind.WITHDRAWAL, CashFlowKind.DEPOSIT]
    assert rig.state.portfolio.account("paper").totals["USD"] == 1_000


@pytest.mark.parametrize("count", [120, 600])
def test_a_balance_that_no_sum_of_many_flows_explains_holds_up_nothing(count: int) -> None:
    """Hundreds of positions pay and get financing at one moment; while sums are tried no exit leaves."""
    rig = house()
    rig.wait()
    for number in range(count):
        for amount in (D(number + 1) / 7, -D(number + 2) / 11):
            told = CashFlow("paper", f"f{number} {amount}", CashFlowKind.FINANCING, "USD", amount, rig.now_ns)
            rig.handle(CashMoved(told, rig.now_ns))
    began_s = time.process_time()
    look(rig, 123_456)
    assert time.process_time() - began_s < 2


def test_many_flows_that_one_look_shows_explain_it() -> None:
    rig = house()
    rig.wait()
    for number in range(600):
        rig.handle(CashMoved(deposit(rig, D(number + 1), f"d{number}"), rig.now_ns))
    for _ in range(3):
        look(rig, 1_000 + 600 * 601 // 2)
    assert len(flows(rig)) == 600
    assert not any(inferred for _, _, inferred in flows(rig))
