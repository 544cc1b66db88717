"""Control 24: a market that is not itself takes no new exposure until fresh prices have shown it calm; exits go on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.instruments import MarketStatus
from quantd.domain.market import StatusChanged
from quantd.domain.orders import Side
from quantd.engine.orders import Order
from quantd.engine.rates import Mark
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.markets import Calm, Markets
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument
from tests.unit.risk.cases import D, place, rig_with

LIMITS = Limits(max_spread_bps=D(100), max_move_pct=D(10), move_window_s=60.0, resume_after_s=30.0)
ETH = "paper:ETH-USD"


def calm_rig(**more: Any) -> Rig:
    """Return a rig whose market has been calm for long enough."""
    rig = rig_with("account", LIMITS, **more)
    quoted(rig, 30)
    return rig


def quoted(rig: Rig, seconds: int, price: float = 100, instrument: str = BTC) -> None:
    """Quote every second."""
    for _ in range(seconds):
        rig.now_ns += SECOND_NS
        rig.quote(price, instrument=instrument)


def is_paused(rig: Rig) -> bool:
    answer = place(rig, Side.BUY, "0.001", "100")
    assert isinstance(answer, Order) or (answer.code is Denial.MARKET_PAUSE and answer.is_transient), answer
    return isinstance(answer, Denied)


@pytest.mark.parametrize("bid", [99.0, 0.0, 101.0])
def test_a_bad_quote_pauses_and_calm_ends_it_after_its_time(bid: float) -> None:
    rig = calm_rig(defaults=Limits())
    rig.hold(1)
    rig.quote(bid, 101 if bid != 101 else 100)
    answer = place(rig, Side.BUY, "1", "100")
    assert isinstance(answer, Denied)
    assert isinstance(place(rig, Side.SELL, "1", "100"), Order), "an exit goes"
    quoted(rig, 30)
    assert is_paused(rig), "29 s of calm"
    quoted(rig, 1)
    assert not is_paused(rig)


def test_silence_is_no_calm() -> None:
    rig = calm_rig()
    rig.quote(99, 101)
    rig.now_ns += SECOND_NS
    rig.quote(100)
    rig.wait(600)
    assert is_paused(rig)


def test_a_move_pauses_until_it_has_left_the_window() -> None:
    rig = calm_rig(defaults=Limits())
    rig.now_ns += SECOND_NS
    rig.quote(112)
    quoted(rig, 60, 112)
    assert is_paused(rig)
    quoted(rig, 1 + 30, 112)
    assert not is_paused(rig)


def test_a_slow_move_pauses_nothing() -> None:
    rig = calm_rig(defaults=Limits())
    for price in range(101, 200):
        quoted(rig, 20, price)
    assert not is_paused(rig)


def test_after_a_halt_the_market_must_show_itself() -> None:
    rig = calm_rig()
    rig.handle(StatusChanged(BTC, MarketStatus.HALTED, rig.now_ns))
    denied = place(rig, Side.BUY, "1", "100")
    assert isinstance(denied, Denied)
    assert denied.code is Denial.SESSION
    rig.wait(600)
    rig.handle(StatusChanged(BTC, MarketStatus.OPEN, rig.now_ns))
    assert is_paused(rig)
    quoted(rig, 29)
    assert is_paused(rig)
    quoted(rig, 1)
    assert not is_paused(rig)


def test_after_a_restart_too() -> None:
    rig = rig_with("account", LIMITS, facts=calm_rig().facts)
    quoted(rig, 29)
    assert is_paused(rig)
    quoted(rig, 1)
    assert not is_paused(rig)


def test_one_market_pauses_alone() -> None:
    rig = calm_rig(instruments=[make_instrument(), make_instrument(ETH)])
    quoted(rig, 40)
    rig.quote(90, 110, instrument=ETH)
    assert not is_paused(rig)


def test_the_tightest_scope_holds() -> None:
    rig = rig_with("venue:paper", Limits(max_spread_bps=D(10)))
    rig.quote(99.9, 100.1)
    assert is_paused(rig)
    rig.quote(99.96, 100.04)
    assert not is_paused(rig)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(50, 150)), min_size=1, max_size=60))
def test_the_range_of_the_window_is_what_a_naive_count_gives(prices: list[tuple[int, int]]) -> None:
    calm = Calm("account", Limits(max_move_pct=D(20), move_window_s=30.0))
    mark, now, seen = Mark(make_instrument()), SECOND_NS, []
    for seconds, price in prices:
        now += seconds * SECOND_NS
        mark.set_quote(price, price, now)
        calm.marked(mark)
        seen.append((now, price))
        inside = [one for at, one in seen if at >= now - 30 * SECOND_NS]
        assert (calm.since_ns is None) == (5 * (max(inside) - min(inside)) > min(inside))


def test_a_disabled_watch_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = calm_rig()

    def never(self: Markets, instrument: str) -> None:
        return None

    monkeypatch.setattr(Markets, "marked", never)
    rig.quote(99, 101)
    assert not is_paused(rig)
