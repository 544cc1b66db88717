"""Marks and conversion: what is missing is None, never a guess."""

from decimal import Decimal

import pytest

from quantd.domain.market import Bar
from quantd.engine.rates import Rates
from quantd.testing.builders import make_instrument

D = Decimal


def make_rates(**quotes: float) -> Rates:
    rates = Rates("USD")
    for name, price in quotes.items():
        mark = rates.listed(make_instrument(f"paper:{name}"))
        if price:
            mark.set_quote(price, price, 1)
    return rates


def test_the_base_currency_counts_one_to_one() -> None:
    assert make_rates().rate("USD") == 1


def test_a_rate_is_found_along_a_chain_and_against_the_grain() -> None:
    rates = make_rates(EUR_USD=1.25, EUR_GBP=0.5, JPY_GBP=0.01)
    assert rates.rate("EUR") == D("1.25")
    assert rates.rate("GBP") == D("2.5")
    assert rates.rate("JPY") == D("0.025")
    assert rates.rate_float("JPY") == pytest.approx(0.025)


def test_a_rate_without_instrument_or_without_price_is_missing() -> None:
    rates = make_rates(EUR_USD=0)
    assert rates.rate("EUR") is None
    assert rates.rate("CHF") is None
    assert rates.rate_float("CHF") is None
    rates.listed(make_instrument("paper:CHF_USD")).set_quote(1.1, 1.1, 1)
    assert rates.rate("CHF") == D("1.1"), "a new instrument opens a new way"


def test_a_stable_coin_counts_as_its_dollar_only_by_decision() -> None:
    rates = make_rates(BTC_USDT=100)
    assert rates.rate("USDT") is None
    rates.equate("USDT", "USD")
    assert rates.rate("USDT") == 1
    assert rates.rate("BTC") == 100
    assert rates.rate_float("USDT") == 1


@pytest.mark.parametrize(("bid", "ask"), [(0.0, 101.0), (99.0, 0.0), (102.0, 101.0), (float("nan"), 101.0)])
def test_a_one_sided_crossed_or_broken_quote_tells_no_price(bid: float, ask: float) -> None:
    rates = make_rates(BTC_USD=100)
    mark = next(iter(rates.marks.values()))
    mark.set_quote(bid, ask, 2)
    assert mark.exact() is None
    assert rates.rate("BTC") is None
    mark.set_quote(110, 110, 3)
    assert mark.exact() == 110
    assert mark.jump == pytest.approx(0.1), "measured from the last good price"


def test_a_bar_stands_in_where_no_quotes_come() -> None:
    mark = make_rates().listed(make_instrument())
    for minute, close in ((1, 50.0), (2, 60.0)):
        mark.set_close(Bar(mark.instrument.id, minute - 1, minute, close, close, close, close, 0.0, minute))
    assert (mark.bid, mark.ask, mark.exact()) == (60.0, 60.0, D(60))
    assert mark.jump == pytest.approx(0.2)


def test_the_notional_of_an_inverse_contract_is_converted_from_base() -> None:
    rates = make_rates(BTC_USD=50_000)
    inverse = make_instrument("paper:BTC_PERP", quote="USD", inverse=True, units_per_quantity=D(100))
    assert rates.notional(inverse, D(5), D(40_000)) == D("625"), "500/40000 BTC at 50000 USD"
