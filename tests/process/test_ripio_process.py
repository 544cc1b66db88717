"""The daemon against the simulated Ripio Trade, both as real processes: trades, quiescence, kills."""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.process.harness import ROOT, SIGTERM, quantd, until
from tests.process.site import JOURNAL, VenueSite, fills, killed_at_random_moments, walk_of_minutes
from tests.process.truth import differences, folded

RUN_S = float(os.environ.get("QUANTD_RUN_S", "30"))
KILLS = int(os.environ.get("QUANTD_KILLS", "1"))

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ripio:
    type: ripio
    base_url: http://127.0.0.1:{port}
    stream_url: ws://127.0.0.1:{port}/
    api_token_file: token
    api_secret_file: secret
    reconcile: adopt
    orders_every_s: 1
    account_every_s: 5
risk:
  base_currency: BRL
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
  order: {{max_order_notional: 5000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
  strategy: {{long_only: true}}
strategies:
  - id: btc-grid
    use: grid_maker.GridMaker
    instruments: [ripio:BTC_BRL]
    params: {{levels: 2, step_bps: 8, quantity: 0.01}}
    risk: {{max_position: 0.2}}
    at_shutdown: keep
  - id: btc-cross
    use: sma_cross.SmaCross
    instruments: [ripio:BTC_BRL]
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
    """The simulated venue, and a daemon with two strategies."""

    name = "ripio"

    def freeze(self) -> None:
        """Let prices stand still: a disabled pair would end its orders."""
        self.venue.post("switches", {"market_paused": True})

    def differences(self) -> list[str]:
        """Compare orders, fills and balances, and the fees of each order."""
        told, truth = folded(self.directory / JOURNAL, "BRL"), self.venue.read("state")
        return differences(told, _in_common_words(truth), venue="ripio") + _fees(told, truth)


def _in_common_words(truth: Any) -> Any:
    """Return the venue's state in the words of `differences`; our id may be there once only, whatever the venue allows."""
    alive = ("open", "executed_partially")
    orders = [
        {
            **order, "idempotencyKey": order["external_id"], "filledQuantity": order["executed"],
            "status": "open" if order["status"] in alive else order["status"],
        }
        for order in truth["orders"]
    ]  # fmt: skip
    return {**truth, "orders": orders}


def _fees(state: Any, truth: Any) -> list[str]:
    """Compare the fees of each order: ours come from its trades, and nothing is left to a schedule."""
    found = []
    orders = {venue_id: order for order in state.orders.all_orders() for venue_id in order.venue_order_ids}
    for theirs in truth["orders"]:
        told = {asset: Decimal(amount) for asset, amount in theirs["fees"].items() if Decimal(amount)}
        ours: dict[str, Decimal] = {}
        for fill in orders[theirs["id"]].fills.values() if theirs["id"] in orders else ():
            for asset, amount in fill.fees:
                ours[asset] = ours.get(asset, Decimal(0)) + amount
        if ours != told:
            found.append(f"{theirs['id']}: fees {ours} with us, {told} there")
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "token").write_text("sim-token")
    (tmp_path / "secret").write_text("sim-secret")
    prices = str(walk_of_minutes(tmp_path / "prices.csv"))
    with quantd(["simulate", "ripio", "--port", "0", "--replay", prices, "--speed", "600"], tmp_path) as simulator:
        site = Site(tmp_path, simulator)
        site.write(CONFIG.format(port=site.port, strategies=ROOT / "strategies"))
        yield site


@pytest.mark.timeout(300)
def test_it_trades_and_agrees_with_the_venue_to_the_last_digit(site: Site) -> None:
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(lambda: fills(daemon) >= RUN_S / 6, RUN_S * 3, "fills")
        assert site.settle(daemon) == []
        counters = site.venue.read("counters")
        assert counters["rate_limited"]["total"] == 0
        assert counters["violations"] == {}
        assert counters["unauthorized"] == {}
        assert counters["streams"]["connected"] == 1
        assert counters["streams"]["user_trades"] > 0
        assert len(daemon.lines("stream_live")) == 1, "one connection for the whole run"
        assert daemon.metric("quantd_unknown_operations", venue="ripio") == 0
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(3_600)
def test_killed_at_random_moments_it_doubles_and_loses_nothing(site: Site) -> None:
    with killed_at_random_moments(site, KILLS):
        assert site.venue.read("counters")["violations"] == {}
