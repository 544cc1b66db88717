"""Synthetic markets for the tests of the strategies that come with quantd."""

import random
from collections.abc import Iterator
from decimal import Decimal

from quantd.domain.market import Book, Quote
from quantd.feeds.synthetic import SyntheticMarket, SyntheticSpec
from quantd.testing.builders import make_instrument
from quantd.testing.kit import STARTED_AT_NS


def synthetic(
    instrument: str, *followers: str, hours: float = 1.0, seed: int = 7, volatility_bps: float = 3.0
) -> Iterator[Quote | Book]:
    """Return a seeded market, a quote a second; `followers` move with the first instrument."""
    lot = Decimal("0.00001")
    specs = [SyntheticSpec(make_instrument(instrument, lot=lot), 100.0, volatility_bps=volatility_bps, depth=0)]
    specs += [
        SyntheticSpec(
            make_instrument(follower, lot=lot),
            50.0,
            volatility_bps=volatility_bps,
            depth=0,
            follows=specs[0].instrument.id,
        )
        for follower in followers
    ]
    market = SyntheticMarket(specs, random.Random(seed), started_at_ns=STARTED_AT_NS)
    return market.events(hours * 3_600)
