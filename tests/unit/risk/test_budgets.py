"""Control 13: budgets of a day begin anew with the day and no sooner, survive restarts, and never stop an exit."""

from typing import Any

import msgspec
import pytest

from quantd.domain.events import DayRolled
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.orders import OrderState, Side, Stop
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied
from quantd.engine.tallies import DayCount
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities
from tests.unit.risk.cases import Answer, D, place, resting, rig_with

BUDGETS = {
    Denial.DAILY_ORDERS: Limits(max_daily_orders=3),
    Denial.DAILY_NOTIONAL: Limits(max_daily_notional=D(300)),
    Denial.DAILY_FEES: Limits(max_daily_fees=D(3)),
    Denial.ORDER_TO_TRADE: Limits(max_order_to_trade=D(1)),
}
RULES = make_instrument(fees=FeeSchedule(taker=D("0.01")))


def trade(rig: Rig, side: Side = Side.BUY) -> Answer:
    """Trade 1 at 100 with a fee of 1, if the gate lets it."""
    answer = place(rig, side, "1", "100")
    if isinstance(answer, Order):
        rig.accept(answer)
        told: dict[str, Any] = {"filled_quantity": D(1), "average_price": D(100), "fees": (("USD", D(1)),)}
        rig.report(answer, state=OrderState.FILLED, **told)
    return answer


def made(code: Denial, **more: Any) -> Rig:
    return rig_with("account", BUDGETS[code], instruments=[RULES], **more)


@pytest.fixture(params=BUDGETS, ids=lambda code: code.value)
def code(request: pytest.FixtureRequest) -> Denial:
    found: Denial = request.param
    return found


def spend(rig: Rig, code: Denial) -> None:
    """Trade until the day's budget is used up."""
    for _ in range(3):
        if code is Denial.ORDER_TO_TRADE:
            resting(rig, Side.BUY, "1", "80")
            break
        assert isinstance(trade(rig), Order)
    denied = trade(rig)
    assert isinstance(denied, Denied), "the budget is used up"
    assert denied.code is code


def test_a_restart_keeps_the_count_and_midnight_ends_it(code: Denial) -> None:
    rig = made(code)
    spend(rig, code)
    again = made(code, facts=rig.facts)
    assert isinstance(trade(again), Denied)
    again.wait(86_400)
    again.quote(100)
    assert isinstance(trade(again), Denied), "the clock alone ends no day: days are 23, 24 or 25 hours long"
    again.handle(DayRolled("2026-03-29", again.now_ns))
    third = made(code, facts=again.facts)
    for order in list(third.state.orders.open_orders()):
        third.report(order, state=OrderState.CANCELLED)
    spend(third, code)
    third.handle(DayRolled("2026-03-29", third.now_ns))
    assert isinstance(trade(third), Denied), "the same day told again is no new day"


def test_a_clock_that_is_set_back_over_midnight_gives_no_second_budget(code: Denial) -> None:
    rig = made(code)
    rig.handle(DayRolled("2026-03-29", rig.now_ns))
    spend(rig, code)
    again = made(code, facts=rig.facts)
    again.handle(DayRolled("2026-03-28", again.now_ns))
    assert isinstance(trade(again), Denied)
    again.handle(DayRolled("2026-03-29", again.now_ns))
    assert isinstance(trade(again), Denied)
    again.handle(DayRolled("2026-03-30", again.now_ns))
    assert again.state.tallies.days == {}


def test_exits_pass_and_count(code: Denial) -> None:
    rig = made(code)
    rig.hold(3)
    for _ in range(3):
        assert isinstance(trade(rig, Side.SELL), Order)
    count = rig.state.tallies.days["s1", BTC]
    assert (count.orders, count.trades, count.notional, count.fees) == (4, 4, D(600), {"USD": D(3)})


def test_the_count_of_a_day_is_what_happened() -> None:
    rig = rig_with("account", Limits(), instruments=[RULES])
    order = resting(rig, Side.BUY, "2", "99")
    rig.do(lambda s: s.amend(order, quantity=3))
    rig.accept(order)
    rig.fill(order, 1)
    rig.do(lambda s: s.cancel_all())
    rig.accept(order)
    assert rig.state.tallies.days == {("s1", BTC): DayCount(1, 3, 1, D(99), {})}


def test_a_correction_moves_value_and_fees_and_is_no_trade() -> None:
    rig = rig_with("account", Limits(), instruments=[RULES])
    order = resting(rig, Side.BUY, "1", "100")
    rig.report(order, filled_quantity=D(1), state=OrderState.FILLED)
    rig.report(order, filled_quantity=D(1), average_price=D(98), fees=(("USD", D("0.5")),), state=OrderState.FILLED)
    assert rig.state.tallies.days["s1", BTC] == DayCount(1, 1, 1, D(98), {"USD": D("0.5")})


def test_a_stop_that_is_held_here_is_one_order_and_its_release_the_message() -> None:
    rig = rig_with("account", Limits(max_daily_orders=1), capabilities=make_plain_capabilities())
    stop = place_stop(rig)
    count = rig.state.tallies.days["s1", BTC]
    assert (count.orders, count.messages) == (1, 0)
    rig.quote(111)
    assert (count.orders, count.messages) == (1, 1)
    assert rig.live(stop).operation is not None


def place_stop(rig: Rig) -> Order:
    order = rig.do(lambda s: s.buy(BTC, 1, Stop(110)))
    assert isinstance(order, Order)
    return order


def test_the_ratio_grows_with_the_trades() -> None:
    rig = rig_with("account", Limits(max_order_to_trade=D(2)))
    for _ in range(5):
        assert isinstance(trade(rig), Order)
    for price in ("80", "81", "82", "83", "84"):
        resting(rig, Side.BUY, "1", price)
    denied = place(rig, Side.BUY, "1", "85")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.observed) == (Denial.ORDER_TO_TRADE, "11 / 5")


@pytest.mark.parametrize("limit", ["max_daily_notional", "max_daily_fees"])
def test_what_cannot_be_counted_in_the_base_currency_denies(limit: str) -> None:
    foreign = make_instrument("paper:ETH-EUR", fees=FeeSchedule(taker=D("0.01")))
    limits = msgspec.convert({limit: D(1_000)}, Limits)
    rig = rig_with("strategy:s1", limits, instruments=[foreign], balances={"EUR": 1_000})
    denied = rig.do(lambda s: s.buy(InstrumentId("paper:ETH-EUR"), 1))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.RATE_MISSING
