"""Servers that enforce their limits exactly, a network that jitters, and callers that want everything at once."""

import asyncio
import random
from collections import deque

from quantd.clock import LoopClock
from quantd.venues.budget import AddressPool, Lane, Limit, RateBudget

JITTER_S = 0.020
SECOND = 1_000_000_000


class Tally:
    """An observer that keeps the last gauge and the sum of each counter."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.gauges: dict[tuple[str, ...], float] = {}
        self.waits: list[float] = []

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        self.counts[metric] = self.counts.get(metric, 0) + amount

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        self.gauges[metric, *labels.values()] = value

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
        self.waits.append(value)


class BucketServer:
    """A token bucket as a venue runs it."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, 0.0

    def take(self, now: float, weight: float = 1) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < weight:
            return False
        self.tokens -= weight
        return True


class WindowServer:
    """A sliding log: at most `limit` accepted in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds, self.log = limit, seconds, deque[float]()

    def take(self, now: float, weight: float = 1) -> bool:
        while self.log and self.log[0] <= now - self.seconds:
            self.log.popleft()
        if len(self.log) + weight > self.limit:
            return False
        self.log.extend([now] * int(weight))
        return True


def budget(clock: LoopClock, *limits: Limit, pool: AddressPool | None = None) -> RateBudget:
    return RateBudget("v", limits, clock=clock, observer=Tally(), pool=pool)


class Run:
    """Eager callers over a jittering network to an enforcing server; counts what the server says."""

    def __init__(self, seed: int, server: BucketServer | WindowServer, rates: RateBudget, jitter_s: float) -> None:
        self.rng = random.Random(seed)
        self.server, self.rates, self.jitter_s = server, rates, jitter_s
        self.accepted = self.refused = 0

    async def call(self, route: str = "any", lane: Lane = Lane.MARKET_DATA) -> None:
        with await self.rates.acquire(route, lane):
            await asyncio.sleep(self.rng.random() * self.jitter_s)
            if self.server.take(asyncio.get_running_loop().time()):
                self.accepted += 1
            else:
                self.refused += 1
            await asyncio.sleep(self.rng.random() * self.jitter_s)

    async def saturate(self, seconds: float, callers: int = 60) -> None:
        async def forever() -> None:
            while True:
                await self.call()

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(forever())
        except TimeoutError:
            pass


async def hold(rates: RateBudget, lane: Lane = Lane.SUBMIT) -> None:
    with await rates.acquire("a", lane):
        pass
