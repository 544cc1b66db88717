"""What a venue lacks: market, IOC, GTD, stops and amendments, done by the engine with limits and cancels."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import Amend, Cancel, Submit
from quantd.domain.facts import OrderReleased, RequestDenied
from quantd.domain.orders import Limit, Market, OrderKind, OrderState, Side, Stop, StopLimit, TimeInForce
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.engine.context import EngineSettings
from quantd.engine.orders import LiveOrder, Order
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.engine.risk.wish import Denied
from quantd.testing.builders import BTC, Rig, make_plain_capabilities

D = Decimal


def plain_rig(**rig: Any) -> Rig:
    return Rig(capabilities=make_plain_capabilities(), **rig)


def order_of(rig: Rig, script: Any) -> Order:
    order = rig.do(script)
    assert isinstance(order, Order), f"denied: {order}"
    return order


# -- market, IOC, GTD ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "100.50"), (Side.SELL, "98.50")])
def test_a_market_order_is_a_limit_at_most_the_slippage_away_from_the_touch(side: Side, price: str) -> None:
    rig = plain_rig(settings=EngineSettings(journal_id="0test", epoch=1, max_slippage_bps=D(50)))
    rig.quote(99, 100)
    order = order_of(rig, lambda s: (s.buy if side is Side.BUY else s.sell)(BTC, 1))
    (submit,) = rig.sent(Submit)
    assert submit.spec.kind is OrderKind.LIMIT
    assert submit.spec.price == order.price
    assert abs(D(price) - (order.price or 0)) <= D("0.01")
    assert (order.price or 0) <= D("100.5") if side is Side.BUY else (order.price or 0) >= D("98.505")


def test_what_is_left_of_it_is_cancelled_soon() -> None:
    rig = plain_rig()
    order = order_of(rig, lambda s: s.buy(BTC, 2))
    rig.accept(order)
    rig.fill(order, 1)
    rig.wait(2.9)
    assert rig.sent(Cancel) == []
    rig.wait(0.1)
    assert len(rig.sent(Cancel)) == 1
    rig.accept(order)
    assert (order.state, order.filled) == (OrderState.CANCELLED, D(1))


def test_without_a_price_a_market_order_cannot_be_made() -> None:
    rig = plain_rig(price=None)
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1)), Denied)


def test_ioc_is_a_limit_that_is_cancelled_at_the_next_tick_and_gtd_when_it_expires() -> None:
    rig = plain_rig()
    now = order_of(rig, lambda s: s.buy(BTC, 1, Limit(99, TimeInForce.IOC)))
    expires = rig.now_ns + 5_000_000_000
    later = order_of(rig, lambda s: s.buy(BTC, 1, Limit(98, TimeInForce.GTD, expires_at_ns=expires)))
    assert {one.spec.time_in_force for one in rig.sent(Submit)} == {TimeInForce.GTC}
    rig.accept(now)
    rig.accept(later)
    rig.wait(1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [now.id]
    rig.wait(4)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [now.id, later.id]


# -- held stops ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "trigger", "before", "after"), [("buy", 105, 104.99, 105.0), ("sell", 95, 95.01, 95.0)]
)
def test_a_stop_is_held_until_its_price_is_reached_and_then_sent_once(
    side: str, trigger: int, before: float, after: float
) -> None:
    rig = plain_rig()
    order = order_of(rig, lambda s: getattr(s, side)(BTC, 1, Stop(trigger)))
    assert rig.commands == []
    rig.quote(before)
    assert rig.commands == []
    rig.quote(after)
    rig.quote(after)
    (submit,) = rig.sent(Submit)
    assert (submit.client_order_id, submit.spec.kind) == (order.id, OrderKind.LIMIT)
    rig.accept(order)
    rig.fill(order)
    assert order.state is OrderState.FILLED


def test_a_stop_limit_is_sent_at_its_price() -> None:
    rig = plain_rig()
    order_of(rig, lambda s: s.buy(BTC, 1, StopLimit(105, 105.5)))
    rig.quote(105.2)
    (submit,) = rig.sent(Submit)
    assert (submit.spec.kind, submit.spec.price, submit.spec.expires_at_ns) == (OrderKind.LIMIT, D("105.5"), None)


def test_a_held_stop_counts_as_open_is_cancelled_without_the_venue_and_told_of() -> None:
    rig = plain_rig(risk=RiskSettings(base_currency="USD", account=Limits(max_open_orders=1)))
    order = order_of(rig, lambda s: s.buy(BTC, 1, Stop(105)))
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(99))), Denied)
    assert rig.do(lambda s: s.cancel(order))
    assert order.state is OrderState.CANCELLED
    assert [state for _, state in rig.strategies["s1"].hooks("on_order")] == [OrderState.CANCELLED]
    rig.quote(106)
    assert rig.commands == []
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(99))), Order)


def test_a_held_stop_survives_a_restart() -> None:
    rig = plain_rig()
    order = order_of(rig, lambda s: s.buy(BTC, 1, Stop(105)))
    again = plain_rig(facts=rig.facts)
    again.quote(106)
    assert [one.client_order_id for one in again.sent(Submit)] == [order.id]


def test_a_held_stop_passes_the_gate_again_when_it_is_triggered() -> None:
    rig = plain_rig(risk=RiskSettings(base_currency="USD", account=Limits(max_order_notional=D(110))))
    order = order_of(rig, lambda s: s.buy(BTC, 1, Stop(105)))
    rig.quote(112)
    assert rig.commands == []
    assert (order.state, order.reason) == (OrderState.DENIED, "order_notional")
    assert [one.client_order_id for one in rig.of(RequestDenied)] == [order.id]


def test_a_stop_that_is_an_exit_is_not_given_up_for_a_passing_reason() -> None:
    """Another strategy's bid stands in its way: it is cancelled, the stop stays, and leaves when the way is free."""
    rig = plain_rig()
    rig.hold(1)
    stop = order_of(rig, lambda s: s.sell(BTC, 1, Stop(95, reduce_only=True)))
    bid = rig.do(lambda s: s.buy(BTC, 1, Limit(99)), "s2")
    rig.accept(bid)
    submits = len(rig.sent(Submit))
    rig.quote(94)
    rig.quote(93.5)
    assert len(rig.sent(Submit)) == submits
    assert len(rig.of(RequestDenied)) == 1, "not with every quote"
    assert stop.is_open
    rig.accept(bid)
    rig.wait()
    rig.quote(93)
    assert rig.sent(Submit)[-1].client_order_id == stop.id
    assert rig.live(stop).is_open
    assert rig.of(OrderReleased)[0].spec.reduce_only


