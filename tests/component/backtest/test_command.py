"""`quantd backtest` from files to its table, its exit codes and what it writes."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from quantd.cli.backtest import backtest

CONFIG = """
strategies_dir: {strategies}
venues:
  paper:
    type: paper
    data: {data}
    balances: {{USD: 100000}}
    latency_s: 0
risk:
  base_currency: USD
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 10}}
strategies:
  - id: swing
    use: swing.Swing
    instruments: [paper:BTC-USD]
    bars: {bars}
"""
SYNTHETIC = "{synthetic: {seed: 3, instruments: [{symbol: BTC-USD, price: 1000, depth: 1}]}}"
SWING = '''
from quantd import Bar, Market, Strategy

class Swing(Strategy):
    """In for three bars, out for three."""

    needs = {Market}

    def setup(self):
        self.bars()
        self.count = 0

    def on_bar(self, bar: Bar):
        self.count += 1
        if self.count % 3 == 0:
            self.target(bar.instrument, (self.count // 3) % 2)
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "swing.py").write_text(SWING)
    rows = ["time,open,high,low,close,volume"]
    for number in range(120):
        price = 1000 + number % 10
        rows.append(f"{1_600_000_020 + 60 * number},{price},{price + 1},{price - 1},{price},5")
    (tmp_path / "bars.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def config(home: Path, *, data: str = SYNTHETIC, bars: str = "1m") -> str:
    path = home / "quantd.yaml"
    path.write_text(CONFIG.format(strategies=home / "strategies", data=data, bars=bars))
    return str(path)


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(backtest)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})


def test_a_file_gives_a_table_with_what_it_came_to(home: Path) -> None:
    done = invoke(config(home), "--data", f"paper:BTC-USD={home}/bars.csv")
    assert done.exit_code == 0, done.output
    for word in ("return", "largest drawdown", "Sharpe", "fees", "swing", "denials", "none"):
        assert word in done.output
    assert "bars of 60 s: a price counts as fresh for two" in done.output


def test_json_holds_the_same_and_nothing_else_is_printed(home: Path) -> None:
    done = invoke(config(home), "--data", f"{home}/bars.csv", "--json")
    result = json.loads(done.stdout)
    assert result["events"] == 120
    assert result["fills"] == result["strategies"][0]["fills"] == 39
    assert result["opening_equity"] == 100_000.0


def test_fills_and_chart_are_written_where_asked(home: Path) -> None:
    done = invoke(
        config(home), "--data", f"{home}/bars.csv", "--json", "--fills", f"{home}/f.csv", "--plot", f"{home}/e.svg"
    )
    assert len((home / "f.csv").read_text().splitlines()) == 1 + json.loads(done.stdout)["fills"]
    assert (home / "e.svg").read_text().startswith("<svg")


def test_without_files_the_synthetic_market_of_the_configuration_is_run_and_repeats(home: Path) -> None:
    first, second = (invoke(config(home), "--days", "0.05", "--json") for _ in range(2))
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert json.loads(first.stdout)["fills"] > 3


def test_a_synthetic_market_of_a_backtest_runs_in_its_own_time_whatever_the_speed_of_the_live_one(home: Path) -> None:
    runs = [
        json.loads(invoke(config(home, data=data), "--days", "0.05", "--json").stdout)
        for data in (SYNTHETIC, SYNTHETIC.replace("seed: 3", "seed: 3, speed: 60"))
    ]
    assert runs[0]["fills"] > 3
    assert runs[0] == runs[1]


def test_recorded_data_of_the_configuration_are_used_without_an_option(home: Path) -> None:
    data = f"{{recorded: {{files: {{BTC-USD: {home}/bars.csv}}}}}}"
    done = invoke(config(home, data=data), "--json")
    assert json.loads(done.stdout)["events"] == 120


def test_a_series_that_warms_up_anew_behind_gaps_is_told(home: Path) -> None:
    rows = (home / "bars.csv").read_text().splitlines()
    (home / "bars.csv").write_text("\n".join([*rows[:40], *rows[60:90], *rows[102:]]) + "\n")
    done = invoke(config(home), "--data", f"{home}/bars.csv")
    assert (
        "bars of 60 s of paper:BTC-USD began their warm-up anew 2 times, behind gaps longer than 600 s" in done.output
    )
    whole = invoke(config(home, bars="5m"), "--data", f"{home}/bars.csv")
    assert "anew" not in whole.output


def test_longer_bars_by_option_are_joined_from_the_files(home: Path) -> None:
    done = invoke(config(home), "--data", f"{home}/bars.csv", "--bars", "5m", "--json")
    assert 3 <= json.loads(done.stdout)["fills"] <= 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.csv"), "there is no such file"),
        (("--data", "paper:ETH-USD={home}/bars.csv"), "no strategy trades paper:ETH-USD"),
        (("--data", "{home}/strategies/swing.py"), "expected"),
        (("--bars", "5 minutes"), "--bars: found '5 minutes'"),
        (("--balance", "USD"), "--balance: found 'USD'"),
        (("--lot", "-1"), "--lot: found '-1'"),
        (("--data", "{home}/bars.csv", "--bars", "30s"), "wants bars of 30 s, the data are bars of 60 s"),
    ],
)
def test_what_cannot_be_used_is_named_and_ends_with_2(home: Path, arguments: tuple[str, ...], message: str) -> None:
    done = invoke(config(home), *(one.format(home=home) for one in arguments))
    assert done.exit_code == 2
    assert message in done.output


def test_a_broken_configuration_ends_with_2(home: Path) -> None:
    path = Path(config(home))
    path.write_text(path.read_text().replace("balances", "balance"))
    done = invoke(str(path))
    assert done.exit_code == 2
    assert "did you mean balances" in done.output


def test_a_strategy_that_fails_ends_with_1_and_says_where(home: Path) -> None:
    source = home / "strategies" / "swing.py"
    source.write_text(source.read_text().replace("self.count += 1", "raise KeyError('gone')"))
    done = invoke(config(home), "--data", f"{home}/bars.csv")
    assert done.exit_code == 1
    assert "strategy swing was stopped: on_bar: KeyError: 'gone'" in done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--fills", "nowhere/fills.csv"), "--fills nowhere/fills.csv: cannot be written"),
        (("--plot", "."), "--plot .: cannot be written"),
        (("--data", "{file}", "--data", "{file}"), "found a second file for one instrument"),
        (("--data", "BTC-USD={file}"), "expected an instrument with its venue, such as paper:BTC-USD"),
        (("--balance", "USD=5"), "--balance: every account has its `balances` in the configuration"),
        (("--lot", "1"), "--tick, --lot, --margin-rate: the configuration describes every instrument"),
        (("--data", "{file}", "--days", "3"), "--days: found 3, expected it for synthetic data alone"),
    ],
)
def test_options_that_cannot_be_met_or_change_nothing_are_refused_before_the_run(
    home: Path, options: tuple[str, ...], told: str
) -> None:
    done = invoke(config(home), *(one.format(file=home / "bars.csv") for one in options))
    assert (done.exit_code, told in done.output) == (2, True), done.output


def test_a_currency_that_nothing_brings_to_the_base_currency_is_told(home: Path) -> None:
    data = SYNTHETIC.replace("BTC-USD", "BTC-EUR")
    path = Path(config(home, data=data))
    path.write_text(path.read_text().replace("BTC-USD", "BTC-EUR").replace("{USD: 100000}", "{EUR: 100000}"))
    done = invoke(str(path), "--days", "0.05")
    assert "no price brings EUR to USD: what is held, paid and traded in it is in none of these figures" in done.output
    assert json.loads(invoke(str(path), "--days", "0.05", "--json").output)["unpriced"] == ["EUR"]
    assert json.loads(invoke(config(home), "--days", "0.05", "--json").output)["unpriced"] == []


def test_an_asset_that_nothing_prices_leaves_the_figures_of_all_others_as_they_are(home: Path) -> None:
    path = Path(config(home))
    alone = json.loads(invoke(str(path), "--days", "0.05", "--json").output)
    path.write_text(path.read_text().replace("{USD: 100000}", "{USD: 100000, DOGE: 5}"))
    beside = json.loads(invoke(str(path), "--days", "0.05", "--json").output)
    assert beside.pop("unpriced") == ["DOGE"]
    assert alone.pop("unpriced") == []
    assert alone["opening_equity"] == 100_000
    assert beside == alone
