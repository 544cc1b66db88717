"""Outcomes that are not known: reserved at their worst, blocking new exposure, resolved by evidence."""

from decimal import Decimal

import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import OperationResolved, OutcomeReceived, TradingState
from quantd.domain.orders import Limit, OperationPhase, OrderState
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Unknown
from quantd.domain.outcomes import StillUnknown as Still
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denied
from quantd.testing.builders import BTC, Rig
from tests.unit.engine.acts import buy, resolve

D = Decimal


# -- unknown outcomes ------------------------------------------------------------------------------------------------


@pytest.fixture
def unknown() -> tuple[Rig, Order]:
    rig = Rig()
    order = buy(rig, 2, 99)
    rig.answer(order, Unknown("timeout"))
    return rig, order


def test_an_unknown_order_keeps_its_worst_case_reserved(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    assert (order.is_unknown, order.is_open) == (True, True)
    assert rig.state.portfolio.account("paper").reserved["USD"] == 198
    assert rig.state.portfolio.book("s1", BTC).buys == 2


def test_found_settles_it_with_what_the_venue_shows(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    resolve(rig, order, Found(rig.report_of(order, filled_quantity=D(1), state=OrderState.PARTIALLY_FILLED)))
    assert (order.is_unknown, order.state, order.filled) == (False, OrderState.PARTIALLY_FILLED, D(1))
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(98))), Order)


def test_not_found_means_that_it_did_not_happen(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    resolve(rig, order, NotFound())
    assert (order.state, order.reason) == (OrderState.DENIED, "not_found")
    assert rig.state.portfolio.account("paper").free("USD") == 1_000_000
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(98))), Order)


def test_still_unknown_stays_unknown_and_writes_nothing_new(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    facts = len(rig.facts)
    for _ in range(3):
        resolve(rig, order, Still("timeout"))
    assert order.is_unknown
    assert len(rig.facts) == facts


def test_several_matches_halt_the_instrument_until_a_person_decides(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    resolve(rig, order, Ambiguous(("1", "2")))
    assert rig.state.latches[f"instrument:{BTC}"].state is TradingState.HALTED
    assert order.is_unknown
    live = rig.live(order)
    found = Found(rig.report_of(order, venue_order_id="2"))
    rig.handle(OperationResolved(live.client_order_id, 1, found, rig.now_ns, by="ann"))
    assert not order.is_unknown
    assert f"instrument:{BTC}" in rig.state.latches


def test_an_absence_that_cannot_be_proven_halts_the_instrument_and_says_so(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    resolve(rig, order, Ambiguous(()))
    latched = rig.state.latches[f"instrument:{BTC}"]
    assert (latched.state, latched.why) == (
        TradingState.HALTED, f"no order is seen for {order.id}, and nothing proves that there is none",
    )  # fmt: skip
    assert order.is_unknown


def test_a_report_proves_that_an_unknown_order_happened(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    rig.fill(order, 1)
    assert (order.is_unknown, order.state) == (False, OrderState.PARTIALLY_FILLED)


def test_a_cancel_of_an_unknown_order_leaves_once_it_is_found(unknown: tuple[Rig, Order]) -> None:
    rig, order = unknown
    assert rig.do(lambda s: s.cancel(order))
    assert rig.sent(Cancel) == []
    resolve(rig, order, Found(rig.report_of(order)))
    assert len(rig.sent(Cancel)) == 1


def test_a_cancel_that_is_lost_after_its_order_was_filled_needs_no_answer() -> None:
    rig = Rig()
    order = buy(rig, 2, 99)
    rig.accept(order)
    rig.do(lambda s: s.cancel(order))
    number = rig.live(order).operations
    rig.handle(rig.report_of(order.id, filled_quantity=D(2), state=OrderState.FILLED))
    rig.handle(OutcomeReceived(rig.live(order).client_order_id, number, Unknown("timeout"), rig.now_ns))
    assert (order.state, order.is_unknown) == (OrderState.FILLED, False)
    assert rig.state.portfolio.nets[BTC].unknown == 0


def test_after_a_restart_what_was_on_its_way_is_unknown_and_not_sent_again() -> None:
    rig = Rig()
    order = buy(rig)
    again = Rig(facts=rig.facts)
    live = again.live(order.id)
    if live.operation is not None and live.operation.phase is not OperationPhase.UNKNOWN:
        again.handle(OutcomeReceived(live.client_order_id, 1, Unknown("restart"), again.now_ns))
    assert live.is_unknown
    assert again.commands == []
    assert isinstance(again.do(lambda s: s.buy(BTC, 1, Limit(98))), Denied)
