"""The synthetic market: repeatable, well-formed, and as lively as it says."""

from decimal import Decimal
from itertools import pairwise
from random import Random
from statistics import correlation, pstdev
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.app.feeds import synthetic_specs
from quantd.clock import ManualClock
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.market import Book, Quote
from quantd.domain.numbers import ZERO
from quantd.feeds.quality import QualityGate
from quantd.feeds.synthetic import Regime, SyntheticMarket, SyntheticSpec
from quantd.testing.observer import RecordingObserver
from quantd.venues.paper.settings import SyntheticData


def instrument(symbol: str, tick: str = "0.01", lot: str = "0.001") -> Instrument:
    return Instrument(
        id=InstrumentId(f"paper:{symbol}"),
        base="A",
        quote="B",
        ticks=(TickTier(ZERO, Decimal(tick)),),
        lot=Decimal(lot),
    )


A, B = instrument("A"), instrument("B", "0.0001")


def market(seed: int, *specs: SyntheticSpec) -> SyntheticMarket:
    return SyntheticMarket(specs or (SyntheticSpec(A, 100.0),), Random(seed))


def quotes(events: list[Quote | Book], of: Instrument = A) -> list[Quote]:
    return [event for event in events if isinstance(event, Quote) and event.instrument == of.id]


def test_a_seed_repeats_a_market_and_another_does_not() -> None:
    pair = (SyntheticSpec(A, 100.0), SyntheticSpec(B, 1.1, follows=A.id))
    assert list(market(7, *pair).events(500)) == list(market(7, *pair).events(500))
    assert list(market(7, *pair).events(500)) != list(market(8, *pair).events(500))


def test_the_first_prices_of_a_seed_never_change() -> None:
    lively = SyntheticSpec(A, 100.0, volatility_bps=10, depth=0)
    assert [quote.bid for quote in quotes(list(market(1, lively).events(6)))] == FIRST_OF_SEED_1


@pytest.mark.parametrize("drift_bps", [1.0, -0.5])
def test_a_drift_moves_every_regime_as_a_whole(drift_bps: float) -> None:
    steps = 5_000
    lively = SyntheticSpec(A, 10_000.0, volatility_bps=5, depth=0, regime_s=100)
    drifting = msgspec.structs.replace(lively, drift_bps=drift_bps)
    plain, moved = (quotes(list(market(3, spec).events(steps)))[-1].bid for spec in (lively, drifting))
    assert moved / plain == pytest.approx((1 + drift_bps * 1e-4) ** steps, rel=0.01)


def test_the_drift_and_volatility_of_a_section_are_those_of_a_year_of_market_time() -> None:
    instruments: Any = [{"symbol": "A-USD", "price": 100, "drift": 0.3, "volatility": 0.6}]
    section = SyntheticData(instruments=instruments, speed=60)
    year = 365.25 * 86_400
    (live,) = synthetic_specs(section, {"A-USD": A}, speed=section.speed)
    (own,) = synthetic_specs(section, {"A-USD": A})
    assert own.drift_bps * year == pytest.approx(3_000)
    assert own.volatility_bps * year**0.5 == pytest.approx(6_000)
    assert live.drift_bps / own.drift_bps == pytest.approx(60)
    assert live.volatility_bps / own.volatility_bps == pytest.approx(60**0.5)


FIRST_OF_SEED_1 = [100.05, 99.94, 100.08, 100.07, 99.93, 99.97]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0.5, 60_000),
    st.floats(0, 500),
    st.sampled_from(["0.00001", "0.01", "0.25", "0.3"]),
)
def test_every_quote_and_book_is_on_ticks_and_passes_the_gate(
    seed: int, price: float, volatility_bps: float, tick: str
) -> None:
    traded = instrument("X", tick, "0.05")
    lively = SyntheticSpec(traded, max(price, float(tick) * 3), volatility_bps=volatility_bps, regime_s=5)
    gate = QualityGate(ManualClock(10**18), RecordingObserver())
    for event in market(seed, lively).events(50):
        assert gate.admit(event) == (event,)
        if isinstance(event, Book):
            levels = [*event.bids, *event.asks]
            assert event.bids[0][0] < event.asks[0][0]
        else:
            levels = [(event.bid, event.bid_size), (event.ask, event.ask_size)]
        for level, quantity in levels:
            assert Decimal(repr(level)) % Decimal(tick) == 0
            assert Decimal(repr(quantity)) % traded.lot == 0
            assert quantity > 0


def test_time_goes_on_over_several_calls() -> None:
    running = SyntheticMarket([SyntheticSpec(A, 100.0, depth=0)], Random(1), started_at_ns=5, step_s=0.5)
    times = [event.received_at_ns for event in (*running.events(1), *running.events(1))]
    assert times == [5 + n * 500_000_000 for n in (1, 2, 3, 4)]


def test_all_regimes_occur_and_storms_are_wider_and_wilder() -> None:
    running = market(3, SyntheticSpec(A, 1_000.0, regime_s=100, depth=0))
    moves: dict[Regime, list[float]] = {regime: [] for regime in Regime}
    spreads: dict[Regime, set[float]] = {regime: set() for regime in Regime}
    last = 1_000.0
    for event in running.events(30_000):
        assert isinstance(event, Quote)
        regime = running.regime(A.id)
        moves[regime].append(event.mid / last - 1)
        spreads[regime].add(round(event.ask - event.bid, 6))
        last = event.mid
    assert spreads == {Regime.TREND: {0.02}, Regime.RANGE: {0.02}, Regime.VOLATILE: {0.04}}
    assert pstdev(moves[Regime.VOLATILE]) > 2 * pstdev(moves[Regime.RANGE])
    assert 0.5e-4 < pstdev(moves[Regime.TREND]) < 2e-4


def test_a_pair_moves_together_and_does_not_part() -> None:
    follower = SyntheticSpec(B, 50.0, follows=A.id, correlation=0.8, depth=0)
    events = list(market(5, SyntheticSpec(A, 100.0, depth=0), follower).events(20_000))
    first, second = ([quote.mid for quote in quotes(events, of)] for of in (A, B))
    steps = [[later / earlier - 1 for earlier, later in pairwise(mids)] for mids in (first, second)]
    assert correlation(*steps) > 0.4
    gaps = [b / (a**0.8) for a, b in zip(first, second, strict=True)]
    assert max(gaps) / min(gaps) < 1.1


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [SyntheticSpec(B, 1.0, follows=A.id)],
        [SyntheticSpec(A, 0.01)],
        [SyntheticSpec(A, 100.0, spread_ticks=0)],
        [SyntheticSpec(A, 100.0, correlation=1.5)],
    ],
)
def test_impossible_markets_are_refused(specs: list[SyntheticSpec]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SyntheticMarket(specs, Random(1))
