"""Boundaries of what adds up over time and of what the market allows: controls 12, 13, 20 and 24."""

from collections.abc import Callable

from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderState
from quantd.engine.risk import budgets, throttle
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import Rig, make_instrument
from tests.unit.risk.cases import AROUND_5, BUY, SCOPES, Answer, Cases, D, by_quantity, grown, resting, with_limits
from tests.unit.risk.exposure_cases import beside
from tests.unit.risk.order_cases import nth_amendment, nth_order

cases = Cases()

# -- 12: repeated execution ------------------------------------------------------------------------------------------
cases.add(
    "fires",
    throttle.RepeatedExecution,
    Denial.REPEATED_EXECUTION,
    rig=with_limits("strategy:s1", max_fires=3),
    levels=("2", "3", "4"),
    new=nth_order,
    scope="strategy:s1",
)

# -- 13: daily budgets -----------------------------------------------------------------------------------------------
FEES = {"instruments": [make_instrument(fees=FeeSchedule(taker=D("0.01")))]}
"""One unit at 100 costs one dollar."""


def after_one_order(act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens after an order that works, the level being the number of messages in all."""

    def acted(rig: Rig, level: str) -> Answer:
        resting(rig, BUY, "1", "80")
        return act(rig, str(int(level) - 1))

    return acted


def paid(act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens after fees of 2 were paid while an order that will cost 1 works; the level is the sum."""

    def acted(rig: Rig, level: str) -> Answer:
        order = resting(rig, BUY, "2", "100")
        rig.report(order, filled_quantity=D(2), average_price=D(100), fees=(("USD", D(2)),), state=OrderState.FILLED)
        resting(rig, BUY, "1", "100")
        return act(rig, str(D(level) - 3))

    return acted


for scope in SCOPES[1:]:
    cases.add(
        f"daily-orders-{scope}",
        budgets.DailyOrders,
        Denial.DAILY_ORDERS,
        rig=with_limits(scope, max_daily_orders=3),
        levels=("2", "3", "4"),
        new=nth_order,
        scope=scope,
    )
    cases.add(
        f"order-to-trade-{scope}",
        budgets.OrderToTrade,
        Denial.ORDER_TO_TRADE,
        rig=with_limits(scope, max_order_to_trade=D(4)),
        levels=("3", "4", "5"),
        new=after_one_order(nth_order),
        amend=lambda rig, level: nth_amendment(rig, str(int(level) - 1)),
        scope=scope,
    )
    cases.add(
        f"daily-notional-{scope}",
        budgets.DailyNotional,
        Denial.DAILY_NOTIONAL,
        rig=with_limits(scope, max_daily_notional=D(500)),
        levels=AROUND_5,
        new=beside("2", "1", BUY, by_quantity()),
        amend=beside("2", "1", BUY, grown()),
        scope=scope,
    )
    cases.add(
        f"daily-fees-{scope}",
        budgets.DailyFees,
        Denial.DAILY_FEES,
        rig=with_limits(scope, FEES, max_daily_fees=D(5)),
        levels=AROUND_5,
        new=paid(by_quantity()),
        amend=paid(grown()),
        scope=scope,
    )
