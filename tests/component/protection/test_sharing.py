"""`quantd check` and two strategies in one instrument: refused where exits hang on the trades of a netting account."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quantd.app.check import check as check_configuration
from quantd.config import load
from quantd.errors import ConfigError

STRATEGY = """
from quantd import Quote, Strategy


class Idle(Strategy):
    '''Looks on.'''

    def setup(self) -> None:
        self.quotes()

    def on_quote(self, quote: Quote) -> None:
        pass
"""
CONFIG = """
journal: {{path: {root}/q.db, state_dir: {root}/state}}
venues:
  paper:
    type: paper
    {account}
    balances: {{USD: 100000}}
    data: {{synthetic: {{instruments: [{{symbol: BTC-USD, price: 100}}, {{symbol: ETH-USD, price: 10}}]}}}}
risk: {{base_currency: USD}}
strategies:
  - {{id: first, use: idle.Idle, instruments: [paper:BTC-USD]}}
  - {{id: second, use: idle.Idle, instruments: [paper:{second}]}}
strategies_dir: {root}
"""


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str, str], list[str]]:
    def run(account: str, second: str) -> list[str]:
        (tmp_path / "idle.py").write_text(STRATEGY)
        (tmp_path / "q.yaml").write_text(CONFIG.format(root=tmp_path, account=account, second=second))
        return list(check_configuration(load([tmp_path / "q.yaml"], {}), fast=True))

    return run


def test_a_second_strategy_is_refused_by_name_and_place(check: Callable[[str, str], list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"paper:BTC-USD, which first trades too") as error:
        check("account: margin\n    protection: venue", "BTC-USD")
    assert "strategies.second.instruments" in str(error.value)


@pytest.mark.parametrize(
    ("account", "second"),
    [
        ("account: margin\n    protection: venue", "ETH-USD"),
        ("account: margin\n    positions: hedging\n    protection: venue", "BTC-USD"),
        ("account: margin", "BTC-USD"),
        ("account: spot", "BTC-USD"),
    ],
)
def test_elsewhere_they_may_share(check: Callable[[str, str], list[str]], account: str, second: str) -> None:
    assert check(account, second) == []


def test_what_is_owned_on_spot_has_no_lots_to_hang_exits_on(check: Callable[[str, str], list[str]]) -> None:
    with pytest.raises(ConfigError, match="needs `account: margin`"):
        check("protection: venue", "ETH-USD")
