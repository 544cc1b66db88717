"""Faults at a daemon on the simulated ionloop, each with the alerts that it must fire. Drilled by test_alerts_live.py."""

import json
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen

from tests.deploy.live import Setting, Site, fires, stopped
from tests.process.harness import SIGTERM, until

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{venue}
    api_key_file: key
    reconcile: ignore
    status_every_s: 600
    rates: {{orders: {{limit: 9, seconds: 1}}}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 50}}
  order: {{passive_collar_bps: 1000, max_quote_age_s: 60}}
  strategy: {{max_consecutive_rejects: 20}}
strategies:
  - id: steady
    use: steady.Steady
    instruments: [ionloop:BTC-USDT]
    params: {{holds: 0.02, orders_each: 2, stop_away: 0.2}}
    risk: {{max_position: 1}}
    callback_deadline_s: 3
    at_shutdown: keep
protection: {{when_naked: alert}}
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5}}
health: {{port: {health}}}
logging: {{format: json}}
"""
"""The look at the venue's state is rare and quotes may be old, or a closed market would be known of before enough is refused."""
SETTING = Setting(CONFIG, ("ionloop", "--symbol", "BTC-USDT", "--symbol", "ETH-USDT"))


def trades(site: Site) -> bool:
    """Whether orders were answered within the last seconds."""
    return bool(site.prometheus.ask('sum(increase(quantd_order_ack_seconds_count{operation="submit"}[5s])) > 5'))


@fires("QuantdVenueNotReady")
def venue_away_at_the_start(site: Site) -> Iterator[None]:
    """The one fault that comes before all others: it also starts what the others disturb."""
    site.start()
    yield
    site.open_venue()


@fires("QuantdHalted")
def halted(site: Site) -> Iterator[None]:
    site.halt()
    yield
    site.resume()


@fires("QuantdReducing")
def reducing(site: Site) -> Iterator[None]:
    site.halt("--reduce", "--scope", "venue:ionloop")
    yield
    site.resume("--scope", "venue:ionloop")


@fires("QuantdFeedDown", "QuantdMarketDataStale", "QuantdReconcileOverdue", "QuantdPositionNaked", "QuantdReducing")
def venue_silent(site: Site) -> Iterator[None]:
    """No answer at all: too many writes in a row come to nothing, too, so the strategy may only reduce."""
    until(lambda: site.prometheus.ask("quantd_position_quantity > 0"), 60, "a position that stands naked then")
    with stopped(site.simulator):
        yield
    site.resume("--scope", "strategy:steady")


@fires("QuantdDown")
def daemon_frozen(site: Site) -> Iterator[None]:
    with stopped(site.daemon):
        yield


@fires("QuantdMisfires")
def timers_late(site: Site) -> Iterator[None]:
    with stopped(site.daemon):
        time.sleep(6)  # longer than a timer may be late
    yield


@fires("QuantdLoopSlow")
def loop_slow(site: Site) -> Iterator[None]:
    ended = Event()

    def jolt() -> None:
        while not ended.wait(0.4):
            with stopped(site.daemon):
                time.sleep(0.7)

    thread = Thread(target=jolt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@fires("QuantdClockOffset")
def clocks_apart(site: Site) -> Iterator[None]:
    site.switch(clock_skew_s=3)
    yield
    site.switch(clock_skew_s=0)


@fires("QuantdRateLimited")
def rate_limited(site: Site) -> Iterator[None]:
    site.faults({"action": "throttle", "route": "ticker", "times": 1, "retry_after_s": 0.5})
    yield
    site.faults()


@fires("QuantdBanned", "QuantdRateBudgetLow")
def banned(site: Site) -> Iterator[None]:
    site.faults({"action": "error", "route": "ticker", "status": 418, "times": 1, "retry_after_s": 4})
    yield
    site.faults()


@fires("QuantdAckSlow")
def answers_slow(site: Site) -> Iterator[None]:
    site.faults({"action": "delay_after", "route": "create_order", "delay_s": 1.3})
    yield
    site.faults()


@fires("QuantdOrderUnknown")
def answers_lost(site: Site) -> Iterator[None]:
    site.faults(
        {"action": "drop_after", "route": "create_order", "times": 2},
        {"action": "error", "route": "list_orders", "status": 503},
        {"action": "error", "route": "get_order", "status": 503},
    )
    yield
    site.faults()


def by_hand(site: Site, method: str, path: str, body: object = None) -> Any:
    """Ask the venue as somebody else who has the key."""
    headers = {
        "Authorization": "Bearer sim-key",
        "Content-Type": "application/json",
        "Idempotency-Key": f"hand-{method}",
    }
    address = f"http://127.0.0.1:{site.venue_port}/v1/{path}"
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(address, data, headers, method=method), timeout=10) as answer:
        return json.loads(answer.read())


@fires("QuantdReconcileDifference")
def foreign_order(site: Site) -> Iterator[None]:
    """Somebody trades by hand on our account, in a market of their own."""
    terms = {
        "symbol": "ETH-USDT",
        "side": "buy",
        "type": "limit",
        "quantity": "0.001",
        "price": "64000",
        "timeInForce": "GTC",
    }
    answer = by_hand(site, "POST", "orders", terms)
    yield
    by_hand(site, "DELETE", f"orders/{answer['data']['id']}")


@fires("QuantdRejectStorm", "QuantdLatchedByControl")
def orders_refused(site: Site) -> Iterator[None]:
    """The market closes, and the daemon hears of it by the answers to its orders."""
    until(lambda: trades(site), 60, "orders that are answered")
    site.venue.freeze()
    yield
    site.venue.post("market", {"symbol": "BTC-USDT", "status": "online"})
    site.resume("--scope", "strategy:steady")


@fires("QuantdJournalSlow")
def disk_slow(site: Site) -> Iterator[None]:
    """Another writer holds the file: each commit waits."""
    ended = Event()

    def hold() -> None:
        with closing(sqlite3.connect(site.folder / "var/q.db", isolation_level=None, timeout=10)) as other:
            while not ended.wait(0.2):
                other.execute("BEGIN IMMEDIATE")
                time.sleep(0.6)
                other.execute("ROLLBACK")

    thread = Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@fires("QuantdStrategyQuarantined")
def callback_endless(site: Site) -> Iterator[None]:
    (site.folder / "go").touch()
    yield
    (site.folder / "go").unlink()
    assert site.daemon.signal(SIGTERM) == 0
    site.resume("--scope", "strategy:steady")
    site.start()


@fires("QuantdHalted")
def disk_full(site: Site) -> Iterator[None]:
    """No file may grow any more: the process ends, within less than a scrape, and comes back halted."""
    until(lambda: trades(site), 60, "orders that are answered")
    resource.prlimit(site.daemon.pid, resource.RLIMIT_FSIZE, (1024, 1024))
    assert site.daemon.popen.wait(30) != 0
    until(lambda: "QuantdDown" in site.firing(), 30, "a daemon that is gone")
    site.start()
    yield
    site.resume()


FAULTS = (
    venue_away_at_the_start, halted, reducing, venue_silent, daemon_frozen, timers_late, loop_slow, clocks_apart, rate_limited,
    banned, answers_slow, answers_lost, foreign_order, orders_refused, disk_slow, callback_endless, disk_full,
)  # fmt: skip
"""In the order in which they are drilled: the first starts the site."""
