"""Exact arithmetic: Decimal from text, snapping to steps, and the traps that keep floats out of money.

Used everywhere that money is touched. A float becomes a Decimal only through `snap_float`, called by `Instrument`.
"""

import decimal
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from math import isfinite

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal("0.0001")

PRECISION = 40
"""Significant digits of money arithmetic: a product of an 18-digit quantity and an 18-digit price stays exact."""


class Rounding(Enum):
    """How a number is brought onto a step."""

    DOWN = "down"
    """Toward zero: quantities, so that an order is never larger than meant."""
    FLOOR = "floor"
    """Toward minus infinity: a buyer's limit price."""
    CEILING = "ceiling"
    """Toward plus infinity: a seller's limit price."""
    NEAREST = "nearest"
    """To the nearest step, ties to even: reference prices."""


_MODES = {
    Rounding.DOWN: ROUND_DOWN,
    Rounding.FLOOR: ROUND_FLOOR,
    Rounding.CEILING: ROUND_CEILING,
    Rounding.NEAREST: ROUND_HALF_EVEN,
}


def use_exact_arithmetic() -> None:
    """Make this thread and all new ones refuse to mix floats into Decimal, and set the precision."""
    for context in (decimal.DefaultContext, decimal.getcontext()):
        context.prec = PRECISION
        context.traps[decimal.FloatOperation] = True


def decimal_from_text(text: str) -> Decimal:
    """Return the exact, finite Decimal that `text` writes.

    Raises:
        ValueError: when `text` is no finite decimal number.
    """
    try:
        value = Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError(f"expected a decimal number, found {text!r}") from None
    if not value.is_finite():
        raise ValueError(f"expected a finite decimal number, found {text!r}")
    return value


LARGEST = 21
"""Amounts of money and quantities stay below ten to this power: a national economy in the least of currencies."""
FINEST = -256
"""No amount has a digit below ten to this power: no float that is written out in full is longer by much."""


def is_sound(value: Decimal) -> bool:
    """Tell whether a number from outside is one to reckon with: finite, and neither so large nor so fine that sums lose it.

    ``1E+999999`` is finite as well, and overflows in the first product; ``0E-999999999`` fills the memory when it is written.
    """
    if not value.is_finite():
        return False
    text = str(value)
    if len(text) <= LARGEST and "E" not in text:
        return True  # the usual amount: Decimal writes only small exponents out, and taking it apart costs three times as much
    exponent = int(value.as_tuple().exponent)
    # A quotient of zero may be written with any exponent of a few digits.
    return exponent >= FINEST and (value.adjusted() < LARGEST if value else exponent <= -FINEST)


def snap(value: Decimal, step: Decimal, rounding: Rounding) -> Decimal:
    """Return `value` brought onto a multiple of `step` (> 0)."""
    return (value / step).to_integral_value(_MODES[rounding]) * step


def snap_float(value: float, step: Decimal, rounding: Rounding) -> Decimal:
    """Return a float brought onto a multiple of `step`; the one door from market data to money.

    A float that means a multiple of the step but differs by representation (0.1 + 0.2) stays on that multiple:
    it is read through its shortest text, and what lies within a billionth of a step counts as on it.

    Raises:
        ValueError: when `value` is not finite.
    """
    if not isfinite(value):
        raise ValueError(f"expected a finite decimal number, found {value!r}")
    return snap_tolerant(Decimal(repr(value)), step, rounding)


def snap_tolerant(value: Decimal, step: Decimal, rounding: Rounding) -> Decimal:
    """Return `value` snapped, a billionth of a step being forgiven."""
    if not value % step:
        return value.quantize(step)
    ratio = value / step
    nearest = ratio.to_integral_value(ROUND_HALF_EVEN)
    if abs(ratio - nearest) < _TOLERANCE:
        return nearest * step
    return ratio.to_integral_value(_MODES[rounding]) * step


_TOLERANCE = Decimal("1e-9")


def on_step(value: Decimal, step: Decimal) -> bool:
    """Tell whether `value` is an exact multiple of `step`."""
    return value % step == 0


def plain(value: Decimal) -> str:
    """Return fixed-point text without an exponent and without trailing zeros, as venues expect it."""
    text = str(value)
    if "E" in text:
        text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
