"""Rate budgets in one run: ours, ccxt's throttler and aiolimiter, against a server that enforces its limit and jitters.

Run: python benchmarks/throttle.py [--seconds 8] [--jitter-ms 20] [--json FILE]      (needs the extra `bench`)

Sixty callers always want another request. `use` is accepted over permitted: burst + rate * seconds for the bucket,
limit * seconds for the window. `burst` is the median time of five requests at once after a pause, until the last
answer. `cancel` is the longest wait of a cancel that comes every 0.3 s while the callers want everything; the peers
have no priorities. Ours runs whole: transport, budget, classification, Prometheus metrics; the peers wrap a bare
aiohttp session. A peer that is not installed is listed as such.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parent))
from server import running

from quantd.clock import SystemClock
from quantd.errors import RateLimited
from quantd.ports import HttpRequest
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.budget import Bucket, Lane, Limit, RateBudget, Window
from quantd.venues.http import VenueHttp
from quantd.venues.transport import AiohttpTransport

RATE, BURST, CALLERS = 20, 5, 60
SLOT_S = 1 / RATE
Call = Callable[[], Awaitable[object]]


class Client:
    """One limiter under test: a request, and a cancel where it knows priorities."""

    def __init__(self, call: Call, cancel: Call | None = None) -> None:
        self.call = call
        self.cancel = cancel
        self.cancel_waits: list[float] = []


@asynccontextmanager
async def ours(url: str, model: Bucket | Window) -> Any:
    """Our whole read path."""
    clock, observer = SystemClock(), PrometheusObserver()
    budget = RateBudget("bench", [Limit("all", model)], clock=clock, observer=observer)
    transport = AiohttpTransport(url, connections_max=100)
    http = VenueHttp("bench", transport, budget, clock, observer)
    request = HttpRequest("GET", "/ticker")

    async def call() -> None:
        with suppress(RateLimited):
            await http.read("ticker", request)

    async def cancel() -> None:
        began = perf_counter()
        with await budget.acquire("cancel", Lane.CANCEL):
            client.cancel_waits.append(perf_counter() - began)
            await transport.send(HttpRequest("DELETE", "/orders/1"), timeout_s=5)

    client = Client(call, cancel)
    yield client
    await http.close()


def peer(make: Callable[[], Callable[[], Awaitable[object]]]) -> Callable[[str], Any]:
    """Wrap a peer's way to wait around a bare aiohttp session."""

    @asynccontextmanager
    async def client(url: str) -> Any:
        wait = make()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

            async def call() -> None:
                await wait()
                async with session.get(url + "/ticker") as answer:
                    await answer.read()

            yield Client(call)

    return client


def aiolimiter(count: float, seconds: float) -> Callable[[], Callable[[], Awaitable[object]]]:
    """`AsyncLimiter(count, seconds)`."""

    def make() -> Callable[[], Awaitable[object]]:
        from aiolimiter import AsyncLimiter

        return AsyncLimiter(count, seconds).acquire

    return make


def ccxt(algorithm: str, window_ms: float) -> Callable[[], Callable[[], Awaitable[object]]]:
    """ccxt's throttler as its exchanges set it up for 20 requests a second."""

    def make() -> Callable[[], Awaitable[object]]:
        from ccxt.async_support.base.throttler import Throttler

        step_ms = 1000 / RATE
        settings = {"refillRate": 1 / step_ms, "rateLimit": step_ms, "windowSize": window_ms, "algorithm": algorithm}
        throttler = Throttler(settings, asyncio.get_running_loop())
        return lambda: throttler(None)

    return make


async def saturate(client: Client, seconds: float) -> float:
    """Let all callers want everything for `seconds`; return the share of a core that this process used."""

    async def forever() -> None:
        while True:
            await client.call()

    async def cancels() -> None:
        while client.cancel is not None:
            await asyncio.sleep(0.3)
            await client.cancel()

    cpu = process_time()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(forever())
            group.create_task(cancels())
            await asyncio.Event().wait()
    return (process_time() - cpu) / seconds


