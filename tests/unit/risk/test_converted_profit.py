"""Profit that a margin account's venue has changed into the account's currency is that much from then on, whatever the rate does.

Home and base currency USD, pairs that settle in JPY, 150 of them a dollar at first.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.backtest.equity import by_strategy
from quantd.backtest.trades import Ledger
from quantd.domain.events import TradingState
from quantd.domain.facts import FillRecorded, StateSet
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, OrderState
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.testing.builders import Rig, make_instrument
from tests.invariants import check_image, check_rig
from tests.unit.risk.cases import rig_with

D = Decimal
EUR_JPY, USD_JPY = InstrumentId("paper:EUR-JPY"), InstrumentId("paper:USD-JPY")
NEARLY = D("1e-20")


def on_margin(loss: int = 10, **more: Any) -> Rig:
    rules = [make_instrument(one, margin_rate=D("0.05"), lot=D(1)) for one in (EUR_JPY, USD_JPY)]
    return rig_with(
        "account",
        Limits(max_daily_loss=D(loss)),
        instruments=rules,
        margin=True,
        **({"balances": {"USD": 100_000}, "price": 150} | more),
    )


def trade(rig: Rig, quantity: int, price: int, *, settled: Decimal | None = None, strategy: str = "s1") -> None:
    side = "buy" if quantity > 0 else "sell"
    order = rig.do(lambda s: getattr(s, side)(EUR_JPY, abs(quantity), Limit(D(price))), strategy)
    assert isinstance(order, Order), order
    rig.accept(order)
    told = None if settled is None else ("USD", settled)
    fill = Fill(order.id, D(abs(quantity)), D(price), settled=told)
    rig.report(order, filled_quantity=D(abs(quantity)), state=OrderState.FILLED, fills=(fill,))


def profit(rig: Rig, scope: str = "account") -> Decimal:
    found = rig.engine.guards.losses.profit(scope)
    assert found is not None
    return found


@pytest.mark.parametrize("told", [None, D("9.95")])
def test_profit_keeps_the_worth_at_which_the_venue_settled_it(told: Decimal | None) -> None:
    """The venue's word counts to the cent, its own rate included; without one the rate of the moment does."""
    rig = on_margin()
    settled = D(10) if told is None else told
    trade(rig, 1_500, 150)
    trade(rig, -1_500, 151, settled=told)
    for rate in (150, 100, 300):
        rig.quote(rate, instrument=USD_JPY)
        assert abs(profit(rig) - settled) < NEARLY
        assert abs(profit(rig, "strategy:s1") - settled) < NEARLY
        assert rig.state.equity("paper") == 100_000 + profit(rig)
    assert by_strategy(rig.state) == {"s1": pytest.approx(float(settled))}
    assert Ledger(rig.of(FillRecorded), rig.state, rig.now_ns).tally("s1").profits == [pytest.approx(float(settled))]
    assert rig.state.portfolio.book("s1", EUR_JPY).realised == 1_500, "for reading, in the currency of settlement"
    check_rig(rig)
    check_image(rig)


def test_a_rate_that_moves_after_the_close_is_no_loss_of_the_day() -> None:
    rig = on_margin()
    trade(rig, 15_000, 150)
    trade(rig, -15_000, 151)
    rig.quote(200, instrument=USD_JPY)
    rig.quote(151, instrument=EUR_JPY)
    assert [one.scope for one in rig.of(StateSet) if one.state is TradingState.REDUCING] == []
    assert abs(profit(rig) - 100) < NEARLY


def test_without_a_rate_profit_waits_in_the_currency_of_settlement() -> None:
    rig = on_margin()
    trade(rig, 1_500, 150)
    rig.quote(0, instrument=USD_JPY)
    trade(rig, -1_500, 151)
    rig.quote(300, instrument=USD_JPY)
    assert abs(profit(rig) - 5) < NEARLY


def test_what_one_strategy_closes_of_another_s_settles_for_the_account_what_the_venue_closed() -> None:
    """The venue holds one position: the second strategy's sale has closed the first one's, though it opened its own book."""
    rig = on_margin()
    trade(rig, 1_500, 150)
    trade(rig, -1_500, 151, strategy="s2")
    rig.quote(151, instrument=EUR_JPY)
    assert rig.state.portfolio.account("paper").totals == {"USD": pytest.approx(100_010, abs=NEARLY)}
    assert rig.state.equity("paper") == pytest.approx(100_010, abs=NEARLY)
    assert profit(rig) == pytest.approx(10, abs=NEARLY)


@given(
    st.lists(
        st.tuples(st.integers(-9, 9), st.integers(100, 200), st.integers(100, 200)),
        min_size=1,
        max_size=12,
    )
)
def test_profit_is_what_the_account_has_gained_after_any_history(steps: list[tuple[int, int, int]]) -> None:
    """Against a ledger of its own: cash in the home currency, lots first in first out in none, average cost."""
    rig = on_margin(loss=1_000_000)
    cash, held, cost = D(100_000), D(0), D(0)
    price = rate = D(150)
    for quantity, at, rate_now in steps:
        price, rate = D(at), D(rate_now)
        rig.quote(at, instrument=EUR_JPY)
        rig.quote(rate_now, instrument=USD_JPY)
        if quantity:
            trade(rig, quantity, at)
            closes = min(abs(held), abs(D(quantity))) if held * quantity < 0 else D(0)
            part = cost * closes / abs(held) if closes else D(0)
            cash += (closes * price * (1 if held > 0 else -1) - part) / rate
            opens = abs(D(quantity)) - closes
            cost += -part + opens * price * (1 if quantity > 0 else -1)
            held += quantity
    equity = rig.state.equity("paper")
    assert equity is not None
    assert abs(equity - (cash + (held * price - cost) / rate)) < NEARLY
    assert abs(profit(rig) - (equity - 100_000)) < NEARLY
    check_rig(rig)
    check_image(rig)
