"""Exits on the wrong side of their entry never leave: what else they would cost, and what must still pass."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.commands import Submit
from quantd.domain.facts import RequestDenied
from quantd.domain.orders import Limit, Market, OrderState, Origin, Protect, Side, Stop, StopLimit
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities
from tests.unit.risk.cases import place, resting

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
MARGIN: dict[str, Any] = {"margin": True, "instruments": [make_instrument(margin_rate=D("0.1"))]}
PLAIN: dict[str, Any] = {"capabilities": make_plain_capabilities()}


def code(answer: Order | Denied) -> Denial | None:
    """Return why it was denied, None when it passed."""
    return answer.code if isinstance(answer, Denied) else None


def test_a_stop_above_its_purchase_no_longer_buys_and_sells_in_a_circle() -> None:
    rig = Rig(**MARGIN)
    for _ in range(5):
        answer = place(rig, BUY, "1", None, protect=Protect(stop=101))
        if isinstance(answer, Order):
            rig.accept(answer)
            rig.fill(answer)
        rig.wait(2)
        rig.quote(100)
        for order in rig.state.orders.all_orders():
            if order.origin is Origin.PROTECTION and order.is_open:
                rig.accept(order)
                rig.fill(order)
    assert rig.sent(Submit) == []
    told = rig.of(RequestDenied)[0]
    assert (told.code, told.control, told.scope, told.limit, told.observed) == (
        "wrong_side", 1, "order", "stop < 100.00", "101.00"
    )  # fmt: skip


broken = st.sampled_from([0, -1, -0.5, 0.001, D(0), D(-5)])


@given(broken, st.sampled_from(["stop", "take", "trail"]), st.sampled_from(Side), st.booleans())
def test_an_exit_that_is_not_above_zero_on_its_tick_is_malformed(
    value: Any, exit: str, side: Side, at_market: bool
) -> None:
    rig = Rig(**MARGIN)
    answer = place(rig, side, "1", None if at_market else "100", protect=Protect(**{exit: value}))
    assert code(answer) is Denial.MALFORMED
    assert rig.commands == []


@pytest.mark.parametrize("exit", ["stop", "take", "trail"])
def test_what_is_held_comes_under_no_such_exit_either(exit: str) -> None:
    rig = Rig(**MARGIN)
    rig.hold("1")

    def script(strategy: Any) -> str:
        with pytest.raises(ValueError, match="expected exits above 0"):
            strategy.protect(BTC, Protect(**{exit: -1}))
        return "raised"

    assert rig.do(script) == "raised"
    assert rig.state.protections == {}


def test_a_target_with_such_an_exit_ends_and_its_strategy_is_told() -> None:
    rig = Rig(**MARGIN)
    rig.do(lambda s: s.target(BTC, 1, protect=Protect(stop=100)))
    assert rig.state.targets == {}
    assert [denied.code for denied in rig.strategies["s1"].hooks("on_denied")] == [Denial.WRONG_SIDE]


def test_without_a_price_no_entry_at_the_market_has_its_exits_believed() -> None:
    rig = Rig(**MARGIN)
    rig.quote(0.0, 100.0)
    assert code(place(rig, BUY, "1", None, protect=Protect(stop=90))) is Denial.REFERENCE


def _send(strategy: Any, side: Side, how: Any, protect: Protect) -> Order | Denied:
    answer: Order | Denied = (strategy.buy if side is BUY else strategy.sell)(BTC, 1, how, protect=protect)
    return answer


@pytest.mark.parametrize(
    ("side", "how", "good", "bad"),
    [
        (BUY, Stop(105), Protect(stop=D("104.99"), take=D("105.01")), Protect(stop=105)),
        (BUY, Stop(105), Protect(stop=102), Protect(take=105)),
        (SELL, Stop(95), Protect(stop=D("95.01"), take=D("94.99")), Protect(stop=95)),
        # a stop-limit trades no worse than its limit, though its trigger lies further away
        (BUY, StopLimit(105, 103), Protect(stop=D("102.99")), Protect(stop=104)),
        (SELL, StopLimit(95, 97), Protect(stop=D("97.01")), Protect(stop=96)),
    ],
)
@pytest.mark.parametrize("rig", [MARGIN, MARGIN | PLAIN], ids=["held by the venue", "held here"])
def test_an_entry_that_waits_for_its_trigger_trades_there(
    rig: dict[str, Any], side: Side, how: Any, good: Protect, bad: Protect
) -> None:
    for protect, expected in ((good, None), (bad, Denial.WRONG_SIDE)):
        send = partial(_send, side=side, how=how, protect=protect)
        assert code(Rig(**rig).do(send)) is expected


def test_a_held_entry_whose_market_has_leapt_over_its_target_is_not_sent() -> None:
    rig = Rig(**MARGIN, **PLAIN)
    order = rig.do(lambda s: s.buy(BTC, 1, Stop(102), protect=Protect(take=103)))
    assert isinstance(order, Order)
    rig.quote(103.5)
    assert rig.live(order).state is OrderState.DENIED
    assert rig.sent(Submit) == []
    assert rig.of(RequestDenied)[-1].code == "wrong_side"


def test_the_rest_of_an_emulated_amendment_keeps_its_exits_and_is_asked_again() -> None:
    rig = Rig(**MARGIN, **PLAIN)
    order = place(rig, BUY, "2", "95", protect=Protect(stop=93))
    assert isinstance(order, Order)
    rig.accept(order)
    assert isinstance(rig.do(lambda s: s.amend(order, price=D(94))), Order)
    rig.quote(92.9)  # the market falls below the stop while the old order is cancelled
    rig.accept(order)
    assert len(rig.sent(Submit)) == 1
    assert rig.of(RequestDenied)[-1].code == "wrong_side"


def test_an_emulated_market_order_is_held_against_the_quote_and_not_against_its_cap() -> None:
    rig = Rig(**MARGIN, **PLAIN)
    assert isinstance(place(rig, BUY, "1", None, protect=Protect(stop=D("99.99"), take=D("100.01"))), Order)


def test_exits_and_what_makes_an_order_smaller_are_not_asked() -> None:
    rig = Rig(**MARGIN)
    rig.hold("1")
    answer = place(rig, SELL, "1", None, protect=Protect(stop=50))
    assert isinstance(answer, Order)

    other = Rig(**MARGIN)
    order = place(other, BUY, "2", "100", protect=Protect(stop=99))
    assert isinstance(order, Order)
    other.accept(order)
    other.quote(98)
    assert isinstance(other.do(lambda s: s.amend(order, quantity=1)), Order)
    assert isinstance(other.do(lambda s: s.cancel(order)), bool)


def test_an_amendment_into_a_market_that_has_passed_its_stop_is_denied() -> None:
    rig = Rig(**MARGIN)
    order = place(rig, BUY, "1", "97", protect=Protect(stop=96))
    assert isinstance(order, Order)
    rig.accept(order)
    rig.quote(95.9)
    assert code(rig.do(lambda s: s.amend(order, quantity=2))) is Denial.WRONG_SIDE


def test_orders_without_exits_are_not_asked() -> None:
    rig = Rig(**MARGIN)
    assert isinstance(resting(rig, BUY, "1", "95"), Order)
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Market(), protect=Protect())), Order)
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(99), protect=None)), Order)