# -- amendments ------------------------------------------------------------------------------------------------------


@pytest.fixture
def amending() -> tuple[Rig, Order]:
    """An order of 3 at 99 of which 1 is filled, being amended to 5 at 98."""
    rig = plain_rig()
    order = order_of(rig, lambda s: s.buy(BTC, 3, Limit(99), why="grid"))
    rig.accept(order)
    rig.fill(order, 1)
    assert isinstance(rig.do(lambda s: s.amend(order, quantity=5, price=98)), Order)
    return rig, order


def successors(rig: Rig, order: Order) -> list[LiveOrder]:
    return [one for one in rig.state.orders.all_orders() if one.parent == order.id]


def test_an_amendment_cancels_waits_for_the_end_and_sends_the_rest(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    assert rig.sent(Amend) == []
    (cancel,) = rig.sent(Cancel)
    assert cancel.operation == 2
    assert rig.state.portfolio.book("s1", BTC).buys == 4, "the larger of old and new is reserved"
    rig.answer(order, Accepted((rig.report_of(order, state=OrderState.CANCELLED),)))
    (new,) = successors(rig, order)
    assert (new.spec.quantity, new.spec.price, new.why) == (D(4), D(98), "grid")
    assert order.state is OrderState.CANCELLED
    assert rig.state.portfolio.book("s1", BTC).buys == 4


def test_a_fill_that_crosses_the_cancel_makes_the_rest_smaller(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    ended = rig.report_of(order, filled_quantity=D(2), average_price=D(99), state=OrderState.CANCELLED)
    rig.answer(order, Accepted((ended,)))
    (new,) = successors(rig, order)
    assert new.spec.quantity == 3


def test_an_order_that_was_filled_meanwhile_is_followed_by_the_rest(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    filled = rig.report_of(order, filled_quantity=D(3), average_price=D(99), state=OrderState.FILLED)
    rig.answer(order, Accepted((filled,)))
    assert order.state is OrderState.FILLED
    (new,) = successors(rig, order)
    assert new.spec.quantity == 2


def test_an_acceptance_without_the_end_waits_for_it(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    rig.answer(order, Accepted((rig.report_of(order),)))
    assert successors(rig, order) == []
    rig.report(order, state=OrderState.CANCELLED)
    assert len(successors(rig, order)) == 1


@pytest.mark.parametrize("outcome", [Rejected("no"), NotExecuted("rate_limited")])
def test_a_cancel_that_fails_leaves_the_order_as_it_was(amending: tuple[Rig, Order], outcome: Any) -> None:
    rig, order = amending
    rig.answer(order, outcome)
    assert (order.quantity, order.price, order.is_open) == (D(3), D(99), True)
    assert rig.state.portfolio.book("s1", BTC).buys == 2
    rig.wait()
    assert len(rig.sent(Cancel)) == 1, "an amendment is not repeated by itself"


def test_nothing_is_sent_late_after_an_unknown_cancel(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    rig.answer(order, Unknown("timeout"))
    rig.report(order, state=OrderState.CANCELLED)
    assert order.state is OrderState.CANCELLED
    assert successors(rig, order) == []
    assert rig.state.portfolio.nets[BTC].unknown == 0


def test_a_cancel_that_is_wanted_meanwhile_wins(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    assert rig.do(lambda s: s.cancel(order))
    rig.answer(order, Accepted((rig.report_of(order, state=OrderState.CANCELLED),)))
    assert order.state is OrderState.CANCELLED
    assert successors(rig, order) == []


def test_the_rest_passes_the_gate(amending: tuple[Rig, Order]) -> None:
    rig, order = amending
    rig.quote(50)
    rig.answer(order, Accepted((rig.report_of(order, state=OrderState.CANCELLED),)))
    assert successors(rig, order) == [], "98 is far outside the collar around 50"
    assert rig.state.portfolio.book("s1", BTC).buys == 0


def test_an_amended_target_order_is_followed_on_and_not_doubled() -> None:
    rig = plain_rig()
    rig.do(lambda s: s.target(BTC, 3, Limit(99)))
    (live,) = rig.state.orders.open_orders(BTC)
    rig.accept(live)
    order = rig.do(lambda s: s.orders()[0])
    rig.do(lambda s: s.amend(order, price=98))
    rig.accept(order)
    open_now = list(rig.state.orders.open_orders(BTC))
    assert [(one.spec.quantity, one.spec.price) for one in open_now] == [(D(3), D(98))]
    rig.wait()
    assert len(list(rig.state.orders.open_orders(BTC))) == 1
    rig.accept(open_now[0])
    rig.fill(open_now[0])
    assert rig.state.targets == {}


def test_resubmits_count_against_the_rate() -> None:
    rig = plain_rig(risk=RiskSettings(base_currency="USD", account=Limits(submit_rate=RateLimit(count=1, per_s=60.0))))
    order = order_of(rig, lambda s: s.buy(BTC, 1, Limit(99)))
    rig.accept(order)
    rig.do(lambda s: s.amend(order, price=98))
    rig.accept(order)
    assert successors(rig, order) == []


def test_a_market_exit_is_emulated_too() -> None:
    rig = plain_rig()
    rig.hold(1)
    exit_order = order_of(rig, lambda s: s.sell(BTC, 1, Market(reduce_only=True)))
    assert rig.live(exit_order).spec.reduce_only
    assert rig.live(exit_order).exit
