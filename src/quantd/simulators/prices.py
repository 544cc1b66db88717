"""Prices for simulated venues: recorded bars and quotes, or a seeded synthetic market, as quotes that move.

Used by `quantd simulate` and by the venues for bars. A bar becomes four quotes spread over its time, so that the book
moves within it: open, low, high, close when it closed above its open, else open, high, low, close. It knows no clock.
"""

import random
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

from quantd.domain.instruments import Instrument
from quantd.domain.market import Bar, Quote
from quantd.domain.numbers import Rounding
from quantd.feeds.recorded import read_market
from quantd.feeds.synthetic import SyntheticMarket, SyntheticSpec

SPREAD_BPS = 1.0
"""Distance of bid and ask around a bar's price unless told otherwise."""
STEP_S = 0.25
"""Time between two synthetic quotes."""
_STEPS = 4


def quotes_of(bar: Bar, instrument: Instrument, spread_bps: float = SPREAD_BPS) -> Iterator[Quote]:
    """Yield the four quotes of a bar's path, a quarter of its time apart, the first at its opening."""
    rising = bar.close >= bar.open
    path = (bar.open, bar.low, bar.high, bar.close) if rising else (bar.open, bar.high, bar.low, bar.close)
    for number, price in enumerate(path):
        yield quote_around(price, instrument, bar.opened_at_ns + number * bar.interval_ns // _STEPS, spread_bps)


def quote_around(price: float, instrument: Instrument, at_ns: int, spread_bps: float) -> Quote:
    """Return a quote with `price` in its middle, on ticks, at least one tick wide."""
    half = price * spread_bps * 0.5e-4
    bid = instrument.price(price - half, Rounding.FLOOR)
    ask = instrument.price(price + half, Rounding.CEILING)
    if bid == ask:
        ask = bid + instrument.tick(bid)
    return Quote(instrument.id, float(bid), float(ask), at_ns, at_ns)


def replayed(path: Path, instrument: Instrument, spread_bps: float = SPREAD_BPS) -> Iterator[Quote]:
    """Yield a file's market as quotes with their recorded times.

    Raises:
        ConfigError: on iterating, when the file cannot be read; names file and row.
    """
    for event in read_market(path, instrument.id):
        if isinstance(event, Bar):
            yield from quotes_of(event, instrument, spread_bps)
        else:
            yield event


def synthetic(instrument: Instrument, *, price: float, seed: int, speed: float = 1.0) -> SyntheticMarket:
    """Return a market that moves in real time as one of `speed` times the usual pace would."""
    tick = float(instrument.tick(instrument.price(price, Rounding.NEAREST)))
    spec = SyntheticSpec(
        instrument,
        price,
        volatility_bps=sqrt(speed),
        spread_ticks=max(1, round(price * SPREAD_BPS * 1e-4 / tick)),
        regime_s=max(300.0 / speed, 1.0),
        depth=0,
    )
    return SyntheticMarket([spec], random.Random(seed), step_s=STEP_S)
