"""RSI reversion: buys weakness, sells strength."""

from decimal import Decimal

import pytest

from quantd.engine.risk.limits import Limits
from quantd.errors import StrategyError
from quantd.testing.kit import Trial
from strategies.rsi_reversion import RsiReversion
from tests.unit.strategies.markets import synthetic

PARAMS = {"period": 3, "low": 30, "high": 60}


def test_it_buys_when_oversold_and_sells_when_recovered() -> None:
    trial = Trial(RsiReversion, PARAMS)
    trial.closes(100, 100.5, 100.2, 100.4)
    assert trial.trades == []
    trial.closes(98, 96)
    assert [side for side, _, _ in trial.trades] == ["buy"]
    trial.closes(96.2)
    assert trial.position() == Decimal("0.01"), "between the levels it waits"
    trial.closes(99, 102)
    assert [side for side, _, _ in trial.trades] == ["buy", "sell"]
    assert trial.position() == 0


def test_a_fall_that_goes_on_is_bought_once() -> None:
    trial = Trial(RsiReversion, PARAMS).closes(*range(100, 80, -1))
    assert [side for side, _, _ in trial.trades] == ["buy"]


def test_a_lasting_refusal_does_not_stop_it() -> None:
    trial = Trial(RsiReversion, PARAMS, limits=Limits(max_position=Decimal("0.001"))).closes(*range(100, 90, -1))
    assert {denied.code for denied in trial.denials} == {"position"}
    assert trial.faults == []


def test_levels_in_the_wrong_order_are_refused_at_load() -> None:
    with pytest.raises(ValueError, match="expected low below high"):
        Trial(RsiReversion, {"low": 60, "high": 40})


def test_on_a_synthetic_market_it_trades_both_ways_and_is_never_short() -> None:
    trial = Trial(RsiReversion, {"period": 5, "low": 35, "high": 60}, bars="10s")
    trial.play(synthetic("paper:BTC-USD", hours=2))
    sides = [side for side, _, _ in trial.trades]
    assert len(sides) >= 20
    assert set(zip(sides[::2], sides[1::2], strict=False)) == {("buy", "sell")}
    assert trial.denials == []


def test_a_fault_in_a_strategy_fails_the_test_that_runs_it() -> None:
    trial = Trial(RsiReversion, PARAMS)
    del trial.strategy.rsi
    with pytest.raises(StrategyError, match="on_bar: AttributeError"):
        trial.closes(1, 2, 3, 4)
