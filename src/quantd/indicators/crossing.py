"""Whether one line crossed another between the last two bars.

Used by strategies. Pure: reads `value` and `previous` and keeps nothing, so asking twice gives the same answer.
"""

from typing import Final, Protocol

TIE: Final = 1e-12
"""Relative difference up to which two values count as equal: above a float's rounding noise, below any tick."""


class Line(Protocol):
    """Anything with a newest and a previous value; every `Indicator` is one."""

    @property
    def value(self) -> float:
        """The newest value, NaN while unknown."""

    @property
    def previous(self) -> float:
        """The value one bar earlier, NaN while unknown."""


def crossed_above(a: Line, b: "Line | float", *, tolerance: float | None = None) -> bool:
    """Return whether `a` is above `b` now and was not at the bar before.

    A tie is not above: "below, tie, above" crosses once, at the last step, and "above, tie, above" crosses again.
    False until both lines have a previous value.

    Args:
        a: The line that moves.
        b: Another line, or a level.
        tolerance: Values that differ by no more than this are tied, in the lines' unit; without it, by no more
            than `TIE` of the level, so that rounding noise of two equal averages is no signal.
    """
    level, level_before = (b, b) if isinstance(b, (int, float)) else (b.value, b.previous)
    now = a.value - level
    if not now > 0.0:  # the common case, and every NaN
        return False
    before = a.previous - level_before
    if tolerance is None:
        return now > TIE * abs(level) and before <= TIE * abs(level_before)
    return now > tolerance and before <= tolerance


def crossed_below(a: Line, b: "Line | float", *, tolerance: float | None = None) -> bool:
    """Return whether `a` is below `b` now and was not at the bar before; a tie is not below.

    The mirror image of `crossed_above`, with the same arguments.
    """
    level, level_before = (b, b) if isinstance(b, (int, float)) else (b.value, b.previous)
    now = level - a.value
    if not now > 0.0:  # the common case, and every NaN
        return False
    before = level_before - a.previous
    if tolerance is None:
        return now > TIE * abs(level) and before <= TIE * abs(level_before)
    return now > tolerance and before <= tolerance
