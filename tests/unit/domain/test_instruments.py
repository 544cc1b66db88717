"""Instruments: ticks by tier, lots, and what a quantity is worth."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantd.domain.instruments import TickTier
from quantd.domain.numbers import Rounding, on_step
from quantd.testing.builders import make_instrument

TIERED = make_instrument(
    ticks=(
        TickTier(Decimal(0), Decimal("0.001")),
        TickTier(Decimal(1), Decimal("0.01")),
        TickTier(Decimal(100), Decimal("0.5")),
    )
)
prices = st.decimals(min_value="0.01", max_value="100000", places=6)
quantities = st.decimals(min_value="-10000", max_value="10000", places=6)


@pytest.mark.parametrize(
    ("price", "tick"), [("0.5", "0.001"), ("0.999", "0.001"), ("1", "0.01"), ("99.99", "0.01"), ("100", "0.5")]
)
def test_the_tick_is_that_of_the_tier_in_which_the_price_lies(price: str, tick: str) -> None:
    assert TIERED.tick(Decimal(price)) == Decimal(tick)


@given(prices, st.sampled_from(Rounding))
def test_a_snapped_price_is_on_the_tick_of_its_tier(price: Decimal, rounding: Rounding) -> None:
    snapped = TIERED.price(price, rounding)
    assert on_step(snapped, TIERED.tick(price))
    assert TIERED.price(float(price), rounding) == snapped


@given(prices)
def test_a_buyer_never_pays_more_and_a_seller_never_gets_less_than_asked_for(price: Decimal) -> None:
    slack = TIERED.tick(price) * Decimal("1e-9")
    assert TIERED.price(price, Rounding.FLOOR) <= price + slack
    assert TIERED.price(price, Rounding.CEILING) >= price - slack


@given(quantities)
def test_a_snapped_quantity_is_on_the_lot_and_never_larger(quantity: Decimal) -> None:
    rules = make_instrument(lot=Decimal("0.025"))
    for snapped in (rules.quantity(quantity), rules.quantity(float(quantity))):
        assert on_step(snapped, rules.lot)
        assert abs(snapped) <= abs(quantity) + rules.lot * Decimal("1e-9")


def test_names_come_from_the_id() -> None:
    rules = make_instrument("oanda:EUR_USD")
    assert (rules.venue, rules.symbol, rules.base, rules.quote) == ("oanda", "EUR_USD", "EUR", "USD")
    assert rules.settlement_currency == "USD"


def test_a_contract_counts_its_multiplier() -> None:
    assert make_instrument(units_per_quantity=Decimal(100_000)).notional(Decimal(2), Decimal("1.25")) == 250_000


def test_an_inverse_contract_is_worth_less_base_the_higher_the_price() -> None:
    rules = make_instrument(inverse=True, units_per_quantity=Decimal(100))
    assert rules.notional(Decimal(5), Decimal(50_000)) == Decimal("0.01")
    assert rules.settlement_currency == "BTC"
    profit = rules.worth(Decimal(5), Decimal(50_000)) - rules.worth(Decimal(5), Decimal(40_000))
    assert profit == Decimal("0.0025"), "long gains when the price rises: 500/40000 - 500/50000"


@given(quantities, prices, prices)
def test_a_long_gains_and_a_short_loses_when_the_price_rises(quantity: Decimal, one: Decimal, other: Decimal) -> None:
    assume(quantity and one != other)
    low, high = sorted((one, other))
    for inverse in (False, True):
        rules = make_instrument(inverse=inverse)
        gain = rules.worth(quantity, high) - rules.worth(quantity, low)
        assert (gain > 0) == (quantity > 0)
