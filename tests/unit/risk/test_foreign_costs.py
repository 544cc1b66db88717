"""Fees and financing in another currency than the settlement's are losses at their rate, not one to one and not nothing."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.backtest.equity import by_strategy
from quantd.backtest.trades import Ledger
from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import CashMoved, TradingState
from quantd.domain.facts import FillRecorded, StateSet
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, OrderState, Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied
from quantd.runtime.gauges import Gauges
from quantd.testing.builders import BTC, Rig, make_instrument
from quantd.testing.observer import RecordingObserver
from tests.invariants import check_image, check_rig
from tests.unit.risk.cases import place, rig_with

D = Decimal
EUR_JPY, USD_JPY, BNB_USD = (InstrumentId(f"paper:{one}") for one in ("EUR-JPY", "USD-JPY", "BNB-USD"))
LIMIT = Limits(max_daily_loss=D(10))


def on_margin(**more: Any) -> Rig:
    """Return a rig like a retail FX account: home and base currency USD, a pair that settles in JPY at 150 a dollar."""
    rules = [make_instrument(one, margin_rate=D("0.05"), lot=D(1)) for one in (EUR_JPY, USD_JPY)]
    return rig_with(
        "account", LIMIT, instruments=rules, margin=True, **({"balances": {"USD": 100_000}, "price": 150} | more)
    )


def on_spot(**more: Any) -> Rig:
    return rig_with("account", LIMIT, instruments=[make_instrument(), make_instrument(BNB_USD)], **more)


def buy(rig: Rig, instrument: str, quantity: int, price: int, *fees: tuple[str, Decimal]) -> None:
    order = rig.do(lambda s: s.buy(instrument, quantity, Limit(D(price))))
    assert isinstance(order, Order), order
    rig.accept(order)
    told = Fill("t1", D(quantity), D(price), fees=fees)
    rig.report(order, filled_quantity=D(quantity), state=OrderState.FILLED, fills=(told,))


def trips(rig: Rig) -> list[tuple[str, TradingState]]:
    return [(one.scope, one.state) for one in rig.of(StateSet) if one.by == "loss_limit"]


@pytest.mark.parametrize(("fee", "loss"), [(("USD", D(10)), D(10)), (("JPY", D(1_500)), D(10))])
def test_a_commission_counts_at_its_own_rate_and_reaches_the_limit_to_the_cent(
    fee: tuple[str, Decimal], loss: Decimal
) -> None:
    rig = on_margin()
    buy(rig, EUR_JPY, 100, 150, fee)
    rig.quote(150, instrument=EUR_JPY)
    assert rig.engine.guards.losses.profit("account") == pytest.approx(-loss)
    assert trips(rig) == []
    rig.quote(149.98, instrument=EUR_JPY)
    assert trips(rig) == [("all", TradingState.REDUCING)]


def test_a_fee_in_a_third_asset_counts_over_a_restart_and_an_image() -> None:
    rig = on_spot()
    rig.quote(600, instrument=BNB_USD)
    buy(rig, BTC, 1, 100, ("BNB", D("0.01")))
    rig.wait()
    assert rig.state.portfolio.book("s1", BTC).costs == {"BNB": D("0.01")}
    check_rig(rig)
    check_image(rig)
    for one in (rig, on_spot(facts=rig.facts, price=None)):
        one.quote(96)
        assert one.engine.guards.losses.profit("strategy:s1") == -10, "4 of the price, 6 of the fee"
        assert trips(one) == []
        one.quote(95.99)
        assert trips(one) == [("all", TradingState.REDUCING)]


def test_without_a_rate_the_rest_is_watched_and_new_exposure_waits() -> None:
    rig = rig_with("account", LIMIT)
    buy(rig, BTC, 1, 100, ("BNB", D("0.01")))
    denied = place(rig, Side.BUY, "1", "99")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.control, denied.observed) == (Denial.RATE_MISSING, 19, "none for BNB")
    assert isinstance(place(rig, Side.SELL, "0.5", "101"), Order)
    rig.quote(90)
    assert trips(rig) == []
    rig.quote(89.99)
    assert trips(rig) == [("all", TradingState.REDUCING)]


def test_what_becomes_unknown_during_the_day_does_not_let_the_day_s_loss_go() -> None:
    rig = rig_with("account", msgspec.structs.replace(LIMIT, max_drawdown=D(20)))
    rig.hold(1)
    for price in (115, 96):
        rig.quote(price)
    assert trips(rig) == []
    buy(rig, BTC, 1, 96, ("BNB", D("0.01")))
    rig.quote(95.5)
    assert trips(rig) == [], "20 under the peak, 5 since the day began"
    rig.quote(95.49)
    assert trips(rig) == [("all", TradingState.REDUCING)]


def test_financing_in_the_account_s_currency_is_a_loss_of_the_account() -> None:
    rig = on_margin()
    rig.hold(100, instrument=EUR_JPY, price=150)
    flow = CashFlow("paper", "f1", CashFlowKind.FINANCING, "USD", D(-11), rig.now_ns, EUR_JPY)
    rig.handle(CashMoved(flow, rig.now_ns))
    rig.quote(150, instrument=EUR_JPY)
    assert trips(rig) == [("all", TradingState.REDUCING)]
    assert rig.state.equity("paper") == 100_000 - 11


def test_what_is_credited_in_the_asset_itself_on_spot_is_told_by_the_balance_and_is_no_profit() -> None:
    rig = on_spot()
    flow = CashFlow("paper", "f1", CashFlowKind.ADJUSTMENT, "BTC", D(1), rig.now_ns, BTC)
    rig.handle(CashMoved(flow, rig.now_ns))
    assert rig.engine.guards.losses.profit("account") == 0


def test_metrics_and_results_tell_the_profit_after_such_fees() -> None:
    rig = on_margin()
    buy(rig, EUR_JPY, 100, 150, ("USD", D(5)))
    rig.quote(153, instrument=EUR_JPY)
    observer = RecordingObserver()
    Gauges(rig.engine, observer).sample()
    labels = {"scope": "account", "currency": "USD"}
    assert observer.gauged("quantd_profit", kind="realized", **labels) == -5
    assert observer.gauged("quantd_profit", kind="unrealized", **labels) == pytest.approx(300 / 150)
    assert by_strategy(rig.state)["s1"] == pytest.approx(-3)


def test_a_backtest_s_round_trip_has_its_fees_at_their_rate() -> None:
    rig = on_margin()
    rig.quote(165, instrument=EUR_JPY)
    bought = Fill("1", D(100), D(150), fees=(("USD", D(1)),))
    sold = Fill("2", D(100), D(153), fees=(("JPY", D(30)), ("EUR", D(1))))
    fills = [
        FillRecorded("a", "s1", EUR_JPY, side, fill, D(100), at_ns)  # type: ignore[arg-type]  # any id does
        for at_ns, (side, fill) in enumerate([(Side.BUY, bought), (Side.SELL, sold)])
    ]
    tally = Ledger(fills, rig.state, 2).tally("s1")
    assert tally.fees == pytest.approx(1.2 + 1.1)
    assert tally.profits == [pytest.approx(2 - 1.2 - 1.1)]
