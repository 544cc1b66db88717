"""A long run under faults: `python -m tests.soak --minutes 30`; what it costs, and that nothing leaks, lags or stays unknown.

Ten strategies on 200 instruments at one quote a second each: 190 on the paper venue's synthetic market, ten on a simulated
ionloop that loses, delays and spoils answers until the last part of the run. Daemon and simulator are real processes.
Used by the test of its short form and by the campaign.
"""

import argparse
import bisect
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from tests.process.harness import ROOT, Process, quantd, until
from tests.process.truth import Venue
from tests.report import write_section

PAPER = 190
IONLOOP = 10
WARM_S = 300.0
"""Memory counts from then on: caches are full."""
HEALED = 0.1
"""Share of the run that is without faults, at its end; at least `HEALED_S`."""
HEALED_S = 8.0
MEMORY_MAX_MIB = 5.0
LONG_S = 120.0
"""From here on bars of a minute; a short run must not wait for those, and its memory fills with those of two seconds."""
LAG_P99_MAX_S = 0.020
FAULTS: list[dict[str, object]] = [
    {"route": "*order*", "action": "drop_after", "probability": 0.01},
    {"route": "*order*", "action": "drop_before", "probability": 0.01},
    {"route": "create_order", "action": "error_after", "probability": 0.01},
    {"route": "*", "action": "error", "status": 503, "probability": 0.005},
    {"route": "*", "action": "garbage", "probability": 0.005},
    {"route": "*", "action": "delay_after", "delay_s": 1.5, "probability": 0.01},
]


class Found(NamedTuple):
    """What a run came to."""

    seconds: float
    rss_mib: tuple[float, float, float]
    """At the first sample, once warm, at the end: medians."""
    cpu: float
    """Share of one core, over the whole run."""
    lag_p99_s: float
    lag_max_s: float
    """Upper bound of the slowest wake-up's bucket."""
    fills: float
    orders: float
    rate_limited: int
    unknown: float
    faults: int
    problems: tuple[str, ...]

    @property
    def growth_mib(self) -> float:
        """Growth of memory since it was warm."""
        return self.rss_mib[2] - self.rss_mib[1]

    def words(self) -> str:
        """Return it as a sentence."""
        return (
            f"{self.seconds / 60:.1f} minutes: RSS {self.rss_mib[0]:.1f} MiB at first, {self.rss_mib[1]:.1f} once warm, "
            f"{self.rss_mib[2]:.1f} at the end (growth {self.growth_mib:+.2f} MiB); CPU {self.cpu:.1%} of a core; loop "
            f"lag p99 {self.lag_p99_s * 1000:.1f} ms, none above {self.lag_max_s * 1000:.0f} ms; {self.orders:.0f} orders, "
            f"{self.fills:.0f} fills, {self.faults} faults struck, {self.rate_limited} times 429, {self.unknown:.0f} "
            f"writes unknown after healing"
        )


# -- the site --------------------------------------------------------------------------------------------------------


def symbols(count: int, prefix: str) -> list[str]:
    """Return names of markets."""
    return [f"{prefix}{number:03d}-USDT" for number in range(count)]


def configuration(port: int, bars: str) -> dict[str, Any]:
    """Return the daemon's configuration: ten strategies, two hundred instruments."""
    paper = [f"paper:{one}" for one in symbols(PAPER, "P")]
    ionloop = [f"ionloop:{one}" for one in symbols(IONLOOP, "I")]
    basket = {"use": "basket.Basket", "bars": bars}
    strategies: list[dict[str, Any]] = [
        {"id": f"paper-{number}", "instruments": paper[number::8], **basket} for number in range(8)
    ]
    strategies.append(
        {"id": "churner", "use": "churner.Churner", "instruments": ionloop[:2], "params": {"writes": 1, "keeps": 3}}
    )
    strategies.append({"id": "ionloop", "instruments": ionloop[2:], **basket})
    market = {"price": 100, "tick": "0.01", "lot": "0.0001", "min_notional": 1, "volatility": 4}
    return {
        "journal": {"path": "var/q.db", "state_dir": "var/state"},
        "venues": {
            "paper": {
                "type": "paper",
                "data": {"synthetic": {"seed": 3, "instruments": [{"symbol": one, **market} for one in symbols(PAPER, "P")]}},
                "balances": {"USDT": 1_000_000},
            },
            "ionloop": {
                "type": "ionloop",
                "environment": "custom",
                "base_url": f"http://127.0.0.1:{port}",
                "api_key_file": "key",
                "idempotency": True,
                "reconcile": "adopt",
                "timeout_s": 2,
            },
        },
        "risk": {
            "base_currency": "USDT",
            "account": {"max_gross_notional": 900_000, "max_daily_loss": 500_000, "max_open_orders": 400},
            "order": {"max_order_notional": 5_000, "self_match": "cancel_oldest"},
            "strategy": {"long_only": True},
        },
        "strategies": strategies,
        "strategies_dir": "strategies",
        "feeds": {"bar_store": "var/bars.db"},
        "health": {"port": 0},
        "logging": {"format": "json"},
    }  # fmt: skip


