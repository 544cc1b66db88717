"""The daemon against the simulated TradeLocker, both as real processes: trades with exits at the venue, quiescence, kills."""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.process.harness import SIGKILL, SIGTERM, Process, quantd, until
from tests.process.test_ionloop_process import fills, walk_of_minutes
from tests.process.tradelocker_truth import differences
from tests.process.truth import Venue, folded

RUN_S = float(os.environ.get("QUANTD_RUN_S", "12"))
KILLS = int(os.environ.get("QUANTD_KILLS", "1"))

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  tradelocker:
    type: tradelocker
    environment: custom
    base_url: http://127.0.0.1:{port}
    email: quant@example.com
    password_file: password
    server: SIM
    account: "1000001"
    reconcile: adopt
    account_every_s: 2
risk:
  base_currency: USD
  account: {{max_gross_notional: 200000, max_daily_loss: 50000, max_open_orders: 30}}
  order: {{max_order_notional: 20000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
strategies:
  - id: guarded
    use: guarded.Guarded
    instruments: [tradelocker:BTCUSD]
    risk: {{max_position: 1}}
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""


class Site:
    """A folder with the simulated server running and a daemon's configuration."""

    def __init__(self, directory: Path, simulator: Process) -> None:
        self.directory = directory
        port = int(until(lambda: _port(simulator.text()), 20, "the simulator's address"))
        self.venue = Venue(port)
        (directory / "q.yaml").write_text(CONFIG.format(port=port))

    def has_closed(self) -> bool:
        """Tell whether a position was closed, by its stop or target or by the daemon."""
        told = self.venue.read("state")["orders"]
        return any(one["role"] != "entry" and Decimal(one["filledQuantity"]) for one in told)

    def settle(self, daemon: Process) -> list[str]:
        """Freeze the market, wait until we and the server agree, and return what is still different."""
        self.venue.freeze("BTCUSD")
        state: list[str] = ["not compared yet"]
        deadline = time.monotonic() + 60
        while state and time.monotonic() < deadline:
            time.sleep(1)
            state = differences(folded(self.directory / "var/q.db", "USD"), self.venue.read("state"))
        assert daemon.popen.poll() is None, daemon.text()[-3000:]
        return state


def _port(text: str) -> str:
    found = re.search(r"tradelocker on http://127\.0\.0\.1:(\d+)", text)
    return found[1] if found else ""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "password").write_text("simulated")
    (tmp_path / "strategies").mkdir()
    shutil.copy(Path(__file__).parent / "guarded.py", tmp_path / "strategies")
    prices = str(walk_of_minutes(tmp_path / "prices.csv"))
    arguments = ["simulate", "tradelocker", "--port", "0", "--replay", prices, "--speed", "600"]
    with quantd(arguments, tmp_path) as simulator:
        yield Site(tmp_path, simulator)


@pytest.mark.timeout(300)
def test_it_trades_with_exits_at_the_venue_and_agrees_with_it(site: Site) -> None:
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(
            lambda: fills(daemon) >= RUN_S / 3 and site.has_closed(), RUN_S * 5, "fills, and a position that is closed"
        )
        assert site.settle(daemon) == []
        counters = site.venue.read("counters")
        assert counters["rate_limited"]["total"] == 0
        assert not {"400", "401", "403", "500"} & counters["statuses"].keys()
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_doubles_and_loses_nothing(site: Site) -> None:
    seed = random.SystemRandom().randrange(100_000)
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    for _ in range(KILLS):
        with quantd(["run", "q.yaml"], site.directory) as daemon:
            daemon.wait_line("venue_ready", 60)
            time.sleep(chance.uniform(1, 4))
            daemon.signal(SIGKILL)
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        daemon.wait_line("venue_ready", 90)
        assert site.settle(daemon) == []
        assert daemon.signal(SIGTERM) == 0
