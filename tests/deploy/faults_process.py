"""Faults of the process itself and of whoever runs it: none there, two of one kind, one that dies again and again."""

import shutil
import signal
from collections.abc import Iterator
from functools import partial

from tests.deploy.live import Setting, Site, fires
from tests.process.harness import quantd, until

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  paper:
    type: paper
    data: {{synthetic: {{instruments: [{{symbol: BTC-USDT, price: 65000}}]}}}}
    balances: {{USDT: 100000}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 50}}
  order: {{passive_collar_bps: 1000}}
strategies:
  - id: steady
    use: steady.Steady
    instruments: [paper:BTC-USDT]
    params: {{holds: 0.02}}
    risk: {{max_position: 1}}
    at_shutdown: keep
strategies_dir: strategies
health: {{port: {health}}}
logging: {{format: json}}
"""


@fires("QuantdAbsent")
def nobody_there(site: Site) -> Iterator[None]:
    """Prometheus runs, and no daemon yet."""
    yield
    site.start()


@fires("QuantdTwoDaemons")
def two_of_one_kind(site: Site) -> Iterator[None]:
    """The same configuration on another machine, here in another folder."""
    other = site.folder / "other"
    other.mkdir()
    shutil.copytree(site.folder / "strategies", other / "strategies")
    shutil.copy(site.folder / "q.yaml", other)
    with quantd(["run", "q.yaml"], other) as second:
        site.prometheus.scrape(site.daemon.port(), second.port())
        yield
        assert second.signal(signal.SIGTERM) == 0
    site.prometheus.scrape(site.daemon.port())


@fires("QuantdRestarting")
def restarts(site: Site) -> Iterator[None]:
    for times in range(1, 4):
        site.daemon.signal(signal.SIGKILL)
        site.start()
        seen = f"changes(quantd_started_timestamp_seconds[40s]) >= {times}"
        until(partial(site.prometheus.ask, seen), 30, f"start number {times} seen by Prometheus")
    yield


def begin_anywhere(site: Site) -> None:
    """Start the daemon on a port of its own choice, since two with one configuration cannot name the same."""
    site.prometheus.scrape(site.start().port())


SETTING = Setting(CONFIG)
FAULTS = (nobody_there, restarts)
TWINS_SETTING = Setting(CONFIG.replace("{health}", "0"), begin=begin_anywhere)
TWINS_FAULTS = (two_of_one_kind,)
