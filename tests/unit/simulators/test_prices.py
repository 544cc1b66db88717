"""How recorded bars become quotes that move, and how fast."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import LoopClock
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.feeds.replay import ReplayFeed
from quantd.simulators.ionloop.options import MarketRules
from quantd.simulators.prices import quotes_of, replayed, synthetic
from quantd.testing.loop import run_virtual

SECOND_NS = 1_000_000_000
INSTRUMENT = MarketRules().instrument()


def bar(open_: float, high: float, low: float, close: float) -> Bar:
    return Bar(INSTRUMENT.id, 0, 60 * SECOND_NS, open_, high, low, close, 1.0, 60 * SECOND_NS)


def mids(quotes: list[Quote]) -> list[float]:
    return [round(quote.mid, 1) for quote in quotes]


def test_a_rising_bar_goes_low_first_and_a_falling_one_high_first() -> None:
    assert mids(list(quotes_of(bar(100, 120, 90, 110), INSTRUMENT))) == [100, 90, 120, 110]
    assert mids(list(quotes_of(bar(110, 120, 90, 100), INSTRUMENT))) == [110, 120, 90, 100]


def test_the_four_quotes_are_spread_over_the_bar_s_time() -> None:
    times = [quote.received_at_ns for quote in quotes_of(bar(100, 120, 90, 110), INSTRUMENT)]
    assert times == [0, 15 * SECOND_NS, 30 * SECOND_NS, 45 * SECOND_NS]


@given(price=st.floats(1, 1e6), spread=st.floats(0, 100))
def test_quotes_lie_on_ticks_around_the_price_and_never_cross(price: float, spread: float) -> None:
    for quote in quotes_of(bar(price, price, price, price), INSTRUMENT, spread):
        assert quote.bid < quote.ask
        assert quote.bid <= price + 0.005
        assert quote.ask >= price - 0.005
        assert (quote.ask - quote.bid) <= price * spread * 1e-4 + 0.0200001
        assert Decimal(repr(quote.bid)) % Decimal("0.01") == 0


def test_at_speed_600_a_minute_bar_passes_in_a_tenth_of_a_second_in_four_steps(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = [f"2022-01-01T00:{minute:02}:00Z,100,120,90,110,1" for minute in range(10)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")

    async def main(clock: LoopClock) -> list[tuple[int, float]]:
        seen: list[tuple[int, float]] = []
        started_ns = clock.now_ns()
        feed = ReplayFeed(replayed(path, INSTRUMENT), clock, speed=600)

        def emit(event: object) -> None:
            assert isinstance(event, Quote)
            seen.append(((clock.now_ns() - started_ns) // 1_000_000, round(event.mid, 1)))
            assert event.received_at_ns == clock.now_ns()
            if len(seen) == 40:
                raise StopAsyncIteration

        try:
            await feed.run(emit)
        except (StopAsyncIteration, RuntimeError):
            pass
        return seen

    seen = run_virtual(main)
    assert seen[:5] == [(0, 100), (25, 90), (50, 120), (75, 110), (100, 100)]
    assert seen[-1] == (975, 110)


def test_recorded_quotes_are_replayed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text("timestamp,bid,ask\n2022-01-01T00:00:00Z,1.10,1.12\n2022-01-01T00:00:01Z,1.11,1.13\n")
    instrument = MarketRules(symbol="EUR-USD").instrument()
    quotes = list(replayed(path, instrument))
    assert [(quote.bid, quote.ask) for quote in quotes] == [(1.10, 1.12), (1.11, 1.13)]
    assert quotes[0].instrument == InstrumentId("ionloop:EUR-USD")


def test_a_synthetic_market_is_repeatable_and_moves_faster_at_speed() -> None:
    def path(speed: float, seed: int) -> list[float]:
        market = synthetic(INSTRUMENT, price=65_000, seed=seed, speed=speed)
        return [event.mid for event in market.events(100) if isinstance(event, Quote)]

    assert path(1, 3) == path(1, 3) != path(1, 4)
    assert len(path(1, 3)) == 400

    def travelled(prices: list[float]) -> float:
        return sum(abs(later - earlier) for earlier, later in pairwise(prices))

    assert travelled(path(100, 3)) > 4 * travelled(path(1, 3))
