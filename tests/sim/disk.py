"""A disk in memory that outlives the daemon: journal with delayed, acknowledged commits, halt latch, bar store.

What was appended and not yet committed at a crash survives in part: a prefix, drawn by the seed. Used by the simulation.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from quantd.app.storage import codec
from quantd.domain.facts import Fact
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import JournalError, JournalFailed
from quantd.journal.latch import Halt, HaltLatch, LatchContent
from quantd.journal.layout import Meta
from quantd.journal.records import Record, genesis, seal
from quantd.journal.store import Head, Snapshot

_CODEC = codec()


class Ear(Protocol):
    """Who is told what is on the disk now."""

    def durable(self, facts: Sequence[Fact]) -> None:
        """Facts were committed."""

    def point(self, name: str) -> None:
        """Something happened, after which the process may die."""


class Disk:
    """What all incarnations of one daemon share."""

    def __init__(self, journal_id: str, epoch: int) -> None:
        self.meta = Meta(journal_id, epoch)
        self.records: list[Record] = []
        self.commits: list[int] = [0]
        """Record number after each commit: a backup holds whole ones."""
        self.snapshots: list[Snapshot] = []
        self.latch = MemoryLatch()
        self.bars = MemoryBars()

    def commit(self, facts: Sequence[Fact]) -> None:
        """Write facts, sealed as on a real disk."""
        for fact in facts:
            before = self.records[-1].checksum if self.records else genesis(self.meta.journal_id)
            self.records.append(seal(before, len(self.records) + 1, _CODEC.encode(fact)))
        self.commits.append(len(self.records))

    def facts(self) -> Iterator[Fact]:
        """Read all facts back."""
        return (_CODEC.decode(record) for record in self.records)

    def go_back(self, commits: int, epoch: int) -> None:
        """Become the backup that was taken after so many commits, restored under a new epoch; the latch stays."""
        del self.commits[commits + 1 :]
        seq = self.commits[-1]
        del self.records[seq:]
        self.snapshots = [snapshot for snapshot in self.snapshots if snapshot.seq <= seq]
        self.meta = Meta(self.meta.journal_id, epoch)


class MemoryStore:
    """A disk's journal, as the fold and the daemon see a `JournalStore`."""

    codec = _CODEC

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.meta = disk.meta

    @property
    def head(self) -> Head:
        """The newest record."""
        records = self.disk.records
        return Head(len(records), records[-1].checksum if records else genesis(self.meta.journal_id))

    def snapshots(self) -> Iterator[tuple[int, Snapshot | None]]:
        """Newest first."""
        return ((one.seq, one) for one in reversed(self.disk.snapshots))

    def records(self, after: int = 0) -> Iterator[Record]:
        """Records after a number."""
        return iter(self.disk.records[after:])

    def close(self) -> None:
        """Do nothing: the disk outlives the process."""


class DiskWeather(NamedTuple):
    """How a disk does."""

    commit_s: tuple[float, float] = (0.001, 0.004)
    slow: float = 0.0
    """Chance that a commit takes up to two seconds."""
    fails_after: int | None = None
    """Appends that succeed before one fails."""


class _Waiting(NamedTuple):
    facts: Sequence[Fact]
    snapshot: bytes | None
    future: "asyncio.Future[None]"


