"""Control 26: a change of limits holds for the next order, is recorded with who and why, and is there after a restart."""

import json
from typing import Any

import pytest

import quantd
from quantd.domain.commands import Cancel
from quantd.domain.events import LimitsChanged, TradingState
from quantd.domain.limit_facts import LimitsSet
from quantd.domain.orders import Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig
from tests.invariants import check_image
from tests.unit.risk.cases import SCOPES, D, place, resting, rig_with


def change(rig: Rig, scope: str, *, by: str = "ann", why: str = "calm day", **limits: Any) -> LimitsSet:
    """Change limits and return what was recorded."""
    rig.handle(LimitsChanged(scope, json.dumps(limits), by, why, rig.now_ns))
    return rig.of(LimitsSet)[-1]


def passes(rig: Rig, quantity: str) -> bool:
    answer = place(rig, Side.BUY, quantity, "100")
    assert isinstance(answer, Order) or answer.code is Denial.ORDER_NOTIONAL
    return isinstance(answer, Order)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("restart", [False, True])
def test_tightening_and_loosening_hold_for_the_next_order(scope: str, restart: bool) -> None:
    limits = Limits(max_order_notional=D(500))
    rig = rig_with(scope, limits)

    def after(**changes: Any) -> LimitsSet:
        nonlocal rig
        told = change(rig, scope, **changes)
        check_image(rig)
        if restart:
            rig = rig_with(scope, limits, facts=rig.facts)
        return told

    assert (passes(rig, "5"), passes(rig, "5.001")) == (True, False)
    told = after(max_order_notional="100")
    assert (told.by, told.why, told.loosened, told.limits) == ("ann", "calm day", (), '{"max_order_notional":"100"}')
    assert (passes(rig, "1"), passes(rig, "1.001")) == (True, False)
    assert after(max_order_notional=900.5).loosened == ("max_order_notional",)
    assert (passes(rig, "9.005"), passes(rig, "9.006")) == (True, False)
    assert after(max_order_notional=None).loosened == (), "back to what is configured"
    assert (passes(rig, "5"), passes(rig, "5.001")) == (True, False)
    assert rig.state.tallies.limits == {}


def test_a_limit_that_was_not_configured_can_be_set() -> None:
    rig = Rig()
    assert change(rig, f"instrument:{BTC}", max_position=1).loosened == ()
    denied = place(rig, Side.BUY, "1.001", "100")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.scope) == (Denial.POSITION, f"instrument:{BTC}")


@pytest.mark.parametrize(
    ("scope", "limits", "says"),
    [
        ("account", {"max_order_notonal": 5}, "max_order_notonal"),
        ("account", {"max_position": 5}, "max_position"),
        ("account", {"max_order_notional": -5}, "max_order_notional"),
        ("account", {"max_order_notional": "many"}, "max_order_notional"),
        ("account", {"submit_rate": {"count": 0, "per_s": 1}}, "count"),
        ("strategy:s9", {"max_position": 5}, "strategy:s9"),
        ("everything", {"max_position": 5}, "everything"),
        ("venue:", {"max_open_orders": 5}, "venue:"),
        ("venue:papr", {"max_open_orders": 5}, "found venue:papr, expected"),
        ("venue:papr", {"max_open_orders": 5}, "venue: and one of paper"),
        ("instrument:paper:BTCUSD", {"max_position": 5}, "instrument: and one of paper:BTC-USD"),
        ("account:", {"max_order_notional": 5}, "account:"),
        ("strategy", {"max_position": 5}, "found strategy,"),
    ],
)
def test_what_makes_no_sense_changes_nothing_and_is_on_record(scope: str, limits: Any, says: str) -> None:
    rig = rig_with("account", Limits(max_order_notional=D(500)))
    told = change(rig, scope, **limits)
    assert says in told.refused
    assert (passes(rig, "5"), passes(rig, "5.001")) == (True, False)
    rig.handle(LimitsChanged("account", "[1", "ann", "typo", rig.now_ns))
    assert rig.of(LimitsSet)[-1].refused
    assert rig.state.tallies.limits == {}


def test_no_change_lifts_a_canary_over_its_caps() -> None:
    rig = Rig(
        risk=RiskSettings(base_currency="USD", canary=Limits(max_order_notional=D(300))),
        setups={"s1": {"stage": "canary"}},
    )
    assert change(rig, "strategy:s1", max_order_notional=10**6).loosened == ()
    assert (passes(rig, "3"), passes(rig, "3.001")) == (True, False)


def test_limits_that_are_watched_change_too() -> None:
    rig = Rig(margin=True)
    rig.hold(1)
    change(rig, "account", max_daily_loss=10)
    rig.quote(89)
    assert rig.state.trading_state(["all"]) is TradingState.REDUCING


def test_a_restricted_list_changes_at_run_time_and_exits_go_on() -> None:
    rig = Rig()
    rig.hold(2)
    change(rig, "account", restricted=[BTC])
    denied = place(rig, Side.BUY, "1", "100")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.PERMISSION
    assert isinstance(place(rig, Side.SELL, "2", "100"), Order)


def test_counters_go_on_where_they_were() -> None:
    rig = rig_with("account", Limits(submit_rate=RateLimit(count=3, per_s=10.0)))
    for price in ("97", "98"):
        resting(rig, Side.BUY, "1", price)
    change(rig, "strategy:s1", max_order_quantity=5)
    resting(rig, Side.BUY, "1", "99")
    denied = place(rig, Side.BUY, "1", "96")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.MESSAGE_RATE


@pytest.mark.parametrize("scope", ["strategy:s1", "venue:paper", "account"])
def test_amendments_and_cancels_are_counted_on_when_limits_change(scope: str) -> None:
    rate = RateLimit(count=2, per_s=10.0)
    rig = rig_with(scope, Limits(amend_rate=rate, cancel_rate=rate))
    order, *others = (resting(rig, Side.BUY, "1", price) for price in ("90", "91", "92", "93"))

    def amended(price: int) -> bool:
        answer = rig.do(lambda s: s.amend(order, price=price))
        if isinstance(answer, Order):
            rig.accept(order)
        return isinstance(answer, Order)

    def cancelled(number: int) -> bool:
        before = len(rig.sent(Cancel))
        rig.do(lambda s: s.cancel(others[number]))
        return len(rig.sent(Cancel)) > before

    assert (amended(91), cancelled(0)) == (True, True)
    for quantity in (50, 60):
        change(rig, "strategy:s1", max_order_quantity=quantity)
    assert (amended(92), cancelled(1)) == (True, True)
    assert (amended(93), cancelled(2)) == (False, False)
    change(rig, scope, amend_rate={"count": 3, "per_s": 10}, cancel_rate={"count": 3, "per_s": 10})
    assert (amended(93), cancelled(2), amended(94)) == (True, True, False)
    rig.wait(10.0)
    assert amended(94)


def test_a_strategy_has_no_way_to_change_limits() -> None:
    public = {name for name in dir(quantd.Strategy) if not name.startswith("_")}
    assert not {name for name in public | set(quantd.__all__) if "limit" in name.lower()} - {"Limit", "StopLimit"}
