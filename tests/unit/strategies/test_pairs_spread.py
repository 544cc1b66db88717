"""The pairs spread: both legs in, both legs out, and never half a pair for long."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.events import TradingState
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.testing.kit import Trial
from strategies.pairs_spread import PairsSpread
from tests.unit.strategies.markets import synthetic

PAIR = {"a": "paper:BTC-USD", "b": "paper:ETH-USD"}
FLAT = (Decimal(0), Decimal(0))
PARAMS: dict[str, Any] = {"window": 6, "enter_z": 1.8, "exit_z": 0.5, "quantity": "0.1"}


def pair(**more: Any) -> Trial:
    """A trial that has seen six bars of a spread that only trembles."""
    trial = Trial(PairsSpread, PARAMS, instruments=PAIR, margin=True, **more)
    for a in (100.0, 100.1, 99.9, 100.0, 100.1, 99.9):
        trial.bars({"a": a, "b": 50.0})
    assert trial.trades == []
    return trial


def held(trial: Trial) -> tuple[Decimal, Decimal]:
    return trial.position("a"), trial.position("b")


def test_a_dear_leg_is_sold_and_the_other_bought_for_the_same_money() -> None:
    trial = pair().bars({"a": 102.0, "b": 50.0})
    assert held(trial) == (Decimal("-0.1"), Decimal("0.204"))


def test_a_cheap_leg_is_bought_and_the_other_sold() -> None:
    trial = pair().bars({"a": 98.0, "b": 50.0})
    assert held(trial) == (Decimal("0.1"), Decimal("-0.196"))


def test_both_legs_close_when_the_spread_is_back() -> None:
    trial = pair().bars({"a": 102.0, "b": 50.0}).bars({"a": 101.5, "b": 50.0})
    assert all(held(trial)), "not back yet"
    trial.bars({"a": 100.3, "b": 50.0})
    assert held(trial) == FLAT
    assert len(trial.trades) == 4


def test_half_a_close_is_no_signal() -> None:
    trial = pair()
    for _ in range(3):
        trial.bar(110, instrument="a")
    assert trial.trades == []


def test_a_leg_that_is_refused_closes_the_other() -> None:
    risk = RiskSettings(base_currency="USD", instruments={"paper:ETH-USD": Limits(max_position=Decimal("0.01"))})
    trial = pair(risk=risk).bars({"a": 102.0, "b": 50.0})
    assert held(trial) == FLAT
    assert trial.log == [("leg_refused", {"instrument": "paper:ETH-USD", "code": "position"})]


def test_a_leg_that_stands_alone_is_closed_after_a_while() -> None:
    trial = pair().bars({"a": 102.0, "b": 50.0})
    book = trial.engine.state.portfolio.book("trial", trial.id_of("b"))
    book.trade(-book.quantity, Decimal(50))  # as a liquidation at the venue would
    for _ in range(2):
        trial.bars({"a": 102.0, "b": 50.0})
        assert trial.position("a")
    trial.bars({"a": 102.0, "b": 50.0})
    assert held(trial) == FLAT


def test_a_restart_goes_on_with_the_same_score() -> None:
    trial, other = pair(), pair()
    trial.restart()
    for a in (100.05, 99.95):
        trial.bars({"a": a, "b": 50.0})
        other.bars({"a": a, "b": 50.0})
    assert trial.strategy.score.value == pytest.approx(other.strategy.score.value)
    trial.bars({"a": 102.0, "b": 50.0})
    assert held(trial) == (Decimal("-0.1"), Decimal("0.204"))


def test_while_only_exits_are_allowed_it_closes_and_does_not_enter() -> None:
    trial = pair().bars({"a": 102.0, "b": 50.0}).halt(TradingState.REDUCING)
    trial.bars({"a": 100.2, "b": 50.0})
    assert held(trial) == FLAT
    trial.bars({"a": 104.0, "b": 50.0})
    assert held(trial) == FLAT
    assert trial.faults == []


def test_levels_in_the_wrong_order_and_missing_roles_are_refused_at_load() -> None:
    with pytest.raises(ValueError, match="expected exit_z below enter_z"):
        Trial(PairsSpread, {"enter_z": 1, "exit_z": 1}, instruments=PAIR)
    with pytest.raises(KeyError):
        Trial(PairsSpread, instruments=list(PAIR.values()))


def test_on_a_synthetic_pair_it_trades_in_pairs() -> None:
    params = {"window": 30, "enter_z": 2.0, "exit_z": 0.5, "quantity": "0.1"}
    trial = Trial(PairsSpread, params, instruments=PAIR, bars="10s", margin=True)
    for event in synthetic(PAIR["a"], PAIR["b"], hours=3):
        trial.play([event])
        a, b = held(trial)
        assert not a or not b or (a > 0) != (b > 0)
    assert len(trial.trades) >= 20
    assert trial.denials == []
    assert trial.faults == []
