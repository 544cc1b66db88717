"""A simulated ionloop that kills the daemon from within its own request handler, just before or after a write counts.

The venue runs in this process and the daemon is a real one, `python -m quantd run`, that dies of a real SIGKILL: no hook
in what is shipped, only a subclass here. Used by the test of the kills, and by `python -m tests.process.killing --kills
200`, which the campaign runs.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from quantd.clock import SystemClock
from quantd.exchange.rules import DepthRules
from quantd.feeds.synthetic import SyntheticFeed
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators import prices
from quantd.simulators.faults import FaultScript
from quantd.simulators.ionloop.options import MarketRules, RateRules, Setup, Switches
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session
from tests.process.harness import Process, free_port, quantd, until
from tests.process.truth import Venue, differences, folded
from tests.report import write_section
from tests.sim.invariants import Violation
from tests.sim.venue_truth import orders_at_venue

MARKET = MarketRules()
WRITES = ("create_order", "cancel_order", "create_webhook")
"""Every route of the venue that changes something."""
KILLED_WITHIN_S = 90.0
"""A start without keys waits for the quiet period, which begins anew with each process."""
READY_WITHIN_S = 90.0
SETTLED_WITHIN_S = 90.0
SEARCH_EVERY = 10
"""Each so many folders one has no keys: its starts take ten times as long."""
EACH = 10
"""Kills of one folder, before we and the venue are compared."""

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state, snapshot_every: 100}}
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{port}
    api_key_file: key
    webhook_secret_file: secret
    register_webhook: true
    reconcile: adopt
    idempotency: {keys}
    rates: {{orders: {{rate: 40, burst: 10}}}}
webhooks: {{port: {hook}, public_url: 'http://127.0.0.1:{hook}'}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 90000, max_daily_loss: 50000, max_open_orders: 40}}
  order: {{max_order_notional: 5000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
strategies:
  - id: churner
    use: churner.Churner
    instruments: [ionloop:BTC-USDT]
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""


class Aim(NamedTuple):
    """Whom to kill, and when."""

    pid: int
    operation: str
    before: bool
    nth: int
    """Which request of that kind, from 1."""


class KillingVenue(IonloopVenue):
    """A venue that kills its client in the middle of a request, once for each aim."""

    aim: Aim | None = None
    seen = 0
    kills: "Counter[tuple[str, str]]"

    def take_aim(self, aim: Aim) -> None:
        """Kill at the next request that fits."""
        self.seen, self.aim = 0, aim

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request, with the kill on one side of it."""
        aim = self.aim
        if aim is None or self.operation(request) != aim.operation:
            return super().handle(request)
        self.seen += 1
        if self.seen < aim.nth:
            return super().handle(request)
        self.aim = None
        if aim.before:
            self._kill(aim)
        response = super().handle(request)
        if not aim.before:
            self._kill(aim)
        return response

    def _kill(self, aim: Aim) -> None:
        """Kill, and go on only when the victim is dead; whoever started it collects it."""
        os.kill(aim.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # it is dead, and was collected already
            os.waitid(os.P_PID, aim.pid, os.WEXITED | os.WNOWAIT)
        self.kills[aim.operation, "before" if aim.before else "after"] += 1


@contextmanager
def serving(seed: int, *, keys: bool) -> Iterator[tuple[KillingVenue, int]]:
    """Serve a killing venue on a free port of this machine, in a thread."""
    setup = Setup(
        markets=(MARKET,),
        balances={"main": {"USDT": Decimal(200_000), "BTC": Decimal(2)}},
        rates=RateRules(key_per_minute=10**6, orders_per_second=100, public_per_minute=10**6, status_every_s=0.0),
        depth=DepthRules(levels=20, size=0.004, growth=1.2, step_ticks=100),
        seed=seed,
        webhook_http=True,
        webhook_secret="sim-webhook-secret",
    )
    clock = SystemClock()
    venue = KillingVenue(setup, clock=clock, switches=Switches(honour_keys=keys))
    venue.kills = Counter()
    market = prices.synthetic(MARKET.instrument(), price=65_000.0, seed=seed, speed=20.0)
    server = SimulatorServer(venue, FaultScript(clock=clock))
    feed = SyntheticFeed(market, clock)
    session = Session(venue, server, clock=clock, feeds=[feed], on_market=venue.on_market)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(session.run()), name="venue")
    thread.start()
    try:
        until(session.started.is_set, 10, "the venue listens")
        yield venue, server.port
    finally:
        loop.call_soon_threadsafe(session.stop)
        thread.join(20)
        loop.close()


class Result(NamedTuple):
    """What a folder's kills came to."""

    kills: Counter[tuple[str, str]]
    orders: int
    fills: int
    replays: int
    """Creates that were sent again under their key and answered with the order that stood already."""
    ready_s: list[float]
    """From each start to ready, what was unknown asked after."""
    problems: list[str]


def plan(rng: random.Random, kills: int) -> list[tuple[str, bool]]:
    """Return the points of a folder's kills: first the registration, which happens once, then orders by chance."""
    points = [("create_webhook", True), ("create_webhook", False)][: max(0, kills - 4)]
    orders = [(operation, before) for operation in WRITES[:2] for before in (True, False)]
    while len(points) < kills:
        rng.shuffle(orders)
        points += orders[: kills - len(points)]
    return points


