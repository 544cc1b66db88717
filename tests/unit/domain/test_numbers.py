"""Exact arithmetic: snapping, steps, text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.numbers import Rounding, decimal_from_text, on_step, plain, snap, snap_float, snap_tolerant

values = st.decimals(min_value="-1e9", max_value="1e9", allow_nan=False, allow_infinity=False, places=9)
steps = st.sampled_from([Decimal(text) for text in ("1e-8", "0.001", "0.01", "0.05", "0.25", "1", "100", "0.003")])


@given(values, steps, st.sampled_from(Rounding))
def test_what_was_snapped_is_on_the_step_and_less_than_a_step_away(
    value: Decimal, step: Decimal, rounding: Rounding
) -> None:
    snapped = snap(value, step, rounding)
    assert on_step(snapped, step)
    assert abs(snapped - value) < step


@given(values, steps)
def test_snapping_down_never_exceeds_floor_never_rises_and_ceiling_never_falls(value: Decimal, step: Decimal) -> None:
    assert abs(snap(value, step, Rounding.DOWN)) <= abs(value)
    assert snap(value, step, Rounding.FLOOR) <= value <= snap(value, step, Rounding.CEILING)
    assert abs(snap(value, step, Rounding.NEAREST) - value) * 2 <= step


@given(st.integers(-(10**9), 10**9), steps, st.sampled_from(Rounding))
def test_a_multiple_stays_where_it_is(multiple: int, step: Decimal, rounding: Rounding) -> None:
    assert snap(multiple * step, step, rounding) == multiple * step
    assert snap_tolerant(multiple * step, step, rounding) == multiple * step


@given(st.integers(-(10**6), 10**6), st.sampled_from(["0.01", "0.001", "0.1", "0.25"]), st.sampled_from(Rounding))
def test_a_float_that_means_a_multiple_becomes_that_multiple(multiple: int, text: str, rounding: Rounding) -> None:
    assert snap_float(multiple * float(text), Decimal(text), rounding) == multiple * Decimal(text)


def test_a_float_that_lies_between_two_steps_goes_the_way_it_is_told() -> None:
    step = Decimal("0.01")
    assert snap_float(0.1 + 0.2, step, Rounding.DOWN) == Decimal("0.30")
    assert snap_float(1.239, step, Rounding.DOWN) == Decimal("1.23")
    assert snap_float(-1.239, step, Rounding.DOWN) == Decimal("-1.23")
    assert snap_float(-1.239, step, Rounding.FLOOR) == Decimal("-1.24")
    assert snap_float(1.231, step, Rounding.CEILING) == Decimal("1.24")
    assert snap_float(1.235, step, Rounding.NEAREST) == Decimal("1.24")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite decimal number"):
        snap_float(value, Decimal("0.01"), Rounding.DOWN)


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "Infinity", "1e", "--1"])
def test_text_that_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        decimal_from_text(text)


@given(values)
def test_plain_text_means_the_same_number_and_has_no_exponent(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("value", "text"), [("1E+3", "1000"), ("1.500", "1.5"), ("-0.00", "0"), ("1E-8", "0.00000001"), ("100", "100")]
)
def test_plain_text_is_what_venues_expect(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
