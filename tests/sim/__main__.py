"""Runs many simulations: `python -m tests.sim --seeds 0:10000`, or one again: `--scenario grid --seeds 17`.

Prints how often each fault struck, and for each seed that failed the command that shows it again.
"""

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.report import commit, write_section
from tests.sim.many import Summary, run_many, tasks_of
from tests.sim.planted import PLANTS, hunt
from tests.sim.scenarios import GUARDED, SCENARIOS, scenarios_at
from tests.sim.scenes.venues import SCENES


def show_planted(console: Console) -> int:
    """Hunt every planted fault; return 1 when one was not found."""
    header = ("planted fault", "scenario", "hunted from seed", "found at seed", "violation")
    table = Table(*header, title="Planted faults")
    rows = []
    for plant in PLANTS:
        catch = hunt(plant, plant.begin)
        found = "**not found**" if catch.seed < 0 else str(catch.seed)
        rows.append((catch.plant, catch.scenario, str(plant.begin), found, catch.violation[:90]))
        table.add_row(*rows[-1])
    console.print(table)
    missed = sum(found.startswith("*") for *_, found, _ in rows)
    words = f"{len(rows)} faults planted one at a time, {missed} of them not found; commit {commit()}"
    write_section(words, header, rows)
    console.print(words, highlight=False)
    return 1 if missed else 0


def main() -> int:
    """Run, and return 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", default="0:200", help="one seed, or FROM:TO without TO")
    parser.add_argument(
        "--scenario", choices=sorted({*SCENARIOS, GUARDED.name}), help="one kind only; else they take turns"
    )
    parser.add_argument("--venue", choices=sorted(SCENES), default="ionloop")
    parser.add_argument("--planted", action="store_true", help="hunt the planted faults and print where each is found")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.planted:
        return show_planted(Console())
    first, _, end = arguments.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    tasks = tasks_of(
        [arguments.scenario] if arguments.scenario else scenarios_at(arguments.venue), seeds, arguments.venue
    )
    console, summary = Console(), Summary()
    failed = TextColumn("{task.fields[failed]} failed")
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), failed)
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(tasks), failed=0)
        for ran in run_many(tasks, arguments.processes):
            summary.add(ran)
            progress.update(bar, advance=1, failed=len(summary.failures))
            if ran.failure:
                progress.console.print(f"[red]FAILED[/] {ran.scenario} {ran.seed}: ", ran.failure, highlight=False)
    console.print(summary.faults())
    console.print(summary.words(), highlight=False)
    write_section(summary.words(), ("fault", "times", "seeds that it struck"), summary.rows())
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
