"""Control 20: as the mark walks down, the venue is reducing before it would act itself, once, and stays so."""

from typing import Any

import pytest

from quantd.domain.events import Resumed, TradingState
from quantd.domain.facts import StateSet
from quantd.domain.orders import Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.margins import Margins, margin_of_positions
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import Rig, make_instrument, make_snapshot
from tests.unit.risk.cases import D, place, resting, rig_with

LIMITS = Limits(min_margin_ratio=D(2))
SCOPES = ["account", "venue:paper"]


def made(scope: str = "account", **more: Any) -> Rig:
    """Return a rig with an equity of 600 and a margin rate of a fifth."""
    plain: dict[str, Any] = {
        "margin": True,
        "balances": {"USD": 600},
        "instruments": [make_instrument(margin_rate=D("0.2"))],
        "defaults": Limits(),
    }
    return rig_with(scope, LIMITS, **(plain | more))


def trips(rig: Rig) -> list[tuple[str, TradingState]]:
    return [(one.scope, one.state) for one in rig.of(StateSet) if one.by == "margin"]


def ratio(rig: Rig) -> float:
    """Return equity over margin used, counted by hand."""
    price = float(rig.state.rates.marks[rig.instruments[0].id].last)
    return (600 + 10 * (price - 100)) / (10 * price * 0.2)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_walk_down_reduces_the_venue_once_before_it_would_act(scope: str) -> None:
    rig = made(scope)
    rig.hold(10)
    entry = resting(rig, Side.BUY, "1", "50")
    for price in (100.0, 90.0, 80.0, 70.0):
        rig.quote(price)
        assert (trips(rig) == []) == (ratio(rig) >= 2), price
    for price in (66.67, 66.66, 60.0, 55.0, 70.0):
        rig.quote(price)
        assert (trips(rig) == []) == (ratio(rig) >= 2 and price == 66.67), price
    assert trips(rig) == [("venue:paper", TradingState.REDUCING)]
    assert rig.live(entry).operation is not None, "entries are cancelled"
    denied = place(rig, Side.BUY, "1", "66")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.TRADING_STATE
    assert isinstance(place(rig, Side.SELL, "1", "66"), Order)


@pytest.mark.parametrize("scope", SCOPES)
def test_it_survives_a_restart_and_a_person_clears_it(scope: str) -> None:
    rig = made(scope)
    rig.hold(10)
    rig.quote(60)
    again = made(scope, facts=rig.facts, price=None)
    again.quote(50)
    assert len(trips(again)) == 1
    again.quote(100)
    assert isinstance(place(again, Side.BUY, "1", "99"), Denied)
    again.handle(Resumed("venue:paper", "ann", "margin was added", again.now_ns))
    assert isinstance(place(again, Side.BUY, "1", "99"), Order)
    again.quote(60)
    assert len(trips(again)) == 2


def test_orders_count_before_they_trade() -> None:
    rig = made()
    for number in range(15):
        assert isinstance(place(rig, Side.BUY, "1", "100"), Order), number
    denied = place(rig, Side.BUY, "1", "100")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.MARGIN_RATIO


def test_where_no_margin_rate_is_known_the_venue_s_word_counts() -> None:
    rig = made(instruments=[make_instrument(margin_rate=None)])
    rig.hold(1)
    told = make_snapshot({"USD": 600}, at_ns=rig.now_ns + 1, margin_used=D(301))
    rig.now_ns += 1
    rig.handle(told)
    assert trips(rig) == []
    rig.wait()
    assert len(trips(rig)) == 1


def test_a_spot_account_has_no_margin() -> None:
    rig = made(margin=False, balances={"USD": 10_000})
    rig.hold(90)
    rig.quote(10)
    assert trips(rig) == []


def test_a_disabled_watch_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Margins, venue: str) -> None:
        return None

    monkeypatch.setattr(Margins, "_look", never)
    rig = made()
    rig.hold(10)
    rig.quote(55)
    assert trips(rig) == []


def test_on_a_hedging_account_the_larger_side_binds_margin_though_the_sum_is_nothing() -> None:
    rig = made(hedging=True, balances={"USD": 1_200})
    rig.hold(15, "s1")
    rig.hold(-15, "s2")
    assert margin_of_positions(rig.state, "paper") == 300
    rig.hold(5, "s1")
    assert margin_of_positions(rig.state, "paper") == 400
    denied = place(rig, Side.BUY, "11", "100")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.MARGIN_RATIO
