"""Many simulations over processes, and what they came to. Used by `python -m tests.sim` and by the campaign."""

import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.table import Table

from tests.report import commit
from tests.sim.simulation import Outcome, SimulationFailed, simulate

REPEAT_EVERY = 50
"""Each so many seeds one is run twice: the same seed gives the same bytes."""


Task = tuple[str, int, str]
"""Scenario, seed, venue."""


class Ran(NamedTuple):
    """One simulation, as the parent sees it."""

    scenario: str
    seed: int
    took_s: float
    outcome: Outcome | None
    failure: str


class Summary:
    """What all of them came to."""

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self.seeds_struck: Counter[str] = Counter()
        self.times: list[float] = []
        self.healed: list[float] = []
        self.failures: list[Ran] = []
        self.records = 0
        self.orders = 0

    def add(self, ran: Ran) -> None:
        """Take one in."""
        self.times.append(ran.took_s)
        if ran.outcome is None:
            self.failures.append(ran)
            return
        self.struck.update(ran.outcome.struck)
        self.seeds_struck.update(ran.outcome.struck.keys())
        self.healed.append(ran.outcome.healed_s)
        self.records += ran.outcome.records
        self.orders += ran.outcome.orders

    def faults(self) -> Table:
        """Return how often each fault struck."""
        table = Table("fault", "times", "seeds", title="Faults that struck")
        for row in self.rows():
            table.add_row(*row)
        return table

    def rows(self) -> list[tuple[str, str, str]]:
        """Return each fault with how often it struck and in how many seeds."""
        return [(name, str(times), str(self.seeds_struck[name])) for name, times in sorted(self.struck.items())]

    def words(self) -> str:
        """Return the rest in a sentence."""
        healed = max(self.healed, default=0.0)
        return (
            f"{len(self.times)} seeds, {len(self.failures)} failed; {self.orders} orders, {self.records} records; "
            f"median {statistics.median(self.times or [0.0]):.3f} s a seed; healed within {healed:.0f} virtual s at "
            f"most; commit {commit()}"
        )


def run_one(task: Task) -> Ran:
    """Run one simulation, and some of them twice."""
    scenario, seed, venue = task
    began = time.perf_counter()
    try:
        outcome = simulate(scenario, seed, venue)
        took_s = time.perf_counter() - began
        if seed % REPEAT_EVERY == 0:
            again = simulate(scenario, seed, venue)
            if again.fingerprint != outcome.fingerprint:
                return Ran(scenario, seed, took_s, None, "the same seed gave another journal")
    except SimulationFailed as failure:
        return Ran(scenario, seed, time.perf_counter() - began, None, str(failure))
    return Ran(scenario, seed, took_s, outcome, "")


def run_many(tasks: list[Task], processes: int) -> Iterator[Ran]:
    """Run simulations over processes, in any order."""
    if processes == 1 or len(tasks) == 1:
        yield from map(run_one, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run_one, tasks, chunksize=8)


def tasks_of(scenarios: Iterable[str], seeds: range, venue: str = "ionloop") -> list[Task]:
    """Return which scenario each seed runs: they take turns."""
    names = list(scenarios)
    return [(names[seed % len(names)], seed, venue) for seed in seeds]
