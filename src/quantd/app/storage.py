"""What a run keeps on disk: locks, the journal with its fold into the engine, the halt latch and the input log."""

import glob
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import structlog

import quantd
from quantd.app.input_recorder import InputRecorder
from quantd.clock import SystemClock
from quantd.config import Settings
from quantd.domain.events import ALL, TradingState
from quantd.domain.facts import Fact, RunStarted, StateSet
from quantd.engine.core import Engine
from quantd.engine.ids import base32
from quantd.engine.images import restore
from quantd.engine.runs import check_run, left_behind
from quantd.errors import JournalError
from quantd.journal.backup import mint_epoch, renew_epoch
from quantd.journal.fold import Recovery, recover
from quantd.journal.inputlog import InputLogHeader, InputLogWriter
from quantd.journal.latch import Halt, HaltLatch
from quantd.journal.layout import Meta
from quantd.journal.locks import FileLock, lock_account, lock_journal
from quantd.journal.projections import projections
from quantd.journal.records import Migration, RecordCodec
from quantd.journal.store import JournalStore
from quantd.ports import Clock

_log = structlog.get_logger("quantd.app")
_ID_BYTES = 3
_OF_A_JOURNAL = re.compile(r"\.(archive$|before-|inputs-)")
"""What a run, an archive or a restore leaves beside a journal."""
_AHEAD_MAX_NS = 86_400_000_000_000


class Storage(NamedTuple):
    """Everything that one process holds on disk; `locks` is closed last of all."""

    store: JournalStore[Fact]
    latch: HaltLatch
    locks: ExitStack
    held: tuple[FileLock, ...] = ()
    """What `locks` holds, to look at."""

    def close(self) -> None:
        """Close the journal and give the locks back; for who has no writer that does the first."""
        self.store.close()
        self.locks.close()


SCHEMA_VERSION = 1
"""Of the facts as they are written. A new field with a default needs no new one; a field that was renamed, taken away,
given another type or meaning does, together with the migration from the version before."""
MIGRATIONS: dict[int, Migration] = {}
"""By version: what makes of a fact's content the next version's. Never taken out again: journals are kept for years."""


def codec() -> RecordCodec[Fact]:
    """Return how facts are written, and read in every version that ever was."""
    return RecordCodec[Fact](Fact, version=SCHEMA_VERSION, migrations=MIGRATIONS)


def open_storage(settings: Settings, accounts: dict[str, str], clock: Clock) -> Storage:
    """Take every lock, then open the journal, or make it at the first start.

    Args:
        settings: Names the journal and the state folder.
        accounts: Venue -> account, each locked for this process, by what it is wherever the settings tell that: two daemons may
            call one account differently.
        clock: Stamps locks and mints the epoch of a new journal.

    Raises:
        JournalLocked: another process has one of them; the message names it.
        JournalCorrupt: the journal's newest record or structure is damaged.
        JournalError: it cannot be read or written.
    """
    path, state = settings.journal.path, settings.journal.state_dir
    latch = HaltLatch(state / "halt.json")
    locks = ExitStack()
    try:
        now_ns = clock.now_ns()
        state.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        held = [locks.enter_context(lock_journal(path, what="quantd run", started_at_ns=now_ns))]
        for venue, account in accounts.items():
            where, which = settings.venues[venue].reaches or (venue, account)
            lock = lock_account(state, where, which, what="quantd run", started_at_ns=now_ns)
            held.append(locks.enter_context(lock))
        if path.exists():
            store = _reopened(path, latch, clock)
        else:
            journal_id = base32(int.from_bytes(os.urandom(_ID_BYTES)))
            store = JournalStore.create(
                path, codec(), journal_id=journal_id, epoch=mint_epoch(now_ns), projections=projections()
            )
            _tell_made(path, journal_id)
    except OSError as error:
        locks.close()
        raise JournalError(f"{error.filename or path}: {error.strerror}") from error
    except BaseException:
        locks.close()
        raise
    latch.reserve()
    return Storage(store, latch, locks, tuple(held))


def _tell_made(path: Path, journal_id: str) -> None:
    """Say that there was no journal: in another folder than the last time, or on a disk that is not mounted, nobody would know."""
    lost = sorted(one.name for one in path.parent.glob(f"{glob.escape(path.name)}.*") if _OF_A_JOURNAL.search(one.name))
    if lost:
        _log.warning("journal_made_anew", path=str(path.resolve()), journal=journal_id, left_of_another=lost)
    else:
        _log.info("journal_made", path=str(path.resolve()), journal=journal_id)