class SlowJournal:
    """Stands in for the daemon's `JournalWriter`: one commit at a time, acknowledged a little after it is durable."""

    def __init__(
        self,
        disk: Disk,
        ear: Ear,
        rng: random.Random,
        weather: DiskWeather,
        on_failure: Callable[[JournalFailed], None],
    ) -> None:
        self.failure: JournalFailed | None = None
        self._disk = disk
        self._ear = ear
        self._rng = rng
        self._weather = weather
        self._on_failure = on_failure
        self._waiting: list[_Waiting] = []
        self._free_at_s = 0.0
        self._appends = 0
        self._is_dead = False

    async def start(self) -> None:
        """Nothing to start."""

    def append(self, facts: Sequence[Fact]) -> "asyncio.Future[None]":
        """Commit facts after a while."""
        self._appends += 1
        limit = self._weather.fails_after
        if limit is not None and self._appends > limit and self.failure is None:
            self._fail(facts)
        return self._queue(facts, None)

    def snapshot(self, payload: bytes) -> "asyncio.Future[None]":
        """Keep a snapshot after all that was appended before."""
        return self._queue((), payload)

    async def close(self) -> None:
        """Commit what waits; the end of an orderly run."""
        if self._waiting and not self._is_dead:
            await asyncio.wait([self._waiting[-1].future])

    def crash(self) -> None:
        """The process is dead: of what waited, a prefix is on the disk."""
        if self._is_dead:
            return
        self._is_dead = True
        self.failure = self.failure or JournalFailed("the process is dead")
        for waiting in self._waiting[: self._rng.randint(0, len(self._waiting))]:
            self._commit(waiting)
        self._waiting.clear()

    def _queue(self, facts: Sequence[Fact], snapshot: bytes | None) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._is_dead:
            return future  # nobody is there any more to be answered
        if self.failure is not None:
            future.set_exception(self.failure)
            future.exception()  # told by `on_failure`; one that nobody awaits is no news
            return future
        shortest, longest = self._weather.commit_s
        takes_s = shortest + (longest - shortest) * self._rng.random()
        if self._rng.random() < self._weather.slow:
            takes_s += 2 * self._rng.random()
        self._free_at_s = max(self._free_at_s, loop.time()) + takes_s
        self._waiting.append(_Waiting(facts, snapshot, future))
        loop.call_at(self._free_at_s, self._done)
        self._ear.point("append")
        return future

    def _done(self) -> None:
        if self._is_dead or not self._waiting:
            return
        waiting = self._waiting.pop(0)
        self._commit(waiting)
        loop = asyncio.get_running_loop()
        self._ear.point("durable")
        loop.call_later(0.0005 * self._rng.random(), self._acknowledge, waiting)

    def _acknowledge(self, waiting: _Waiting) -> None:
        if not self._is_dead and not waiting.future.done():
            waiting.future.set_result(None)
            self._ear.point("acknowledged")

    def _commit(self, waiting: _Waiting) -> None:
        if waiting.snapshot is not None:
            self._disk.snapshots.append(Snapshot(len(self._disk.records), waiting.snapshot))
            return
        self._disk.commit(waiting.facts)
        self._ear.durable(waiting.facts)

    def _fail(self, facts: Sequence[Fact]) -> None:
        if self._rng.random() < 0.3:
            self._commit(_Waiting(facts, None, asyncio.get_running_loop().create_future()))
        self.failure = JournalFailed("the simulated disk refused")
        for waiting in self._waiting:
            waiting.future.set_exception(self.failure)
            waiting.future.exception()
        self._waiting.clear()
        self._ear.point("journal_failed")
        self._on_failure(self.failure)


class MemoryLatch(HaltLatch):
    """The halt latch without a file: written at once, and there after every crash."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent/halt.json"))
        self._content = LatchContent(0)

    def read(self) -> LatchContent:
        """Return what is latched."""
        return self._content

    def halt(self, halt: Halt) -> LatchContent:
        """Latch."""
        self._content = self._content.with_halt(halt, self._content.generation + 1)
        return self._content

    def clear(self, scope: str, *, by: str, why: str, at_ns: int) -> LatchContent:
        """Clear one scope in the name of a person."""
        now = self._content
        gone = [one for one in now.halts if one.scope == scope]
        if not gone:
            raise JournalError(f"nothing is halted with scope {scope!r}")
        self._content = now.without(Halt(scope, gone[0].state, by, why, at_ns), now.generation + 1)
        return self._content


class MemoryBars:
    """The bar store without a file."""

    def __init__(self) -> None:
        self._bars: dict[tuple[InstrumentId, int], list[Bar]] = {}

    async def start(self, now_ns: int | None = None) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def append(self, bar: Bar) -> None:
        """Keep a complete bar."""
        if not bar.complete:
            return
        self._bars.setdefault((bar.instrument, bar.interval_ns // 1_000_000_000), []).append(bar)

    async def load(self, instrument: InstrumentId, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return the last bars."""
        return tuple(self._bars.get((instrument, interval_s), ())[-count:])
