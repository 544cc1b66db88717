"""Tick to order: a tick comes in over a WebSocket, an order goes out; the venue's stub takes the time between.

Run: python benchmarks/tick_to_order.py [--rounds 5] [--folder DIR] [--json FILE]      (DIR on a real disk)

The bare script decodes the tick, checks it, appends a line to a file and posts. Ours goes through the inbox, the
engine, a strategy, the gate, the SQLite journal (written before sent), the executor, the rate budget and the ionloop
connector; once with SQLite's synchronous FULL, as it always runs, and once OFF to compare with the unsynced append.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import msgspec
from place import connector
from stub import loop_factory, pin, running

from quantd import Quote, Strategy
from quantd.clock import SystemClock
from quantd.domain.cash import Balance
from quantd.domain.events import AccountOpened, InstrumentListed, StrategyStarted, TradingState, VenueChanged
from quantd.domain.facts import Fact, RunStarted
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.numbers import use_exact_arithmetic
from quantd.domain.orders import Limit, Side
from quantd.domain.reports import AccountSnapshot
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.feeds.conflation import Inbox
from quantd.journal.latch import HaltLatch
from quantd.journal.projections import projections
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter
from quantd.runtime.executor import Executor
from quantd.runtime.runner import Runner
from quantd.runtime.writes import is_unknown
from quantd.telemetry.metrics import PrometheusObserver

BTC = InstrumentId("ionloop:BTC-USDT")
TICKS, WARM = 700, 100
LIMIT_RATIO, LIMIT_SYNCS = 1.3, 2.0


class Tick(msgspec.Struct, gc=False):
    """What is read of a tick."""

    number: int
    bid: str
    ask: str


TICK = msgspec.json.Decoder(Tick)


async def bare(url: str, folder: Path) -> list[float]:
    """Run the bare script."""
    encode = msgspec.json.Encoder().encode
    journal = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
    body = b'{"symbol":"BTC-USDT","side":"buy","type":"limit","quantity":"0.001","price":"65000.00"}'
    try:
        async with (
            aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session,
            session.ws_connect(f"{url}/ticks?count={TICKS}") as socket,
        ):
            async for message in socket:
                if message.data.startswith('{"took"'):
                    return json.loads(message.data)["took"]
                tick = TICK.decode(message.data)
                if not 0 < float(tick.bid) <= float(tick.ask):
                    continue
                os.write(journal, encode(("new", tick.number, "BTC-USDT", "buy", "0.001", tick.bid)) + b"\n")
                async with session.post(url + "/v1/orders", data=body) as answer:
                    await answer.read()
    finally:
        os.close(journal)
    raise AssertionError("the stub ended without its times")


class EveryTick(Strategy):
    """Buys and sells in turn, at the quote."""

    def setup(self) -> None:
        """Ask for quotes."""
        self.quotes()
        self.side = Side.SELL

    def on_quote(self, quote: Quote) -> None:
        """Send the next order."""
        self.side = Side.SELL if self.side is Side.BUY else Side.BUY
        if self.side is Side.BUY:
            self.buy(quote.instrument, Decimal("0.001"), Limit(quote.bid))
        else:
            self.sell(quote.instrument, Decimal("0.001"), Limit(quote.ask))


def make_engine() -> Engine:
    """Return an engine with one strategy and the limits of a careful owner."""
    risk = RiskSettings(
        base_currency="USDT",
        order=Limits(
            max_order_notional=Decimal(1_000), price_collar_bps=Decimal(100), max_quote_age_s=5.0, self_match="deny"
        ),
        account=Limits(max_gross_notional=Decimal(50_000), max_open_orders=10),
    )
    setup = StrategySetup(id="ticks", instruments=(BTC,))
    return Engine(
        EngineSettings(journal_id="b", epoch=1),
        risk,
        [(setup, EveryTick(), Limits(max_position=Decimal(1)))],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )


class Unsynced(JournalStore[Fact]):
    """A journal that a power cut may shorten; for the comparison only, the daemon has no such switch."""

    def reserve_log(self) -> None:
        """Reserve, and turn syncing off only then: the writer's thread calls this first, and it ends in FULL."""
        super().reserve_log()
        self._connection.execute("PRAGMA synchronous=OFF")


def open_store(folder: Path, *, synced: bool) -> JournalStore[Fact]:
    """Return a new journal."""
    path = folder / f"journal-{random.randrange(1 << 60):x}.db"
    kind: type[JournalStore[Fact]] = JournalStore if synced else Unsynced
    return kind.create(path, RecordCodec[Fact](Fact), journal_id="b", epoch=1, projections=projections())


