"""The pairs spread: both legs in, both legs out, and never half a pair for long."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.events import TradingState
from quantd.domain.instruments import Instrument, QuantityUnit
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.testing.builders import make_instrument
from quantd.testing.kit import Trial
from strategies.pairs_spread import PairsSpread
from tests.unit.strategies.markets import synthetic

PAIR = {"a": "paper:BTC-USD", "b": "paper:ETH-USD"}
FLAT = (Decimal(0), Decimal(0))
PARAMS: dict[str, Any] = {"window": 6, "enter_z": 1.8, "exit_z": 0.5, "quantity": "0.1"}


def pair(instruments: Mapping[str, str | Instrument] = PAIR, **more: Any) -> Trial:
    """A trial that has seen six bars of a spread that only trembles."""
    trial = Trial(PairsSpread, PARAMS, instruments=instruments, margin=True, **more)
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


@pytest.mark.parametrize(("entry", "beyond", "first"), [(102.0, 97.5, "sell"), (98.0, 102.5, "buy")])
def test_both_legs_close_when_the_spread_jumps_over_the_mean(entry: float, beyond: float, first: str) -> None:
    trial = pair().bars({"a": entry, "b": 50.0})
    assert trial.trades[0][0] == first
    trial.bars({"a": beyond, "b": 50.0})
    assert abs(trial.strategy.score.value) > PARAMS["exit_z"]
    assert held(trial) == FLAT


def lots(id: str, units: int) -> Instrument:
    return make_instrument(
        id,
        quote=id[-3:],
        lot=Decimal("0.001"),
        units_per_quantity=Decimal(units),
        quantity_unit=QuantityUnit.LOTS,
        margin_rate=Decimal("0.01"),
    )


def test_legs_in_lots_of_other_sizes_have_the_same_worth() -> None:
    gold, silver = lots("paper:XAU-USD", 100), lots("paper:XAG-USD", 5_000)
    trial = pair(instruments={"a": gold, "b": silver}).bars({"a": 102.0, "b": 50.0})
    a, b = held(trial)
    assert -gold.notional(a, Decimal(102)) == pytest.approx(silver.notional(b, Decimal(50)), abs=250)
    assert b == Decimal("0.004")


def test_legs_in_other_currencies_have_the_same_worth() -> None:
    euro, yen, rate = lots("paper:EUR-USD", 1), lots("paper:EUR-JPY", 1), lots("paper:USD-JPY", 1)
    trial = Trial(PairsSpread, PARAMS, instruments={"a": euro, "b": yen, "rate": rate}, margin=True)
    trial.quote(99, 101, instrument="rate")
    for a in (100.0, 100.1, 99.9, 100.0, 100.1, 99.9, 102.0):
        trial.bars({"a": a, "b": 50.0})
    assert held(trial) == (Decimal("-0.1"), Decimal("20.4"))


def test_legs_whose_worth_is_not_known_are_not_entered() -> None:
    euro, yen = lots("paper:EUR-USD", 1), lots("paper:GBP-JPY", 1)
    trial = pair(instruments={"a": euro, "b": yen}).bars({"a": 102.0, "b": 50.0})
    assert held(trial) == FLAT
    assert trial.denials == []
    assert [event for event, _ in trial.log] == ["worth_unknown"]


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
