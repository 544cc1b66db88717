"""What stands and what goes under a latched state: by what an order can still do, not by what it was meant for."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import FlattenOrdered, HaltOrdered, OperationResolved, TradingState
from quantd.domain.facts import RequestDenied
from quantd.domain.orders import Limit, OrderState, Protect, Side, Stop, TimeInForce
from quantd.domain.outcomes import Found, NotExecuted, Outcome, Rejected, Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities

D = Decimal


Act = Callable[[Any], Any]


def margin_rig(max_daily_loss: Decimal | None = None) -> Rig:
    risk = RiskSettings(base_currency="USD", account=Limits(max_daily_loss=max_daily_loss))
    return Rig(instruments=[make_instrument(margin_rate=D("0.1"))], margin=True, risk=risk)


def latch(rig: Rig, state: TradingState) -> None:
    rig.handle(HaltOrdered("all", state, "ann", "drill", rig.state.halt_generation + 1, rig.now_ns))


def resting(rig: Rig, act: Act) -> Order:
    order = rig.do(act)
    assert isinstance(order, Order), order
    rig.accept(order)
    return order


def cancelled(rig: Rig) -> list[str]:
    return [command.client_order_id for command in rig.sent(Cancel)]


def book(rig: Rig) -> Decimal:
    return rig.state.portfolio.book("s1", BTC).quantity


# -- what reduces -----------------------------------------------------------------------------------------------------


def test_an_exit_that_was_amended_into_more_than_is_held_is_an_entry() -> None:
    rig = margin_rig()
    rig.hold(1)
    order = resting(rig, lambda s: s.sell(BTC, 1, Limit(110)))
    assert rig.state.portfolio.account("paper").reserved == {"USD": 0}
    rig.do(lambda s: s.amend(order, quantity=10))
    rig.accept(order)
    assert rig.state.portfolio.account("paper").reserved == {"USD": 110}, "what may open needs its margin"
    latch(rig, TradingState.REDUCING)
    assert cancelled(rig) == [order.id]


def test_an_exit_whose_position_went_another_way_is_cancelled_in_reducing() -> None:
    rig = margin_rig()
    rig.hold(5)
    target = resting(rig, lambda s: s.sell(BTC, 5, Limit(110)))
    sold = resting(rig, lambda s: s.sell(BTC, 5, Limit(100)))
    rig.fill(sold)
    latch(rig, TradingState.REDUCING)
    assert cancelled(rig) == [target.id]


def test_a_stop_that_was_sent_before_its_entry_filled_stands_in_reducing() -> None:
    rig = margin_rig(max_daily_loss=D(10))
    entry = resting(rig, lambda s: s.buy(BTC, 5, Limit(100)))
    stop = resting(rig, lambda s: s.sell(BTC, 5, Stop(90)))
    rig.fill(entry)
    rig.quote(97)
    assert rig.state.latches["all"].state is TradingState.REDUCING
    assert cancelled(rig) == []
    assert rig.live(stop).is_open


def test_of_two_exits_for_one_position_the_stop_stands_and_the_other_goes() -> None:
    rig = margin_rig()
    entry = resting(rig, lambda s: s.buy(BTC, 5, Limit(100)))
    target = resting(rig, lambda s: s.sell(BTC, 5, Limit(120)))
    stop = resting(rig, lambda s: s.sell(BTC, 5, Stop(90)))
    rig.fill(entry)
    latch(rig, TradingState.REDUCING)
    assert cancelled(rig) == [target.id]
    assert rig.live(stop).is_open


# -- a cancel that came to nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Unknown("timeout"), Rejected("busy"), NotExecuted("rate_limited")])
def test_a_halts_cancel_that_came_to_nothing_is_sent_again(outcome: Outcome) -> None:
    rig = Rig()
    order = resting(rig, lambda s: s.buy(BTC, 1, Limit(90)))
    latch(rig, TradingState.HALTED)
    rig.answer(order, outcome)
    live = rig.live(order)
    if live.is_unknown:
        assert live.operation is not None
        shown = rig.report_of(live, state=OrderState.WORKING)
        rig.handle(OperationResolved(live.client_order_id, live.operation.number, Found(shown), rig.now_ns))
    rig.wait(10)
    assert cancelled(rig) == [order.id, order.id]
    rig.answer(order, Rejected("busy"))
    rig.wait(1)
    assert len(cancelled(rig)) == 2, "not with every tick"


def test_a_halts_cancel_that_was_lost_with_the_process_is_sent_after_the_restart() -> None:
    before = Rig()
    order = resting(before, lambda s: s.buy(BTC, 1, Limit(90)))
    latch(before, TradingState.HALTED)
    rig = Rig(facts=before.facts)
    rig.engine.lose_in_flight("restart", rig.now_ns)
    live = rig.live(order.id)
    assert live.operation is not None
    shown = rig.report_of(live, state=OrderState.WORKING)
    rig.handle(OperationResolved(live.client_order_id, live.operation.number, Found(shown), rig.now_ns))
    rig.wait(10)
    assert cancelled(rig) == [order.id]


def test_an_order_that_comes_alive_again_under_a_halt_is_cancelled_again() -> None:
    rig = Rig()
    order = resting(rig, lambda s: s.buy(BTC, 1, Limit(90)))
    latch(rig, TradingState.HALTED)
    rig.accept(order)
    assert not rig.live(order).is_open
    rig.wait(1)
    rig.report(order, state=OrderState.WORKING, occurred_at_ns=rig.now_ns)
    assert rig.live(order).is_open
    rig.wait(10)
    assert len(cancelled(rig)) == 2


# -- what may stand in an exit's way ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "entry"),
    [("s2", lambda s: s.buy(BTC, 1, Limit(96))), ("s1", lambda s: s.buy(BTC, 1))],
    ids=["another's limit", "its own market order"],
)
def test_an_order_of_unknown_outcome_on_the_other_side_stops_no_exit(who: str, entry: Act) -> None:
    rig = margin_rig()
    first = rig.do(lambda s: s.buy(BTC, 5, Limit(100), protect=Protect(stop=95)))
    rig.accept(first)
    rig.fill(first)
    rig.answer(rig.do(entry, who), Unknown("timeout"))
    rig.wait(5)
    rig.quote(94)
    exits = [one for one in rig.state.orders.open_orders(BTC) if one.spec.side is Side.SELL]
    assert [one.spec.quantity for one in exits] == [5], [fact.code for fact in rig.of(RequestDenied)]


def test_an_order_of_unknown_outcome_stops_no_flatten() -> None:
    rig = margin_rig()
    rig.hold(5)
    rig.answer(rig.do(lambda s: s.buy(BTC, 1)), Unknown("timeout"))
    rig.handle(FlattenOrdered("all", "ann", "get out", rig.now_ns))
    rig.wait(3)
    assert [one.spec.quantity for one in rig.state.orders.open_orders(BTC) if one.spec.side is Side.SELL] == [5]


# -- amendments -------------------------------------------------------------------------------------------------------


def test_an_amended_order_that_is_placed_anew_keeps_its_expiry() -> None:
    rig = Rig(capabilities=make_plain_capabilities())
    until = rig.now_ns + 60 * 10**9
    order = resting(rig, lambda s: s.buy(BTC, 1, Limit(90, TimeInForce.GTD, expires_at_ns=until)))
    rig.do(lambda s: s.amend(order, price=91))
    rig.accept(order)
    (anew,) = rig.state.orders.open_orders()
    rig.accept(anew)
    assert anew.spec.expires_at_ns == until
    rig.wait(61)
    assert cancelled(rig)[-1] == anew.client_order_id


def test_a_stop_has_no_price_that_could_be_amended() -> None:
    rig = margin_rig()
    order = resting(rig, lambda s: s.buy(BTC, 1, Stop(110)))
    denied = rig.do(lambda s: s.amend(order, price=60))
    assert isinstance(denied, Denied)
    assert (denied.code, denied.limit) == (Denial.MALFORMED, "an order with a price")
