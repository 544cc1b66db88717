"""Surveillance over real runs of the engine: the strategies that come with quantd are never flagged, one that spoofs is."""

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from quantd import Limit, Quote, Strategy
from quantd.surveillance.findings import Finding, Thresholds
from quantd.surveillance.watch import Surveillance
from quantd.testing.kit import Trial
from strategies.grid_maker import GridMaker
from tests.unit.strategies.markets import synthetic
from tests.unit.strategies.test_grid_maker import PARAMS
from tests.unit.strategies.test_shipped import SHIPPED, trial_of


def findings(trial: Trial) -> list[Finding]:
    surveillance = Surveillance(Thresholds(), {})
    return [*surveillance.facts(trial.facts), *surveillance.over(2**63)]


@pytest.mark.parametrize("use", SHIPPED)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_shipped_strategy_is_flagged(use: str, seed: int) -> None:
    trial = trial_of(use, seed)
    assert trial.facts
    assert findings(trial) == []


@pytest.mark.parametrize(
    "params",
    [
        {"levels": 5, "step_bps": 2, "rest_s": 0, "requote_bps": 1},
        {"levels": 10, "step_bps": 3, "quantity": "0.05", "max_inventory": "0.1"},
        {"levels": 1, "step_bps": 1, "rest_s": 0, "requote_bps": 0.5},
    ],
)
def test_a_busy_grid_is_not_flagged(params: dict[str, Any]) -> None:
    trial = Trial(GridMaker, PARAMS | params).play(synthetic("paper:BTC-USD", hours=0.5, volatility_bps=6))
    assert len(trial.trades) > 50
    assert findings(trial) == []


class Spoofer(Strategy):
    """Shows ten above the market, sells nothing of it, and buys one below."""

    needs: ClassVar[set[type]] = {Limit}

    def setup(self) -> None:
        self.quotes()
        self.turn = 0

    def on_quote(self, quote: Quote) -> None:
        self.turn += 1
        if self.turn % 20 == 1:
            self.sell(quote.instrument, Decimal(10), Limit(quote.ask * 1.002))
        elif self.turn % 20 == 3:
            self.buy(quote.instrument, Decimal(1), Limit(quote.ask))
        elif self.turn % 20 == 5:
            self.cancel_all(quote.instrument)


def test_a_strategy_that_spoofs_through_the_whole_engine_is_flagged_with_its_orders() -> None:
    trial = Trial(Spoofer, {}, instruments=["paper:BTC-USD"], margin=True)
    trial.play(synthetic("paper:BTC-USD", hours=0.03))
    found = findings(trial)
    assert {one.pattern.value for one in found} == {"spoofing"}
    assert [len(one.orders) for one in found] == [6, 6]
