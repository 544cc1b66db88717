"""`quantd check` replays each strategy twice: what depends on more than its inputs is named with its first record."""

import re
from pathlib import Path

import pytest

from quantd.app.check import check
from quantd.app.rehearsing import Patience
from quantd.cli.check import deep_check, run_check
from quantd.config import load

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  paper:
    type: paper
    data: {{synthetic: {{instruments: [{{symbol: BTC-USD, price: 50000}}, {{symbol: ETH-USD, price: 3000}},
      {{symbol: SOL-USD, price: 150}}, {{symbol: XRP-USD, price: 2}}]}}}}
    balances: {{USD: 100000}}
    account: margin
risk: {{base_currency: USD, account: {{max_gross_notional: 50000, max_daily_loss: 500, max_open_orders: 10}}}}
strategies_dir: strategies
strategies:
  - id: planted
    use: planted.Planted
    instruments: {all}
    bars: 10s
{more}
"""
ALL = "[paper:BTC-USD, paper:ETH-USD, paper:SOL-USD, paper:XRP-USD]"
HEAD = """
import datetime
import random
import time
from decimal import Decimal

from quantd import Market, Strategy


class Planted(Strategy):
    needs = {Market}

    def setup(self):
        for one in self.instruments:
            self.bars(one)
        self.count = 0

    def on_bar(self, bar):
        self.count += 1
        if self.count > 40:
            return
