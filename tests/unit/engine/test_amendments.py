"""Amendments where the venue has them; tests of emulated ones are in test_emulation.py."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.capabilities import Support
from quantd.domain.commands import Amend, Cancel
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted, Found, NotExecuted, Rejected, Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_capabilities
from tests.unit.engine.acts import amend, buy, resolve

D = Decimal


# -- amendments ------------------------------------------------------------------------------------------------------


def test_a_native_amendment_changes_the_terms_when_it_is_accepted() -> None:
    rig = Rig()
    order = buy(rig, 2)
    rig.accept(order)
    assert isinstance(amend(rig, order, quantity=3, price=101), Order)
    (command,) = rig.sent(Amend)
    assert (command.operation, command.quantity, command.price) == (2, D(3), D(101))
    assert order.quantity == 2
    assert rig.state.portfolio.account("paper").reserved["USD"] == 303, "the larger of old and new"
    rig.answer(order, Accepted())
    assert (order.quantity, order.price) == (D(3), D(101))


@pytest.mark.parametrize("outcome", [Rejected("no"), NotExecuted("rate_limited")])
def test_a_refused_amendment_leaves_the_terms(outcome: Any) -> None:
    rig = Rig()
    order = buy(rig, 2)
    rig.accept(order)
    amend(rig, order, quantity=3)
    rig.answer(order, outcome)
    assert (order.quantity, order.is_open) == (D(2), True)
    assert rig.state.portfolio.book("s1", BTC).buys == 2


def test_an_order_that_fills_while_a_larger_amendment_is_in_flight_is_whole_only_if_that_fails() -> None:
    for outcome, state, left in (
        (Rejected("filled"), OrderState.FILLED, 0),
        (Accepted(), OrderState.PARTIALLY_FILLED, 1),
    ):
        rig = Rig()
        order = buy(rig, 2)
        rig.accept(order)
        amend(rig, order, quantity=3)
        rig.report(order, filled_quantity=D(2), average_price=D(100), state=OrderState.PARTIALLY_FILLED)
        assert order.is_open
        rig.answer(order, outcome)
        assert order.state is state
        assert rig.live(order).remaining == left


def test_an_amendment_down_to_what_is_filled_completes_the_order() -> None:
    rig = Rig()
    order = buy(rig, 3)
    rig.accept(order)
    rig.fill(order, 1)
    amend(rig, order, quantity=1)
    rig.answer(order, Accepted())
    assert order.state is OrderState.FILLED


def test_an_amendment_whose_answer_was_lost_takes_the_terms_that_the_venue_shows() -> None:
    for told, expected in ((D(3), D(3)), (D(2), D(2)), (None, D(3))):
        rig = Rig()
        order = buy(rig, 2)
        rig.accept(order)
        amend(rig, order, quantity=3)
        rig.answer(order, Unknown("timeout"))
        resolve(rig, order, Found(rig.report_of(order, quantity=told)))
        assert order.quantity == expected


def test_an_order_takes_one_operation_at_a_time() -> None:
    rig = Rig()
    order = buy(rig, 2)
    denied = amend(rig, order, quantity=3)
    assert isinstance(denied, Denied)
    assert denied.code is Denial.BUSY
    rig.accept(order)
    amend(rig, order, quantity=3)
    rig.do(lambda s: s.cancel(order))
    assert rig.sent(Cancel) == [], "the cancel waits for the amendment"
    rig.answer(order, Accepted())
    assert len(rig.sent(Cancel)) == 1
    denied = amend(rig, order, quantity=4)
    assert isinstance(denied, Denied)
    rig.accept(order)
    denied = amend(rig, order, quantity=4)
    assert isinstance(denied, Denied)
    assert denied.code is Denial.NOT_OPEN


def test_a_venue_that_refuses_amendments_gets_none() -> None:
    rig = Rig(capabilities=make_capabilities(amend=Support.REFUSED))
    order = buy(rig)
    rig.accept(order)
    denied = amend(rig, order, quantity=2)
    assert isinstance(denied, Denied)
    assert denied.code is Denial.UNSUPPORTED
