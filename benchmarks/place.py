"""Placing an order: `connector.submit()` to its typed outcome, beside a bare aiohttp session with the same request.

Run: python benchmarks/place.py [--rounds 5] [--json FILE]

Ours is the whole path of a write: command to body, idempotency key, rate budget with priorities, last look, transport,
classification, typed decoding, Prometheus metrics; only the journal is off. The bare session posts the same bytes and
decodes the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import aiohttp
import msgspec
from stub import loop_factory, pin, running

from quantd.clock import SystemClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.numbers import use_exact_arithmetic
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.budget import Bucket, RateBudget, Window, with_models
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop import translate
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.options import IonloopOptions
from quantd.venues.transport import AiohttpTransport

SPEC = OrderSpec(
    InstrumentId("ionloop:BTC-USDT"), Side.BUY, Decimal("0.01"), OrderKind.LIMIT, Decimal("65000.00")
)  # fmt: skip
CALLS = {1: 600, 20: 2_000}
"""Callers at once -> calls measured."""
LIMIT_RATIO = 1.25
Call = Callable[[], Awaitable[object]]


def command(number: int) -> Submit:
    """Return the next order."""
    return Submit(ClientOrderId(f"qbench-1-{number}"), 1, SPEC, 1 << 62, 0)


def connector(url: str) -> IonloopConnector:
    """Return our connector; its limits are wide enough never to wait."""
    clock, observer = SystemClock(), PrometheusObserver()
    limits = with_models(LIMITS, {"key": Window(10_000_000, 60.0), "orders": Bucket(1e6, 100_000)})
    budget = RateBudget("ionloop", limits, clock=clock, observer=observer)
    http = VenueHttp("ionloop", AiohttpTransport(url, connections_max=100), budget, clock, observer)
    http.last_look = lambda lane: None
    options = IonloopOptions(api_key="k" * 40, fees=FeeSchedule(), limits=limits)
    return IonloopConnector(http, options, observer=observer, known_venue_ids=lambda instrument: ())


async def drive(call: Call, callers: int, count: int) -> dict[str, float]:
    """Let `callers` make `count` calls; return microseconds and calls a second."""
    took: list[float] = []
    left = itertools.repeat(None, count)

    async def caller() -> None:
        for _ in left:
            began = perf_counter()
            await call()
            took.append(perf_counter() - began)

    cpu, began = process_time(), perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return figures(took, perf_counter() - began, process_time() - cpu)


def figures(took: list[float], wall_s: float, cpu_s: float) -> dict[str, float]:
    """Return microseconds and calls a second of calls that took so many seconds each."""
    took.sort()
    return {
        "p50_us": took[len(took) // 2] * 1e6,
        "p99_us": took[int(len(took) * 0.99)] * 1e6,
        "per_s": len(took) / wall_s,
        "cpu_us": cpu_s / len(took) * 1e6,
    }


async def ours(url: str, callers: int) -> dict[str, float]:
    """Measure our connector."""
    venue, numbers = connector(url), itertools.count(1)

    async def call() -> None:
        outcome = await venue.submit(command(next(numbers)))
        assert isinstance(outcome, Accepted), outcome

    await drive(call, callers, 100)
    result = await drive(call, callers, CALLS[callers])
    await venue.close()
    return result


async def bare(url: str, callers: int) -> dict[str, float]:
    """Measure a bare session with the same request."""
    body, numbers = translate.new_order_body(command(1)), itertools.count(1)
    headers = {"Authorization": "Bearer " + "k" * 40, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100), headers=headers) as session:

        async def call() -> None:
            key = {"Idempotency-Key": f"qbench-1-{next(numbers)}"}
            async with session.post(url + "/v1/orders", data=body, headers=key) as answer:
                msgspec.json.decode(await answer.read())

        await drive(call, callers, 100)
        return await drive(call, callers, CALLS[callers])


def measure(rounds: int) -> list[dict[str, Any]]:
    """Run all cases in turn, `rounds` times; return medians."""
    clients = {"bare aiohttp": bare, "quantd": ours}
    seen: dict[tuple[int, str], list[dict[str, float]]] = {}
    with running() as url:
        for _ in range(rounds):
            for callers in CALLS:
                for name, client in clients.items():
                    with asyncio.Runner(loop_factory=loop_factory()) as loops:
                        seen.setdefault((callers, name), []).append(loops.run(client(url, callers)))
    rows = []
    for (callers, name), results in seen.items():
        median = {key: round(statistics.median(one[key] for one in results), 1) for key in results[0]}
        base = statistics.median(one["p50_us"] for one in seen[callers, "bare aiohttp"])
        row = {"callers": callers, "name": name, **median, "ratio": round(median["p50_us"] / base, 3)}
        if name == "quantd" and callers == 1:
            row["holds"] = row["ratio"] <= LIMIT_RATIO
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    use_exact_arithmetic()
    pin()
    rows = measure(given.rounds)
    for row in rows:
        print(json.dumps(row), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
