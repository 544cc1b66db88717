"""The daemon against the simulated ionloop, both as real processes: trades, quiescence, webhooks, kills.

Prices are a walk of minutes at 600 times their speed, or the file that `QUANTD_PRICES` names. `QUANTD_RUN_S` and
`QUANTD_KILLS` lengthen the runs (the campaign's are 120 s and 20 kills).
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGTERM, Process, free_port, quantd, until
from tests.process.site import JOURNAL, VenueSite, fills, killed_at_random_moments, walk_of_minutes
from tests.process.truth import differences, folded, qualities
from tests.report import write_section

RUN_S = float(os.environ.get("QUANTD_RUN_S", "12"))
KILLS = int(os.environ.get("QUANTD_KILLS", "5"))
FILLS_AT_LEAST = int(RUN_S / 6)

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{port}
    api_key_file: key
    webhook_secret_file: secret
    register_webhook: {register}
    reconcile: adopt
    idempotency: {idempotency}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
  order: {{max_order_notional: 5000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
  strategy: {{long_only: true}}
strategies:
  - id: btc-grid
    use: grid_maker.GridMaker
    instruments: [ionloop:BTC-USDT]
    params: {{levels: 3, step_bps: 8, quantity: 0.01}}
    risk: {{max_position: 0.2}}
    at_shutdown: keep
  - id: btc-cross
    use: sma_cross.SmaCross
    instruments: [ionloop:BTC-USDT]
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
    """A simulator, and a daemon with two strategies."""

    name = "ionloop"

    def configure(self, *, idempotency: bool = True, webhooks: str = "") -> None:
        """Write the daemon's configuration."""
        text = CONFIG.format(
            port=self.port,
            strategies=ROOT / "strategies",
            idempotency=str(idempotency).lower(),
            register=str(bool(webhooks)).lower(),
        )
        self.write(text + webhooks)

    def differences(self) -> list[str]:
        """Compare orders, fills, fees and balances."""
        return differences(folded(self.directory / JOURNAL), self.venue.read("state"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A simulator over recorded prices at 600 times their speed."""
    (tmp_path / "key").write_text("sim-key")
    (tmp_path / "secret").write_text("sim-webhook-secret")
    prices = os.environ.get("QUANTD_PRICES") or str(walk_of_minutes(tmp_path / "prices.csv"))
    arguments = ["simulate", "ionloop", "--port", "0", "--webhook-http", "--replay", prices, "--speed", "600"]
    with quantd(arguments, tmp_path) as simulator:
        yield Site(tmp_path, simulator)


def trade(daemon: Process) -> None:
    """Let it trade for its time, and on until it has its fills."""
    began = time.monotonic()
    until(
        lambda: time.monotonic() - began >= RUN_S and fills(daemon) >= FILLS_AT_LEAST,
        RUN_S * 3,
        f"{FILLS_AT_LEAST} fills",
    )
    write_section(f"{fills(daemon)} fills in {time.monotonic() - began:.0f} s")


@pytest.mark.timeout(600)
def test_it_trades_and_agrees_with_the_venue_to_the_last_digit(site: Site) -> None:
    site.configure()
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        trade(daemon)
        assert site.settle(daemon) == []
        counters = site.venue.read("counters")
        assert counters["rate_limited"] == {"total": 0}
        assert counters["violations"] == {}
        state = folded(site.directory / "var/q.db")
        assert daemon.metric("quantd_estimated_fills_total", venue="ionloop") == qualities(state)["estimated"]
        assert daemon.metric("quantd_unknown_operations", venue="ionloop") == 0
        assert daemon.signal(SIGTERM) == 0
    with quantd(["journal", "verify", "var/q.db"], site.directory) as verify:
        assert verify.popen.wait(30) == 0, verify.text()


@pytest.mark.timeout(600)
def test_webhooks_confirm_the_prices_of_fills(site: Site) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}"
    site.configure(webhooks=f"webhooks: {{port: {port}, public_url: '{address}'}}\n")
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        assert daemon.wait_line("webhook_registered", 60)["url"] == f"{address}/webhooks/ionloop"
        trade(daemon)
        assert site.settle(daemon) == []
        state = folded(site.directory / "var/q.db")
        whole = [order for order in state.orders.all_orders() if order.state.value == "filled"]
        assert whole
        estimated = [one for one in whole if list(one.estimated())]
        assert not estimated, f"{len(estimated)} of {len(whole)} whole orders are still estimated"
        assert daemon.metric("quantd_webhook_events_total", venue="ionloop", result="taken") > 0
        assert site.venue.read("counters")["webhooks"]["given_up"] == 0
        assert daemon.signal(SIGTERM) == 0
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        daemon.wait_line("venue_ready", 60)
        until(lambda: daemon.metric("quantd_feed_polls_total", venue="ionloop") > 0, 30, "data after the start")
        told = site.venue.read("counters")["webhooks"]
        assert (told["registered"], told["registered_again"]) == (1, 0), "a restart registers nothing anew"
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("idempotency", [True, False], ids=["keys", "search"])
def test_killed_at_random_moments_it_loses_nothing_and_doubles_nothing(site: Site, *, idempotency: bool) -> None:
    site.configure(idempotency=idempotency)
    with killed_at_random_moments(site, KILLS if idempotency else max(2, KILLS // 4)):
        assert site.venue.read("counters")["rate_limited"] == {"total": 0}
