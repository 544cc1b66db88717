"""Exits that the venue holds for a lot: what goes with the entry, and what is set anew.

Method: a rig on a margin account whose fills name lots; the test is the venue, in snapshots, answers and reports.
"""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from quantd.domain.capabilities import Support
from quantd.domain.cash import Account
from quantd.domain.commands import CloseLot, SetProtection, Submit
from quantd.domain.events import AccountOpened, OutcomeReceived
from quantd.domain.facts import OrderIntended
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Limit, Market, Protect, Role, Side
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.domain.protection_facts import ProtectionSettled
from quantd.engine.context import EngineSettings
from quantd.testing.builders import (
    BTC,
    SECOND_NS,
    Puppet,
    Rig,
    make_account,
    make_capabilities,
    make_lot_capabilities,
    make_snapshot,
)
from tests.invariants import check_image, check_rig
from tests.unit.engine.lots import STOP, D, answer, enter, exits, fill, held, make_rig, show

# -- with the entry ------------------------------------------------------------------------------------------------


def test_exits_go_to_the_venue_with_the_entry() -> None:
    rig = make_rig()
    enter(rig, Protect(stop=95.004, take=110, trail=5))
    assert [one.protection for one in rig.sent(Submit)] == [LotProtection(D("95.00"), D(110), D(5))]
    check_rig(rig)


@pytest.mark.parametrize(
    "why",
    ["no lots", "spot", "oldest first", "shared"],
)
def test_where_they_cannot_hang_on_one_strategy_s_lots_the_engine_holds_them(why: str) -> None:
    cases: dict[str, dict[str, Any]] = {
        "no lots": {"capabilities": make_capabilities()},
        "spot": {"margin": False, "hedging": False},
        "oldest first": {"hedging": False},
        "shared": {"hedging": False, "strategies": {"s1": Puppet(), "s2": Puppet()}},
    }
    rig = make_rig(**cases[why])
    if why == "oldest first":
        told: Account = msgspec.structs.replace(make_account(margin=True), first_in_first_out=True)
        rig.handle(AccountOpened(told, rig.now_ns))
    enter(rig, STOP)
    assert [one.protection for one in rig.sent(Submit)] == [None]
    rig.wait(60)
    assert rig.sent(SetProtection) == []
    rig.quote(94)
    assert len(exits(rig)) == 1


def test_of_exits_that_the_venue_holds_in_part_the_engine_watches_the_rest() -> None:
    rig = make_rig(capabilities=make_lot_capabilities(trailing=Support.EMULATED))
    enter(rig, Protect(stop=90, trail=5))
    assert rig.sent(Submit)[0].protection == LotProtection(stop=D(90))
    show(rig, ("7", 2, LotProtection(stop=D(90))))
    rig.quote(110)
    rig.quote(105)
    (out,) = exits(rig)
    assert out.role is Role.TRAIL
    assert [(one.lot, one.quantity) for one in rig.sent(CloseLot)] == [("7", None)]


@pytest.mark.parametrize(("trail", "native"), [(1, False), (2, True), (10, True), (11, False)])
def test_a_trail_outside_the_venue_s_distances_is_held_by_the_engine(trail: int, native: bool) -> None:
    rig = make_rig(rules={"min_trail": D(2), "max_trail": D(10)})
    enter(rig, Protect(trail=trail))
    assert rig.sent(Submit)[0].protection == (LotProtection(trail=D(trail)) if native else None)
    rig.quote(100 - trail)
    assert len(exits(rig)) == 1, "until the venue shows it, the engine watches too"


# -- set anew ------------------------------------------------------------------------------------------------------


def test_a_lot_that_is_shown_without_its_stop_gets_it_at_once() -> None:
    rig = make_rig()
    entry = enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    (write,) = rig.sent(SetProtection)
    assert (write.lot, write.protection) == ("7", LotProtection(stop=D(95)))
    answer(rig, Accepted())
    rig.wait(10)
    assert len(rig.sent(SetProtection)) == 1, "the answer counts until a snapshot says otherwise"
    rig.quote(94)
    assert exits(rig) == [], "the venue holds it"
    assert rig.state.guarding.held[entry.client_order_id].quantity == 2
    check_rig(rig)


