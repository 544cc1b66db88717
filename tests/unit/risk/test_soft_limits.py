"""Control 25, soft limits: told once for each crossing, over restarts too, and nothing is blocked."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.facts import RequestDenied
from quantd.domain.limit_facts import SoftLimitCrossed
from quantd.domain.orders import OrderState, Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.unit.risk.cases import D, place, resting, rig_with

EQUITY_1000: dict[str, Any] = {
    "margin": True,
    "balances": {"USD": 1_000},
    "instruments": [make_instrument(margin_rate=Decimal("0.01"))],
}
BY_VALUE = {
    "max_open_notional": D(500),
    "max_position": D(5),
    "max_long": D(5),
    "max_gross_notional": D(500),
    "max_net_notional": D(500),
    "max_leverage": D("0.5"),
    "max_share": D("0.5"),
    "capital": D(500),
    "max_daily_notional": D(500),
}
SCOPES = {
    "max_position": "strategy:s1",
    "max_long": f"instrument:{BTC}",
    "max_leverage": "venue:paper",
    "capital": "strategy:s1",
}


def crossings(rig: Rig) -> list[tuple[str, str, bool]]:
    return [(one.scope, one.limit, one.is_over) for one in rig.of(SoftLimitCrossed)]


def made(limits: Limits, scope: str = "account", **more: Any) -> Rig:
    return rig_with(scope, limits, **(EQUITY_1000 | more))


@pytest.mark.parametrize("name", BY_VALUE)
def test_below_and_at_the_share_nothing_is_told_above_it_once(name: str) -> None:
    scope = SCOPES.get(name, "account")
    limits = msgspec.structs.replace(msgspec.convert({name: BY_VALUE[name]}, Limits), soft_pct=D(80))
    for quantity, told in (("3.999", []), ("4", []), ("4.001", [(scope, name, True)])):
        rig = made(limits, scope)
        assert isinstance(place(rig, Side.BUY, quantity, "100"), Order)
        assert crossings(rig) == told
        assert isinstance(place(rig, Side.BUY, "0.5", "99"), Order), "it blocks nothing"
        assert crossings(rig) == [(scope, name, True)]
        again = made(limits, scope, facts=rig.facts)
        assert isinstance(place(again, Side.BUY, "0.25", "98"), Order)
        assert len(crossings(again)) == 1, "nor does a restart tell it again"
        assert rig.of(RequestDenied) == []


@pytest.mark.parametrize("name", ["max_open_orders", "max_daily_orders"])
def test_counts_warn_too(name: str) -> None:
    rig = made(msgspec.convert({name: 5, "soft_pct": "60"}, Limits, strict=False))
    for number in range(3):
        resting(rig, Side.BUY, "0.1", f"9{number}")
    assert crossings(rig) == []
    resting(rig, Side.BUY, "0.1", "95")
    assert crossings(rig) == [("account", name, True)]


def test_coming_back_is_told_too_and_the_next_crossing_again() -> None:
    rig = made(Limits(max_open_notional=D(500), soft_pct=D(80)))
    for _ in range(2):
        order = resting(rig, Side.BUY, "4.5", "100")
        rig.report(order, state=OrderState.CANCELLED)
        small = resting(rig, Side.BUY, "1", "100")
        rig.report(small, state=OrderState.CANCELLED)
    assert [over for _, _, over in crossings(rig)] == [True, False, True, False]


def test_a_share_of_the_loss_limit_is_told_before_the_limit_trips() -> None:
    rig = made(Limits(max_daily_loss=D(100), max_drawdown=D(100), soft_pct=D(50)))
    rig.hold(10)
    rig.quote(95)
    assert crossings(rig) == []
    for price in (94.99, 94, 92):
        rig.quote(price)
    assert crossings(rig) == [("account", "max_daily_loss", True), ("account", "max_drawdown", True)]
    assert not rig.state.latches
    rig.quote(99)
    assert [over for _, _, over in crossings(rig)] == [True, True, False, False]


def test_exits_tell_nothing_and_positions_are_told_by_instrument() -> None:
    rig = made(Limits(max_position=D(5), soft_pct=D(50)), "strategy:s1")
    rig.hold(4)
    place(rig, Side.SELL, "4", "100")
    (told,) = rig.of(SoftLimitCrossed)
    assert (told.instrument, told.soft, told.hard, told.observed) == (BTC, "2.5", "5", "4")


def test_without_a_share_nobody_is_told() -> None:
    rig = made(Limits(max_open_notional=D(500)))
    resting(rig, Side.BUY, "5", "100")
    assert crossings(rig) == []
