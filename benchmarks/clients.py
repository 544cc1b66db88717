"""Placing an order through our connector and through the venue's own client, against the same simulated venue.

Run: python benchmarks/clients.py [--rounds 5] [--json FILE]

OANDA's `v20` blocks: its callers are threads, each with a session of its own. The Hummingbot API's client is aiohttp, as
ours is, and runs on the same loop. Both sides place the same resting limit order, one call to its decoded answer; ours has
rate budget (too wide ever to wait), last look, classification and metrics in it, the journal is off. Rounds go ours,
theirs, ours, theirs against one simulator. Its share of the time is told, as it takes part in every figure but the CPU's.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import orders
from place import drive, figures
from stub import loop_factory, pin, process

from quantd.domain.numbers import use_exact_arithmetic
from quantd.domain.orders import OrderSpec
from quantd.ports import Connector

CALLS = {1: 400, 20: 1_600}
"""Callers at once -> calls measured."""
WARM = 200
"""Calls before them, not measured."""
Figures = dict[str, float]


def ours(connect: Callable[[str], Connector], spec: OrderSpec) -> Callable[[str, int, int], Figures]:
    """Return the measurement of one of our connectors: (address, callers, calls) -> figures."""

    async def measured(url: str, callers: int, count: int) -> Figures:
        connector = connect(url)
        try:
            await drive(lambda: orders.submit(connector, spec), callers, WARM)
            return await drive(lambda: orders.submit(connector, spec), callers, count)
        finally:
            await connector.close()

    def run(url: str, callers: int, count: int) -> Figures:
        with asyncio.Runner(loop_factory=loop_factory()) as loops:
            return loops.run(measured(url, callers, count))

    return run


def hummingbot_client(url: str, callers: int, count: int) -> Figures:
    """Measure the Hummingbot API's own client."""

    async def measured() -> Figures:
        async with orders.hummingbot_api_client(url) as client:
            await drive(lambda: orders.place_by_client(client), callers, WARM)
            return await drive(lambda: orders.place_by_client(client), callers, count)

    with asyncio.Runner(loop_factory=loop_factory()) as loops:
        return loops.run(measured())


def v20_client(url: str, callers: int, count: int) -> Figures:
    """Measure OANDA's own client, a thread and a session for each caller."""
    contexts = [orders.v20_context(url) for _ in range(callers)]
    drive_threads(contexts, WARM)
    return drive_threads(contexts, count)


def drive_threads(contexts: list[Any], count: int) -> Figures:
    """Let a thread for each session make `count` calls in all; return microseconds and calls a second.

    Raises:
        AssertionError: a call failed in its thread; the trace is on standard error.
    """
    took: list[float] = []
    left = itertools.repeat(None, count)
    gate = threading.Barrier(len(contexts) + 1)

    def caller(context: Any) -> None:
        gate.wait()
        for _ in left:
            began = perf_counter()
            orders.place_by_v20(context)
            took.append(perf_counter() - began)

    threads = [threading.Thread(target=caller, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    cpu, began = process_time(), perf_counter()
    gate.wait()
    for thread in threads:
        thread.join()
    wall = perf_counter() - began
    assert len(took) == count, f"{count - len(took)} of {count} calls failed"
    return figures(took, wall, process_time() - cpu)


CLIENTS: dict[str, tuple[str, str, dict[str, Callable[[str, int, int], Figures]]]] = {
    "oanda": ("v20", "v20", {"quantd": ours(orders.oanda_connector, orders.OANDA_SPEC), "v20": v20_client}),
    "hummingbot": (
        "hummingbot_api_client",
        "hummingbot-api-client",
        {
            "quantd": ours(orders.hummingbot_connector, orders.HUMMINGBOT_SPEC),
            "hummingbot-api-client": hummingbot_client,
        },
    ),
}
"""Venue -> the module and the name of its own client, and both measurements, ours first."""


@contextmanager
def simulator(name: str) -> Iterator[tuple[str, Callable[[], float]]]:
    """Run a simulated venue in a process; yield its address and a function that tells its seconds of CPU so far."""
    with process(str(Path(__file__).parent / "simulated.py"), name) as (url, pid):
        clock = (~pid << 3) | 2  # what clock_getcpuclockid(pid) returns: the CPU time of a process
        yield url, lambda: time.clock_gettime(clock)


def measure(venue: str, rounds: int) -> list[dict[str, Any]]:
    """Run both clients of a venue in turn, `rounds` times; return a row for each, ours with the ratios."""
    module, theirs, clients = CLIENTS[venue]
    if find_spec(module) is None:
        return [{"venue": venue, "name": theirs, "missing": f"{theirs} is not installed"}]
    seen: dict[tuple[int, str], list[Figures]] = {}
    with simulator(venue) as (url, cpu_of):
        for _ in range(rounds):
            for callers, count in CALLS.items():
                for name, client in clients.items():
                    cpu = cpu_of()
                    found = client(url, callers, count)
                    # The warm-up is in its CPU and not in the wall time, so the share counts by the call.
                    venue_us = (cpu_of() - cpu) / (count + WARM) * 1e6
                    found |= {"venue_us": venue_us, "venue_busy": venue_us * found["per_s"] / 1e6}
                    seen.setdefault((callers, name), []).append(found)
    return [row(venue, key, results, seen[key[0], theirs]) for key, results in seen.items()]


def row(venue: str, key: tuple[int, str], results: list[Figures], base: list[Figures]) -> dict[str, Any]:
    """Return medians, and for our row its ratios over the official client: the median of the rounds' and their range."""
    callers, name = key
    median = {what: round(statistics.median(one[what] for one in results), 3) for what in results[0]}
    # Of two processes on a core each, the one that needs longer for an order bounds orders a second. Its share of the
    # time would not tell: on a busy machine neither comes near the whole.
    bound = callers > 1 and median["venue_us"] > median["cpu_us"]
    found = {"venue": venue, "callers": callers, "name": name, **median, "venue_bound": bound}
    if results is not base:
        for what in ("p50_us", "per_s", "cpu_us"):
            ratios = [mine[what] / other[what] for mine, other in zip(results, base, strict=True)]
            found[f"{what}_ratio"] = [round(one, 3) for one in (statistics.median(ratios), min(ratios), max(ratios))]
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    use_exact_arithmetic()
    pin()
    rows = [row for venue in CLIENTS for row in measure(venue, given.rounds)]
    for one in rows:
        print(f"left out: {one['missing']}" if "missing" in one else json.dumps(one), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
