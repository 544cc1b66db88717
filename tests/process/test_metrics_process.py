"""Every documented metric in one scrape of a running daemon, on paper and against the simulated ionloop."""

import re
import urllib.request
from collections import Counter
from math import prod
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.metric import bound
from tests.process.harness import ROOT, SIGTERM, Process, quantd, until

pytestmark = pytest.mark.slow

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues: {{{venue}}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 60000, max_daily_loss: 20000, max_drawdown: 30000, max_open_orders: 40}}
  order: {{passive_collar_bps: 1000}}
  strategy: {{long_only: true}}
strategies:
  - id: grid
    use: grid_maker.GridMaker
    instruments: ["{name}:BTC-USDT"]
    params: {{levels: 3, step_bps: 2, quantity: 0.01}}
    risk: {{max_position: 0.2}}
  - id: cross
    use: sma_cross.SmaCross
    instruments: ["{name}:BTC-USDT"]
    bars: 1s
    params: {{fast: 2, slow: 3, quantity: 0.02}}
    risk: {{max_position: 0.1}}
strategies_dir: {strategies}
feeds: {{quote_every_s: 0.5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""
PAPER = """
paper: {type: paper, balances: {USDT: 100000}, latency_s: 0.01, data: {synthetic: {seed: 7, speed: 60, instruments: [
  {symbol: BTC-USDT, price: 65000, tick: 0.01, lot: 0.00001, min_notional: 10, volatility: 0.8}]}}}
"""
IONLOOP = """
ionloop: {{type: ionloop, environment: custom, base_url: "http://127.0.0.1:{port}", api_key_file: key, reconcile: adopt}}
"""
NEVER_IN_GOOD_DAYS = {
    "quantd_metric_series_folded_total",
    "quantd_soft_limits_total",
    "quantd_rebates_total",
    "quantd_rejects_total",
    "quantd_venue_anomalies_total",
}
"""Counters with labels that only trouble or a person names; they have help and type, and no series before it."""
ONLY_WITH_MARGIN = {"quantd_venue_equity", "quantd_venue_margin_closeout_ratio"}
ONLY_WHERE_EXPECTED = {"quantd_heartbeat_last_timestamp_seconds"}
"""Of the dead-man's switch, which a configuration has or not."""
ONLY_WITH_CHANNELS = {
    "quantd_notifications_total",
    "quantd_notification_attempts_failed_total",
    "quantd_notification_seconds",
}
"""Of receivers that a configuration names; see `test_notify_process`."""
ONLY_WITH_STREAMS = {"quantd_stream_connections_total", "quantd_stream_losses_total"}
ELSEWHERE = NEVER_IN_GOOD_DAYS | ONLY_WITH_MARGIN | ONLY_WHERE_EXPECTED | ONLY_WITH_CHANNELS | ONLY_WITH_STREAMS
ONLY_OVER_HTTP = {
    "quantd_feed_polls_total",
    "quantd_feed_skipped_slots_total",
    "quantd_feed_up",
    "quantd_rate_budget_left_ratio",
    "quantd_venue_clock_offset_seconds",
    "quantd_venue_request_seconds",
}


def absent(text: str, *, series: bool) -> set[str]:
    """Return the metrics that a scrape does not describe, or of which it has no series."""
    if series:
        found = set(re.findall(r"^(quantd_\w+?)(?:_bucket|_count|_sum)?(?:\{.*\})? \S+$", text, re.MULTILINE))
    else:
        found = {
            name
            for name, metric in CATALOGUE.items()
            if f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}\n" in text
        }
    return set(CATALOGUE) - found


AT_MOST = {
    "venues": 1, "strategies": 2, "instruments": 1, "instruments in the configuration": 1, "few": 16, "limits": 60,
    "lanes": 6, "codes": 12, "hooks": 12, "metrics": len(CATALOGUE), "channels": 1, "operations of a connector": 20,
    "assets of the configured instruments": 2,
}  # fmt: skip
"""What the words of the bounds amount to in this configuration."""


def over_bound(text: str) -> dict[str, tuple[int, int]]:
    """Return the metrics that have more series than the documentation says they can have, with both numbers."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        kinds = {"histogram": "_count", "counter": "_total"}
        wanted = family.name + kinds.get(family.type, "")
        found[wanted.removesuffix("_count")] += sum(one.name == wanted for one in family.samples)
    most = {}
    for name, metric in CATALOGUE.items():
        factors = [re.split(r" \+ ", factor.strip("()")) for factor in bound(metric).split(" x ")]
        most[name] = prod(sum(AT_MOST.get(word) or int(word) for word in words) for words in factors)
    return {name: (found[name], limit) for name, limit in most.items() if found[name] > limit}


def traded(daemon: Process, fills: int) -> str:
    """Return a scrape that was taken after the daemon has traded and found itself ready."""
    until(lambda: len(daemon.lines("order_filled")) >= fills, 60, f"{fills} fills")
    until(lambda: daemon.metric("quantd_ready") == 1, 20, "ready")
    until(lambda: daemon.metric("quantd_strategy_callback_seconds_count") > 0, 20, "a callback that was timed")
    return daemon.get("/metrics")[1]


def named_orders(daemon: Process, *metrics: str) -> bool:
    """Tell whether the order that each latency names is one that the log knows."""
    known = {line["client_order_id"] for line in daemon.lines("order_intended")}
    asked = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port()}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        text = answer.read().decode()
    named = [
        set(re.findall(rf'^{metric}_bucket.* # {{client_order_id="(.+?)"}}', text, re.MULTILINE)) for metric in metrics
    ]
    return all(orders and orders <= known for orders in named)


@pytest.mark.timeout(120)
def test_a_paper_run_serves_every_metric(tmp_path: Path) -> None:
    text = CONFIG.format(venue=PAPER, name="paper", strategies=ROOT / "strategies")
    (tmp_path / "q.yaml").write_text(text)
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        scrape = traded(daemon, 3)
        assert absent(scrape, series=False) == set()
        assert absent(scrape, series=True) <= ELSEWHERE | ONLY_OVER_HTTP
        assert over_bound(scrape) == {}
        many = "\n".join(f'quantd_equity{{scope="{number}",currency="USDT"}} 1' for number in range(6))
        assert over_bound(f"# TYPE quantd_equity gauge\n{many}\n") == {"quantd_equity": (6, 5)}
        assert daemon.metric("quantd_leader") == 1
        assert daemon.metric("quantd_journal_epoch") > 0
        run_id = daemon.lines("order_filled")[0]["run_id"]
        assert daemon.metric("quantd_config_info", environment="paper", run_id=run_id) == 1
        assert daemon.metric("quantd_build_info") == 1
        assert daemon.metric("quantd_events_total") > 10
        assert daemon.metric("quantd_tick_to_order_seconds_count", venue="paper") > 0
        assert daemon.metric("quantd_gate_seconds_count") > 0
        assert daemon.metric("quantd_filled_notional_total", venue="paper", currency="USDT") > 0
        named = set(re.findall(r'^(quantd_\w+){[^}]*instrument="paper:BTC-USDT"', scrape, re.MULTILINE))
        assert named == set(re.findall(r'^(quantd_\w+){[^}]*\binstrument="', scrape, re.MULTILINE)), (
            "by one name, to be joined"
        )
        assert 0 < daemon.metric("quantd_limit_use_ratio", scope="account", limit="max_gross_notional") < 1
        assert daemon.metric("quantd_halted") == 0
        with quantd(["halt", "q.yaml", "--by", "ann", "--why", "drill"], tmp_path) as halt:
            assert halt.popen.wait(20) == 0, halt.text()
        until(lambda: daemon.metric("quantd_halts_total", reason="operator") == 1, 10, "the halt counted")
        assert daemon.metric("quantd_trading_state", scope="account") == 2
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_run_over_http_serves_every_metric(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sim-key")
    with quantd(["simulate", "ionloop", "--port", "0", "--seed", "7"], tmp_path) as simulator:
        found = until(lambda: re.search(r"ionloop on http://127\.0\.0\.1:(\d+)", simulator.text()), 20, "the address")
        venue = IONLOOP.format(port=found[1])
        (tmp_path / "q.yaml").write_text(CONFIG.format(venue=venue, name="ionloop", strategies=ROOT / "strategies"))
        with quantd(["run", "q.yaml"], tmp_path) as daemon:
            scrape = traded(daemon, 1)
            assert absent(scrape, series=False) == set()
            assert absent(scrape, series=True) <= ELSEWHERE
            assert over_bound(scrape) == {}
            assert named_orders(
                daemon, "quantd_order_ack_seconds", "quantd_order_fill_seconds", "quantd_tick_to_order_seconds"
            )
            assert daemon.metric("quantd_config_info", environment="practice") == 1
            assert daemon.signal(SIGTERM) == 0
