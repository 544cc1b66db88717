"""Boundaries of what adds up over time and of what the market allows: controls 12, 13, 20 and 24."""

from collections.abc import Callable

from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderState
from quantd.engine.risk import budgets, margins, markets, throttle
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import SECOND_NS, Rig, make_instrument
from tests.unit.risk.cases import (
    AROUND_5,
    BUY,
    SCOPES,
    SELL,
    Answer,
    Cases,
    D,
    by_quantity,
    grown,
    place,
    resting,
    with_limits,
)
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

# -- 20: margin distance ---------------------------------------------------------------------------------------------
WHOLE_MARGIN = {"margin": True, "balances": {"USD": 1_000}, "instruments": [make_instrument(margin_rate=D(1))]}
for scope in SCOPES[3:]:
    for side in (BUY, SELL):
        cases.add(
            f"margin-ratio-{side.value}-{scope}",
            margins.MarginDistance,
            Denial.MARGIN_RATIO,
            rig=with_limits(scope, WHOLE_MARGIN, min_margin_ratio=D(2)),
            levels=AROUND_5,
            new=beside("2", "1", side, by_quantity(side)),
            amend=beside("2", "1", side, grown(side)),
            scope=scope,
        )

# -- 24: markets -----------------------------------------------------------------------------------------------------
Shows = Callable[[Rig, str], None]


def seen(show: Shows) -> tuple[Callable[[Rig, str], Answer], Callable[[Rig, str], Answer]]:
    """Return a new order, and an amendment, after the market showed the level."""

    def new(rig: Rig, level: str) -> Answer:
        show(rig, level)
        return place(rig, BUY, "1", "100")

    def amend(rig: Rig, level: str) -> Answer:
        order = resting(rig, BUY, "1", "100")
        show(rig, level)
        answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(2)))
        return answer

    return new, amend


def wide(rig: Rig, level: str) -> None:
    """Quote a spread of two levels around 100."""
    rig.quote(100 - float(level), 100 + float(level))


def moved_to(rig: Rig, level: str) -> None:
    """Move to the level within the window."""
    rig.now_ns += SECOND_NS
    rig.quote(float(level))


def calm_for(rig: Rig, level: str) -> None:
    """Show no price, then a calm market for so many nanoseconds."""
    rig.quote(0, 100)
    rig.quote(100)
    rig.now_ns += int(level)
    rig.quote(100)


for scope in ("order", *SCOPES[2:]):
    for name, limits, levels, show in (
        ("spread", {"max_spread_bps": D(100)}, ("0.49", "0.5", "0.51"), wide),
        ("rise", {"max_move_pct": D(4)}, ("103.99", "104", "104.01"), moved_to),
        ("fall", {"max_move_pct": D(25)}, ("80.01", "80", "79.99"), moved_to),
        (
            "calm",
            {"resume_after_s": 10.0},
            (str(10 * SECOND_NS + 1), str(10 * SECOND_NS), str(10 * SECOND_NS - 1)),
            calm_for,
        ),
    ):
        make: Callable[..., Callable[[], Rig]] = with_limits
        new, amend = seen(show)
        cases.add(
            f"market-{name}-{scope}",
            markets.MarketPause,
            Denial.MARKET_PAUSE,
            rig=make(scope, {"defaults": Limits()}, **limits),
            levels=levels,
            new=new,
            amend=amend if name != "calm" else None,
            scope=scope,
        )