async def bursts(client: Client) -> float:
    """Return the median seconds of five requests at once after a pause."""
    took = []
    for _ in range(7):
        await asyncio.sleep(1.25)
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(BURST):
                group.create_task(client.call())
        took.append(perf_counter() - began)
    return statistics.median(took)


async def stats(url: str) -> dict[str, int]:
    """Return and clear the server's counts."""
    async with aiohttp.ClientSession() as session, session.get(url + "/stats") as answer:
        return json.loads(await answer.read())


async def measure(url: str, make: Callable[[str], Any], seconds: float, permitted: float) -> dict[str, Any]:
    """Run one limiter: saturation, then bursts."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(make(url))
        await client.call()  # imports and the first connection are not what is measured
        await asyncio.sleep(1.25)
        await stats(url)
        cpu = await saturate(client, seconds)
        counts = await stats(url)
        burst_s = await bursts(client)
        later = await stats(url)
    return {
        "accepted": counts["ok"],
        "refused_429": counts["limited"] + later["limited"],
        "use": round(counts["ok"] / permitted, 4),
        "burst_ms": round(burst_s * 1000, 1),
        "cpu": round(cpu, 4),
        "cancel_wait_max_ms": round(max(client.cancel_waits) * 1000, 1) if client.cancel_waits else None,
    }


def version(name: str) -> str:
    """Return an installed version."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def cases() -> list[tuple[str, str, Callable[[str], Any]]]:
    """Return (limit, name, client) of all that is measured."""
    return [
        ("bucket", "quantd bucket(20/s, burst 5)", lambda url: ours(url, Bucket(RATE, BURST))),
        ("bucket", "ccxt leakyBucket 50 ms", peer(ccxt("leakyBucket", 0))),
        ("bucket", "aiolimiter (20, 1 s)", peer(aiolimiter(RATE, 1))),
        ("bucket", "aiolimiter (5, 0.25 s)", peer(aiolimiter(5, 0.25))),
        ("bucket", "aiolimiter (4, 0.2 s)", peer(aiolimiter(4, 0.2))),
        ("window", "quantd window(20, 1 s)", lambda url: ours(url, Window(RATE, 1))),
        ("window", "ccxt rollingWindow 1 s", peer(ccxt("rollingWindow", 1000))),
        ("window", "aiolimiter (20, 1 s)", peer(aiolimiter(RATE, 1))),
        ("window", "aiolimiter (1, 0.05 s)", peer(aiolimiter(1, 0.05))),
    ]


def holds(row: dict[str, Any]) -> bool:
    """Tell whether our row meets what is promised."""
    use = 0.985 if row["limit"] == "bucket" else 0.95
    burst_ok = row["limit"] == "window" or row["burst_ms"] <= 60
    # A cancel waits for the next slot, which an answer opens: one slot, and the way there and back.
    cancel_ms = (SLOT_S + 2 * row["jitter_ms"] / 1000) * 1000 + 10
    return (
        row["use"] >= use
        and row["refused_429"] == 0
        and row["cpu"] <= 0.02
        and burst_ok
        and row["cancel_wait_max_ms"] <= cancel_ms
    )


def main() -> None:
    """Measure all, print a table, exit 1 if ours does not meet its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--jitter-ms", type=float, default=20.0)
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for limit, name, make in cases():
        if given.only not in name:
            continue
        permitted = BURST + RATE * given.seconds if limit == "bucket" else RATE * given.seconds
        enforced = ("--bucket", str(RATE), str(BURST)) if limit == "bucket" else ("--window", str(RATE), "1")
        row: dict[str, Any] = {"limit": limit, "name": name, "jitter_ms": given.jitter_ms}
        try:
            with running(*enforced, "--jitter-ms", str(given.jitter_ms)) as url:
                row |= asyncio.run(measure(url, make, given.seconds, permitted))
        except ImportError as error:
            row["missing"] = str(error)
        if name.startswith("quantd"):
            row["holds"] = holds(row)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if given.json:
        packages = {name: version(name) for name in ("aiohttp", "ccxt", "aiolimiter", "uvloop")}
        about = {"python": platform.python_version(), "packages": packages, "seconds": given.seconds}
        given.json.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    sys.exit(not all(row.get("holds", True) for row in rows))


if __name__ == "__main__":
    main()