def test_a_lot_that_no_snapshot_shows_for_three_seconds_gets_its_stop() -> None:
    rig = make_rig()
    enter(rig, STOP)
    rig.wait(2.9)
    assert rig.sent(SetProtection) == []
    rig.wait(0.2)
    assert len(rig.sent(SetProtection)) == 1


def test_what_the_venue_shows_as_wanted_is_left_alone() -> None:
    rig = make_rig()
    enter(rig, STOP)
    for _ in range(5):
        show(rig, ("7", 2, LotProtection(stop=D(95))))
        rig.wait(5)
    assert rig.sent(SetProtection) == []


@pytest.mark.parametrize("outcome", [Rejected("no"), NotExecuted("rate_limited"), Unknown("timeout")])
def test_a_write_that_did_not_succeed_is_made_again_with_back_off(outcome: Outcome) -> None:
    rig = make_rig(settings=EngineSettings(journal_id="0test", epoch=1, when_naked="alert"))
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    sent: list[float] = []
    for tenth in range(300):
        if len(rig.sent(SetProtection)) > len(sent):
            sent.append(tenth / 10)
            answer(rig, outcome)
        rig.wait(0.1)
    gaps = [round(later - earlier) for earlier, later in pairwise(sent)]
    assert gaps == [1, 2, 4, 8], "seconds"
    assert {one.result for one in rig.of(ProtectionSettled)} == {
        {"Rejected": "rejected", "NotExecuted": "not_executed", "Unknown": "unknown"}[type(outcome).__name__]
    }


def test_an_unknown_write_that_may_not_be_repeated_waits_for_the_venue_s_quiet_period() -> None:
    capabilities = make_lot_capabilities(repeat_safe_lot_writes=frozenset(), quiet_period_s=20.0)
    rig = make_rig(capabilities=capabilities)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    answer(rig, Unknown("timeout"))
    rig.wait(19)
    assert len(rig.sent(SetProtection)) == 1
    rig.wait(2)
    assert len(rig.sent(SetProtection)) == 2


def test_exits_of_unknown_outcome_refuse_new_exposure_until_a_snapshot_shows_what_became_of_them() -> None:
    rig = make_rig(strategies={"s1": Puppet(), "s2": Puppet()})
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    answer(rig, Unknown("timeout"))
    check_image(rig)
    for strategy in ("s1", "s2"):
        assert rig.do(lambda s: s.buy(BTC, 1, Limit(100)), strategy).code.value == "unknown_outcome"
    asked_at_ns = rig.now_ns - SECOND_NS // 2
    lots = (Lot("7", BTC, Side.BUY, D(2), D(100)),)
    rig.handle(make_snapshot({"USD": 999_999}, at_ns=asked_at_ns, lots=lots))
    assert not rig.do(lambda s: s.buy(BTC, 1, Limit(100))), "it was asked for before"
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    assert rig.do(lambda s: s.buy(BTC, 1, Limit(100)))


def test_exits_of_unknown_outcome_keep_no_exit_back() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    answer(rig, Unknown("timeout"))
    assert rig.do(lambda s: s.sell(BTC, 2, Market()))


def test_an_older_snapshot_does_not_take_back_what_was_just_set() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    asked_at_ns = rig.now_ns + SECOND_NS
    rig.wait(2)
    answer(rig, Accepted())
    lot = Lot("7", BTC, Side.BUY, D(2), D(100))
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=asked_at_ns, lots=(lot,)))
    rig.wait(10)
    assert len(rig.sent(SetProtection)) == 1


def test_what_a_restart_interrupted_is_looked_at_again() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()))
    check_image(rig)
    again = make_rig(facts=rig.facts, price=None)
    again.engine.lose_in_flight("restart", again.now_ns)
    again.quote(100)
    again.wait(4)
    first, second = rig.sent(SetProtection)[0], again.sent(SetProtection)[0]
    assert second.protection == first.protection
    assert second.client_order_id != first.client_order_id


# -- changed by the strategy ---------------------------------------------------------------------------------------


