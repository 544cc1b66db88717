"""The SMA cross: in with the cross up, out with the cross down, once each."""

from decimal import Decimal

from quantd.testing.kit import Trial
from strategies.sma_cross import SmaCross
from tests.unit.strategies.markets import synthetic


def test_it_buys_at_the_cross_up_and_sells_at_the_cross_down() -> None:
    trial = Trial(SmaCross, {"fast": 2, "slow": 3, "quantity": "0.5"})
    trial.closes(10, 9, 8, 7)
    assert trial.trades == []
    trial.closes(8, 9)  # 8.5 over 8.0, after 7.5 under 7.67
    assert trial.trades == [("buy", Decimal("0.5"), Decimal(9))]
    trial.closes(10, 11, 12)
    assert len(trial.trades) == 1, "one cross, one order"
    trial.closes(9, 8)  # 10.5 under 10.67, after 11.5 over 11
    assert [side for side, _, _ in trial.trades] == ["buy", "sell"]
    assert trial.position() == 0


def test_nothing_happens_before_the_slow_average_is_warm() -> None:
    trial = Trial(SmaCross, {"fast": 1, "slow": 5}).closes(5, 4, 9, 1)
    assert trial.trades == []


def test_a_restart_in_a_position_neither_buys_again_nor_forgets_to_sell() -> None:
    trial = Trial(SmaCross, {"fast": 2, "slow": 3}).closes(10, 9, 8, 7, 8, 9)
    assert trial.position() == Decimal("0.01")
    trial.restart().closes(10)
    assert trial.position() == Decimal("0.01")
    trial.closes(8, 6)
    assert trial.position() == 0


def test_on_a_synthetic_market_it_alternates_and_is_never_short() -> None:
    trial = Trial(SmaCross, {"fast": 3, "slow": 8}, bars="10s").play(synthetic("paper:BTC-USD", hours=2))
    sides = [side for side, _, _ in trial.trades]
    assert len(sides) >= 20
    assert sides == ["buy", "sell"] * (len(sides) // 2) + ["buy"] * (len(sides) % 2)
    assert trial.denials == []
