"""The trial itself: what authors rely on in their tests."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantd import Bar, InstrumentId, Limit, Quote, Stop, Strategy
from quantd.errors import StrategyError
from quantd.testing.kit import STRATEGY, Trial, load_strategy, trial

__all__ = ["trial"]


class Eager(Strategy):
    """Buys on its first bar, and raises on its third."""

    def setup(self) -> None:
        self.bars()
        self.timer("tick", every_s=30)
        self.count = 0
        self.told: list[Any] = []

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count == 1:
            self.buy(bar.instrument, 1)
            self.job("sum", sum, [1, 2, 3])
        if self.count == 3:
            raise RuntimeError("enough")

    def on_timer(self, name: str) -> None:
        self.told.append(name)

    def on_job(self, name: str, result: Any, error: str) -> None:
        self.told.append((name, result))


def test_a_strategy_that_raises_fails_the_test_with_its_own_line_in_sight(trial: Callable[..., Trial]) -> None:
    subject = trial(Eager).closes(1, 2)
    with pytest.raises(StrategyError, match="failed in on_bar: RuntimeError: enough") as failed:
        subject.closes(3)
    assert isinstance(failed.value.__context__, RuntimeError)


def test_on_wish_it_is_quarantined_as_in_the_daemon() -> None:
    subject = Trial(Eager, quarantine=True).closes(1, 2, 3, 4)
    assert [fault.error for fault in subject.faults] == ["RuntimeError: enough"]
    assert subject.strategy.count == 3
    assert subject.position() == 1


def test_timers_and_jobs_come_while_time_passes() -> None:
    subject = Trial(Eager).closes(5)
    assert subject.strategy.told == ["tick", "tick", ("sum", 6)]


def test_orders_at_a_price_wait_for_it() -> None:
    subject = Trial(Strategy, balances={"USD": 1_000}).quote(100)
    instrument = subject.id_of()
    subject.strategy._desk.is_started = True
    for how in (Limit(95), Stop(105)):
        subject.strategy.buy(instrument, 1, how)
    subject.quote(100)
    assert len(subject.orders) == 2
    subject.quote(94).quote(106)
    assert [price for _, _, price in subject.trades] == [Decimal(95), Decimal(106)]
    assert subject.equity == Decimal(1_011)


def test_the_clock_moves_with_bars_and_waits_only() -> None:
    subject = Trial(Eager, bars="5m")
    begun = subject.now_ns
    subject.quote(1).closes(1).wait(1.5)
    assert subject.now_ns - begun == 301_500_000_000


def test_played_quotes_become_bars() -> None:
    subject = Trial(Eager, bars="10s")
    begun = subject.now_ns
    id = InstrumentId("paper:BTC-USD")
    subject.play(Quote(id, 1.0 + number, 1.0 + number, begun + number * 10**9) for number in range(11))
    (bar,) = subject.engine.desks[STRATEGY].series[0].history(10)
    assert (bar.open, bar.high, bar.low, bar.close) == (1, 10, 1, 10)


def test_a_class_that_cannot_be_loaded_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = (\n")
    with pytest.raises(StrategyError, match=r"bad\.py:1: SyntaxError"):
        load_strategy("bad.Bad", tmp_path)


def broken() -> None:
    raise RuntimeError("no model")


class Asking(Strategy):
    """Gives work away that fails."""

    def setup(self) -> None:
        self.bars()
        self.heard: list[tuple[str, Any, str]] = []

    def on_bar(self, bar: Bar) -> None:
        self.job("ask", broken)


class Hearing(Asking):
    """Hears of it."""

    def on_job(self, name: str, result: Any, error: str) -> None:
        self.heard.append((name, result, error))


def test_a_job_that_fails_comes_to_on_job_as_it_does_in_the_daemon() -> None:
    assert Trial(Hearing).closes(1).strategy.heard == [("ask", None, "RuntimeError: no model")]


def test_a_job_that_fails_unheard_fails_the_test() -> None:
    with pytest.raises(StrategyError, match="job 'ask' failed, and no on_job hears of it: RuntimeError: no model"):
        Trial(Asking).closes(1)


class Layered(Strategy):
    """Takes two lengths of bars."""

    def setup(self) -> None:
        self.bars()
        self.bars(every="5m")
        self.seen: list[tuple[int, float, float, float]] = []

    def on_bar(self, bar: Bar) -> None:
        self.seen.append((bar.interval_ns // 60_000_000_000, bar.open, bar.high, bar.close))


def test_longer_bars_are_joined_from_those_that_pass() -> None:
    trial = Trial(Layered).closes(1, 2, 9, 4, 5)
    assert trial.strategy.seen[-2:] == [(1, 5, 5, 5), (5, 1, 9, 5)]
    trial.restart()
    assert trial.closes(6).strategy.seen == [(1, 6, 6, 6)]


class Looking(Strategy):
    """Works on three bars of history."""

    def setup(self) -> None:
        self.series = self.bars(warm_up=3)
        self.seen: list[list[float]] = []

    def on_bar(self, bar: Bar) -> None:
        self.seen.append([one.close for one in self.series.history(3)])


def test_bars_come_once_the_history_that_was_asked_for_is_there() -> None:
    assert Trial(Looking).closes(1, 2, 3, 4).strategy.seen == [[1, 2, 3], [2, 3, 4]]


class Greedy(Looking):
    """Asks for more bars than are kept."""

    def setup(self) -> None:
        self.bars(warm_up=1_001)


def test_more_history_than_is_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="bars: warm_up: expected 1 to 1000 bars, found 1001"):
        Trial(Greedy)


def test_a_restart_right_after_a_trade_counts_it_once() -> None:
    subject = Trial(Eager, balances={"USD": 1_000}).closes(100)
    assert subject.position() == 1
    assert subject.restart().equity == 1_000
    assert subject.engine.state.portfolio.account("paper").free("USD") == 900