def first_events(now_ns: int, venue: Any) -> list[Any]:
    """Return what a venue's start tells the engine."""
    rules = Instrument(
        BTC, base="BTC", quote="USDT", ticks=(TickTier(Decimal(0), Decimal("0.01")),), lot=Decimal("0.0001")
    )
    balances = tuple(Balance(asset, Decimal(10_000), Decimal(10_000), Decimal(0)) for asset in ("USDT", "BTC"))
    return [
        AccountOpened(venue.account, now_ns),
        InstrumentListed(rules, now_ns),
        AccountSnapshot("ionloop", now_ns, now_ns, now_ns, balances),
        VenueChanged("ionloop", TradingState.ACTIVE, "", now_ns),
        StrategyStarted("ticks", now_ns),
    ]


async def ours(url: str, folder: Path, *, synced: bool) -> list[float]:
    """Run the daemon's parts between the tick and the order."""
    clock, observer = SystemClock(), PrometheusObserver()
    venue, engine, inbox = connector(url), make_engine(), Inbox(256, observer)
    engine.connect("ionloop", venue.capabilities)
    engine.declare()
    latch = HaltLatch(folder / "halt.json")
    writer = JournalWriter(open_store(folder, synced=synced), clock=clock, observer=observer, on_failure=print)
    executor = Executor(
        {"ionloop": venue},
        inbox.put,
        clock=clock,
        observer=observer,
        scopes=lambda write: ("venue:ionloop", f"instrument:{write.instrument}", "strategy:ticks"),
        halted=lambda scopes: latch.read().state_of(scopes),
        is_unknown=lambda order, number: is_unknown(engine, order, number),
    )
    venue._http.last_look = executor.last_look
    runner = Runner(
        engine,
        inbox,
        writer,
        executor,
        clock=clock,
        observer=observer,
        latch=lambda fact: None,
        watch=lambda facts: None,
    )
    await writer.start()
    engine.begin(RunStarted("bench", "", {}, "b", 1, clock.now_ns()))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(venue.close)
        stack.push_async_callback(writer.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        socket = await stack.enter_async_context(session.ws_connect(f"{url}/ticks?count={TICKS}"))
        async with asyncio.TaskGroup() as tasks:
            executor.attach(tasks)
            running_engine = tasks.create_task(runner.run())
            for event in first_events(clock.now_ns(), venue):
                inbox.put(event)
            async for message in socket:
                if message.data.startswith('{"took"'):
                    running_engine.cancel()
                    return json.loads(message.data)["took"]
                tick = TICK.decode(message.data)
                inbox.put(Quote(BTC, float(tick.bid), float(tick.ask), clock.now_ns()))
    raise AssertionError("the stub ended without its times")


def bare_sync(folder: Path) -> float:
    """Return the median seconds of appending a record and fdatasync."""
    file = os.open(folder / "sync.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
    took = []
    for _ in range(300):
        began = perf_counter()
        os.write(file, b"x" * 110)
        os.fdatasync(file)
        took.append(perf_counter() - began)
    os.close(file)
    return statistics.median(took)


Client = Callable[[str, Path], Awaitable[list[float]]]
CLIENTS: dict[str, Client] = {
    "bare script, append": bare,
    "quantd, journal unsynced": lambda url, folder: ours(url, folder, synced=False),
    "quantd, journal synced": lambda url, folder: ours(url, folder, synced=True),
}


def measure(rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Run all in turn, `rounds` times; return medians in microseconds."""
    seen: dict[str, list[tuple[float, float]]] = {}
    syncs = []
    with running() as url:
        for _ in range(rounds):
            syncs.append(bare_sync(folder))
            for name, client in CLIENTS.items():
                with asyncio.Runner(loop_factory=loop_factory()) as loops:
                    took = sorted(loops.run(client(url, folder))[WARM:])
                seen.setdefault(name, []).append((took[len(took) // 2], took[int(len(took) * 0.99)]))
    sync_us = statistics.median(syncs) * 1e6
    medians = {
        name: [statistics.median(one[at] for one in found) * 1e6 for at in (0, 1)] for name, found in seen.items()
    }
    bare_us = medians["bare script, append"][0]
    rows = []
    for name, (p50, p99) in medians.items():
        row = {"name": name, "p50_us": round(p50), "p99_us": round(p99), "ratio": round(p50 / bare_us, 3)}
        if name.endswith("unsynced"):
            row["holds"] = p50 <= LIMIT_RATIO * bare_us
        elif name.endswith("synced"):
            row["syncs_more"] = round((p50 - medians["quantd, journal unsynced"][0]) / sync_us, 2)
            row["holds"] = p50 <= LIMIT_RATIO * bare_us + LIMIT_SYNCS * sync_us
        rows.append(row)
    return [*rows, {"name": "bare fdatasync", "p50_us": round(sync_us), "p99_us": None, "ratio": None}]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("var"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    use_exact_arithmetic()
    pin()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows = measure(given.rounds, Path(folder))
    for row in rows:
        print(json.dumps(row), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
