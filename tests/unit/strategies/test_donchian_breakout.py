"""The Donchian breakout: entry, stop at a distance of ATRs, exit channel, both sides."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.facts import OrderIntended
from quantd.domain.orders import Role
from quantd.testing.kit import Trial
from strategies.donchian_breakout import DonchianBreakout
from tests.unit.strategies.markets import synthetic

PARAMS: dict[str, Any] = {"entry": 4, "exit": 2, "atr": 3, "stop_atr": 2.0, "quantity": "0.1"}


def quiet(**params: Any) -> Trial:
    """A market that went nowhere: highs of 101, lows of 99, a true range of 2."""
    trial = Trial(DonchianBreakout, PARAMS | params, margin=True)
    for _ in range(6):
        trial.bar(100, high=101, low=99)
    assert trial.trades == []
    return trial


def roles(trial: Trial) -> list[Role]:
    return [fact.role for fact in trial.facts if isinstance(fact, OrderIntended)]


def test_a_close_above_the_channel_is_bought_with_its_stop() -> None:
    trial = quiet().bar(101.5, high=102, low=100)
    assert trial.trades == [("buy", Decimal("0.1"), Decimal("101.5"))]
    guards = list(trial.engine.state.protections.values())
    assert [(guard.quantity, guard.stop) for guard in guards] == [(Decimal("0.1"), Decimal("97.5"))]


def test_a_high_above_the_channel_is_no_breakout_without_the_close() -> None:
    assert quiet().bar(100.5, high=105, low=99).trades == []


def test_a_fall_to_the_stop_closes_and_leaves_nothing_behind() -> None:
    trial = quiet().bar(101.5, high=102, low=100)
    trial.bar(97.4, open=101, high=101, low=97)
    assert roles(trial) == [Role.ENTRY, Role.STOP]
    assert trial.position() == 0
    assert trial.orders == []
    assert not trial.engine.state.protections
    trial.bar(98, high=99, low=97)
    assert len(trial.trades) == 2, "the target of the entry is not pursued again"


def test_the_exit_channel_closes_a_winner_and_takes_the_stop_away() -> None:
    trial = quiet().bar(101.5, high=102, low=100)
    trial.bar(106, high=106, low=104).bar(108, high=108, low=105)
    trial.bar(103.5, high=107, low=103)  # below 104, the low of the two bars before
    assert trial.position() == 0
    assert roles(trial) == [Role.ENTRY, Role.CLOSE]
    assert not trial.engine.state.protections


def test_falls_are_sold_only_where_that_is_wished() -> None:
    assert quiet().bar(98.5, high=100, low=98).trades == []
    trial = quiet(short=True).bar(98.5, high=100, low=98)
    assert trial.trades == [("sell", Decimal("0.1"), Decimal("98.5"))]
    assert [guard.stop for guard in trial.engine.state.protections.values()] == [Decimal("102.5")]
    trial.bar(102.6, high=103, low=99)
    assert trial.position() == 0


def test_a_restart_keeps_the_stop() -> None:
    trial = quiet().bar(101.5, high=102, low=100).restart()
    assert trial.position() == Decimal("0.1")
    trial.bar(97, open=101)
    assert trial.position() == 0
    assert roles(trial)[-1] is Role.STOP


@pytest.mark.parametrize("short", [False, True])
def test_on_a_synthetic_market_every_position_has_its_stop(short: bool) -> None:
    params = PARAMS | {"entry": 10, "exit": 5, "atr": 5, "short": short}
    trial = Trial(DonchianBreakout, params, bars="10s", margin=True)
    guarded = 0
    for event in synthetic("paper:BTC-USD", hours=2):
        trial.play([event])
        if trial.position():
            guards = trial.engine.state.protections.values()
            assert sum(guard.quantity for guard in guards) == trial.position()
            guarded += 1
        assert short or trial.position() >= 0
    assert guarded > 100
    assert {Role.ENTRY, Role.CLOSE, Role.STOP} <= set(roles(trial))
    assert trial.denials == []
