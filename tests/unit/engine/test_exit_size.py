"""How large exits are: several orders where one may not be as large, no more than an account holds, never a flip."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import CloseLot, Submit
from quantd.domain.events import FlattenOrdered
from quantd.domain.facts import RequestDenied
from quantd.domain.orders import Limit, OrderState, Protect, Side, Stop
from quantd.domain.outcomes import Rejected
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument, make_plain_capabilities, make_snapshot
from tests.unit.engine.lots import enter, fill, make_rig

D = Decimal


def rig_of(held: int, protect: Protect | None = None, **rules: Any) -> Rig:
    """Return a rig on a margin account with a position, in entries that one order may have."""
    rig = Rig(
        margin=True,
        capabilities=make_plain_capabilities(),
        instruments=[make_instrument(margin_rate=D("0.1"), **rules)],
    )
    for _ in range(held // 5):
        order = rig.do(lambda s: s.buy(BTC, 5, Limit(100), protect=protect))
        rig.accept(order)
        rig.fill(order)
    return rig


def exits(rig: Rig) -> list[Decimal]:
    return [one.spec.quantity for one in rig.sent(Submit) if one.spec.side is Side.SELL]


def trade(rig: Rig) -> LiveOrder:
    """Let the exit that works trade in whole."""
    (order,) = rig.state.orders.open_orders(BTC)
    rig.accept(order)
    rig.fill(order)
    return order


def flatten(rig: Rig) -> None:
    rig.handle(FlattenOrdered("all", "ann", "out", rig.now_ns))


TOO_LARGE = [{"max_quantity": D(5)}, {"max_notional": D(510)}]


@pytest.mark.parametrize("rules", TOO_LARGE)
def test_a_book_that_no_single_order_may_close_is_closed_by_several(rules: dict[str, Any]) -> None:
    rig = rig_of(10, **rules)
    flatten(rig)
    trade(rig)
    trade(rig)
    assert len(exits(rig)) == 2
    assert rig.state.portfolio.book("s1", BTC).quantity == 0
    assert rig.state.targets == {}
    assert rig.of(RequestDenied) == []


@pytest.mark.parametrize("rules", TOO_LARGE)
def test_a_stop_of_more_than_one_order_may_be_goes_on_after_each_fill(rules: dict[str, Any]) -> None:
    rig = rig_of(10, **rules)
    rig.do(lambda s: s.protect(BTC, Protect(stop=95)))
    rig.quote(94)
    trade(rig)
    rig.wait()
    trade(rig)
    assert len(exits(rig)) == 2
    assert rig.state.protections == {}
    assert rig.state.portfolio.book("s1", BTC).quantity == 0


def test_a_part_of_a_close_is_not_cancelled_because_it_is_a_part() -> None:
    rig = rig_of(10, max_quantity=D(5))
    flatten(rig)
    rig.do(lambda s: s.target(BTC, 0, why="me too"))
    rig.wait()
    assert exits(rig) == [5]
    assert not any(order.cancel_wanted for order in rig.state.orders.open_orders())
    trade(rig)
    assert exits(rig) == [5, 5]


def test_lots_of_more_than_one_order_may_be_are_closed_one_by_one() -> None:
    rig = make_rig(rules={"max_quantity": D(5)})
    for lot in "789":
        enter(rig, None, lot=lot, quantity=4)
    flatten(rig)
    for lot in "789":
        (order,) = rig.state.orders.open_orders(BTC)
        rig.accept(order)
        fill(rig, order, lot)
    assert [one.lot for one in rig.sent(CloseLot)] == ["7", "8", "9"]
    assert rig.state.portfolio.book("s1", BTC).quantity == 0


def test_a_close_that_is_denied_for_a_lasting_reason_is_tried_again() -> None:
    rig = rig_of(5)
    rig.handle(FlattenOrdered("all", "ann", "out", rig.now_ns))
    (order,) = rig.state.orders.open_orders(BTC)
    rig.answer(order, Rejected("closed"))
    rig.quote(0.0001)  # nothing of this price is on a tick: the gate takes no order
    rig.wait()
    rig.wait()
    assert len(rig.of(RequestDenied)) == 1, "it is not tried with every tick"
    rig.quote(100)
    rig.wait(5)
    trade(rig)
    assert rig.state.portfolio.book("s1", BTC).quantity == 0


def test_a_rest_that_no_order_can_be_as_small_as_ends_the_close_and_is_told() -> None:
    rig = rig_of(5, min_quantity=D(1))
    order = rig.do(lambda s: s.sell(BTC, D("4.5"), Limit(100)))
    rig.accept(order)
    rig.fill(order)
    rig.do(lambda s: s.close(BTC))
    assert rig.state.targets == {}
    assert len(rig.strategies["s1"].hooks("on_denied")) == 1


def test_a_rest_that_is_worth_less_than_the_smallest_order_is_dust() -> None:
    rig = rig_of(5, Protect(stop=95), min_notional=D(10))
    rig.quote(94)
    (order,) = rig.state.orders.open_orders(BTC)
    rig.accept(order)
    rig.fill(order, "4.95", 94)
    rig.report(order, state=OrderState.CANCELLED)
    rig.wait()
    assert exits(rig) == [5]
    assert rig.state.protections == {}
    assert rig.of(RequestDenied) == []


# -- the account has less than the book says ------------------------------------------------------------------------


def spot(protect: Protect | None = None, *, shown: str = "0.999") -> Rig:
    """Return a rig whose account holds less than its book says, by a calm snapshot of the venue."""
    rig = Rig(balances={"USD": 1_000_000, "BTC": 0})
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=protect))
    rig.accept(order)
    rig.fill(order)
    rig.wait()
    rig.handle(make_snapshot({"USD": 999_900, "BTC": shown}, at_ns=rig.now_ns))
    return rig


def test_a_stop_on_spot_sells_what_the_account_holds_and_calls_the_rest_dust() -> None:
    rig = spot(Protect(stop=95))
    rig.quote(94)
    trade(rig)
    assert exits(rig) == [D("0.999")]
    rig.wait()
    (rest,) = rig.state.orders.open_orders(BTC)
    rig.answer(rest, Rejected("insufficient_balance"))
    rig.now_ns += SECOND_NS // 2
    rig.handle(make_snapshot({"USD": 1_000_000, "BTC": 0}, at_ns=rig.now_ns))
    rig.wait()
    assert rig.state.protections == {}
    assert exits(rig) == [D("0.999"), D("0.001")]


def test_a_close_on_spot_sells_what_the_account_holds() -> None:
    rig = spot()
    rig.do(lambda s: s.close(BTC))
    assert exits(rig) == [D("0.999")]


def test_what_the_venue_said_before_our_last_order_cuts_no_exit() -> None:
    """It may count a sale or a lock twice; an exit would wait for the next look of its own making."""
    rig = spot(Protect(stop=95))
    rig.accept(rig.do(lambda s: s.buy(BTC, 1, Limit(90))))
    rig.quote(94)
    assert exits(rig) == [1]


# -- held stops ------------------------------------------------------------------------------------------------------


def test_a_held_stop_that_only_reduces_is_cut_to_what_is_left_to_close() -> None:
    rig = rig_of(5)
    stop = rig.do(lambda s: s.sell(BTC, 5, Stop(95, reduce_only=True)))
    part = rig.do(lambda s: s.sell(BTC, 2, Limit(100)))
    assert part, part
    rig.accept(part)
    rig.fill(part)
    rig.quote(94)
    rig.accept(stop)
    rig.fill(stop)
    assert exits(rig) == [2, 3]
    assert rig.state.portfolio.book("s1", BTC).quantity == 0
    assert rig.live(stop).state is OrderState.FILLED


def test_a_held_stop_that_only_reduces_leaves_with_its_position() -> None:
    rig = rig_of(5)
    stop = rig.do(lambda s: s.sell(BTC, 5, Stop(95, reduce_only=True)))
    part = rig.do(lambda s: s.sell(BTC, 5, Limit(100)))
    rig.accept(part)
    rig.fill(part)
    rig.quote(94)
    assert exits(rig) == [5]
    assert rig.live(stop).state is OrderState.DENIED
