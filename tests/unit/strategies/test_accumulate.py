"""Scheduled accumulation: one purchase for each due time, whatever happens around it."""

from decimal import Decimal
from typing import Any

from quantd.engine.risk.limits import Limits
from quantd.testing.kit import Trial
from strategies.accumulate import Accumulate
from tests.unit.strategies.markets import synthetic

DAY_S = 86_400


def weekly(**params: Any) -> Trial:
    """A trial that begins on Sunday at noon, UTC."""
    return Trial(Accumulate, {"cron": "0 9 * * mon UTC", "quantity": "0.1"} | params).quote(100, 101)


def pass_days(trial: Trial, days: int) -> Trial:
    return pass_days_at(trial, days, 100)


def pass_days_at(trial: Trial, days: int, price: float) -> Trial:
    for _ in range(days * 24 * 6):
        trial.wait(595).quote(price, price + 1).wait(5)
    return trial


def test_it_buys_on_mondays_at_nine() -> None:
    trial = weekly()
    trial.wait(20.9 * 3_600)
    assert trial.trades == []
    trial.quote(100, 101)
    trial.wait(0.1 * 3_600 - 1).quote(100, 101)
    trial.wait(1)
    assert trial.trades == [("buy", Decimal("0.1"), Decimal(101))]


def test_it_buys_once_a_week() -> None:
    assert pass_days(weekly(), 15).position() == Decimal("0.3")


def test_it_follows_the_time_zone() -> None:
    trial = weekly(cron="0 9 * * mon America/New_York")
    trial.wait(20.9 * 3_600).quote(100, 101).wait(3_600)
    assert trial.trades == []
    trial.wait(3.1 * 3_600 - 5).quote(100, 101).wait(5)  # 13:00 UTC
    assert trial.position() == Decimal("0.1")


def test_it_stops_after_its_number_of_purchases_restarts_included() -> None:
    trial = pass_days(weekly(cron="0 9 * * *", times=3), 2)
    assert trial.position() == Decimal("0.2")
    pass_days(trial.restart(), 5)
    assert trial.position() == Decimal("0.3")
    assert trial.strategy.purchases == 3


def test_a_stale_price_delays_a_purchase_and_does_not_lose_it() -> None:
    trial = weekly().wait(21.01 * 3_600 - 15)
    assert trial.trades == [], "the price is 21 hours old"
    assert trial.denials[-1].code == "reference"
    trial.quote(100, 101).wait(1)
    assert trial.position() == Decimal("0.1")


def test_a_purchase_that_is_refused_for_good_is_told_and_the_next_one_tried() -> None:
    trial = Trial(Accumulate, {"cron": "0 9 * * *", "quantity": "0.1"}, limits=Limits(max_position=Decimal("0.15")))
    pass_days(trial.quote(100, 101), 3)
    assert trial.position() == Decimal("0.1")
    assert [event for event, _ in trial.log] == ["purchase_missed", "purchase_missed"]
    assert trial.log[0][1]["code"] == "position"


def test_a_purchase_that_was_refused_for_good_does_not_count() -> None:
    trial = Trial(
        Accumulate,
        {"cron": "0 9 * * *", "quantity": "0.1", "times": 2},
        limits=Limits(max_order_notional=Decimal(15)),
    ).quote(200, 201)
    pass_days_at(trial, 2, 200)
    assert (trial.position(), trial.strategy.purchases) == (Decimal(0), 0)
    pass_days_at(trial.restart(), 4, 100)
    assert (trial.position(), trial.strategy.purchases) == (Decimal("0.2"), 2)


def test_a_purchase_that_a_restart_interrupts_counts_once_it_is_made() -> None:
    trial = weekly(cron="0 9 * * *", times=1).wait(21.01 * 3_600 - 15)
    assert trial.strategy.purchases == 0, "the price is too old"
    trial.restart().quote(100, 101).wait(1)
    assert (trial.position(), trial.strategy.purchases) == (Decimal("0.1"), 1)
    assert pass_days(trial, 2).position() == Decimal("0.1")


def test_on_a_synthetic_market_it_buys_whatever_the_price() -> None:
    trial = Trial(Accumulate, {"cron": "*/10 * * * *", "quantity": "0.1"}).play(synthetic("paper:BTC-USD", hours=1.5))
    assert [quantity for _, quantity, _ in trial.trades] == [Decimal("0.1")] * 9
    assert trial.denials == []
