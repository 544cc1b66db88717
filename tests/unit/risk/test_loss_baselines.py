"""From where losses count: from the day's beginning, or from the first known profit, never from the journal's beginning."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.events import DayRolled, LimitsChanged, TradingState
from quantd.domain.facts import DayStarted, Fact, PeaksRecorded, StateSet
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import DayProfitsRecorded, MarksRecorded
from quantd.engine.risk.limits import Limits
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.invariants import check_image, check_rig
from tests.unit.risk.cases import rig_with

D = Decimal
ETH = InstrumentId("paper:ETH-USD")
LIMIT = Limits(max_daily_loss=D(10))


def account(limits: Limits = LIMIT, **more: Any) -> Rig:
    return rig_with("account", limits, **more)


def strategy(limits: Limits, **more: Any) -> Rig:
    return rig_with("strategy:s1", limits, **more)


def roll(rig: Rig, day: str) -> None:
    rig.handle(DayRolled(f"2026-01-{day}", rig.now_ns))


def trips(rig: Rig) -> list[tuple[str, TradingState]]:
    return [(one.scope, one.state) for one in rig.of(StateSet) if one.by == "loss_limit"]


def without(rig: Rig, *kinds: type) -> list[Fact]:
    """Return the facts as a journal of before these kinds existed holds them."""
    return [fact for fact in rig.facts if not isinstance(fact, kinds)]


def earned(profit: int) -> Rig:
    """Return a rig whose account stands at a profit, at the end of its first day, with the prices on record."""
    rig = account()
    roll(rig, "01")
    rig.hold(1)
    for price in range(100, 100 + profit, 9 if profit > 0 else -9):
        rig.quote(price)
    rig.quote(100 + profit)
    rig.wait(60)
    return rig


def test_a_day_that_begins_before_any_price_counts_from_the_last_one_on_record() -> None:
    again = account(facts=earned(50).facts, price=None)
    roll(again, "02")
    assert again.of(DayStarted)[-1].profits["account"] == 50
    again.quote(140)
    assert trips(again) == []
    again.quote(139.99)
    assert trips(again) == [("all", TradingState.REDUCING)]


def test_a_loss_of_earlier_days_is_none_of_the_new_one() -> None:
    rig = earned(-9)
    for day in ("02", "03"):
        rig = account(facts=rig.facts, price=None)
        roll(rig, day)
        rig.quote(91 if day == "02" else 82)
        rig.wait(60)
        assert trips(rig) == []
    rig.quote(80.99)
    assert trips(rig) == [("all", TradingState.REDUCING)]


@pytest.mark.parametrize("profit", [50, -9])
def test_where_no_price_is_on_record_the_first_one_after_the_day_s_beginning_counts(profit: int) -> None:
    again = account(facts=without(earned(profit), MarksRecorded), price=None)
    roll(again, "02")
    assert "account" not in again.of(DayStarted)[-1].profits
    again.quote(100 + profit)
    assert again.of(DayProfitsRecorded)[-1].profits["account"] == profit
    check_rig(again)
    check_image(again)
    again = account(facts=again.facts, price=None)
    again.quote(90 + profit)
    assert trips(again) == []
    again.quote(90 + profit - 0.01)
    assert trips(again) == [("all", TradingState.REDUCING)]


def test_without_limits_the_day_s_profit_is_on_record_all_the_same() -> None:
    rig = Rig()
    rig.hold(1)
    rig.quote(107)
    again = Rig(facts=rig.facts, price=None)
    roll(again, "02")
    again.quote(108)
    again.wait()
    assert again.of(DayProfitsRecorded)[-1].profits == {"account": D(8), "strategy:s1": D(8)}
    again.quote(101)
    assert again.engine.guards.losses.day_loss("account") == 7


@pytest.mark.parametrize("is_configured", [True, False])
def test_a_limit_that_is_new_counts_from_the_day_s_beginning(is_configured: bool) -> None:
    for profit, bound in ((100, 190), (-50, 40)):
        rig = Rig()
        rig.hold(1)
        rig.quote(100 + profit)
        roll(rig, "02")
        if is_configured:
            rig = strategy(LIMIT, facts=rig.facts, price=None)
        else:
            rig.handle(LimitsChanged("strategy:s1", '{"max_daily_loss": "10"}', "ann", "tighten", rig.now_ns))
        for price in (100 + profit, bound):
            rig.quote(price)
            assert trips(rig) == []
        rig.quote(bound - 0.01)
        assert trips(rig) == [("strategy:s1", TradingState.REDUCING)]


def test_a_limit_that_is_set_before_any_day_began_counts_from_then_on() -> None:
    rig = Rig()
    rig.hold(1)
    rig.quote(50)
    limits = '{"max_daily_loss": "10", "max_drawdown": "8"}'
    rig.handle(LimitsChanged("strategy:s1", limits, "ann", "tighten", rig.now_ns))
    rig.quote(42)
    assert trips(rig) == []
    assert rig.state.baselines.peaks == {"strategy:s1": D(-50)}
    rig.quote(41.99)
    assert trips(rig) == [("strategy:s1", TradingState.REDUCING)]


def test_a_drawdown_limit_that_is_new_is_measured_from_what_it_saw_first_and_a_restart_keeps_that() -> None:
    rig = Rig()
    rig.hold(1)
    rig.quote(50)
    limits = Limits(max_drawdown=D(10), drawdown_trailing=False)
    rig = strategy(limits, facts=rig.facts, price=None)
    rig.quote(50)
    assert rig.of(PeaksRecorded)[-1].peaks == {"strategy:s1": D(-50)}
    again = strategy(limits, facts=rig.facts, price=None)
    again.quote(40)
    assert trips(again) == []
    again.quote(39.99)
    assert trips(again) == [("strategy:s1", TradingState.REDUCING)]


def test_while_a_holding_counts_at_cost_only_what_is_lost_meanwhile_counts_and_goes_on_counting() -> None:
    """A journal of before prices were on record: ETH has gained 50 that nobody sees before its first quote."""
    rules = [make_instrument(), make_instrument(ETH)]
    rig = account(instruments=rules)
    rig.hold(1)
    rig.hold(1, instrument=ETH)
    rig.quote(150, instrument=ETH)
    for begins in (False, True):
        if not begins:
            roll(rig, "02")
        again = account(instruments=rules, facts=without(rig, MarksRecorded), price=None)
        if begins:
            roll(again, "03")
        again.quote(100)
        again.quote(96)
        assert trips(again) == [], "the 50 are no loss"
        again.quote(150, instrument=ETH)
        again.quote(90)
        assert trips(again) == []
        again.quote(89.99)
        assert trips(again) == [("all", TradingState.REDUCING)], "the 4 of before count"


def test_the_first_prices_of_two_holdings_are_no_loss_of_now() -> None:
    sol = InstrumentId("paper:SOL-USD")
    rules = [make_instrument(), make_instrument(ETH), make_instrument(sol)]
    rig = account(instruments=rules)
    for one in (BTC, ETH, sol):
        rig.hold(1, instrument=one)
    again = account(instruments=rules, facts=without(rig, MarksRecorded, DayProfitsRecorded, PeaksRecorded), price=None)
    roll(again, "02")
    again.quote(95)
    again.quote(60, instrument=ETH)
    again.quote(50, instrument=sol)
    assert trips(again) == []
    again.quote(85)
    assert trips(again) == []
    again.quote(84.99)
    assert trips(again) == [("all", TradingState.REDUCING)]
