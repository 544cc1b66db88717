"""A server on loopback that keeps to a rate limit and jitters, in a process of its own so that clients are the cost.

Run by the other benchmarks; alone: python benchmarks/server.py --bucket 20 5 --jitter-ms 20, which prints its port.
Each request is delayed by a chance of 0 to `jitter` before it is counted and by another before its answer leaves, as
on a network with that jitter each way. Without a token it is answered 429. GET /stats returns and clears the counts
{"ok": n, "limited": n} and refills the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

BODY = json.dumps({"symbol": "BTC-USDT", "bid": "65000.00", "ask": "65000.10", "pad": "x" * 850}).encode()


def http(status: str, body: bytes) -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


OK = http("200 OK", BODY)
LIMITED = http("429 Too Many Requests", b'{"error":"too many requests"}')


class BucketLimit:
    """A token bucket."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self.rate_per_s, self.burst = rate_per_s, burst
        self.reset()

    def reset(self) -> None:
        """Fill it."""
        self.tokens, self.at = self.burst, perf_counter()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = perf_counter()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate_per_s)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class WindowLimit:
    """A sliding log."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self.log: deque[float] = deque()

    def reset(self) -> None:
        """Forget what was taken."""
        self.log.clear()

    def take(self) -> bool:
        """Take a slot if one is free."""
        now = perf_counter()
        while self.log and self.log[0] <= now - self.seconds:
            self.log.popleft()
        if len(self.log) >= self.limit:
            return False
        self.log.append(now)
        return True


class Venue:
    """The limit, the counts and the jitter, shared by all connections."""

    def __init__(self, limit: BucketLimit | WindowLimit | None, jitter_s: float, seed: int = 1) -> None:
        self.limit, self.jitter_s, self.rng = limit, jitter_s, random.Random(seed)
        self.ok = self.limited = 0

    def way_s(self) -> float:
        """Return the time of one way."""
        return self.rng.random() * self.jitter_s

    def answer(self, head: bytes) -> bytes:
        """Count a request and return its answer."""
        if b" /stats" in head:
            counts = json.dumps({"ok": self.ok, "limited": self.limited}).encode()
            self.ok = self.limited = 0
            if self.limit is not None:
                self.limit.reset()
            return http("200 OK", counts)
        if self.limit is not None and not self.limit.take():
            self.limited += 1
            return LIMITED
        self.ok += 1
        return OK


class Connection(asyncio.Protocol):
    """HTTP/1.1 with kept connections, no pipelining, as little else as possible."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect a request; take it when it is whole."""
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(rest) < int(length or 0):
            return
        self.buffer = b""
        line = head.partition(b"\r\n")[0]
        if self.venue.jitter_s and b" /stats" not in line:
            asyncio.get_running_loop().call_later(self.venue.way_s(), self.arrive, line)
        else:
            self.transport.write(self.venue.answer(line))

    def arrive(self, line: bytes) -> None:
        """Count the request now and let the answer travel."""
        answer = self.venue.answer(line)
        asyncio.get_running_loop().call_later(self.venue.way_s(), self.transport.write, answer)


async def serve(venue: Venue) -> None:
    """Serve until terminated; the port goes to standard output."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(venue), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run this script with `arguments` in a process; yield its base URL."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Parse and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", nargs=2, type=float, metavar=("RATE", "BURST"))
    parser.add_argument("--window", nargs=2, type=float, metavar=("LIMIT", "SECONDS"))
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    given = parser.parse_args()
    limit: BucketLimit | WindowLimit | None = None
    if given.bucket:
        limit = BucketLimit(*given.bucket)
    elif given.window:
        limit = WindowLimit(int(given.window[0]), given.window[1])
    asyncio.run(serve(Venue(limit, given.jitter_ms / 1000)))


if __name__ == "__main__":
    main()
