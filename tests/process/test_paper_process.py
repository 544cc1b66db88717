"""The daemon as a real process on the embedded paper venue: start, fills, health, signals, kill, locks, halts."""

import json
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGINT, SIGKILL, SIGTERM, Process, python, quantd, until

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state, record: true}}
venues:
  paper:
    type: paper
    data:
      synthetic:
        seed: 7
        speed: 60
        regime_every_s: 900
        instruments:
          - {{symbol: BTC-USDT, price: 65000, tick: 0.01, lot: 0.00001, min_notional: 10, volatility: 0.8}}
    balances: {{USDT: 100000}}
    latency_s: 0.01
risk:
  base_currency: USDT
  account: {{max_gross_notional: 60000, max_daily_loss: 20000, max_open_orders: 40}}
strategies:
  - id: cross
    use: sma_cross.SmaCross
    instruments: [paper:BTC-USDT]
    bars: 1s
    params: {{fast: 2, slow: 3, quantity: 0.05}}
    risk: {{max_position: 0.1}}
strategies_dir: {strategies}
feeds: {{bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""

OUTLIVING = "import runpy, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); runpy.run_module('quantd', run_name='__main__')"
"""As nohup starts it."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A working folder with a configuration of one strategy."""
    (tmp_path / "q.yaml").write_text(CONFIG.format(strategies=ROOT / "strategies"))
    return tmp_path


def fills(process: Process) -> int:
    """Fills that the process has logged."""
    return len(process.lines("order_filled"))


def _has_filled(process: Process) -> bool:
    return fills(process) >= 1


@pytest.mark.timeout(90)
def test_a_run_trades_tells_its_health_and_ends_in_order_on_a_signal(config: Path) -> None:
    with quantd(["run", "q.yaml"], config) as daemon:
        until(lambda: fills(daemon) >= 2, 45, "two fills")
        assert daemon.get("/livez")[0] == 200
        assert until(lambda: daemon.get("/readyz")[0] == 200, 10, "ready")
        assert daemon.metric("quantd_fills_total", venue="paper", strategy="cross") >= 2
        assert daemon.metric("quantd_venue_ready", venue="paper") == 1
        assert daemon.signal(SIGINT) == 0
        assert daemon.lines("stopped"), daemon.text()[-2000:]
    with quantd(["journal", "verify", "var/q.db"], config) as verify:
        assert verify.popen.wait(30) == 0, verify.text()
    inputs = next(config.glob("var/q.db.inputs-*"))
    with quantd(["replay", "q.yaml", "--inputs", str(inputs)], config) as replay:
        assert replay.popen.wait(60) == 0, replay.text()
        assert "byte for byte" in replay.text()


@pytest.mark.timeout(90)
def test_the_end_of_its_terminal_ends_it_in_order_unless_it_was_started_to_outlive_that(config: Path) -> None:
    with quantd(["run", "q.yaml"], config) as daemon:
        until(lambda: daemon.get("/readyz")[0] == 200, 30, "ready")
        assert daemon.signal(signal.SIGHUP) == 0
        assert daemon.wait_line("stopped")["reason"] == "SIGHUP"
    with python(OUTLIVING, ["run", "q.yaml"], config) as daemon:
        until(lambda: daemon.get("/readyz")[0] == 200, 30, "ready")
        daemon.popen.send_signal(signal.SIGHUP)
        seen = fills(daemon)
        until(lambda: fills(daemon) > seen, 30, "another fill")
        assert daemon.signal(SIGTERM) == 0
        assert daemon.wait_line("stopped")["reason"] == "SIGTERM"


@pytest.mark.timeout(120)
def test_a_killed_daemon_goes_on_where_its_journal_ends(config: Path) -> None:
    seen: set[str] = set()
    for _ in range(3):
        with quantd(["run", "q.yaml"], config) as daemon:
            until(partial(_has_filled, daemon), 40, "a fill")
            daemon.signal(SIGKILL)
            ids = [line["client_order_id"] for line in daemon.lines("order_intended")]
            assert not seen.intersection(ids), "an order id came twice"
            seen.update(ids)
    with quantd(["run", "q.yaml"], config) as daemon:
        daemon.wait_line("strategy_started", 40)
        assert daemon.lines("reconciled")[0]["differences"] == {}
        assert daemon.metric("quantd_unknown_operations") == 0
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_second_daemon_on_the_same_journal_is_refused_and_named(config: Path) -> None:
    with quantd(["run", "q.yaml"], config) as first:
        first.wait_line("venue_ready")
        with quantd(["run", "q.yaml"], config) as second:
            assert second.popen.wait(20) == 1
            assert str(first.pid) in second.text()
        assert first.signal(SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_halt_survives_kill_and_restart_until_a_person_clears_it(config: Path) -> None:
    with quantd(["run", "q.yaml"], config) as daemon:
        daemon.wait_line("strategy_started", 40)
        with quantd(["halt", "q.yaml", "--by", "ann", "--why", "drill"], config) as halt:
            assert halt.popen.wait(20) == 0, halt.text()
        daemon.wait_line("state_set", 10)
        daemon.signal(SIGKILL)
    with quantd(["run", "q.yaml"], config) as daemon:
        daemon.wait_line("strategy_started", 40)
        until(lambda: len(daemon.lines("order_denied")) >= 1, 40, "a denial")
        assert {line["reason"] for line in daemon.lines("order_denied")} == {"trading_state"}
        assert not daemon.lines("order_intended")
        status, text = daemon.get("/readyz")
        assert status == 503
        assert "drill" in json.dumps(json.loads(text))
        with quantd(["resume", "q.yaml", "--by", "ann", "--why", "drill over"], config) as resume:
            assert resume.popen.wait(20) == 0, resume.text()
        until(lambda: daemon.lines("order_intended"), 40, "an order after the resume")
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(30)
def test_an_unusable_configuration_ends_with_code_2_and_starts_nothing(config: Path) -> None:
    path = config / "q.yaml"
    path.write_text(path.read_text().replace("max_open_orders", "max_open_order"))
    with quantd(["run", "q.yaml"], config) as daemon:
        assert daemon.popen.wait(20) == 2
        assert "max_open_orders" in daemon.text()
        assert "q.yaml:" in daemon.text()
    assert not (config / "var").exists()


@pytest.mark.timeout(60)
def test_the_instrument_that_converts_into_the_base_currency_is_watched_without_being_asked_for(config: Path) -> None:
    path = config / "q.yaml"
    dollar = "          - {symbol: USDT-USD, price: 0.9995, tick: 0.0001, lot: 0.01, volatility: 0.01}\n"
    text = path.read_text().replace("base_currency: USDT", "base_currency: USD")
    path.write_text(text.replace("    balances: {USDT", dollar + "    balances: {USDT"))
    with quantd(["run", "q.yaml"], config) as daemon:
        until(lambda: fills(daemon) >= 1, 40, "a fill")
        assert daemon.wait_line("venue_ready")["instruments"] == ["BTC-USDT", "USDT-USD"]
        assert daemon.metric("quantd_equity", scope="venue:paper", currency="USD") > 90_000
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_port_that_is_taken_is_named_in_one_line_and_ends_the_run(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = (config / "q.yaml").read_text().replace("health: {port: 0}", f"health: {{port: {port}}}")
        (config / "q.yaml").write_text(taken)
        with quantd(["run", "q.yaml"], config) as daemon:
            assert daemon.popen.wait(20) == 1
            told = daemon.text()
    assert f"quantd: health.port: cannot listen on port {port}: " in told
    assert "address already in use" in told
    assert "Traceback" not in told


@pytest.mark.timeout(60)
def test_a_bar_store_that_cannot_be_opened_is_named_in_one_line_and_ends_the_run(config: Path) -> None:
    (config / "bars.db").mkdir()
    with quantd(["run", "q.yaml"], config, QUANTD__FEEDS__BAR_STORE=str(config / "bars.db")) as daemon:
        assert daemon.popen.wait(20) == 1
        told = daemon.text()
    assert "quantd: feeds.bar_store: expected a file of its own that can be opened or made, found " in told
    assert "bars.db: unable to open database file" in told
    assert "Traceback" not in told
