"""Boundaries of exposure: controls 15 to 18."""

from collections.abc import Callable
from typing import Any

from quantd.domain.orders import Side
from quantd.engine.risk import exposure
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import BTC, Rig, make_instrument
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
    resting,
    with_limits,
)
from tests.unit.risk.order_cases import nth_order

cases = Cases()

# -- 15: open orders -------------------------------------------------------------------------------------------------
for scope in SCOPES[1:]:
    cases.add(
        f"open-orders-{scope}",
        exposure.OpenOrders,
        Denial.OPEN_ORDERS,
        rig=with_limits(scope, max_open_orders=3),
        levels=("2", "3", "4"),
        new=nth_order,
        scope=scope,
    )


def beside_one_open(act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens while an order of 2 at 100 is open."""

    def acted(rig: Rig, level: str) -> Answer:
        resting(rig, BUY, "2", "100")
        return act(rig, str(D(level) - 2))

    return acted


for scope in SCOPES[1:]:
    cases.add(
        f"open-notional-{scope}",
        exposure.OpenNotional,
        Denial.OPEN_NOTIONAL,
        rig=with_limits(scope, max_open_notional=D(500)),
        levels=AROUND_5,
        new=beside_one_open(by_quantity()),
        amend=beside_one_open(grown()),
        scope=scope,
    )

# -- 16: position ----------------------------------------------------------------------------------------------------


def beside(held: str, working: str, side: Side, act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens to a position of `held` with `working` on the way, the level being the worst case."""

    def acted(rig: Rig, level: str) -> Answer:
        signed = D(held) if side is BUY else -D(held)
        rig.hold(signed)
        resting(rig, side, working, "100")
        return act(rig, str(D(level) - D(held) - D(working)))

    return acted


for scope in ("strategy:s1", f"instrument:{BTC}"):
    for limit, side in (
        ("max_position", BUY),
        ("max_position", SELL),
        ("max_long", BUY),
        ("max_short", SELL),
    ):
        cases.add(
            f"{limit}-{side.value}-{scope}",
            exposure.MaxPosition,
            Denial.POSITION,
            rig=with_limits(scope, **{limit: D(5)}),
            levels=AROUND_5,
            new=beside("2", "1", side, by_quantity(side)),
            amend=beside("2", "1", side, grown(side)),
            scope=scope,
        )

BOUNDED: dict[str, Any] = {
    "margin": True,
    "balances": {"USD": 1_000_000},
    "instruments": [make_instrument(margin_rate=D("0.01"), max_position=D(5))],
}
for side in (BUY, SELL):
    cases.add(
        f"venue-position-{side.value}",
        exposure.VenuePosition,
        Denial.POSITION,
        rig=lambda: Rig(**BOUNDED),
        levels=AROUND_5,
        new=beside("2", "1", side, by_quantity(side)),
        amend=beside("2", "1", side, grown(side)),
        scope=f"instrument:{BTC}",
    )

# -- 17: portfolio ---------------------------------------------------------------------------------------------------
EQUITY_1000 = {"margin": True, "balances": {"USD": 1_000}, "instruments": [make_instrument(margin_rate=D("0.01"))]}
for limit, value, code, scopes in (
    ("max_gross_notional", D(500), Denial.GROSS, SCOPES[1:]),
    ("max_net_notional", D(500), Denial.NET, SCOPES[1:]),
    ("max_leverage", D("0.5"), Denial.LEVERAGE, SCOPES[3:]),
    ("max_share", D("0.5"), Denial.CONCENTRATION, SCOPES[3:]),
    ("capital", D(500), Denial.CAPITAL, SCOPES[1:2]),
):
    for scope in scopes:
        for side in (BUY, SELL):
            cases.add(
                f"{limit}-{side.value}-{scope}",
                exposure.Exposure,
                code,
                rig=with_limits(scope, EQUITY_1000, **{limit: value}),
                levels=AROUND_5,
                new=beside("2", "1", side, by_quantity(side)),
                amend=beside("2", "1", side, grown(side)),
                scope=scope,
            )

# -- 18: balance -----------------------------------------------------------------------------------------------------
SPOT_500: dict[str, Any] = {"balances": {"USD": 500, "BTC": 5}}
cases.add(
    "free-quote-on-spot",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=by_quantity(),
    amend=grown(),
    scope="venue:paper",
)
cases.add(
    "free-base-on-spot",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=by_quantity(SELL),
    amend=grown(SELL),
    scope="venue:paper",
)
cases.add(
    "free-quote-counts-what-is-reserved",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=beside_one_open(by_quantity()),
    amend=beside_one_open(grown()),
    scope="venue:paper",
)
for side in (BUY, SELL):
    cases.add(
        f"free-margin-{side.value}",
        exposure.FreeBalance,
        Denial.BALANCE,
        rig=lambda: Rig(margin=True, balances={"USD": 50}, instruments=[make_instrument(margin_rate=D("0.1"))]),
        levels=AROUND_5,
        new=beside("2", "1", side, by_quantity(side)),
        amend=beside("2", "1", side, grown(side)),
        scope="venue:paper",
    )
for scope in SCOPES[3:]:
    cases.add(
        f"reserve-spot-{scope}",
        exposure.FreeBalance,
        Denial.BALANCE,
        rig=with_limits(scope, {"balances": {"USD": 800, "BTC": 5}}, reserve=D(300)),
        levels=AROUND_5,
        new=by_quantity(),
        amend=grown(),
        scope=scope,
    )
    for side in (BUY, SELL):
        cases.add(
            f"reserve-margin-{side.value}-{scope}",
            exposure.FreeBalance,
            Denial.BALANCE,
            rig=with_limits(
                scope,
                {
                    "margin": True,
                    "balances": {"USD": 800},
                    "instruments": [make_instrument(margin_rate=D(1))],
                },
                reserve=D(300),
            ),
            levels=AROUND_5,
            new=by_quantity(side),
            amend=grown(side),
            scope=scope,
        )
