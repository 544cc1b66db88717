"""A simulated venue kills the daemon from within its own request handler, just before or after a write counts.

The venue runs in this process and the daemon is a real one, `python -m quantd run`, that dies of a real SIGKILL: no hook
in what is shipped, only a subclass in `killers`. Used by the test of the kills, and by
`python -m tests.process.killing --venue ionloop --kills 200`, which the campaign runs.
"""

import argparse
import asyncio
import multiprocessing
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from quantd.clock import SystemClock
from quantd.feeds.synthetic import SyntheticFeed
from quantd.simulators import prices
from quantd.simulators.faults import FaultScript
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session
from tests.process.harness import Process, quantd, until
from tests.process.killers import Aim, Stage, plan
from tests.process.stages import STAGES
from tests.process.truth import Venue, folded
from tests.report import write_section

KILLED_WITHIN_S = 150.0
"""A start that must search waits for the quiet period, which begins anew with each process; a fifth cancel is a minute away where
three requests a second are allowed."""
READY_WITHIN_S = 90.0
SETTLED_WITHIN_S = 90.0
EACH = 10
"""Kills of one folder, before we and the venue are compared."""

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state, snapshot_every: 100}}
risk:
  base_currency: {currency}
  account: {{max_gross_notional: 90000, max_daily_loss: 50000, max_open_orders: 40}}
  order: {{max_order_notional: 5000, price_collar_bps: 300, passive_collar_bps: 1000, self_match: cancel_oldest}}
strategies:
  - id: churner
    use: churner.Churner
    instruments: [{instrument}]
    params: {churner}
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""


@contextmanager
def serving(stage: Stage) -> Iterator[tuple[Any, int]]:
    """Serve a killing venue on a free port of this machine, in a thread."""
    clock = SystemClock()
    venue = stage.venue(clock)
    venue.kills = Counter()
    market = prices.synthetic(stage.rules(venue), price=stage.scene.price, seed=stage.seed, speed=20.0)
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


def run_folder(stage: Stage, points: Sequence[tuple[str, bool]], folder: Path) -> Result:
    """Kill a daemon at each of `points` in one folder, let it come to rest, and compare.

    Args:
        stage: Where.
        points: The write, and whether the kill comes before it counts.
        folder: Empty.
    """
    rng = random.Random(f"nth {stage.seed}")
    (folder / "strategies").mkdir()
    shutil.copy(Path(__file__).with_name("churner.py"), folder / "strategies")
    for name, content in stage.secrets.items():
        (folder / name).write_text(content)
    ready_s: list[float] = []
    problems: list[str] = []
    with serving(stage) as (venue, port):
        told = Venue(port)
        (folder / "q.yaml").write_text(_config(stage, port))
        for operation, before in points:
            with quantd(["run", "q.yaml"], folder) as daemon:
                nth = 1 if operation in stage.once else rng.choice((1, 1, 2, 5))
                venue.take_aim(Aim(daemon.pid, operation, before, nth))
                problems += _until_killed(daemon, venue, ready_s)
            problems += stage.twins(told)
        with quantd(["run", "q.yaml"], folder) as daemon:
            daemon.wait_line("venue_ready", READY_WITHIN_S)
            problems += settle(stage, daemon, told, folder)
            if daemon.signal(signal.SIGTERM) != 0:
                problems.append("the last daemon did not end in order")
        counters = told.read("counters")
    if counters["rate_limited"]["total"] or any(counters["violations"].values()):
        problems.append(f"the venue complains: {counters['rate_limited']} {counters['violations']}")
    orders, replays = counters["orders"], counters.get("idempotency", {}).get("replays", 0)
    return Result(venue.kills, orders["created"], orders["fills"], replays, ready_s, problems)


def _config(stage: Stage, port: int) -> str:
    shared = CONFIG.format(
        currency=stage.currency, instrument=f"{stage.name}:{stage.scene.symbol}", churner=stage.churner
    )
    return shared + stage.section.format(**stage.terms(port))


def _until_killed(daemon: Process, venue: Any, ready_s: list[float]) -> list[str]:
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


def settle(stage: Stage, daemon: Process, venue: Venue, folder: Path) -> list[str]:
    """Freeze the market, wait until we and the venue agree, and return what is still different."""
    stage.freeze(venue)
    found = ["not compared yet"]
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while found and time.monotonic() < deadline:
        time.sleep(0.5)
        if daemon.popen.poll() is not None:
            return [f"ended by itself with {daemon.popen.returncode}:\n{daemon.text()[-2000:]}"]
        state = folded(folder / "var/q.db", stage.currency)
        found = stage.differences(state, venue)
    if daemon.metric("quantd_unknown_operations", venue=stage.name):
        found.append("a write is unknown still")
    if folded(folder / "var/q.db", stage.currency).latches:
        found.append("something is halted")
    return found


# -- many ----------------------------------------------------------------------------------------------------------


def _in_a_folder_of_its_own(task: tuple[str, int]) -> tuple[int, Result]:
    name, seed = task
    stage = STAGES[name](seed)
    with tempfile.TemporaryDirectory() as folder:
        return seed, run_folder(stage, plan(stage, random.Random(seed), EACH), Path(folder))


def main() -> int:
    """Kill so many times; return 1 when something was twice, lost or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.killing", description=__doc__)
    parser.add_argument("--venue", choices=sorted(STAGES), default="ionloop")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the first folder; each further one has the next")
    arguments = parser.parse_args()
    console, results = Console(), list[Result]()
    kills: Counter[tuple[str, str]] = Counter()
    with Progress(console=console) as progress, multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        bar = progress.add_task("killing", total=arguments.kills)
        seeds = range(arguments.seed, arguments.seed + -(-arguments.kills // EACH))
        for seed, result in pool.imap_unordered(_in_a_folder_of_its_own, [(arguments.venue, seed) for seed in seeds]):
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
