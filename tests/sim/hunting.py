"""Hunts for new faults: `python -m tests.sim.hunting --minutes 30` (`make hunt`) goes on where the last hunt ended.

The seeds of the campaign stay the same, so that it finds what comes back. Faults that nobody has seen yet lie behind other
seeds. The venues take turns with a block of seeds each; up to where each has come stands in `hunted.txt`, to be committed with
what was mended. A seed that fails ends no hunt; once mended it belongs in `regressions.txt`.
"""

import argparse
import sys
from itertools import cycle
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.sim.many import Summary, run_many, tasks_of
from tests.sim.scenarios import scenarios_at
from tests.sim.scenes.venues import SCENES

HUNTED = Path(__file__).with_name("hunted.txt")
BLOCK = 100
"""Seeds of one venue before the next has its turn."""
_HEADER = "# By venue, the seed at which the next hunt begins: see hunting.py.\n"


def read_ends(path: Path = HUNTED) -> dict[str, int]:
    """Return by venue the seed at which the next hunt begins; 0 for a venue that is not named.

    Raises:
        ValueError: a line names no venue with scenes, or no seed.
    """
    ends = dict.fromkeys(sorted(SCENES), 0)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            continue
        venue, _, seed = line.partition(" ")
        if venue not in ends or not seed.isdecimal():
            raise ValueError(f"{path}:{number}: expected a venue of {', '.join(ends)} and a seed, found {line!r}")
        ends[venue] = int(seed)
    return ends


def write_ends(ends: dict[str, int], path: Path = HUNTED) -> None:
    """Write what `read_ends` reads."""
    path.write_text(_HEADER + "".join(f"{venue} {seed}\n" for venue, seed in ends.items()), encoding="utf-8")


def hunt(minutes: float, console: Console, *, processes: int = 2, path: Path = HUNTED) -> Summary:
    """Run blocks of new seeds at the venues in turn until the time is up; a block that was begun is run to its end."""
    ends, summary, began = read_ends(path), Summary(), perf_counter()
    columns = (TextColumn("hunting at {task.description:11}"), BarColumn(), TimeRemainingColumn())
    counts = TextColumn("{task.fields[ran]} seeds, {task.fields[failed]} failed")
    with Progress(*columns, counts, console=console) as progress:
        bar = progress.add_task("", total=minutes * 60, ran=0, failed=0)
        for venue in cycle(ends):
            if perf_counter() - began >= minutes * 60:
                break
            seeds = range(ends[venue], ends[venue] + BLOCK)
            progress.update(bar, description=venue)
            for ran in run_many(tasks_of(scenarios_at(venue), seeds, venue), processes):
                summary.add(ran)
                if ran.failure:
                    console.print(f"[red]FAILED[/] {ran.scenario}@{venue} {ran.seed}: ", ran.failure, highlight=False)
                failed, took_s = len(summary.failures), perf_counter() - began
                progress.update(bar, completed=took_s, ran=len(summary.times), failed=failed)
            ends[venue] = seeds.stop
            write_ends(ends, path)
    return summary


def main() -> int:
    """Hunt; return 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hunting", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    console = Console()
    summary = hunt(arguments.minutes, console, processes=arguments.processes)
    console.print(summary.faults())
    console.print(summary.words(), highlight=False)
    console.print(", ".join(f"{venue} up to {seed}" for venue, seed in read_ends().items()), highlight=False)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