def test_a_strategy_changes_and_removes_the_exits_of_what_it_holds() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    assert rig.do(lambda s: s.protect(BTC, Protect(stop=98, take=120)))
    assert rig.sent(SetProtection)[-1].protection == LotProtection(stop=D(98), take=D(120))
    answer(rig, Accepted())
    assert rig.do(lambda s: s.protect(BTC, Protect(take=120)))
    assert rig.sent(SetProtection)[-1].protection == LotProtection(take=D(120))
    answer(rig, Accepted())
    check_rig(rig)


def test_exits_that_are_taken_away_are_taken_from_the_venue_too() -> None:
    rig = make_rig()
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    rig.do(lambda s: s.protect(BTC, Protect()))
    assert rig.sent(SetProtection)[-1].protection == LotProtection()
    assert rig.state.guarding.held == {}
    rig.quote(90)
    assert exits(rig) == []


def test_what_was_entered_without_exits_gets_them_later() -> None:
    rig = make_rig()
    first, second = enter(rig, None, "7"), enter(rig, STOP, "8", 1)
    show(rig, ("7", 2, LotProtection()), ("8", 1, LotProtection(stop=D(95))))
    rig.do(lambda s: s.protect(BTC, Protect(stop=90)))
    assert {one.lot: one.protection.stop for one in rig.sent(SetProtection)} == {"7": D(90), "8": D(90)}
    guards = {entry: guard.quantity for entry, guard in rig.state.guarding.held.items()}
    assert guards == {first.client_order_id: 2, second.client_order_id: 1}


def test_without_lots_one_guard_takes_what_has_none() -> None:
    rig = Rig()
    rig.hold(3)
    assert rig.do(lambda s: s.protect(BTC, STOP))
    assert [guard.quantity for guard in rig.state.guarding.held.values()] == [3]
    rig.quote(94)
    assert [one.spec.quantity for one in exits(rig)] == [3]
    check_rig(rig)


def test_a_strategy_that_holds_nothing_has_nothing_to_protect() -> None:
    rig = make_rig()
    assert rig.do(lambda s: s.protect(BTC, STOP)) is False
    assert rig.state.guarding.held == {}


def test_a_change_lasts_over_the_entry_s_later_fills() -> None:
    rig = make_rig()
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100), protect=STOP))
    rig.accept(order)
    fill(rig, order, "7", 1)
    rig.do(lambda s: s.protect(BTC, Protect(stop=97)))
    fill(rig, order, "7", 2)
    (guard,) = rig.state.guarding.held.values()
    assert (guard.stop, guard.quantity) == (D(97), D(3))


# -- the engine's own exits on lots --------------------------------------------------------------------------------


def test_an_engine_held_exit_closes_its_entry_s_lot_and_no_other() -> None:
    rig = make_rig(capabilities=make_lot_capabilities(bracket=Support.EMULATED))
    enter(rig, Protect(stop=80), "7", 1)
    enter(rig, STOP, "8", 1)
    rig.quote(95)
    assert [one.lot for one in rig.sent(CloseLot)] == ["8"]


def test_an_exit_of_unknown_outcome_is_repeated_where_that_closes_nothing_twice() -> None:
    rig = make_rig(capabilities=make_lot_capabilities(bracket=Support.EMULATED))
    enter(rig, STOP)
    rig.quote(94)
    (out,) = exits(rig)
    rig.answer(out, Unknown("timeout"))
    rig.wait(1.5)
    first, second = rig.sent(CloseLot)
    assert (first.client_order_id, first.operation) == (second.client_order_id, second.operation), "the same write"
    rig.handle(OutcomeReceived(second.client_order_id, second.operation, Rejected("no_such_lot"), rig.now_ns))
    assert out.is_unknown, "that the lot is gone says that the first was executed, or that the venue closed it"
    fill(rig, out, "7", price=94)
    assert held(rig) == 0
    assert len(rig.of(OrderIntended)) == 2
    check_rig(rig)


def test_an_exit_of_unknown_outcome_that_could_close_twice_waits() -> None:
    capabilities = make_lot_capabilities(bracket=Support.EMULATED, repeat_safe_lot_writes=frozenset())
    rig = make_rig(capabilities=capabilities)
    enter(rig, STOP)
    rig.quote(94)
    rig.answer(exits(rig)[0], Unknown("timeout"))
    for _ in range(60):
        rig.wait(1)
        rig.quote(90)
    assert len(rig.sent(CloseLot)) == 1
    assert len(exits(rig)) == 1