"""
FAULTS = {
    "chance": "self.target(bar.instrument, random.randrange(1_000))",
    "clock": "self.target(bar.instrument, datetime.datetime.now().hour)",
    "seconds": "self.target(bar.instrument, int(time.time() / 3600) % 24)",
    "today": "self.buy(bar.instrument, 1, why=datetime.date.today().isoformat())",
    "order": "[self.buy(one, 1) for one in set(self.instruments)]",
    "hash": "self.target(bar.instrument, hash(bar.instrument) % 7)",
    "address": "self.buy(bar.instrument, 1, why=str(id(self)))",
}
GOOD = "self.buy(bar.instrument, 1 + int(self.random.random() * 3), why=self.now.isoformat())"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "strategies").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(folder: Path, body: str, *, fast: bool = False, more: str = "") -> int:
    """Write a configuration with one strategy whose `on_bar` ends in `body`, and check it."""
    (folder / "strategies" / "planted.py").write_text(HEAD + f"        {body}\n")
    (folder / "q.yaml").write_text(CONFIG.format(more=more, all=ALL))
    return run_check([folder / "q.yaml"], {}, lambda settings: check(settings, fast=fast))


def test_strategies_that_live_on_more_than_their_inputs_are_named_each_with_the_first_record_that_differs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ""
    for name, body in FAULTS.items():
        (folder / "strategies" / f"{name}.py").write_text(HEAD + f"        {body}\n")
        more += f"  - {{id: {name}, use: {name}.Planted, instruments: {ALL}, bars: 10s}}\n"
    assert checked(folder, GOOD, more=more) == 2

    told = capsys.readouterr().err.splitlines()
    named = {
        re.search(r"strategies\.(\w+)\.use: found two replays .* differ at record \d+: ", line) for line in told[:-1]
    }
    assert {match[1] for match in named if match} == set(FAULTS)
    assert "q.yaml:17:" in told[0]
    assert told[-1] == f"{len(FAULTS)} problems; nothing was started"


def test_the_first_difference_is_told_with_both_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(
        folder,
        "self.buy(bar.instrument, 1, why=time.strftime('%Y', time.gmtime(0)) + datetime.date.today().isoformat())",
    )

    told = capsys.readouterr().err
    assert re.search(r"record \d+: OrderIntended at 2024-01-01 00:00:\d\d, why '1970[\d-]+' in one run, '1970", told)
    assert "in the other" in told


def test_a_strategy_with_seeded_chance_and_the_engine_s_time_passes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder, GOOD) == 0
    assert capsys.readouterr().err == ""
    assert not (folder / "var").exists()


def test_fast_leaves_the_replays_out(folder: Path) -> None:
    assert checked(folder, FAULTS["hash"], fast=True) == 0


def test_a_strategy_that_raises_on_the_way_is_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, "raise ValueError(f'bar {self.count}')") == 0
    assert "warning: strategy planted raised on synthetic data: on_bar: ValueError: bar 1" in capsys.readouterr().err


def test_a_hook_that_would_be_cut_short_live_is_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, "time.sleep(0.02)", more="    callback_deadline_s: 0.01") == 0
    told = r"strategy planted: on_bar took 0\.0\d s on synthetic data; live it is cut short after 0\.01 s"
    assert re.search(told, capsys.readouterr().err)


def test_a_strategy_that_ends_the_process_is_a_warning_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, "import os; os._exit(3)") == 0
    assert "warning: strategy planted could not be replayed to the end: exit code 3" in capsys.readouterr().err


def test_a_timer_strategy_is_replayed_until_its_timers_have_fired(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = HEAD.replace("self.count = 0", "self.count = 0\n        self.timer('daily', cron='0 9 * * mon-fri')")
    timer = "\n    def on_timer(self, name):\n        self.buy(list(self.instruments)[0], 1 + random.randrange(9**9))\n"
    (folder / "strategies" / "timed.py").write_text(source.replace("Planted", "Timed") + timer)
    more = "  - {id: timed, use: timed.Timed, instruments: [paper:BTC-USD], bars: 1m}\n"
    assert checked(folder, GOOD, more=more) == 2
    assert "strategies.timed.use" in capsys.readouterr().err


def slow_one(folder: Path, first: str) -> None:
    """Plant a strategy that never comes to its end behind `planted`, whose `on_bar` ends in `first`."""
    source = HEAD + "        while True: pass\n"
    (folder / "strategies" / "slow.py").write_text(source)
    (folder / "strategies" / "planted.py").write_text(HEAD + f"        {first}\n")
    more = f"  - {{id: slow, use: slow.Planted, instruments: {ALL}, bars: 10s}}\n"
    (folder / "q.yaml").write_text(CONFIG.format(more=more, all=ALL))


class Enough(Exception):
    """A test has seen what it waits for."""


def test_replays_that_take_long_say_which_strategy_they_are_at(folder: Path) -> None:
    said: list[str] = []

    def say(word: str) -> None:
        said.append(word)
        if "1 of 2 done" in word:
            raise Enough

    slow_one(folder, GOOD)
    with pytest.raises(Enough):
        list(check(load([folder / "q.yaml"], {}), say=say, patience=Patience(word_every_s=0.2)))
    assert re.fullmatch(r"replaying strategies: 1 of 2 done, at slow, \d+ s of 120 s", said[-1])
    assert all("at planted" in word for word in said[:-1])


def test_one_that_never_ends_is_a_warning_by_the_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow_one(folder, GOOD)
    patience = Patience(limit_s=3)
    assert run_check([folder / "q.yaml"], {}, lambda settings: check(settings, patience=patience)) == 0
    told = r"warning: strategy slow could not be replayed to the end: not done within the 3 s that all have"
    assert re.search(told, capsys.readouterr().err)


def test_what_was_done_within_the_limit_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow_one(folder, FAULTS["hash"])
    patience = Patience(limit_s=20)
    assert run_check([folder / "q.yaml"], {}, lambda settings: check(settings, patience=patience)) == 2
    assert "strategies.planted.use: found two replays" in capsys.readouterr().err


def test_the_command_tells_its_words_on_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantd.app.check.check_determinism", lambda *_, say, patience: say("at slow") or ())
    assert checked(folder, GOOD) == 0
    assert run_check([folder / "q.yaml"], {}, lambda settings: deep_check(settings, fast=False)) == 0
    assert capsys.readouterr().err == "at slow\n"