@contextmanager
def running(folder: Path, bars: str = "2s") -> Iterator[tuple[Process, Venue]]:
    """Start simulator and daemon in a folder, and wait until all strategies run."""
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    for name in ("basket.py", "churner.py"):
        shutil.copy(ROOT / "tests/process" / name, folder / "strategies")
    (folder / "key").write_text("sim-key")
    with ExitStack() as stack:
        arguments = ["simulate", "ionloop", "--port", "0", "--speed", "20"]
        for one in symbols(IONLOOP, "I"):
            arguments += ["--symbol", one, "--balance", f"{one.partition('-')[0]}=1000"]
        simulator = stack.enter_context(quantd([*arguments, "--balance", "USDT=10000000"], folder))
        found = until(lambda: re.search(r"ionloop on http://127\.0\.0\.1:(\d+)", simulator.text()), 20, "an address")
        (folder / "q.yaml").write_text(json.dumps(configuration(int(found[1]), bars)))
        daemon = stack.enter_context(quantd(["run", "q.yaml"], folder))
        until(lambda: len(daemon.lines("strategy_started")) == 10, 180, "ten strategies")
        yield daemon, Venue(int(found[1]))


# -- what is measured ------------------------------------------------------------------------------------------------


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lag(metrics: str) -> tuple[float, float]:
    """Return the 99th percentile of the loop's lag, between two bounds by proportion, and the highest bound reached."""
    found = re.findall(r'quantd_loop_lag_seconds_bucket{le="(\S+)"} (\S+)', metrics)
    bounds, counts = [float(bound) for bound, _ in found], [float(count) for _, count in found]
    total = counts[-1]
    place = bisect.bisect_left(counts, 0.99 * total)
    below, base = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    share = (0.99 * total - base) / (counts[place] - base)
    return below + share * (bounds[place] - below), bounds[bisect.bisect_left(counts, total)]


class Watch:
    """Samples one process's memory once a second."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.began_s, self._cpu_s = time.monotonic(), cpu_s(pid)
        self.samples: list[tuple[float, float]] = []

    @property
    def passed_s(self) -> float:
        """How long it has watched."""
        return time.monotonic() - self.began_s

    def sample(self) -> None:
        """Take a sample."""
        self.samples.append((self.passed_s, rss_mib(self.pid)))

    def memory(self, warm_s: float) -> tuple[float, float, float]:
        """Return medians: of the first ten samples, of a tenth of the run from `warm_s` on, and of the last tenth."""
        width = max(5, len(self.samples) // 10)
        values = [value for _, value in self.samples]
        warm = [value for at_s, value in self.samples if at_s >= warm_s][:width] or values
        return statistics.median(values[:10]), statistics.median(warm), statistics.median(values[-width:])

    def cpu(self) -> float:
        """Return the share of one core since the beginning."""
        return (cpu_s(self.pid) - self._cpu_s) / self.passed_s


def soak(seconds: float, folder: Path, progress: Progress | None = None) -> Found:
    """Run for so long, the last part without faults, and return what was seen."""
    bar = None if progress is None else progress.add_task("soaking", total=seconds)
    healed_s = max(HEALED_S, HEALED * seconds)
    with running(folder, "1m" if seconds >= LONG_S else "2s") as (daemon, venue):
        watch = Watch(daemon.pid)
        venue.post("faults", FAULTS)
        is_calm = False
        while watch.passed_s < seconds and daemon.popen.poll() is None:
            time.sleep(1)
            watch.sample()
            if not is_calm and watch.passed_s > seconds - healed_s:
                is_calm = True
                heal(venue)
            if progress is not None and bar is not None:
                progress.update(bar, completed=watch.passed_s, description=f"soaking, {watch.samples[-1][1]:.1f} MiB")
        if daemon.popen.poll() is not None:
            raise AssertionError(f"the daemon ended with {daemon.popen.returncode}:\n{daemon.text()[-3000:]}")
        return judged(daemon, venue, watch, min(WARM_S, seconds / 2))


def heal(venue: Venue) -> None:
    """End all faults."""
    venue.post("faults", [], method="PUT")


def judged(daemon: Process, venue: Venue, watch: Watch, warm_s: float) -> Found:
    """Read the rest of the figures, end the daemon, and say what is not as promised."""
    p99_s, max_s = lag(daemon.get("/metrics")[1])
    seconds, memory, cpu = watch.passed_s, watch.memory(warm_s), watch.cpu()
    counters = venue.read("counters")
    found = Found(
        seconds,
        memory,
        cpu,
        p99_s,
        max_s,
        daemon.metric("quantd_fills_total"),
        daemon.metric("quantd_order_operations_total", operation="submit"),
        counters["rate_limited"]["total"],
        daemon.metric("quantd_unknown_operations"),
        sum(counters["faults"].values()),
        (),
    )
    problems = []
    if daemon.signal(signal.SIGTERM) != 0:
        problems.append("the daemon did not end in order")
    if found.rate_limited:
        problems.append(f"{found.rate_limited} requests were refused as too many")
    if found.unknown:
        problems.append(f"{found.unknown:.0f} writes are unknown after healing")
    errors = [line for line in daemon.lines() if line.get("level") in ("error", "critical")]
    problems += [f"{len(errors)} errors in the log, the first: {errors[0]}"] if errors else []
    return found._replace(problems=tuple(problems))


def main() -> int:
    """Soak; return 1 when something was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
        found = soak(arguments.minutes * 60, Path(folder), progress)
    problems = list(found.problems)
    if found.growth_mib > MEMORY_MAX_MIB:
        problems.append(f"memory grew by {found.growth_mib:.1f} MiB, more than {MEMORY_MAX_MIB}")
    if found.lag_p99_s > LAG_P99_MAX_S:
        problems.append(
            f"the loop's lag is {found.lag_p99_s * 1000:.1f} ms at p99, more than {LAG_P99_MAX_S * 1000:.0f}"
        )
    for problem in problems:
        console.print("[red]FAILED[/]", problem, highlight=False)
    write_section(found.words())
    console.print(found.words(), highlight=False)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
