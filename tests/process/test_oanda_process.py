"""The daemon against the simulated OANDA, both as real processes: trades, streams, quiescence, kills."""

import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGKILL, SIGTERM, Process, quantd, until
from tests.process.oanda_truth import ACCOUNT, TOKEN, differences
from tests.process.test_ionloop_process import fills
from tests.process.truth import Venue, folded

RUN_S = float(os.environ.get("QUANTD_RUN_S", "30"))
KILLS = int(os.environ.get("QUANTD_KILLS", "2"))

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  oanda:
    type: oanda
    environment: custom
    base_url: http://127.0.0.1:{port}
    stream_url: http://127.0.0.1:{port}
    account: {account}
    token_file: token
    reconcile: adopt
risk:
  base_currency: USD
  account: {{max_gross_notional: 100000, max_daily_loss: 5000, max_open_orders: 30}}
  order: {{max_order_notional: 20000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
strategies:
  - id: eur-grid
    use: grid_maker.GridMaker
    instruments: [oanda:EUR_USD]
    params: {{levels: 3, step_bps: 1, quantity: 1000, short: true}}
    risk: {{max_position: 20000}}
    at_shutdown: keep
strategies_dir: {strategies}
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""


class Site:
    """A folder with the simulated venue running and a daemon's configuration."""

    def __init__(self, directory: Path, simulator: Process) -> None:
        self.directory = directory
        self.port = int(until(lambda: _port(simulator.text()), 20, "the simulator's address"))
        self.venue = Venue(self.port)
        text = CONFIG.format(port=self.port, strategies=ROOT / "strategies", account=ACCOUNT)
        (directory / "q.yaml").write_text(text)
        (directory / "token").write_text(TOKEN)

    def settle(self, daemon: Process) -> list[str]:
        """Freeze the market, wait until we and the venue agree, and return what is still different."""
        self.venue.post("market", {"instrument": "EUR_USD", "status": "halted"})
        state: list[str] = ["not compared yet"]
        deadline = time.monotonic() + 60
        while state and time.monotonic() < deadline:
            time.sleep(1)
            state = differences(folded(self.directory / "var/q.db", "USD"), self.port)
        assert daemon.popen.poll() is None, daemon.text()[-3000:]
        return state


def _port(text: str) -> str:
    found = re.search(r"oanda on http://127\.0\.0\.1:(\d+)", text)
    return found[1] if found else ""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with quantd(["simulate", "oanda", "--port", "0", "--speed", "300"], tmp_path) as simulator:
        yield Site(tmp_path, simulator)


@pytest.mark.timeout(300)
def test_it_trades_streams_and_agrees_with_the_account(site: Site) -> None:
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(lambda: fills(daemon) >= RUN_S / 6, RUN_S * 3, "fills")
        assert {line["stream"] for line in daemon.lines("stream_up")} == {"pricing_stream", "transaction_stream"}
        assert site.settle(daemon) == []
        counters = site.venue.read("counters")
        assert counters["rate_limited"]["total"] == 0
        assert counters["statuses"].get("400", 0) == counters["statuses"].get("500", 0) == 0
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_doubles_and_loses_nothing(site: Site) -> None:
    seed = random.SystemRandom().randrange(100_000)
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    for _ in range(KILLS):
        with quantd(["run", "q.yaml"], site.directory) as daemon:
            daemon.wait_line("venue_ready", 60)
            time.sleep(chance.uniform(1, 6))
            daemon.signal(SIGKILL)
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        daemon.wait_line("venue_ready", 90)
        assert site.settle(daemon) == []
        assert daemon.signal(SIGTERM) == 0
