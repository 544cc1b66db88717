"""A daemon's metrics as a whole: what exists before anything happened, how many series there can be, what a scrape costs."""

import re
import statistics
import time
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from quantd.app.identity import EXTERNAL, HOOKS, announce
from quantd.config import Settings, load
from quantd.telemetry.catalogue import CATALOGUE, LATER
from quantd.telemetry.health import HealthListener
from quantd.telemetry.metric import Kind
from quantd.telemetry.metrics import PrometheusObserver

STRATEGIES = 50
SCRAPE_S = 0.05
"""What a scrape may take with 50 strategies."""

FOLDED = "quantd_metric_series_folded_total"

CONFIG = """
journal: {path: q.db}
venues:
  paper: {type: paper, balances: {USDT: 100000}, data: {synthetic: {instruments: [
    %s]}}}
risk:
  base_currency: USDT
  account: {max_gross_notional: 60000, max_daily_loss: 20000, max_open_orders: 40, soft_pct: 80}
notify: {webhooks: {desk: {url: "http://127.0.0.1:1"}}}
strategies:
%s
"""
INSTRUMENT = "{symbol: S%d-USDT, price: 100, tick: 0.01, lot: 0.001}"
STRATEGY = '  - {id: s%d, use: grid_maker.GridMaker, instruments: ["paper:S%d-USDT"], risk: {max_position: 1}}'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Fifty strategies, each on an instrument of its own."""
    path = tmp_path / "q.yaml"
    numbers = range(STRATEGIES)
    instruments = ",\n    ".join(INSTRUMENT % number for number in numbers)
    path.write_text(CONFIG % (instruments, "\n".join(STRATEGY % (number, number) for number in numbers)))
    return load([path], {})


@pytest.fixture
def observer(settings: Settings) -> PrometheusObserver:
    """The metrics of a run that has only said who it is."""
    observer = PrometheusObserver()
    announce(observer, settings, "RUN", 1)
    return observer


def values(settings: Settings) -> dict[str, list[str]]:
    """Return what each label may say in this configuration, where that is known before anything happens."""
    strategies = [one.id for one in settings.strategies]
    instruments = [name for one in settings.strategies for name in one.instrument_ids]
    scopes = [f"strategy:{one}" for one in strategies] + [f"instrument:{one}" for one in instruments]
    return {
        "venue": list(settings.venues),
        "strategy": [*strategies, EXTERNAL],
        "scope": ["account", "venue:paper", *scopes],
        "currency": ["USDT"],
        "hook": list(HOOKS),
        "channel": ["webhooks.desk"],
        "metric": [name for name, metric in CATALOGUE.items() if metric.open_labels],
    }


def scraped(observer: PrometheusObserver) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of a scrape."""
    families = text_string_to_metric_families(observer.exposition("")[0].decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def test_every_counter_and_histogram_exists_at_zero_from_the_start_or_says_when(
    settings: Settings, observer: PrometheusObserver
) -> None:
    known, found = values(settings), scraped(observer)
    absent = []
    for name, metric in CATALOGUE.items():
        if metric.kind is Kind.GAUGE or name in LATER:
            continue
        domains = {label: metric.values.get(label) or known[label] for label in metric.labels}
        suffix = "_count" if metric.kind is Kind.HISTOGRAM else ""
        for combination in product(*domains.values()):
            labels = dict(zip(domains, combination, strict=True))
            if "hook" in labels and labels["strategy"] == EXTERNAL:
                continue
            if found.get((name + suffix, frozenset(labels.items()))) != 0:
                absent.append((name, labels))
    assert absent == []


def test_what_comes_later_is_a_counter_or_histogram_and_does_come_later(observer: PrometheusObserver) -> None:
    found = {name for name, _ in scraped(observer)}
    for name in LATER:
        assert CATALOGUE[name].kind is not Kind.GAUGE
        assert name == "quantd_soft_limits_total" or not found & {name, f"{name}_count"}
    soft = {dict(labels)["limit"] for name, labels in scraped(observer) if name == "quantd_soft_limits_total"}
    assert soft == {"max_gross_notional", "max_daily_loss", "max_open_orders"}


def busy(observer: PrometheusObserver, settings: Settings) -> None:
    """Move every series that a run of this configuration can have, as no real run does between two scrapes."""
    known = values(settings) | {
        "instrument": [one.instrument_ids[0] for one in settings.strategies],
        "limit": ["max_position", "max_gross_notional"],
        "asset": ["USDT"],
        "endpoint": ["quotes", "books"],
        "operation": ["create_order", "cancel_order", "open_orders"],
        "kind": ["clock_jumped"],
        "reason": ["insufficient_funds"],
    }
    for name, metric in CATALOGUE.items():
        if name == FOLDED:
            continue
        domains: dict[str, Any] = {
            label: metric.values.get(label) or known.get(label, ["one"]) for label in metric.labels
        }
        if {"strategy", "instrument"} <= domains.keys():
            domains["instrument"] = known["instrument"][:2]
        for combination in product(*domains.values()):
            labels = dict(zip(domains, combination, strict=True))
            if metric.kind is Kind.COUNTER:
                observer.count(name, 1, "q1-1", **labels)
            elif metric.kind is Kind.GAUGE:
                observer.gauge(name, 1.5, **labels)
            else:
                observer.observe(name, 0.01, "q1-1", **labels)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_a_scrape_of_fifty_strategies_takes_under_fifty_milliseconds(
    observer: PrometheusObserver, settings: Settings, accept: str, record_property: Any
) -> None:
    """CPU time of the whole process, so that what else runs on the machine counts little; the best of a few decides."""
    listener = HealthListener("127.0.0.1", 0, reasons=list, observer=observer)
    await listener.start()
    moved: list[float] = []
    still: list[float] = []
    body = b""
    try:
        async with aiohttp.ClientSession(headers={"Accept": accept}) as session:
            for took in (moved, still) * 5:
                if took is moved:
                    busy(observer, settings)
                began = time.process_time()
                async with session.get(f"http://127.0.0.1:{listener.port}/metrics") as answer:
                    body = await answer.read()
                took.append(time.process_time() - began)
    finally:
        await listener.stop()
    lines = body.count(b"\n")
    figures = f"{lines} lines: all moved {statistics.median(moved) * 1e3:.1f} ms, none moved {statistics.median(still) * 1e3:.1f} ms"
    print(f"\n{figures}")
    record_property("scrape", figures)
    assert lines > 15_000
    assert min(moved) < SCRAPE_S, figures
    assert min(still) < SCRAPE_S / 5, f"series that stand still are written anew: {figures}"
    assert not re.search(FOLDED.encode() + rb"\{.*\} [1-9]", body), "with that many strategies no metric is full"
