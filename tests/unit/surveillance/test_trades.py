"""Wash trades and momentum of our own making: scripted ones are flagged, ordinary trading is not."""

import time

import pytest

from quantd.domain.orders import TimeInForce
from quantd.surveillance.findings import Thresholds
from quantd.surveillance.watch import Surveillance
from tests.unit.surveillance.tape import Tape, flagged, patterns


def wash(tape: Tape, *, apart_s: float = 0.5, sold: float = 1.0, price: float = 100.0) -> None:
    """Buy and sell the same, by orders that stand at the same time."""
    bought, sale = tape.place("buy", 1, 100), tape.place("sell", sold, price)
    tape.wait(1)
    tape.fill(bought, 100)
    tape.wait(apart_s)
    tape.fill(sale, price)
    tape.wait(30)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["wash"]),
        ({"apart_s": 1.0}, ["wash"]),
        ({"apart_s": 1.01}, []),
        ({"sold": 0.9}, ["wash"]),
        ({"sold": 0.89}, []),
        ({"price": 100.01}, []),
    ],
)
def test_the_same_bought_and_sold_at_one_price_at_one_time_is_flagged_the_third_time(
    changed: dict[str, float], expected: list[str]
) -> None:
    tape = Tape()
    for _ in range(2):
        wash(tape, **changed)
    assert patterns(tape) == []
    wash(tape, **changed)
    assert patterns(tape) == expected


def test_orders_that_fill_in_parts_are_compared_as_wholes_and_each_only_once() -> None:
    tape = Tape()
    for _ in range(3):
        bought, sold = tape.place("buy", 1, 100), tape.place("sell", 1, 100)
        tape.wait(1)
        tape.fill(bought, 100, 0.4)
        tape.fill(bought, 100, 0.6)
        tape.fill(sold, 100, 0.7)
        tape.fill(sold, 100, 0.3)
        tape.wait(30)
    (found,) = flagged(tape)
    assert found.pattern.value == "wash"
    assert len(found.orders) == 6


def test_a_trade_of_two_accounts_with_each_other_is_flagged_at_once() -> None:
    mine, other = Tape("mine"), Tape("other", "b:BTC-USD")
    mine.fill(mine.place("buy", 3, 100), 100, trade="T-1")
    other.fill(other.place("sell", 1, 100), 100, trade="T-1")
    (found,) = flagged(mine, other, marketplaces={"a": "x/live", "b": "x/live"})
    assert (found.pattern.value, set(found.strategies)) == ("wash", {"mine", "other"})
    assert "in one trade with ourselves" in found.detail
    assert flagged(mine, other, marketplaces={"a": "x/live", "b": "y/live"}) == [], "numbers of two venues say nothing"


def test_one_purchase_is_taken_back_by_one_sale_and_not_by_each_that_follows() -> None:
    tape = Tape()
    bought, *sold = tape.place("buy", 1, 100), *(tape.place("sell", 1, 100) for _ in range(4))
    tape.wait(1)
    tape.fill(bought, 100)
    for sale in sold:
        tape.fill(sale, 100)
    assert patterns(tape) == []


def test_who_sells_where_he_bought_a_moment_ago_washes_nothing() -> None:
    tape = Tape()
    for _ in range(20):
        tape.fill(tape.place("buy", 1, 100), 100)
        tape.wait(0.5)
        tape.fill(tape.place("sell", 1, 100), 100)
        tape.wait(1)
    assert patterns(tape) == []


def test_a_maker_who_earns_the_spread_washes_nothing() -> None:
    tape = Tape()
    for _ in range(50):
        tape.fill(tape.place("buy", 1, 99.99), 99.99)
        tape.wait(0.1)
        tape.fill(tape.place("sell", 1, 100.01), 100.01)
        tape.wait(1)
    assert patterns(tape) == []


def ignite(
    tape: Tape, *, orders: int = 5, every_s: float = 2.0, move: float = 0.3, back: float = 3.0, after_s: float = 5.0,
    up: bool = True,
) -> None:  # fmt: skip
    """Buy again and again at the market, up by `move` in all, then sell; or the other way round."""
    sign = 1 if up else -1
    first, then = ("buy", "sell") if up else ("sell", "buy")
    for number in range(orders):
        tape.fill(tape.place(first, 1), 100 + sign * move * number / (orders - 1))
        tape.wait(every_s)
    tape.wait(after_s - every_s)
    tape.fill(tape.place(then, back, 100 + sign * move), 100 + sign * move)
    tape.wait(120)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["momentum"]),
        ({"orders": 4}, []),
        ({"move": 0.299}, []),
        ({"every_s": 7.5}, ["momentum"]),
        ({"every_s": 7.6}, []),
        ({"every_s": 7.6, "move": 0.9}, []),
        ({"back": 2.5}, ["momentum"]),
        ({"back": 2.4}, []),
        ({"after_s": 60.0}, ["momentum"]),
        ({"after_s": 60.1}, []),
    ],
)
def test_a_move_of_our_own_making_that_is_traded_against_is_flagged_the_third_time(
    up: bool, changed: dict[str, float], expected: list[str]
) -> None:
    tape = Tape()
    for _ in range(2):
        ignite(tape, up=up, **changed)  # type: ignore[arg-type]  # orders is whole
    assert patterns(tape) == []
    ignite(tape, up=up, **changed)  # type: ignore[arg-type]  # orders is whole
    assert patterns(tape) == expected


def test_passive_purchases_in_a_rising_market_make_no_momentum_and_taking_ones_do() -> None:
    for taker, tif, expected in (
        (False, TimeInForce.GTC, []),
        (True, TimeInForce.GTC, ["momentum"]),
        (False, TimeInForce.IOC, ["momentum"]),
    ):
        tape = Tape()
        for _ in range(3):
            for number in range(5):
                tape.fill(tape.place("buy", 1, 100 + number / 10, tif=tif), 100 + number / 10, taker=taker)
                tape.wait(2)
            tape.fill(tape.place("sell", 5, 100.4), 100.4)
            tape.wait(120)
        assert patterns(tape) == expected


def test_one_order_in_many_parts_and_a_loss_are_no_momentum() -> None:
    tape = Tape()
    for _ in range(3):
        large = tape.place("buy", 10)
        for number in range(10):
            tape.fill(large, 100 + number / 10, 1)
        tape.fill(tape.place("sell", 10, 100.9), 100.9)
        tape.wait(120)
        for number in range(5):
            tape.fill(tape.place("buy", 1), 100 + number / 10)
        tape.fill(tape.place("sell", 5), 100)
        tape.wait(120)
    assert patterns(tape) == []


def test_what_a_fill_costs_does_not_grow_with_how_many_there_were() -> None:
    def seconds_for_each(count: int) -> float:
        tape = Tape()
        for number in range(count):
            tape.wait(29 / count)
            tape.fill(tape.place("buy", 0.01), round(100 + number / count, 4), taker=True)
        surveillance = Surveillance(Thresholds(), {})
        began = time.process_time()
        surveillance.facts(tape.facts)
        return (time.process_time() - began) / count

    few, many = (min(seconds_for_each(count) for _ in range(3)) for count in (200, 2000))
    assert many < 4 * few, "all within the half minute in which a move is made"
