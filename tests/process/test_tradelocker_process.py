"""The daemon against the simulated TradeLocker, both as real processes: trades with exits at the venue, quiescence, kills."""

import os
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.process.harness import SIGTERM, quantd, until
from tests.process.site import JOURNAL, VenueSite, fills, killed_at_random_moments, walk_of_minutes
from tests.process.tradelocker_truth import differences
from tests.process.truth import folded

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


class Site(VenueSite):
    """The simulated server, and a daemon with one strategy that holds its exits there."""

    name = "tradelocker"

    def has_closed(self) -> bool:
        """Tell whether a position was closed, by its stop or target or by the daemon."""
        told = self.venue.read("state")["orders"]
        return any(one["role"] != "entry" and Decimal(one["filledQuantity"]) for one in told)

    def freeze(self) -> None:
        """Halt the instrument."""
        self.venue.freeze("BTCUSD")

    def differences(self) -> list[str]:
        """Compare orders, positions and money."""
        return differences(folded(self.directory / JOURNAL, "USD"), self.venue.read("state"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "password").write_text("simulated")
    (tmp_path / "strategies").mkdir()
    shutil.copy(Path(__file__).parent / "guarded.py", tmp_path / "strategies")
    prices = str(walk_of_minutes(tmp_path / "prices.csv"))
    arguments = ["simulate", "tradelocker", "--port", "0", "--replay", prices, "--speed", "600"]
    with quantd(arguments, tmp_path) as simulator:
        site = Site(tmp_path, simulator)
        site.write(CONFIG.format(port=site.port))
        yield site


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
    with killed_at_random_moments(site, KILLS, longest_s=4.0):
        assert site.venue.read("counters")["rate_limited"]["total"] == 0
