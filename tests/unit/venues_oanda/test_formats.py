"""Times to the nanosecond in both of the venue's formats, units with their sign, bounded reasons."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import OrderKind, OrderSpec, Side
from quantd.venues.oanda.formats import instant_ns, instant_text, reason_of, side_of, signed_units

SEEN_NS = 1_466_621_328_262_344_782


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2016-06-22T18:48:48.262344782Z", SEEN_NS),
        ("1466621328.262344782", SEEN_NS),
        ("2016-06-22T18:48:48Z", SEEN_NS - 262_344_782),
        ("2016-06-22T18:48:48.2Z", SEEN_NS - 62_344_782),
        ("1466621328", SEEN_NS - 262_344_782),
        ("0", None),
        ("", None),
        ("2016-13-22T18:48:48Z", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_read_to_the_nanosecond_in_either_format(text: str, at_ns: int | None) -> None:
    assert instant_ns(text) == at_ns


@given(st.integers(min_value=1, max_value=4_000_000_000_000_000_000))
def test_a_time_that_is_written_reads_as_itself(at_ns: int) -> None:
    text = instant_text(at_ns)
    assert len(text) == len("2016-06-22T18:48:48.262344782Z")
    assert instant_ns(text) == at_ns


def test_units_are_positive_for_buyers_and_negative_for_sellers() -> None:
    buy = OrderSpec(InstrumentId("oanda:EUR_USD"), Side.BUY, Decimal(1_000), OrderKind.MARKET)
    sell = OrderSpec(InstrumentId("oanda:EUR_USD"), Side.SELL, Decimal("0.1"), OrderKind.MARKET)
    assert signed_units(buy, buy.quantity) == "1000"
    assert signed_units(sell, sell.quantity) == "-0.1"
    assert (side_of(Decimal(3)), side_of(Decimal(-3))) == (Side.BUY, Side.SELL)


def test_a_reason_becomes_a_bounded_name() -> None:
    assert reason_of("MARKET_HALTED") == "market_halted"
    assert len(reason_of("X" * 500)) == 60
