"""All strategies that come with quantd: they load as the samples configure them, and a replay repeats them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantd.config import load
from quantd.plugins.loader import Loaded, StrategyLoader
from quantd.testing.kit import Trial, load_strategy
from tests.unit.strategies.markets import synthetic

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "strategies"
SHIPPED: dict[str, dict[str, Any]] = {
    "sma_cross.SmaCross": {"fast": 3, "slow": 8},
    "rsi_reversion.RsiReversion": {"period": 5, "low": 35, "high": 60},
    "donchian_breakout.DonchianBreakout": {"entry": 10, "exit": 5, "atr": 5, "short": True},
    "grid_maker.GridMaker": {"step_bps": 8, "short": True},
    "accumulate.Accumulate": {"cron": "*/10 * * * *"},
    "pairs_spread.PairsSpread": {"window": 30},
}


def trial_of(use: str, seed: int) -> Trial:
    roles = {"a": "paper:BTC-USD", "b": "paper:ETH-USD"}
    instruments: Any = roles if use.startswith("pairs") else ["paper:BTC-USD"]
    trial = Trial(load_strategy(use, FOLDER), SHIPPED[use], instruments=instruments, bars="10s", margin=True)
    others = ("paper:ETH-USD",) if use.startswith("pairs") else ()
    return trial.play(synthetic("paper:BTC-USD", *others, hours=0.5, seed=seed))


def test_the_list_is_complete() -> None:
    assert {use.partition(".")[0] for use in SHIPPED} == {path.stem for path in FOLDER.glob("*.py")}


@pytest.mark.parametrize("use", SHIPPED)
def test_the_same_market_gives_the_same_journal(use: str) -> None:
    journal, again, other = (msgspec.json.encode(trial_of(use, seed).facts) for seed in (1, 1, 2))
    assert journal == again
    assert journal != other


@pytest.mark.parametrize("name", ["paper.yaml", "ionloop-sim.yaml"])
def test_the_sample_configurations_load_their_strategies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = load([Path("config") / name], {})
    loader = StrategyLoader(settings.strategies_dir)
    results = [loader.load(one, settings) for one in settings.strategies]
    assert results
    assert [str(result) for result in results if not isinstance(result, Loaded)] == []
