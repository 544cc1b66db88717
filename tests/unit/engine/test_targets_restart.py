"""Targets over a restart: the same order goes on working for them, and no other is taken for it."""

from typing import Any

import pytest

from quantd.domain.commands import Submit
from quantd.domain.events import FlattenOrdered, OrderOrdered
from quantd.domain.orders import Limit, Side
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.testing.builders import BTC, Puppet, Rig
from tests.unit.engine.test_replacing import replace
from tests.unit.engine.test_targets import D, shown, target, working


def test_a_restart_goes_on_with_the_target_and_sends_nothing_twice() -> None:
    rig = Rig()
    target(rig, 3, Limit(99.99))
    rig.accept(working(rig))
    rig.fill(working(rig), 1)
    again = Rig(facts=rig.facts)
    again.wait()
    target(again, 3, Limit(99.99))
    again.wait()
    assert again.commands == []
    again.fill(working(again))
    assert again.state.portfolio.book("s1", BTC).quantity == 3
    assert again.state.targets == {}


def test_a_restart_before_anything_was_sent_sends_once() -> None:
    rig = Rig(price=None, risk=RiskSettings(base_currency="USD", account=Limits(max_quote_age_s=5.0)))
    target(rig, 3)
    assert rig.commands == []
    again = Rig(facts=rig.facts)
    again.wait()
    again.wait()
    assert len(again.sent(Submit)) == 1


def test_flatten_ends_a_target_that_was_waiting_before_a_restart_and_has_no_book_yet() -> None:
    rig = Rig(price=None)
    target(rig, 3)
    again = Rig(facts=rig.facts, price=None)
    again.handle(FlattenOrdered("all", "ann", "enough", again.now_ns))
    again.quote(100)
    for _ in range(5):
        again.wait()
    assert again.sent(Submit) == []


@pytest.mark.parametrize("own", [lambda s: s.buy(BTC, 1, Limit(90)), lambda s: s.sell(BTC, 1, Limit(110))])
def test_a_restart_takes_no_order_of_the_strategy_s_own_for_that_of_its_target(own: Any) -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    rig.accept(working(rig))
    rig.fill(working(rig), 1)
    rig.accept(rig.do(own))
    again = Rig(facts=rig.facts)
    for _ in range(3):
        again.wait()
    assert again.commands == [], "else it is cancelled, and what the target lacks is bought twice"


def test_an_order_that_outlived_its_target_is_known_to_the_next_one_after_a_restart() -> None:
    rig = Rig()
    target(rig, 3, Limit(99))
    rig.accept(working(rig))
    replace(rig, Puppet(), at_shutdown="keep")
    again = Rig(facts=rig.facts)
    target(again, 3, Limit(99))
    again.wait()
    assert again.commands == []


def test_a_target_that_is_reached_ends_whatever_else_works() -> None:
    rig = Rig()
    rig.hold(2)
    exit_ = rig.do(lambda s: s.sell(BTC, 2, Limit(110)))
    rig.accept(exit_)
    target(rig, 3, Limit(99))
    (entry,) = (one for one in rig.state.orders.open_orders(BTC) if one.client_order_id != exit_.id)
    rig.accept(entry)
    again = Rig(facts=rig.facts)
    again.wait()
    again.fill(entry.client_order_id)
    assert again.state.targets == {}
    again.fill(exit_.id)
    again.wait()
    assert again.commands == [], "else the strategy's own exit is bought back"


def test_a_restart_while_a_book_is_closed_counts_what_a_person_s_order_still_traded() -> None:
    rig = Rig()
    rig.handle(OrderOrdered(BTC, Side.BUY, D(2), Limit(D(99)), "ann", rig.now_ns))
    order = working(rig)
    rig.accept(order)
    rig.handle(FlattenOrdered("all", "ann", "drill", rig.now_ns))
    again = Rig(facts=rig.facts)
    again.wait()
    again.fill(order.client_order_id)
    again.wait()
    assert [shown(one) for one in again.state.orders.open_orders(BTC)] == [(Side.SELL, D(2))]
