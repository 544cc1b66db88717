"""What a run is said to have come to."""

from array import array
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd import Bar, Strategy
from quantd.backtest import summarise
from quantd.backtest.equity import EquityCurve
from quantd.backtest.result import drawdown, period_returns, sharpe
from quantd.engine.rates import Rates
from quantd.engine.state import State
from tests.unit.backtest.rig import MINUTE_NS, START_NS, backtest, bars

_DAY_NS = 86_400_000_000_000


class Plan(Strategy):
    """Sets its book to what the plan says at each bar."""

    def __init__(self, plan: list[int]) -> None:
        super().__init__()
        self.plan = iter(plan)

    def setup(self) -> None:
        self.bars()

    def on_bar(self, bar: Bar) -> None:
        self.target(bar.instrument, next(self.plan, 0))


def test_profit_fees_trades_and_exposure_of_two_round_trips_by_hand() -> None:
    closes = [100.0, 100.0, 110.0, 110.0, 100.0, 90.0]
    # Bought at 100, sold at 110; bought at 110, sold at 100; each fill a bar after the wish.
    result = summarise(backtest(Plan([1, 1, 0, 1, 0, 0]), bars(closes)).run())
    (one,) = result.strategies
    fees = (100 + 110 + 110 + 100) * 0.001
    assert (one.fills, one.trades, one.won) == (4, 2, 0.5)
    assert one.fees == pytest.approx(fees)
    assert one.profit == pytest.approx(10 - 10 - fees)
    assert one.turnover == pytest.approx(420.0)
    assert result.closing_equity == pytest.approx(100_000 - fees)
    assert result.total_return == pytest.approx(-fees / 100_000)
    assert one.exposure == pytest.approx((2 + 1) / 6)
    assert result.exposure == one.exposure
    assert result.denials == {}


def test_a_position_that_is_open_at_the_end_counts_at_the_last_price() -> None:
    result = summarise(backtest(Plan([1, 1, 1]), bars([100.0, 100.0, 120.0])).run())
    assert result.strategies[0].profit == pytest.approx(20 - 0.1)
    assert result.strategies[0].trades == 0
    assert result.strategies[0].won is None


def test_denials_are_counted_by_code_for_each_strategy() -> None:
    run = backtest({"big": Plan([5_000] * 3), "small": Plan([1])}, bars([100.0] * 4)).run()
    result = summarise(run)
    by_name = {one.strategy: one.denials for one in result.strategies}
    assert by_name["small"] == {}
    assert by_name["big"]["balance"] >= 1
    assert result.denials == by_name["big"]


@given(
    st.lists(st.integers(9_000, 11_000), min_size=3, max_size=40),
    st.lists(st.integers(0, 3), min_size=3, max_size=40),
)
def test_the_sampled_equity_is_the_engines_own_after_every_run(cents: list[int], plan: list[int]) -> None:
    run = backtest(Plan(plan), bars([price / 100 for price in cents])).run()
    exact = run.engine.state.equity("paper")
    assert exact is not None
    assert run.equity.values[-1] == pytest.approx(float(exact), rel=1e-12)
    assert len(run.equity.values) == len(cents)
    ledger = sum(
        book.realised + book.unrealised(Decimal(cents[-1]) / 100) for book in run.engine.state.portfolio.books()
    )
    assert float(exact) - 100_000 == pytest.approx(float(ledger), abs=1e-6)


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=50))
def test_the_drawdown_is_the_deepest_fall_from_any_earlier_worth(values: list[float]) -> None:
    slow = max((early - late) / early for at, early in enumerate(values) for late in values[at:])
    assert drawdown(values) == pytest.approx(max(slow, 0.0))


def test_no_worth_has_no_drawdown() -> None:
    assert drawdown([]) == 0.0


def _curve(values: list[float], step_ns: int) -> EquityCurve:
    curve = EquityCurve(State(Rates("USD")))
    curve.times = array("q", [number * step_ns for number in range(len(values))])
    curve.values = array("d", values)
    return curve


def test_returns_are_taken_from_day_to_day() -> None:
    values = [100.0, 101.0, 102.0, 103.0, 104.0, 110.0, 99.0]
    assert list(period_returns(_curve(values, _DAY_NS // 2), _DAY_NS, 0)) == pytest.approx(
        [102 / 100 - 1, 104 / 102 - 1, 99 / 104 - 1]
    )


def test_what_comes_before_the_first_midnight_is_no_day() -> None:
    curve = _curve([100.0, 50.0, 50.0, 51.0, 52.02], _DAY_NS // 2)
    curve.times = array("q", [one + _DAY_NS // 2 for one in curve.times])
    assert list(period_returns(curve, _DAY_NS, _DAY_NS // 2)) == pytest.approx([0.02])


def test_the_sharpe_ratio_of_a_rise_with_noise_is_positive_and_of_few_days_is_taken_by_hours() -> None:
    rising = [100.0 * 1.001**day * (1.001 if day % 2 else 1.0) for day in range(30)]
    assert (sharpe(_curve(rising, _DAY_NS), 0) or 0.0) > 5
    hours = [100.0 + hour % 3 for hour in range(10)]
    assert sharpe(_curve(hours, _DAY_NS // 24), 0) is not None


def test_too_short_or_still_a_run_has_no_sharpe_ratio() -> None:
    assert sharpe(_curve([100.0, 101.0], MINUTE_NS), 0) is None
    assert sharpe(_curve([100.0] * 30, _DAY_NS), 0) is None
    assert sharpe(_curve([100.0 * 1.01**day for day in range(30)], _DAY_NS), 0) is None, "the same but for rounding"
    hedged = [100_000.0 + (0.1 + 0.2 * day) - 0.2 * day - 0.1 for day in range(30)]
    assert len(set(hedged)) > 1, "two legs that cancel out, but for rounding"
    assert sharpe(_curve(hedged, _DAY_NS), 0) is None


def test_the_times_of_the_curve_are_those_of_the_events() -> None:
    run = backtest(Plan([0]), bars([100.0] * 3)).run()
    assert {later - earlier for earlier, later in pairwise(run.equity.times)} == {MINUTE_NS}
    assert run.equity.times[0] == START_NS + MINUTE_NS
