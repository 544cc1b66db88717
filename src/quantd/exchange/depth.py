"""Synthetic depth around a quote: the levels that a simulated book has behind its best prices.

A pure function of seed, instrument, time and quote, so that a book that nobody looked at changes nothing.
"""

from decimal import Decimal
from zlib import crc32

from quantd.domain.instruments import Instrument
from quantd.domain.market import Quote
from quantd.exchange.rules import DepthRules

_MASK = (1 << 64) - 1


def _mix(state: int) -> int:
    """Return the splitmix64 hash of a counter."""
    z = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def chance(*parts: int) -> float:
    """Return a number in [0, 1) that depends on nothing but `parts`."""
    state = 0
    for part in parts:
        state = _mix(state ^ (part & _MASK))
    return (state >> 11) / (1 << 53)


FloatLevels = list[tuple[float, float]]


def levels_around(
    quote: Quote, instrument: Instrument, rules: DepthRules, seed: int
) -> tuple[FloatLevels, FloatLevels]:
    """Return (bids, asks), best first: the quote's own size at its prices where it tells one, then drawn sizes.

    A size is at least one lot; levels whose price would not be positive are left out.
    """
    name = crc32(instrument.id.encode())
    sides: list[FloatLevels] = []
    for sign, best, size in ((-1, quote.bid, quote.bid_size), (1, quote.ask, quote.ask_size)):
        levels: FloatLevels = []
        mean = rules.size
        tick = float(instrument.ticks[0].tick) if len(instrument.ticks) == 1 else 0.0
        price = best
        for number in range(rules.levels):
            if price <= 0:
                break
            own = size if number == 0 and size > 0 else 0.0
            drawn = mean * (0.5 + chance(seed, name, quote.received_at_ns, sign * (number + 1)))
            levels.append((price, own or max(drawn, float(instrument.lot))))
            step = tick or float(instrument.tick(Decimal(repr(price))))
            price += sign * step * rules.step_ticks
            mean *= rules.growth
        sides.append(levels)
    return sides[0], sides[1]
