"""`quantd reload` on a real daemon: the plan, what it refuses, and strategies that begin anew with their books."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.process.harness import SIGTERM, Process, quantd, until
from tests.process.truth import folded

CONFIG = """
journal: {path: var/q.db, state_dir: var/state}
venues:
  paper:
    type: paper
    data: {synthetic: {seed: 3, instruments: [{symbol: BTC-USDT, price: 100, tick: "0.01", lot: "0.001", min_notional: 1}]}}
    balances: {USDT: 100000}
risk:
  base_currency: USDT
  account: {max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}
strategies:
  - {id: holder, use: holder.Holder, instruments: [paper:BTC-USDT], params: {size: 1}, bars: 1s}
  - {id: other, use: holder.Holder, instruments: [paper:BTC-USDT], params: {size: 2}, bars: 1s}
strategies_dir: strategies
feeds: {bar_store: var/bars.db}
health: {port: 0}
control: {port: 0, tokens: {ann: {token_file: token, scopes: [admin]}}}
logging: {format: json}
"""

HOLDER = '''
"""Holds what it is told to."""

from typing import ClassVar

from quantd import SMA, Bar, Market, Strategy, param


class Holder(Strategy):
    size: float = param(1.0, doc="what to hold")
    api_key: str = param("", doc="what nobody should write here")
    needs: ClassVar = {Market}

    def setup(self) -> None:
        self.bars(every="1s").track(SMA(2))

    def on_bar(self, bar: Bar) -> None:
        self.target(bar.instrument, self.size, Market())
'''


class Site:
    """A folder whose files a test changes while the daemon runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "strategies").mkdir()
        (folder / "strategies/holder.py").write_text(HOLDER)
        (folder / "q.yaml").write_text(CONFIG)
        (folder / "token").write_text("a-token-of-the-operator")
        (folder / "token").chmod(0o600)

    def change(self, name: str, before: str, after: str) -> None:
        """Edit a file as a person does."""
        text = (self.folder / name).read_text()
        assert before in text
        (self.folder / name).write_text(text.replace(before, after))

    def ask(self, daemon: Process, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run `quantd reload`; its exit code and the API's answer."""
        port = daemon.wait_line("control_listens", 30)["port"]
        place = ["--url", f"http://127.0.0.1:{port}", "--token-file", "token", "--json"]
        with quantd(["reload", *place, *arguments], self.folder) as command:
            code = command.popen.wait(20)
            text = command.text()
        return code, json.loads(text) if code == 0 else {"text": text}

    def held(self, daemon: Process, strategy: str) -> float:
        """What a strategy holds."""
        return daemon.metric("quantd_position_quantity", strategy=strategy)


def changes(told: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """The plan by scope."""
    return {one["scope"]: (one["what"], one["action"], one["needs"]) for one in told["changes"]}


@pytest.mark.timeout(120)
def test_changed_strategies_begin_anew_with_their_books_and_the_others_do_not_notice(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        until(lambda: site.held(daemon, "holder") == 1 and site.held(daemon, "other") == 2, 60, "both hold")
        assert changes(site.ask(daemon)[1]) == {}
        site.change("q.yaml", "params: {size: 1}", "params: {size: 3, api_key: not-for-the-journal}")
        _, told = site.ask(daemon)
        assert changes(told) == {"strategy:holder": ("params size: 1 -> 3, api_key: default -> ***", "restart", "")}
        assert site.held(daemon, "holder") == 1, "a plan changes nothing"
        assert "plan changed" in site.ask(daemon, "--plan", "0" * 16)[1]["text"]
        assert site.ask(daemon, "--plan", told["plan"])[1]["applied"] == ["holder"]
        until(lambda: site.held(daemon, "holder") == 3, 30, "the new size")
        assert [one["strategy"] for one in daemon.lines("strategy_started")] == ["holder", "other", "holder"]
        assert site.ask(daemon)[1]["changes"] == []
        # Other code, for both.
        site.change(
            "strategies/holder.py", "self.target(bar.instrument, self.size", "self.target(bar.instrument, 2 * self.size"
        )
        _, told = site.ask(daemon)
        assert [one[1] for one in changes(told).values()] == ["restart", "restart"]
        site.ask(daemon, "--plan", told["plan"])
        until(lambda: site.held(daemon, "holder") == 6 and site.held(daemon, "other") == 4, 30, "both anew")
        assert daemon.signal(SIGTERM) == 0
    run = folded(tmp_path / "var/q.db").run
    assert run is not None
    assert len(set(run.strategy_sources.values())) == 1
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        daemon.wait_line("strategy_started", 30)
        assert daemon.lines("changed_since_the_last_run") == [], "the journal knows the code that it went on with"
        daemon.signal(SIGTERM)


@pytest.mark.timeout(120)
def test_what_takes_more_is_named_and_nothing_is_applied_beside_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        until(lambda: site.held(daemon, "other") == 2, 60, "it holds")
        site.change("q.yaml", "params: {size: 1}", "params: {size: 3}")
        site.change("q.yaml", "max_open_orders: 30", "max_open_orders: 31")
        site.change("q.yaml", "{id: other,", "{id: another,")
        plan = site.ask(daemon)[1]
        told = changes(plan)
        assert told["risk"] == ("risk changed", "daemon", "")
        assert told["strategy:another"] == ("new", "daemon", "")
        assert told["strategy:other"][:2] == ("no longer there", "daemon")
        assert "a flat book: it holds 2" in told["strategy:other"][2]
        assert "restart needed" in site.ask(daemon, "--plan", plan["plan"])[1]["text"]
        (tmp_path / "q.yaml").write_text(CONFIG.replace("bars: 1s}", "bars: 1s, at_shutdown: keep}", 1))
        site.change("strategies/holder.py", 'every="1s"', 'every="7s"')
        told = changes(site.ask(daemon)[1])
        assert "bars of 7 s" in told["strategy:holder"][0]
        assert told["strategy:holder"][1] == "daemon"
        site.change("strategies/holder.py", "import SMA, Bar", "import SMA, Bra")
        assert {one[1] for one in changes(site.ask(daemon)[1]).values()} == {"broken"}
        (tmp_path / "q.yaml").write_text("venues: [")
        code, told = site.ask(daemon)
        assert code == 1
        assert "config broken" in told["text"]
        assert "q.yaml" in told["text"]
        assert site.held(daemon, "holder") == 1
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_daemon_none_of_whose_strategies_loads_stays_up_and_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.change("strategies/holder.py", "import SMA, Bar", "import SMA, Bra")
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        daemon.wait_line("venue_ready", 30)
        assert changes(site.ask(daemon)[1])["strategy:holder"][1] == "broken"
        assert "holder" in daemon.get("/readyz")[1]
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_module_that_never_ends_its_import_keeps_nobody_from_halting_nor_the_daemon_from_ending(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.change("q.yaml", "control: {port: 0,", "control: {port: 0, request_timeout_s: 1,")
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        until(lambda: site.held(daemon, "holder") == 1, 60, "it holds")
        site.change(
            "strategies/holder.py", "class Holder", "import threading\nthreading.Event().wait()\n\nclass Holder"
        )
        assert "too slow" in site.ask(daemon)[1]["text"]
        for _ in range(2):
            assert "an earlier reload still reads the files" in site.ask(daemon)[1]["text"]
        assert site.held(daemon, "holder") == 1, "metrics are told"
        port = daemon.wait_line("control_listens")["port"]
        sent = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/halt",
            b'{"why": "drill"}',
            {"Authorization": "Bearer a-token-of-the-operator", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(sent, timeout=10) as answer:
            assert json.load(answer)["state"] == "halted"
        assert daemon.signal(SIGTERM) == 0
