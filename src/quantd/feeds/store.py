"""The bar store: bars built here, kept on disk beside the journal for the next warm-up.

Made by the composition root; bar stages append, the warm-up loads. One thread owns the SQLite file (WAL, synchronous
NORMAL: the last bars may be lost with the power, which only lengthens a warm-up). It holds no truth of the trade: a
file that cannot be used is put aside and begun anew, and a disk that fails costs bars, never the daemon.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import structlog

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import BarStoreFailed

_LAYOUT_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS bars (
  instrument TEXT NOT NULL, interval_ns INTEGER NOT NULL, closed_at_ns INTEGER NOT NULL,
  open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
  PRIMARY KEY (instrument, interval_ns, closed_at_ns)
) WITHOUT ROWID
"""
_INSERT = "INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LOAD = """
SELECT closed_at_ns, open, high, low, close, volume FROM bars
WHERE instrument = ? AND interval_ns = ? ORDER BY closed_at_ns DESC LIMIT ?
"""
_TRIM = """
DELETE FROM bars WHERE instrument = ? AND interval_ns = ? AND closed_at_ns <= (
  SELECT closed_at_ns FROM bars WHERE instrument = ? AND interval_ns = ?
  ORDER BY closed_at_ns DESC LIMIT 1 OFFSET ?)
"""
_FORGET = "DELETE FROM bars WHERE closed_at_ns > ?"
_RETIRE = """
DELETE FROM bars WHERE (instrument, interval_ns) IN (
  SELECT instrument, interval_ns FROM bars GROUP BY instrument, interval_ns
  HAVING max(closed_at_ns) < (SELECT max(closed_at_ns) FROM bars) - ?)
"""
RETIRED_AFTER_NS = 90 * 86_400_000_000_000
"""A series whose newest bar is so much older than the store's newest belongs to nobody any more."""
_AHEAD_MAX_NS = 86_400_000_000_000
"""As far as the journal may be ahead of the clock at a start."""
_ROW_TYPES = (int, float, float, float, float, float)
_TRIM_EVERY = 64
"""Bars of a series between two trims: the file may hold that many more than asked."""
_QUEUE_MAX = 100_000
_BATCH_MAX = 1_000
_BUSY_S = 5.0
_LOAD_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_NS_PER_S = 1_000_000_000

_log = structlog.get_logger(__name__)

_Series = tuple[InstrumentId, int]


class _Load:
    """A wish to read, answered by the thread after all that was appended before."""

    __slots__ = ("answer", "count", "series")

    def __init__(self, series: _Series, count: int) -> None:
        self.series = series
        self.count = count
        self.answer: Future[tuple[Bar, ...]] = Future()


