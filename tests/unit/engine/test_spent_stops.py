"""A stop that was reached stays reached: what an attempt did not sell is placed again, until somebody wants it gone."""

from collections.abc import Iterable
from decimal import Decimal

import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.facts import Fact, RequestDenied
from quantd.domain.orders import Limit, OrderState, Role, Side, Stop
from quantd.domain.outcomes import NotExecuted, Outcome, Rejected
from quantd.engine.images import dump, restore
from quantd.engine.orders import LiveOrder
from quantd.engine.rates import Rates
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.state import State
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities
from quantd.testing.portrait import portrait

D = Decimal
PLAIN = make_plain_capabilities()


def make_rig(facts: Iterable[Fact] = (), risk: RiskSettings | None = None) -> Rig:
    rules = make_instrument(margin_rate=D("0.1"))
    return Rig(capabilities=PLAIN, margin=True, instruments=[rules], facts=facts, risk=risk)


def triggered() -> tuple[Rig, LiveOrder]:
    """Return a rig with a position of 1 and its stop, which has just left."""
    rig = make_rig()
    rig.hold(1)
    stop = rig.live(rig.do(lambda s: s.sell(BTC, 1, Stop(95, reduce_only=True))))
    rig.quote(94)
    assert not stop.held
    return rig, stop


def the_only(rig: Rig) -> LiveOrder:
    (order,) = rig.state.orders.open_orders(BTC)
    return order


def sells(rig: Rig) -> list[Decimal]:
    return [one.spec.quantity for one in rig.sent(Submit) if one.spec.side is Side.SELL]


def expire(rig: Rig, order: LiveOrder) -> None:
    """Let the engine cancel what a capped limit did not get in time."""
    rig.accept(order)
    rig.wait(5)
    assert rig.sent(Cancel)[-1].client_order_id == order.client_order_id
    rig.accept(order)


@pytest.mark.parametrize("outcome", [NotExecuted("rate_limited"), Rejected("market_closed")])
def test_a_stop_whose_order_was_refused_leaves_again_at_any_price_but_not_at_once(outcome: Outcome) -> None:
    rig, stop = triggered()
    rig.answer(stop, outcome)
    again = the_only(rig)
    assert (again.held, again.role, again.parent) == (True, Role.STOP, stop.client_order_id)
    rig.quote(99)
    assert sells(rig) == [1]
    rig.wait()
    assert sells(rig) == [1, 1]
    rig.accept(again)
    rig.fill(again)
    rig.wait(5)
    assert list(rig.state.orders.open_orders()) == []


def test_a_stop_that_did_not_fill_within_its_cap_leaves_again_for_what_is_left() -> None:
    rig, stop = triggered()
    rig.accept(stop)
    rig.fill(stop, D("0.4"))
    rig.quote(80)
    rig.wait(5)
    rig.accept(stop)
    assert stop.state is OrderState.CANCELLED
    rig.wait()
    again = the_only(rig)
    assert sells(rig) == [1, D("0.6")]
    assert again.spec.price is not None
    assert again.spec.price < 80
    expire(rig, again)
    rig.wait()
    assert sells(rig) == [1, D("0.6"), D("0.6")]


def test_a_stop_that_was_placed_ahead_of_its_position_leaves_again_too() -> None:
    rig = make_rig()
    stop = rig.do(lambda s: s.sell(BTC, 1, Stop(95)))
    rig.hold(1)
    rig.quote(94)
    rig.answer(stop, NotExecuted("rate_limited"))
    rig.wait()
    assert sells(rig) == [1, 1]
    assert the_only(rig).spec.reduce_only, "it must not open what has gone meanwhile"


def test_a_stop_that_opens_a_position_is_not_placed_again() -> None:
    rig = make_rig()
    stop = rig.do(lambda s: s.sell(BTC, 1, Stop(95)))
    rig.quote(94)
    rig.answer(stop, NotExecuted("rate_limited"))
    assert list(rig.state.orders.open_orders()) == []


def test_a_stop_that_the_strategy_cancels_after_it_left_stays_gone() -> None:
    rig, stop = triggered()
    rig.accept(stop)
    rig.do(lambda s: s.cancel_all())
    rig.accept(stop)
    rig.wait(5)
    assert list(rig.state.orders.open_orders()) == []


def test_a_stop_that_waits_to_leave_again_can_be_cancelled() -> None:
    rig, stop = triggered()
    rig.answer(stop, NotExecuted("rate_limited"))
    rig.do(lambda s: s.cancel_all())
    rig.wait(5)
    assert sells(rig) == [1]


def test_a_stop_is_placed_again_once_however_often_its_end_is_told() -> None:
    rig, stop = triggered()
    expire(rig, stop)
    again = the_only(rig)
    rig.wait()
    rig.accept(again)
    rig.fill(again)
    rig.hold(1, price=94)
    rig.report(stop, venue_order_id="v-late", state=OrderState.CANCELLED)
    assert list(rig.state.orders.open_orders()) == []


def test_nothing_is_placed_again_for_a_position_that_is_gone() -> None:
    rig, stop = triggered()
    rig.accept(stop)
    other = rig.do(lambda s: s.sell(BTC, 1, Limit(94)))
    assert other, other
    rig.accept(other)
    rig.fill(other)
    rig.report(stop, state=OrderState.CANCELLED)
    rig.wait(5)
    assert list(rig.state.orders.open_orders()) == []


def test_a_restart_forgets_neither_what_was_reached_nor_that_it_was_placed_again() -> None:
    rig, stop = triggered()
    rig.answer(stop, NotExecuted("rate_limited"))
    again = make_rig(facts=rig.facts)
    again.quote(99)
    again.wait(2)
    assert sells(again) == [1]
    image = State(Rates("USD"))
    restore(image, dump(rig.state))
    assert portrait(image) == portrait(rig.state)
    assert image.orders[stop.client_order_id].followed_by == the_only(rig).client_order_id


def test_a_stop_that_is_denied_again_is_not_asked_for_with_every_quote() -> None:
    rig, stop = triggered()
    rig.answer(stop, NotExecuted("rate_limited"))
    rig.quote(0)  # no price at all: an order at the market cannot be made
    for _ in range(20):
        rig.wait(0.5)
    assert len(rig.of(RequestDenied)) <= 10
    rig.quote(94)
    rig.wait()
    assert sells(rig) == [1, 1]


def test_a_stop_that_goes_with_one_before_it_at_the_same_price_is_no_fault() -> None:
    risk = RiskSettings(base_currency="USD", order=Limits(max_order_notional=D(215)))
    rig = make_rig(risk=risk)
    rig.hold(-1)
    rig.do(lambda s: s.target(BTC, 0))
    rig.answer(rig.sent(Submit)[-1].client_order_id, NotExecuted("rate_limited"))
    first, second = rig.do(lambda s: [s.buy(BTC, 2, Stop(105)), s.buy(BTC, 2, Stop(106))])
    rig.quote(120)  # the first is too large by now; its end lets the target go on, which cancels the second
    assert (rig.live(first).state, rig.live(second).state) == (OrderState.DENIED, OrderState.CANCELLED)
    rig.quote(121)
    assert [one.spec.quantity for one in rig.state.orders.open_orders(BTC)] == [1]
