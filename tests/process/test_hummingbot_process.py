"""The daemon against the simulated Hummingbot API, both as real processes: trades, quiescence, kills."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGTERM, quantd, until
from tests.process.site import JOURNAL, VenueSite, fills, killed_at_random_moments, walk_of_minutes
from tests.process.truth import differences, folded

RUN_S = float(os.environ.get("QUANTD_RUN_S", "30"))
KILLS = int(os.environ.get("QUANTD_KILLS", "2"))

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  hummingbot:
    type: hummingbot
    base_url: http://127.0.0.1:{port}
    connector: binance
    password_file: password
    real_money: false
    reconcile: adopt
risk:
  base_currency: USDT
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
  order: {{max_order_notional: 5000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
  strategy: {{long_only: true}}
strategies:
  - id: btc-grid
    use: grid_maker.GridMaker
    instruments: [hummingbot:BTC-USDT]
    params: {{levels: 3, step_bps: 8, quantity: 0.01}}
    risk: {{max_position: 0.2}}
    at_shutdown: keep
  - id: btc-cross
    use: sma_cross.SmaCross
    instruments: [hummingbot:BTC-USDT]
    bars: 2s
    params: {{fast: 2, slow: 5, quantity: 0.02}}
    risk: {{max_position: 0.05}}
    at_shutdown: keep
strategies_dir: {strategies}
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""


class Site(VenueSite):
    """The simulated server, and a daemon with two strategies."""

    name = "hummingbot"

    def differences(self) -> list[str]:
        """Compare with the exchange behind the server."""
        return differences(folded(self.directory / JOURNAL), self.venue.read("state"), venue="hummingbot")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "password").write_text("admin")
    prices = str(walk_of_minutes(tmp_path / "prices.csv"))
    with quantd(["simulate", "hummingbot", "--port", "0", "--replay", prices, "--speed", "600"], tmp_path) as simulator:
        site = Site(tmp_path, simulator)
        site.write(CONFIG.format(port=site.port, strategies=ROOT / "strategies"))
        yield site


@pytest.mark.timeout(300)
def test_it_trades_through_the_server_and_agrees_with_the_exchange_behind_it(site: Site) -> None:
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(lambda: fills(daemon) >= RUN_S / 6, RUN_S * 3, "fills")
        assert site.settle(daemon) == []
        counters = site.venue.read("counters")
        assert counters["rate_limited"]["total"] == 0
        assert counters["statuses"].get("422", 0) == counters["statuses"].get("500", 0) == 0
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_doubles_and_loses_nothing(site: Site) -> None:
    with killed_at_random_moments(site, KILLS):
        assert site.venue.read("counters")["rate_limited"]["total"] == 0