class BarStore:
    """Complete bars by instrument and interval, the newest `keep` of each; series that nobody adds to go after `RETIRED_AFTER_NS`.

    `append` and `load` are called on the loop's thread and never touch the disk there.
    """

    def __init__(self, path: Path, *, keep: int = 5_000) -> None:
        """Name the file; nothing is opened before `start`. With `keep` 0 nothing is stored."""
        self._path = path
        self._keep = keep
        self.stored = 0
        """Bars written in this run."""
        self.dropped = 0
        """Bars that were lost: the queue was full, or the disk refused."""
        self._queue: queue.Queue[Bar | _Load | None] = queue.Queue(_QUEUE_MAX)
        self._thread: threading.Thread | None = None
        self._since_trim: dict[_Series, int] = {}
        self._failing = False

    async def start(self, now_ns: int | None = None) -> None:
        """Open or make the file and start the thread.

        Args:
            now_ns: UTC nanoseconds. What closes more than a day later was stamped by a clock that was wrong, and goes: it would
                stand before all that comes, and make the other series seem old. None: all stays.

        Raises:
            BarStoreFailed: the file or its folder can be neither opened nor made, or one that cannot be read not be put aside,
                or it is another program's.
        """
        try:
            connection = await asyncio.to_thread(self._open)
        except (OSError, sqlite3.OperationalError, BarStoreFailed) as error:
            raise BarStoreFailed(
                f"feeds.bar_store: expected a file of its own that can be opened or made, found {self._path}: {error}"
            ) from error
        self._thread = threading.Thread(target=self._serve, args=(connection, now_ns), name="bar-store", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits and close the file. Loads that come later answer with nothing.

        A disk that does not answer keeps no daemon from its end: what waits is lost then.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            with contextlib.suppress(queue.Full):
                await asyncio.to_thread(self._queue.put, None, True, _STOP_TIMEOUT_S)
            await asyncio.to_thread(thread.join, _STOP_TIMEOUT_S)

    def append(self, bar: Bar) -> None:
        """Keep a bar; what is not complete is ignored, one of a known close replaces it.

        Never blocks; does nothing before `start` and after `stop`.
        """
        if not bar.complete or not self._keep or self._thread is None:
            return
        try:
            self._queue.put_nowait(bar)
        except queue.Full:
            self.dropped += 1

    async def load(self, instrument: InstrumentId, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to the last `count` bars, oldest first, received at their close; empty when reading fails."""
        if self._thread is None or count < 1:
            return ()
        wish = _Load((instrument, interval_s * _NS_PER_S), count)
        try:
            self._queue.put_nowait(wish)
        except queue.Full:
            return ()
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                return await asyncio.wrap_future(wish.answer)
        except TimeoutError:
            _log.warning("bar_store_unreadable", path=str(self._path), error=f"no answer in {_LOAD_TIMEOUT_S} s")
            return ()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise  # locked, or the disk: nothing is wrong with the content
        except (
            sqlite3.DatabaseError,
            UnicodeDecodeError,
        ) as error:  # the latter: SQLite's own words of a damaged table
            self._put_aside(error)
            return self._connect()

    def _put_aside(self, error: Exception) -> None:
        aside = self._path.with_name(self._path.name + ".unusable")
        _log.warning("bar_store_put_aside", path=str(self._path), kept_as=str(aside), error=str(error))
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0]:
                raise BarStoreFailed(f"{self._path} is the database of another program, perhaps a journal")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _LAYOUT_VERSION):
                raise sqlite3.DatabaseError(f"expected layout version {_LAYOUT_VERSION}, found {version}")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version={_LAYOUT_VERSION}")
            connection.commit()
        except (sqlite3.Error, BarStoreFailed):
            connection.close()
            raise
        return connection

    def _anew(self, connection: sqlite3.Connection, error: Exception) -> sqlite3.Connection:
        """Begin a new file where this one turned out to be damaged: it would refuse bars at every start to come."""
        connection.close()
        try:
            self._put_aside(error)
            return self._connect()
        except (OSError, sqlite3.Error) as failed:
            _log.warning("bar_store_failed", path=str(self._path), error=str(failed))
            return connection  # closed: refuses whatever comes

    def _serve(self, connection: sqlite3.Connection, now_ns: int | None) -> None:
        """Write and read until told to stop; runs in the thread."""
        connection = self._retire(connection, now_ns)
        running = True
        while running:
            batch = [self._queue.get()]
            while len(batch) < _BATCH_MAX:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            bars = []
            for item in batch:
                if isinstance(item, Bar):
                    bars.append(item)
                    continue
                connection = self._write(connection, bars)
                bars = []
                if item is None:
                    running = False
                else:
                    connection = self._answer(connection, item)
            connection = self._write(connection, bars)
        connection.close()

    def _write(self, connection: sqlite3.Connection, bars: Sequence[Bar]) -> sqlite3.Connection:
        """Write bars and return the connection to go on with."""
        if not bars:
            return connection
        try:
            with connection:
                connection.executemany(_INSERT, map(_row, bars))
                for bar in bars:
                    self._trim(connection, (bar.instrument, bar.interval_ns))
        except sqlite3.Error as error:
            if _is_damage(error) and (anew := self._anew(connection, error)) is not connection:
                return self._write(anew, bars)
            self.dropped += len(bars)
            if not self._failing:
                self._failing = True
                _log.warning("bar_store_failed", path=str(self._path), error=str(error))
            return connection
        self.stored += len(bars)
        if self._failing:
            self._failing = False
            _log.info("bar_store_recovered", path=str(self._path))
        return connection

    def _retire(self, connection: sqlite3.Connection, now_ns: int | None) -> sqlite3.Connection:
        try:
            with connection:
                if now_ns is not None:
                    connection.execute(_FORGET, (now_ns + _AHEAD_MAX_NS,))
                connection.execute(_RETIRE, (RETIRED_AFTER_NS,))
        except sqlite3.Error as error:
            if _is_damage(error):
                return self._anew(connection, error)
            _log.warning("bar_store_failed", path=str(self._path), error=str(error))
        return connection

    def _trim(self, connection: sqlite3.Connection, series: _Series) -> None:
        # The first bar of a series in a run trims at once: `keep` may have become smaller.
        waited = self._since_trim.get(series, _TRIM_EVERY) + 1
        if waited >= _TRIM_EVERY:
            connection.execute(_TRIM, (*series, *series, self._keep))
            waited = 0
        self._since_trim[series] = waited

    def _answer(self, connection: sqlite3.Connection, wish: _Load) -> sqlite3.Connection:
        """Read what is wished for and return the connection to go on with."""
        if not wish.answer.set_running_or_notify_cancel():
            return connection
        instrument, interval_ns = wish.series
        bars: list[Bar] = []
        try:
            for row in connection.execute(_LOAD, (*wish.series, wish.count)):
                if tuple(map(type, row)) != _ROW_TYPES:
                    raise sqlite3.DatabaseError(f"a bar of {instrument} of other types: {row}")
                closed, open_, high, low, close, volume = row
                bars.append(Bar(instrument, closed - interval_ns, closed, open_, high, low, close, volume, closed))
        except sqlite3.Error as error:
            bars.clear()
            if _is_damage(error):
                connection = self._anew(connection, error)
            else:
                _log.warning("bar_store_unreadable", path=str(self._path), error=str(error))
        wish.answer.set_result(tuple(reversed(bars)))
        return connection


def _is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the file's content is at fault, not the disk or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return isinstance(error, sqlite3.DatabaseError) and code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _row(bar: Bar) -> tuple[str, int, int, float, float, float, float, float]:
    return bar.instrument, bar.interval_ns, bar.closed_at_ns, bar.open, bar.high, bar.low, bar.close, bar.volume
