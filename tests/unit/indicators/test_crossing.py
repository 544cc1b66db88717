"""What counts as a crossing, ties included, and that SMA crosses give the signals of plain running sums."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.indicators import SMA, crossed_above, crossed_below


@dataclass
class Line:
    previous: float
    value: float


@pytest.mark.parametrize(
    ("before", "now", "above", "below"),
    [
        (-1, 1, True, False),
        (1, -1, False, True),
        (0, 1, True, False),
        (0, -1, False, True),
        (-1, 0, False, False),
        (1, 0, False, False),
        (0, 0, False, False),
        (1, 2, False, False),
        (-2, -1, False, False),
        (math.nan, 1, False, False),
        (math.nan, -1, False, False),
        (-1, math.nan, False, False),
        (math.nan, math.nan, False, False),
    ],
)
def test_a_crossing_goes_from_not_beyond_to_beyond(before: float, now: float, above: bool, below: bool) -> None:
    line, level = Line(100 + before, 100 + now), Line(100.0, 100.0)
    for other in (level, 100.0, 100):
        assert crossed_above(line, other) is above
        assert crossed_below(line, other) is below


def test_the_level_may_move_through_a_standing_line() -> None:
    assert crossed_above(Line(5.0, 5.0), Line(6.0, 4.0))
    assert crossed_below(Line(5.0, 5.0), Line(4.0, 6.0))


def test_rounding_noise_is_a_tie_unless_a_tolerance_says_otherwise() -> None:
    noisy = Line(0.3, 0.1 + 0.2)
    assert noisy.value > 0.3
    assert not crossed_above(noisy, 0.3)
    assert crossed_above(noisy, 0.3, tolerance=0.0)
    assert not crossed_above(Line(100.0, 100.00009), 100.0, tolerance=1e-4)
    assert crossed_above(Line(100.0, 100.00011), 100.0, tolerance=1e-4)
    assert crossed_below(Line(100.00009, 99.9), 100.0, tolerance=1e-4)


@given(*[st.integers(-3, 3).map(float)] * 4)
def test_never_both_ways_and_mirrored_when_the_lines_swap(a: float, b: float, c: float, d: float) -> None:
    one, other = Line(a, b), Line(c, d)
    assert not (crossed_above(one, other) and crossed_below(one, other))
    assert crossed_above(one, other) == crossed_below(other, one)


def test_sma_crosses_hold_the_positions_of_running_sums_over_ring_buffers() -> None:
    """The strategy that the benchmark runs, both ways, on prices of a 0.01 grid with a tie tolerance of 1e-4."""
    rng = random.Random(7)
    fast, slow = SMA(10), SMA(30)
    rings, sums = ([0.0] * 10, [0.0] * 30), [0.0, 0.0]
    cents, ours, theirs, changes = 100_000, False, False, 0
    for count in range(50_000):
        cents += rng.randint(-40, 40)
        price = cents / 100
        fast.update(price)
        slow.update(price)
        for which, ring in enumerate(rings):
            at = count % len(ring)
            sums[which] += price - ring[at]
            ring[at] = price
        if count < 29:
            continue
        gap = sums[0] / 10 - sums[1] / 30
        was = theirs
        theirs = gap > 1e-4 or (theirs and not gap < -1e-4)
        changes += theirs is not was
        if count == 29:
            ours = fast.value > slow.value + 1e-4
        elif crossed_above(fast, slow, tolerance=1e-4):
            ours = True
        elif crossed_below(fast, slow, tolerance=1e-4):
            ours = False
        assert ours is theirs, f"at bar {count}"
    assert changes > 1000
