"""Control 33: no configuration raises what a canary may do; and what is tighter, limit by limit."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.orders import OrderKind, Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import SCOPES, Limits, RateLimit, RiskSettings, expectation
from quantd.engine.risk.stages import CANARY, loosened, staged, tighter
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import Rig
from tests.unit.risk.cases import D, place

HUGE = Limits(
    max_order_notional=D(10**9),
    price_collar_bps=D(9_000),
    max_open_orders=10**6,
    max_daily_orders=10**6,
    max_daily_notional=D(10**9),
    max_gross_notional=D(10**9),
    max_daily_loss=D(10**9),
)
CAPPED = [name for name in Limits.__struct_fields__ if getattr(CANARY, name) is not None]


NONE = Limits()


def canary(limits: Limits, caps: Limits = NONE, stage: str = "canary") -> Rig:
    risk = RiskSettings(base_currency="USD", canary=caps, order=Limits(price_collar_bps=D(9_000)))
    return Rig(risk=risk, limits={"s1": limits}, setups={"s1": {"stage": stage}})


@pytest.mark.parametrize("caps", [Limits(), HUGE])
def test_a_canary_s_orders_stay_under_the_built_in_cap_whatever_is_configured(caps: Limits) -> None:
    rig = canary(HUGE, caps)
    assert isinstance(place(rig, Side.BUY, "9.999", "100"), Order)
    denied = place(rig, Side.BUY, "10.001", "100")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.limit) == (Denial.ORDER_NOTIONAL, "1000")
    assert isinstance(place(canary(HUGE, caps, "live"), Side.BUY, "10.001", "100"), Order)


@pytest.mark.parametrize("name", CAPPED)
def test_every_cap_holds_against_larger_ones_and_gives_way_to_smaller(name: str) -> None:
    cap = getattr(CANARY, name)
    smaller = msgspec.convert({name: "1"}, Limits, strict=False)
    assert getattr(staged(HUGE, "canary", HUGE), name) == cap
    assert getattr(staged(Limits(), "canary", Limits()), name) == cap
    assert getattr(staged(smaller, "canary", HUGE), name) == 1
    assert getattr(staged(HUGE, "canary", smaller), name) == 1
    assert staged(HUGE, "live", smaller) == staged(HUGE, "paper", smaller) == HUGE


def value(name: str, number: int) -> Limits:
    return msgspec.convert({name: str(number)}, Limits, strict=False)


@pytest.mark.parametrize("name", [name for name in SCOPES if expectation(name) is not None and name != "max_share"])
def test_of_two_numbers_one_is_tighter_and_nothing_is_loosest(name: str) -> None:
    small, large = value(name, 1), value(name, 2)
    tight, loose = (small, large) if tighter(small, large) == small else (large, small)
    assert tighter(large, small) == tight
    assert tighter(Limits(), loose) == tighter(loose, Limits()) == loose
    assert loosened(tight, loose) == loosened(loose, Limits()) == (name,)
    assert loosened(loose, tight) == loosened(Limits(), loose) == loosened(tight, tight) == ()


def test_most_numbers_are_upper_bounds_and_these_are_not() -> None:
    numbers = [name for name in SCOPES if expectation(name) is not None and name != "max_share"]
    floors = {name for name in numbers if tighter(value(name, 1), value(name, 2)) == value(name, 2)}
    assert not {name for name in floors if name.startswith("max_")}
    assert {"min_margin_ratio", "reserve", "resume_after_s", "duplicate_window_s"} <= floors


@pytest.mark.parametrize(
    ("name", "tight", "loose"),
    [
        ("long_only", True, False),
        ("self_match", "deny", "cancel_oldest"),
        ("loss_action", "flatten", "halt"),
        ("loss_action", "halt", "reduce"),
        ("submit_rate", RateLimit(count=1, per_s=2.0), RateLimit(count=1, per_s=1.0)),
        ("sides", (Side.BUY,), (Side.BUY, Side.SELL)),
        ("order_types", (OrderKind.LIMIT,), (OrderKind.MARKET, OrderKind.LIMIT)),
        ("restricted", ("paper:A", "paper:B"), ("paper:A",)),
        ("max_share", Decimal("0.1"), Decimal("0.2")),
    ],
)
def test_words_lists_and_rates_are_ordered_too(name: str, tight: Any, loose: Any) -> None:
    strict, lax = Limits(**{name: tight}), Limits(**{name: loose})
    assert tighter(strict, lax) == tighter(lax, strict) == strict
    assert loosened(strict, lax) == (name,)
    assert loosened(lax, strict) == ()


def test_of_lists_that_overlap_only_what_both_allow_is_left() -> None:
    one = Limits(order_types=(OrderKind.LIMIT, OrderKind.STOP))
    other = Limits(order_types=(OrderKind.MARKET, OrderKind.LIMIT))
    assert tighter(one, other).order_types == (OrderKind.LIMIT,)
