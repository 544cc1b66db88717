"""A recorded run, replayed: the same commands and journal, byte for byte, over restarts and a kill; and what differs is
found.

The strategy uses what a replay could get wrong: timers, slow jobs, seeded chance, saved state, resting and market orders.
"""

import json
import re
import urllib.request
from functools import partial
from pathlib import Path

import msgspec
import pytest

from quantd.app.storage import codec
from quantd.domain.events import Event, JobDone, OrderReport, TimerFired
from quantd.domain.facts import Fact, FillRecorded, TimerRecorded
from quantd.domain.market import Quote
from quantd.domain.strategy_facts import StrategySaved
from quantd.journal.inputlog import Answered, Ended, InputLogReader, InputLogWriter
from quantd.journal.store import JournalStore
from tests.process.harness import SIGKILL, SIGTERM, Process, quantd, until

pytestmark = pytest.mark.slow

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state, record: true, snapshot_every: 100}}
venues: {{{venue}}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 60000, max_daily_loss: 20000, max_open_orders: 40}}
  order: {{passive_collar_bps: 1000, self_match: cancel_oldest}}
strategies:
  - {{id: restless, use: restless.Restless, instruments: ["{name}:BTC-USDT"], bars: 1s, risk: {{max_position: 0.1}}}}
strategies_dir: strategies
feeds: {{quote_every_s: 0.3, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""
PAPER = """
paper: {type: paper, balances: {USDT: 100000}, latency_s: 0.01, data: {synthetic: {seed: 7, speed: 60, instruments: [
  {symbol: BTC-USDT, price: 65000, tick: 0.01, lot: 0.00001, min_notional: 10, volatility: 0.8}]}}}
"""
IONLOOP = """
ionloop: {{type: ionloop, environment: custom, base_url: "http://127.0.0.1:{port}", api_key_file: key, reconcile: adopt,
  webhook_secret_file: secret}}
"""
STRATEGY = """
from decimal import Decimal

import msgspec

from quantd import Limit, Market, Strategy


class Kept(msgspec.Struct):
    bars: int


def squares(count):
    return sum(number * number for number in range(count))


class Restless(Strategy):
    needs = {Market, Limit}

    def setup(self):
        self.bars()
        self.timer("often", every_s=1)
        self.seen = 0

    def on_bar(self, bar):
        self.seen += 1
        how = Decimal("0.01") * self.random.choice([0, 1, 2])
        self.target(bar.instrument, how, why=f"bar {self.seen}")

    def on_timer(self, name):
        self.job("squares", squares, 1_000)

    def on_job(self, name, result, error):
        self.cancel_all()
        one = list(self.instruments)[0]
        price = self.quote(one).bid * (1 - 0.0005)
        self.buy(one, Decimal("0.001"), Limit(price), why=f"job {result}")

    def save(self):
        return Kept(self.seen)

    def load(self, state, version):
        self.seen = state["bars"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A working folder on the paper venue."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "restless.py").write_text(STRATEGY)
    (tmp_path / "q.yaml").write_text(CONFIG.format(venue=PAPER, name="paper"))
    return tmp_path


def run(site: Path, number: int, fills: int = 2) -> None:
    """Run until there are some fills and jobs, then end it by a signal."""
    with quantd(["run", "q.yaml"], site) as daemon:
        until(lambda: len(daemon.lines("order_filled")) >= fills, 40, f"{fills} fills")
        until(lambda: any(line["reason"] == "job 332833500" for line in daemon.lines("order_intended")), 20, "a job")
        code = daemon.signal(number)
        assert code == (0 if number == SIGTERM else -SIGKILL), daemon.text()[-2000:]


def logs(site: Path) -> list[Path]:
    """Return the input logs, oldest first."""
    return sorted(site.glob("var/q.db.inputs-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def replayed(site: Path, inputs: Path) -> tuple[int, str]:
    """Replay one input log by the command line; exit code and what it said."""
    with quantd(["replay", "q.yaml", "--inputs", str(inputs)], site) as replay:
        return replay.popen.wait(60), replay.text()


def facts(site: Path) -> list[Fact]:
    """Read the whole journal."""
    store: JournalStore[Fact] = JournalStore.open(site / "var/q.db", codec(), read_only=True)
    try:
        return [store.codec.decode(record) for record in store.records()]
    finally:
        store.close()


@pytest.mark.timeout(240)
def test_runs_with_an_end_a_kill_and_a_restart_replay_to_the_same_commands_and_journal(site: Path) -> None:
    for number in (SIGTERM, SIGKILL, SIGTERM):
        run(site, number)
    assert len(logs(site)) == 3
    for inputs in logs(site):
        code, told = replayed(site, inputs)
        assert code == 0, told
        assert "the same commands and journal, byte for byte" in told
        assert "note:" not in told
        seen = {type(one) for one in InputLogReader[Event](inputs, Event).story()}
        assert {Quote, TimerFired, JobDone, OrderReport, Answered} <= seen
    assert {FillRecorded, TimerRecorded, StrategySaved} <= {type(fact) for fact in facts(site)}


@pytest.mark.timeout(120)
def test_another_source_other_inputs_and_other_commands_are_differences(site: Path) -> None:
    run(site, SIGTERM)
    (inputs,) = logs(site)
    _check_changed_source(site, inputs)
    _check_changed_quotes(site, inputs)
    _check_changed_commands(site, inputs)
    _check_ended_recording(site, inputs)
    assert replayed(site, inputs)[0] == 0
    _check_at_twice_the_load(site, inputs)


def _check_changed_source(site: Path, inputs: Path) -> None:
    path = site / "strategies" / "restless.py"
    path.write_text(STRATEGY.replace("[0, 1, 2]", "[2, 1, 0]"))
    code, told = replayed(site, inputs)
    assert code == 1, told
    assert "note: strategy restless has another source than in the run" in told
    assert re.search(r"first difference: record \d+: journal has \w+ at \d+, replay gives ", told), told
    path.write_text(STRATEGY)


def _check_changed_quotes(site: Path, inputs: Path) -> None:
    def dearer(one: Event | Answered | Ended) -> Event | Answered | Ended:
        if isinstance(one, Quote):
            return msgspec.structs.replace(one, bid=one.bid + 1, ask=one.ask + 1)
        return one

    code, told = replayed(site, _rewritten(inputs, dearer))
    assert code == 1, told
    assert "first difference: record " in told


def _check_changed_commands(site: Path, inputs: Path) -> None:
    def other(one: Event | Answered | Ended) -> Event | Answered | Ended:
        return Answered(one.count, b"other") if isinstance(one, Answered) else one

    code, told = replayed(site, _rewritten(inputs, other))
    assert code == 1, told
    assert re.search(r"first difference: after input \d+: the run sent 1 commands, replay gives 1 \(Submit\)", told), (
        told
    )


def _check_ended_recording(site: Path, inputs: Path) -> None:
    """A recording that reached its limit is compared as far as it goes, and says how far that is."""
    reader = InputLogReader[Event](inputs, Event)
    path = inputs.with_name("ended")
    log = InputLogWriter[Event | Answered | Ended](path, reader.header)
    story = [one for one in reader.story() if not isinstance(one, Ended)]
    for one in story[: len(story) // 2]:
        log.append(one)
    log.ended("it has reached 5 bytes")
    code, told = replayed(site, path)
    assert code == 0, told
    assert re.search(r"note: the recording ended after input \d+, it has reached 5 bytes: compared up to there", told)


def _check_at_twice_the_load(site: Path, inputs: Path) -> None:
    """Decisions hold at twice the pace; other decisions, and a latency that is not kept, are found."""

    def stressed(*arguments: str, log: Path = inputs) -> tuple[int, str]:
        command = ["stress", "q.yaml", "--inputs", str(log), "--window-s", "2", "--factor", "2", *arguments]
        with quantd(command, site) as stress:
            return stress.popen.wait(60), stress.text()

    code, told = stressed("--p99-ms", "2000")
    assert code == 0, told
    assert re.search(r"\| 2x \|.*\| the same \| borne \|", told), told
    assert stressed("--p99-ms", "0.1")[0] == 1
    cheaper = _rewritten(
        inputs, lambda one: msgspec.structs.replace(one, bid=one.bid - 9) if type(one) is Quote else one
    )
    code, told = stressed("--p99-ms", "2000", log=cheaper)
    assert code == 1, told
    assert "NOT BORNE" in told
    assert "at 2x, first difference: record " in told
    assert not list(site.glob("var/stress-*")), "the journal beside the journal goes"


def _rewritten(inputs: Path, change: object) -> Path:
    """Write a copy of an input log with every entry changed."""
    assert callable(change)
    reader = InputLogReader[Event](inputs, Event)
    path = inputs.with_name("changed")
    path.unlink(missing_ok=True)
    with InputLogWriter[Event | Answered | Ended](path, reader.header) as log:
        for one in reader.story():
            log.append(change(one))
    return path


@pytest.mark.timeout(240)
def test_a_run_over_http_with_webhooks_and_a_kill_replays_too(site: Path) -> None:
    (site / "key").write_text("sim-key")
    (site / "secret").write_text("sim-webhook-secret")
    with quantd(["simulate", "ionloop", "--port", "0", "--seed", "7", "--webhook-http"], site) as simulator:
        found = until(lambda: re.search(r"ionloop on http://127\.0\.0\.1:(\d+)", simulator.text()), 20, "the address")
        text = CONFIG.format(venue=IONLOOP.format(port=found[1]), name="ionloop")
        (site / "q.yaml").write_text(text + "webhooks: {port: 0}\n")
        for number in (SIGKILL, SIGTERM):
            with quantd(["run", "q.yaml"], site) as daemon:
                _register(int(found[1]), int(daemon.wait_line("webhooks_listen")["port"]))
                until(partial(_is_notified, daemon), 60, "fills and webhooks")
                daemon.signal(number)
    assert len(logs(site)) == 2
    for inputs in logs(site):
        code, told = replayed(site, inputs)
        assert code == 0, told


def _is_notified(daemon: Process) -> bool:
    return bool(daemon.lines("order_filled")) and daemon.metric("quantd_webhook_events_total", result="taken") > 0


def _register(simulator: int, port: int) -> None:
    """Register the webhook by the venue's API, as the console would."""
    body = {
        "url": f"http://127.0.0.1:{port}/webhooks/ionloop",
        "events": ["order.filled", "order.cancelled", "order.updated"],
        "secret": "sim-webhook-secret",
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{simulator}/v1/webhooks",
        json.dumps(body).encode(),
        {"Authorization": "Bearer sim-key", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