def _reopened(path: Path, latch: HaltLatch, clock: Clock) -> JournalStore[Fact]:
    """Open a journal that an earlier run has written."""
    store = JournalStore.open(path, codec(), projections=projections())
    try:
        _go_on_from(store, clock)
        if store.lost_log:
            _go_on_without_log(store, latch, clock.now_ns())
        if missing := store.archive.missing():
            _log.warning("archive_files_missing", files=len(missing), first=str(missing[0]))
    except BaseException:
        store.close()
        raise
    return store


def _go_on_without_log(store: JournalStore[Fact], latch: HaltLatch, now_ns: int) -> None:
    """Go on from a journal that lost its write-ahead log, or a part of it: as after a restore, and only to reduce.

    Raises:
        JournalError: the disk refused.
    """
    why = (
        f"{store.path} was in use and its write-ahead log is gone or damaged: after record {store.head.seq} orders and fills may be"
        " missing; compare with the venue"
    )
    latch_state_set(latch, StateSet(ALL, TradingState.REDUCING, "journal", why, 0, now_ns))
    epoch = renew_epoch(store, now_ns).epoch
    store.lost_log = False
    _log.error("journal_log_missing", path=str(store.path), records=store.head.seq, epoch=epoch)


def _go_on_from(store: JournalStore[Fact], clock: Clock) -> None:
    """Let time go on from where the journal ends.

    By a clock that was set back since, all that the journal knows of the last hours would be newer than what a venue shows
    now, and differences to it would not count.

    Raises:
        JournalError: the journal is more than a day ahead of the clock.
    """
    newest = store.tail(1)
    ahead_ns = newest[0].at_ns - clock.now_ns() if newest else 0
    if ahead_ns <= 0:
        return
    if ahead_ns > _AHEAD_MAX_NS:
        found = f"{store.path}: {newest[0]} is {ahead_ns / 3.6e12:.1f} h ahead of this machine's clock"
        raise JournalError(f"{found}, expected a day at most: set the clock right")
    _log.warning("journal_ahead_of_the_clock", by_s=round(ahead_ns / 1e9, 3))
    if isinstance(clock, SystemClock):
        clock.not_before(newest[0].at_ns)


def this_run(settings: Settings, meta: Meta, sources: dict[str, str], now_ns: int) -> RunStarted:
    """Return what the run that begins now is made of; `sources` are the hashes of the strategies' files by id."""
    base = settings.risk.base_currency
    return RunStarted(quantd.__version__, settings.hash, sources, meta.journal_id, meta.epoch, now_ns, base)


def fold(store: JournalStore[Fact], engine: Engine, run: RunStarted) -> Recovery:
    """Bring the engine to where the journal ends, and hold the run that begins against the last one.

    Raises:
        JournalCorrupt: a record since the last snapshot is damaged; the message names it.
        JournalError: a newer quantd wrote it, or it is not the journal of the last run.
    """
    recovery = recover(store, engine.state.apply, lambda payload: restore(engine.state, payload))
    if recovery.outdated_snapshots:
        _log.warning("snapshots_of_another_version", snapshots=recovery.outdated_snapshots, records=recovery.records)
    for difference in check_run(engine.state.run, run):
        _log.warning("changed_since_the_last_run", what=difference)
    for scope, left in left_behind(engine.state, engine.context.capabilities, engine.desks).items():
        _log.warning("left_behind", scope=scope, left=left)
    engine.restored()
    _log.info("journal_folded", records=recovery.records, snapshot=recovery.snapshot_seq)
    return recovery


def latch_state_set(latch: HaltLatch, fact: StateSet) -> None:
    """Put a halt that the engine decided into the latch's file; a disk that refuses does not stop the halt."""
    if fact.state is TradingState.ACTIVE:
        return
    try:
        latch.halt(Halt(fact.scope, fact.state, fact.by, fact.why, fact.at_ns))
    except JournalError as error:
        _log.error("halt_latch_not_written", error=str(error))


def open_input_log(settings: Settings, store: JournalStore[Fact], clock: Clock, version: str) -> InputRecorder:
    """Open a new input log beside the journal, named by where it begins.

    Raises:
        JournalError: it cannot be made.
    """
    meta, head = store.meta, store.head
    started = clock.now_ns()
    path = Path(f"{settings.journal.path}.inputs-{meta.epoch}-{head.seq}-{started}")
    header = InputLogHeader(
        journal_id=meta.journal_id, epoch=meta.epoch, after_seq=head.seq, started_at_ns=started, version=version
    )
    limit = settings.journal.record_max_mb
    return InputRecorder(InputLogWriter(path, header), None if limit is None else limit * 1_000_000)
