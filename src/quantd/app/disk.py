"""Keeps what a run leaves on its disk bounded: old records go into the journal's archive; the figures tell what grows.

One task of the daemon's background. Reading and compressing happen in a thread with a connection of its own, in short
stretches; the journal's writer names the file and removes the records, a few milliseconds at a time. What fails here is
told and tried again later: the records stay in the journal, and trading goes on.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import structlog

from quantd.app.input_recorder import InputRecorder, input_logs, remove_input_logs
from quantd.app.shared import Shared
from quantd.app.storage import codec
from quantd.domain.facts import Fact
from quantd.errors import JournalError, JournalFailed
from quantd.journal import retention
from quantd.journal.archive import Segment, folder_of
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter

_log = structlog.get_logger("quantd.app")
_SAMPLE_EVERY_S = 60.0
_ARCHIVE_EVERY_SAMPLES = 60
_SLICE_PAUSE_S = 0.01
ROOM_NEEDED = 100_000_000
"""Bytes: with less left on the disk no file is written, which could take the room of the next order's record."""
_REMOVAL_PAUSE_S = 0.05


class _Stopped(Exception):
    """Ends the thread's work."""


class DiskKeeper:
    """Moves old records where `keep_days` says so, and measures.

    Args:
        shared: The daemon's parts.
        journal: The journal's writer.
        recording: The input log of this run, which no limit removes; None where nothing is recorded.
    """

    def __init__(self, shared: Shared, journal: JournalWriter[Fact], recording: InputRecorder | None) -> None:
        self._settings = shared.settings.journal
        self._journal = journal
        self._clock = shared.clock
        self._observer = shared.observer
        self._recording = recording
        self._stopped = False
        self.segment_records = retention.SEGMENT_RECORDS
        """Records in one file."""

    async def run(self) -> None:
        """Measure every minute and move once an hour, the first time a minute after the start; ends by cancellation."""
        number = 0
        try:
            while True:
                await self._measure()
                await asyncio.sleep(_SAMPLE_EVERY_S)
                if self._settings.keep_days is not None and number % _ARCHIVE_EVERY_SAMPLES == 0:
                    await self.move(self._settings.keep_days)
                number += 1
        finally:
            self._stopped = True

    async def _measure(self) -> None:
        limit = self._settings.record_max_mb
        try:
            if limit is not None and self._recording is not None:
                await asyncio.to_thread(remove_input_logs, self._settings.path, self._recording.path, limit * 1_000_000)
            found = await asyncio.to_thread(sizes, self._settings.path)
        except Exception as error:  # noqa: BLE001 -- boundary: as `move`
            _log.error("disk_not_read", error=str(error), kind=type(error).__name__)
            return
        for metric, value in found.items():
            self._observer.gauge(metric, value)

    async def move(self, keep_days: int) -> None:
        """Move all that is older than so many days and that no start needs."""
        before_ns = self._clock.now_ns() - keep_days * retention.DAY_NS
        try:
            while (segment := await asyncio.to_thread(self._prepared, before_ns)) is not None:
                await self._remove(segment)
        except JournalFailed:
            return  # the daemon was told, and ends
        except Exception as error:  # noqa: BLE001 -- boundary: housekeeping that fails, however it does, ends no trading
            self._observer.count("quantd_journal_archive_failures_total")
            _log.error("journal_not_archived", error=str(error), kind=type(error).__name__)

    async def _remove(self, segment: Segment) -> None:
        def enter(store: JournalStore[Fact]) -> None:
            retention.enter(store, segment)

        def remove(store: JournalStore[Fact]) -> bool:
            return retention.remove(store, segment)

        await self._journal.run(enter)
        while True:
            if not await self._journal.run(remove):
                break
            await asyncio.sleep(_REMOVAL_PAUSE_S)
        _log.info("journal_archived", first=segment.first, last=segment.last, file=segment.name)

    def _prepared(self, before_ns: int) -> Segment | None:
        """Return the next segment, its file written and verified; in a thread."""
        folder = self._settings.path.resolve().parent
        if (left := shutil.disk_usage(folder).free) < ROOM_NEEDED:
            raise JournalError(
                f"{folder}: {left} bytes are left on the disk, expected {ROOM_NEEDED} to archive the journal"
            )
        try:
            with closing(JournalStore[Fact].open(self._settings.path, codec(), read_only=True)) as store:
                segment = retention.next_segment(store, before_ns, self.segment_records)
                if segment is not None:
                    retention.export(store, segment, self._pause)
                return segment
        except _Stopped:
            return None

    def _pause(self) -> None:
        # The loop's thread waits for the interpreter's lock while this one computes: in stretches that nobody notices.
        time.sleep(_SLICE_PAUSE_S)
        if self._stopped:
            raise _Stopped


def sizes(journal: Path) -> dict[str, float]:
    """Return the bytes of the journal, its archive and its input logs, and what is left on their disk, by metric."""
    whole = journal.resolve()  # behind a link lies perhaps another disk
    disk = os.statvfs(whole.parent)
    files = (whole, whole.with_name(f"{whole.name}-wal"))
    folder = folder_of(journal)
    return {
        "quantd_journal_bytes": _bytes(files),
        "quantd_journal_archive_bytes": _bytes(folder.iterdir()) if folder.exists() else 0.0,
        "quantd_input_log_bytes": _bytes(input_logs(journal)),
        "quantd_disk_free_bytes": float(disk.f_bavail * disk.f_frsize),
    }


def _bytes(files: Iterable[Path]) -> float:
    total = 0
    for one in files:
        try:
            total += one.stat().st_size
        except FileNotFoundError:
            continue  # moved or folded meanwhile
    return float(total)
