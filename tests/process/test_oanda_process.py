"""The daemon against the simulated OANDA, both as real processes: trades, streams, quiescence, kills."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGTERM, quantd, until
from tests.process.oanda_truth import ACCOUNT, TOKEN, differences
from tests.process.site import JOURNAL, VenueSite, fills, killed_at_random_moments
from tests.process.truth import folded

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


class Site(VenueSite):
    """The simulated venue, and a daemon with one strategy."""

    name = "oanda"

    def freeze(self) -> None:
        """Halt the instrument."""
        self.venue.post("market", {"instrument": "EUR_USD", "status": "halted"})

    def differences(self) -> list[str]:
        """Compare trades, orders and money."""
        return differences(folded(self.directory / JOURNAL, "USD"), self.port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "token").write_text(TOKEN)
    with quantd(["simulate", "oanda", "--port", "0", "--speed", "300"], tmp_path) as simulator:
        site = Site(tmp_path, simulator)
        site.write(CONFIG.format(port=site.port, strategies=ROOT / "strategies", account=ACCOUNT))
        yield site


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
    with killed_at_random_moments(site, KILLS):
        assert site.venue.read("counters")["rate_limited"]["total"] == 0