def run_folder(seed: int, kills: int, folder: Path) -> Result:
    """Kill a daemon `kills` times in one folder, let it come to rest, and compare."""
    rng, keys = random.Random(seed), seed % SEARCH_EVERY != 0
    (folder / "strategies").mkdir()
    shutil.copy(Path(__file__).with_name("churner.py"), folder / "strategies")
    (folder / "key").write_text("sim-key")
    (folder / "secret").write_text("sim-webhook-secret")
    ready_s: list[float] = []
    problems: list[str] = []
    with serving(seed, keys=keys) as (venue, port):
        told = Venue(port)
        text = CONFIG.format(port=port, keys=str(keys).lower(), hook=free_port())
        (folder / "q.yaml").write_text(text)
        for operation, before in plan(rng, kills):
            with quantd(["run", "q.yaml"], folder) as daemon:
                nth = 1 if operation == "create_webhook" else rng.choice((1, 1, 2, 5))
                venue.take_aim(Aim(daemon.pid, operation, before, nth))
                problems += _until_killed(daemon, venue, ready_s)
            problems += _twins(told)
        with quantd(["run", "q.yaml"], folder) as daemon:
            daemon.wait_line("venue_ready", READY_WITHIN_S)
            problems += settle(daemon, told, folder)
            if daemon.signal(signal.SIGTERM) != 0:
                problems.append("the last daemon did not end in order")
        counters = told.read("counters")
    if counters["rate_limited"]["total"] or counters["violations"]:
        problems.append(f"the venue complains: {counters['rate_limited']} {counters['violations']}")
    orders = counters["orders"]
    return Result(
        venue.kills, orders["created"], orders["fills"], counters["idempotency"]["replays"], ready_s, problems
    )


def _until_killed(daemon: Process, venue: KillingVenue, ready_s: list[float]) -> list[str]:
    """Wait until the venue has killed the daemon; a write that never comes is a finding, and so is another death."""
    aim, deadline = venue.aim, time.monotonic() + KILLED_WITHIN_S
    while daemon.popen.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for ready in daemon.lines("venue_ready"):
        began = daemon.lines("journal_folded")[0]["at"]
        ready_s.append((datetime.fromisoformat(ready["at"]) - datetime.fromisoformat(began)).total_seconds())
    if daemon.popen.returncode == -signal.SIGKILL:
        return []
    found = f"{aim}: {daemon.popen.poll()} and no kill:\n{daemon.text()[-1500:]}"
    venue.aim = None
    daemon.signal(signal.SIGKILL)
    return [found]


def _twins(told: Venue) -> list[str]:
    try:
        orders_at_venue(told.read("state"))
    except Violation as twins:
        return [str(twins)]
    return []


def settle(daemon: Process, venue: Venue, folder: Path) -> list[str]:
    """Freeze the market, wait until we and the venue agree, and return what is still different."""
    venue.freeze()
    found = ["not compared yet"]
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while found and time.monotonic() < deadline:
        time.sleep(0.5)
        if daemon.popen.poll() is not None:
            return [f"ended by itself with {daemon.popen.returncode}:\n{daemon.text()[-2000:]}"]
        found = differences(folded(folder / "var/q.db"), venue.read("state"))
    if daemon.metric("quantd_unknown_operations", venue="ionloop"):
        found.append("a write is unknown still")
    if folded(folder / "var/q.db").latches:
        found.append("something is halted")
    return found


# -- many ----------------------------------------------------------------------------------------------------------


def _in_a_folder_of_its_own(seed: int) -> tuple[int, Result]:
    with tempfile.TemporaryDirectory() as folder:
        return seed, run_folder(seed, EACH, Path(folder))


def main() -> int:
    """Kill so many times; return 1 when something was twice, lost or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the first folder; each further one has the next")
    arguments = parser.parse_args()
    console, results = Console(), list[Result]()
    kills: Counter[tuple[str, str]] = Counter()
    with Progress(console=console) as progress, multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        bar = progress.add_task("killing", total=arguments.kills)
        seeds = range(arguments.seed, arguments.seed + -(-arguments.kills // EACH))
        for seed, result in pool.imap_unordered(_in_a_folder_of_its_own, seeds):
            for problem in result.problems:
                progress.console.print(f"[red]FAILED[/] seed {seed}:", problem, highlight=False)
            results.append(result)
            kills += result.kills
            progress.update(bar, completed=kills.total())
    failed = sum(bool(result.problems) for result in results)
    ready = sorted(one for result in results for one in result.ready_s)
    words = (
        f"{kills.total()} kills in {len(results)} folders, {failed} of them with differences; "
        f"{sum(one.orders for one in results)} orders and {sum(one.fills for one in results)} fills at the venue, "
        f"{sum(one.replays for one in results)} creates answered from their key; from fold to ready "
        f"{statistics.median(ready or [0.0]):.1f} s in the median and {max(ready, default=0.0):.1f} s at most"
    )
    rows = [(operation, when, str(count)) for (operation, when), count in sorted(kills.items())]
    write_section(words, ("write", "killed", "times"), rows)
    console.print(words, highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
