"""Exits that the engine holds: which one leaves, when, for how much; and that they come back after a restart."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.facts import RequestDenied
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import FeeSchedule
from quantd.domain.market import Bar
from quantd.domain.orders import Limit, Market, OrderState, Origin, Protect, Role, Side
from quantd.domain.outcomes import Rejected
from quantd.domain.protection_facts import ProtectionHeld
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument

D = Decimal
MARGIN: dict[str, Any] = {"margin": True, "instruments": [make_instrument(margin_rate=D("0.1"))]}


def enter(rig: Rig, quantity: Any, protect: Protect, side: str = "buy", strategy: str = "s1") -> LiveOrder:
    order = rig.do(lambda s: getattr(s, side)(BTC, quantity, Limit(100), protect=protect), strategy)
    assert order, f"denied: {order}"
    rig.accept(order)
    rig.fill(order)
    return rig.live(order)


def exits(rig: Rig) -> list[LiveOrder]:
    return [one for one in rig.state.orders.all_orders() if one.origin is Origin.PROTECTION]


def guards(rig: Rig) -> dict[str, Decimal]:
    return {parent: guard.quantity for parent, guard in rig.state.protections.items()}


@pytest.mark.parametrize(
    ("side", "protect", "quiet", "trigger", "role"),
    [
        ("buy", Protect(stop=95), 95.01, 95.0, Role.STOP),
        ("buy", Protect(take=110), 109.99, 110.0, Role.TARGET),
        ("buy", Protect(trail=5), 95.01, 95.0, Role.TRAIL),
        ("sell", Protect(stop=105), 104.99, 105.0, Role.STOP),
        ("sell", Protect(take=90), 90.01, 90.0, Role.TARGET),
        ("sell", Protect(trail=5), 104.99, 105.0, Role.TRAIL),
    ],
)
def test_each_exit_leaves_at_its_price_and_closes_what_was_entered(
    side: str, protect: Protect, quiet: float, trigger: float, role: Role
) -> None:
    rig = Rig(**MARGIN)
    entry = enter(rig, 2, protect, side)
    rig.quote(quiet)
    assert exits(rig) == []
    rig.quote(trigger)
    (order,) = exits(rig)
    assert (order.role, order.parent, order.spec.quantity) == (role, entry.client_order_id, D(2))
    assert order.spec.side is (Side.SELL if side == "buy" else Side.BUY)
    rig.accept(order)
    rig.fill(order)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0
    assert guards(rig) == {}


def test_the_trail_follows_the_best_price_and_never_goes_back() -> None:
    rig = Rig()
    enter(rig, 1, Protect(trail=5))
    for price in (103, 110, 106):
        rig.quote(price)
    assert exits(rig) == []
    assert [one.mark for one in rig.of(ProtectionHeld)][-1] == 110
    rig.quote(105)
    assert len(exits(rig)) == 1


@pytest.mark.parametrize(("side", "price", "next", "reached"), [("buy", 94, 93.0, 89.0), ("sell", 106, 107.0, 111.0)])
def test_a_trail_begins_at_the_fill_and_not_at_the_price_before_it(
    side: str, price: int, next: float, reached: float
) -> None:
    rig = Rig(**MARGIN)
    order = rig.do(lambda s: getattr(s, side)(BTC, 1, Limit(price), protect=Protect(trail=5)))
    rig.accept(order)
    rig.fill(order)  # the market fell to the limit; the quote that shows it comes later
    rig.quote(next)
    assert exits(rig) == []
    rig.quote(reached)
    assert [one.role for one in exits(rig)] == [Role.TRAIL]


@pytest.mark.parametrize(("side", "worst", "reached"), [("buy", 104, 95.0), ("sell", 96, 105.0)])
def test_a_trail_does_not_begin_at_the_worst_that_an_estimated_price_may_be(
    side: str, worst: int, reached: float
) -> None:
    rig = Rig(**MARGIN)
    order = rig.do(lambda s: getattr(s, side)(BTC, 1, Limit(worst), protect=Protect(trail=5)))
    rig.accept(order)
    told = Fill("f", D(1), D(worst), Quality.ESTIMATED)  # a capped market order: it traded near 100
    rig.report(order, filled_quantity=D(1), fills=(told,), state=OrderState.FILLED)
    rig.quote(99.0 if side == "buy" else 101.0)
    assert exits(rig) == []
    rig.quote(reached)
    assert [one.role for one in exits(rig)] == [Role.TRAIL]


def test_of_one_entry_s_exits_only_one_ever_leaves() -> None:
    rig = Rig()
    enter(rig, 1, Protect(stop=95, take=110, trail=8))
    rig.quote(94)
    rig.quote(111)
    rig.quote(90)
    assert len(exits(rig)) == 1
    (order,) = exits(rig)
    rig.accept(order)
    rig.quote(111)
    rig.fill(order)
    rig.quote(90)
    rig.quote(111)
    assert len(exits(rig)) == 1


def test_an_entry_is_guarded_as_it_fills() -> None:
    rig = Rig()
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100), protect=Protect(stop=95)))
    rig.accept(order)
    assert guards(rig) == {}
    rig.fill(order, 1)
    assert guards(rig) == {order.id: 1}
    rig.quote(95)
    assert exits(rig) == [], "the rest of the entry stands in the way of its own exit"
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.id]
    rig.fill(order, 1)
    rig.accept(order)
    assert guards(rig) == {order.id: 2}, "a fill that crossed the cancel is guarded too"
    rig.wait()
    rig.quote(94.5)
    assert [one.spec.quantity for one in exits(rig)] == [2]


def test_a_refused_exit_is_tried_again_but_not_with_every_quote() -> None:
    rig = Rig()
    enter(rig, 1, Protect(stop=95))
    rig.quote(94)
    rig.answer(exits(rig)[0], Rejected("busy"))
    rig.quote(93)
    assert len(exits(rig)) == 2


def test_an_exit_that_a_venue_refuses_on_and_on_leaves_the_account_calm_for_longer_and_longer() -> None:
    """It may be closed already: only a look at the account between two events says so."""
    rig = Rig()
    enter(rig, 2, Protect(stop=95))
    rig.quote(94)
    for _ in range(120):
        for order in exits(rig):
            if order.is_open:
                rig.answer(order, Rejected("no such position"))
        rig.wait(0.5)
    assert len(exits(rig)) == 8, "at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 and 47.5 s"
    rig.wait(16)
    rig.accept(exits(rig)[-1])
    rig.fill(exits(rig)[-1])
    assert guards(rig) == {}


def test_a_denied_exit_is_not_denied_again_with_every_quote() -> None:
    rig = Rig()
    enter(rig, 1, Protect(stop=95))
    bid = rig.do(lambda s: s.buy(BTC, 1, Limit(99)), "s2")
    rig.accept(bid)
    for price in (94, 93, 92):
        rig.quote(price)
    assert len(rig.of(RequestDenied)) == 1
    assert len(rig.sent(Cancel)) == 1, "the bid in its way is cancelled"
    rig.accept(bid)
    rig.wait()
    rig.quote(91)
    assert len(exits(rig)) == 1


def test_the_guard_shrinks_when_the_strategy_gets_out_itself() -> None:
    rig = Rig()
    entry = enter(rig, 3, Protect(stop=95))
    out = rig.do(lambda s: s.sell(BTC, 2, Market()))
    rig.accept(out)
    rig.fill(out)
    assert guards(rig) == {entry.client_order_id: 1}
    rig.quote(95)
    assert exits(rig)[0].spec.quantity == 1


def test_the_exit_of_one_entry_leaves_the_others_guarded() -> None:
    rig = Rig()
    first = enter(rig, 1, Protect(stop=80))
    enter(rig, 1, Protect(stop=95))
    rig.quote(95)
    (order,) = exits(rig)
    rig.accept(order)
    rig.fill(order)
    assert guards(rig) == {first.client_order_id: 1}
    rig.quote(94)
    assert len(exits(rig)) == 1, "the first entry's stop is at 80"
    rig.quote(80)
    assert len(exits(rig)) == 2


def test_a_trigger_is_more_urgent_than_the_strategy_s_own_resting_exit() -> None:
    rig = Rig()
    enter(rig, 2, Protect(stop=95))
    resting = rig.do(lambda s: s.sell(BTC, 2, Limit(120)))
    rig.accept(resting)
    rig.quote(95)
    assert exits(rig) == []
    assert len(rig.sent(Cancel)) == 1
    rig.accept(resting)
    rig.quote(94.9)
    assert exits(rig)[0].spec.quantity == 2


def test_what_is_left_as_dust_is_not_guarded() -> None:
    fees = FeeSchedule(taker=D("0.0015"), asset="received")
    rig = Rig(instruments=[make_instrument(fees=fees)], balances={"USD": 1_000})
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=Protect(stop=95)))
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.FILLED)
    assert list(guards(rig).values()) == [D("0.9985")]
    rig.quote(95)
    (out,) = exits(rig)
    assert out.spec.quantity == D("0.998")
    rig.accept(out)
    rig.report(out, filled_quantity=D("0.998"), average_price=D(95), state=OrderState.FILLED)
    for _ in range(3):
        rig.wait()
        rig.quote(90)
    assert guards(rig) == {}
    assert rig.of(RequestDenied) == []


def test_an_entry_that_only_closes_the_other_side_is_not_guarded() -> None:
    rig = Rig(**MARGIN)
    rig.hold(-3)
    enter(rig, 2, Protect(stop=95))
    assert guards(rig) == {}


def test_guards_and_their_marks_come_back_after_a_restart() -> None:
    rig = Rig()
    enter(rig, 2, Protect(trail=5, stop=80))
    rig.quote(120)
    again = Rig(facts=rig.facts, price=None)
    again.quote(115.01)
    assert exits(again) == []
    again.quote(115)
    assert exits(again)[0].spec.quantity == 2


def test_an_exit_in_flight_at_a_restart_is_not_sent_twice() -> None:
    rig = Rig()
    enter(rig, 2, Protect(stop=95))
    rig.quote(94)
    rig.accept(exits(rig)[0])
    again = Rig(facts=rig.facts, price=None)
    again.quote(93)
    assert again.sent(Submit) == []
    again.fill(exits(again)[0])
    assert guards(again) == {}


def test_one_strategy_s_guard_never_sells_another_s_position() -> None:
    rig = Rig()
    enter(rig, 1, Protect(stop=95))
    rig.hold(5, "s2")
    rig.quote(95)
    (order,) = exits(rig)
    rig.accept(order)
    rig.fill(order)
    rig.quote(90)
    assert rig.state.portfolio.book("s2", BTC).quantity == 5
    assert len(exits(rig)) == 1


def test_a_one_sided_quote_triggers_nothing() -> None:
    rig = Rig()
    enter(rig, 1, Protect(stop=95))
    rig.quote(0.0, 94.0)
    assert exits(rig) == []


@pytest.mark.parametrize(
    ("protect", "before"), [(Protect(stop=95), 90.0), (Protect(take=110), 120.0), (Protect(trail=5), 120.0)]
)
def test_bars_from_before_the_start_trigger_nothing(protect: Protect, before: float) -> None:
    rig = Rig(**MARGIN)
    enter(rig, 2, protect)
    again = Rig(facts=rig.facts, price=None, **MARGIN)
    closed_at_ns = again.now_ns - 3_600 * SECOND_NS
    bar = Bar(
        BTC,
        closed_at_ns - 60 * SECOND_NS,
        closed_at_ns,
        before,
        before,
        before,
        before,
        1.0,
        again.now_ns,
        is_history=True,
    )
    again.handle(bar)
    again.quote(100)
    assert exits(again) == [], "else every restart may close what stands well"
    again.handle(msgspec.structs.replace(bar, is_history=False))
    assert exits(again) == [], "where quotes come, they are the price"
