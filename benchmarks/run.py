"""All benchmarks in turn; writes benchmarks/RESULTS.md. Run by `make bench`.

Run: python benchmarks/run.py [--rounds 5] [--only backtest,place] [--date 2026-01-01] [--commit ID] [--data DIR]

What a run leaves out (`--only`) is missing from the page. The date is that of the command line, else of the commit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from data import SIZES, write
from results import page
from work import EQUITY_100K, FILLS_100K

HERE = Path(__file__).parent
ROOT = HERE.parent
PEERS = {
    "quantd": "backtest_quantd.py",
    "backtesting.py": "backtest_backtesting.py",
    "basana": "backtest_basana.py",
    "nautilus_trader": "backtest_nautilus.py",
}
PACKAGES = (
    "quantd", "backtesting", "basana", "nautilus_trader", "ccxt", "aiolimiter", "aiohttp", "uvloop", "msgspec",
    "numpy", "pandas", "v20", "hummingbot-api-client",
)  # fmt: skip
SCRIPTS = {"place": "place.py", "clients": "clients.py", "tick": "tick_to_order.py", "throttle": "throttle.py"}
PARTS = ("backtest", "linear", *SCRIPTS)
ROUNDING = 1.0
"""Largest difference in equity: basana rounds fees to cents."""


def run_bars(script: str, bars: Path) -> dict[str, Any]:
    """Run one engine in a process on one core; return its row, or why there is none."""
    pin = ["taskset", "-c", "0"] if os.path.exists("/usr/bin/taskset") else []
    command = [*pin, sys.executable, str(HERE / script), str(bars)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    return rows[0] if rows else {"missing": (done.stderr.strip().splitlines() or ["no output"])[-1]}


def backtests(rounds: int, bars: Path) -> list[dict[str, Any]]:
    """Run all engines in turn, `rounds` times; return a median row of each.

    Raises:
        AssertionError: an engine came to another result: it did other work.
    """
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in PEERS}
    for _ in range(rounds):
        for name, script in PEERS.items():
            if not any("missing" in row for row in seen[name]):
                seen[name].append(run_bars(script, bars))
                print(name, seen[name][-1], file=sys.stderr, flush=True)
    found = []
    for name, rows in seen.items():
        row = rows[-1] if "missing" in rows[-1] else dict(rows[0], run_s=statistics.median(r["run_s"] for r in rows))
        if "missing" not in row:
            right = row["fills"] == FILLS_100K and abs(row["equity"] - EQUITY_100K) < ROUNDING
            assert right, f"{name} came to {row['fills']} fills and {row['equity']}: it did other work"
        found.append({"name": name, **row})
    return found


def linear(rounds: int, files: dict[int, Path]) -> dict[str, Any]:
    """Compare quantd's time at both sizes, run in turn."""
    seen: dict[int, list[dict[str, Any]]] = {size: [] for size in SIZES}
    for _ in range(rounds):
        for size in SIZES:
            seen[size].append(run_bars(PEERS["quantd"], files[size]))
    small, large = (statistics.median(row["run_s"] for row in seen[size]) for size in SIZES)
    return {"small_s": small, "large_s": large, "ratio": large / small, "rss_mb": seen[SIZES[1]][0]["rss_mb"]}


def from_script(script: str, *arguments: str) -> list[dict[str, Any]]:
    """Run a script that writes its rows to a file; return them."""
    path = ROOT / "var" / f"bench-{script}.json"
    path.unlink(missing_ok=True)
    subprocess.run([sys.executable, str(HERE / script), *arguments, "--json", str(path)], cwd=ROOT, check=False)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows


def git(*arguments: str) -> str:
    """Return what git says, or nothing."""
    done = subprocess.run(
        ["git", "--no-optional-locks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def version(package: str) -> str:
    """Return an installed version."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Measure what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS), help="comma-separated parts: " + ", ".join(PARTS))
    parser.add_argument("--date", default="", help="ISO date for the page; the commit's without it")
    parser.add_argument("--commit", default="", help="commit id for the page; the checkout's without it")
    parser.add_argument("--data", type=Path, default=ROOT / "var" / "bench", help="folder of the generated bars")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    given = parser.parse_args()
    parts = given.only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"--only: found {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    (ROOT / "var").mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    found: dict[str, Any] = {"rounds": given.rounds}
    if {"backtest", "linear"} & set(parts):
        files = write(given.data)
        if "backtest" in parts:
            found["backtest"] = backtests(given.rounds, files[SIZES[0]])
        if "linear" in parts:
            found["linear"] = linear(min(given.rounds, 3), files)
    for part, script in SCRIPTS.items():
        if part in parts:
            found[part] = from_script(script, *(() if part == "throttle" else ("--rounds", str(given.rounds))))
    changed = " with changes" if git("status", "--porcelain", "src") else ""
    found["about"] = {
        "date": given.date or git("log", "-1", "--format=%cs"),
        "commit": given.commit or git("rev-parse", "--short", "HEAD") + changed,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": load,
        "versions": {package: version(package) for package in PACKAGES},
    }
    given.output.write_text(page(found), encoding="utf-8")
    print(f"written: {given.output}")


if __name__ == "__main__":
    main()
