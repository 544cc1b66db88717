"""The one thread that writes the journal: it takes all that is queued, commits once, acknowledges all.

The runner appends from the event loop and sends nothing until the acknowledgement. The loop encodes and waits; the
thread owns the store from `start` on and does all that touches the disk. The first failure is final: memory is ahead of
disk then, so every waiting and later append fails, `on_failure` is told once, and only a restart goes on. Creates no
tasks and never blocks the loop.
"""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from quantd.errors import JournalFailed, QuantdError
from quantd.journal.records import FactT
from quantd.journal.store import Append, JournalStore, TakeSnapshot

if TYPE_CHECKING:
    from quantd.ports import Clock, Observer

QUEUE_RECORDS_MAX = 65_536
"""Records that may wait for the disk; more means that the disk has stopped, which is a failure."""

BATCH_RECORDS_MAX = 8_192
"""Records in one commit, so that no acknowledgement waits for an endless one."""

CLOSE_TIMEOUT_S = 10.0
STALLED_S = 30.0
"""How long a disk may take over one commit: nothing is decided meanwhile, and no stop leaves. Longer is a failure."""
_LOOK_EVERY_S = 1.0


ResultT = TypeVar("ResultT")


class _Work(NamedTuple):
    """Something else to do with the store, between two commits."""

    do: Callable[[JournalStore[Any]], Any]
    future: asyncio.Future[Any]


class _Waiting(NamedTuple):
    future: asyncio.Future[None]
    records: int
    appended_at_ns: int


class JournalWriter(Generic[FactT]):
    """Appends facts to a `JournalStore` from the event loop; implements the `Journal` port.

    Invariant: futures are done in the order of the appends, and only after their facts are on disk.

    Args:
        store: An open, writable store; belongs to the writer until `close` has returned.
        clock: For the time an append takes.
        observer: Gets ``quantd_journal_append_seconds`` and ``quantd_journal_batch_records``.
        on_failure: Called once, on the loop, when an append did not reach the disk.
        queue_records_max: Records that may wait.
    """

    def __init__(
        self,
        store: JournalStore[FactT],
        *,
        clock: "Clock",
        observer: "Observer",
        on_failure: Callable[[JournalFailed], None],
        queue_records_max: int = QUEUE_RECORDS_MAX,
    ) -> None:
        self._store = store
        self._encode = store.codec.encode
        self._monotonic_ns = clock.monotonic_ns
        self._observer = observer
        self._on_failure = on_failure
        self._queue_records_max = queue_records_max
        self._queue: queue.SimpleQueue[Append[FactT] | TakeSnapshot | _Work | None] = queue.SimpleQueue()
        self._works: set[asyncio.Future[Any]] = set()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_records = 0
        self._failure: JournalFailed | None = None
        self._closed = False
        self._last_batch = False
        self._looking: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    @property
    def failure(self) -> JournalFailed | None:
        """What went wrong, once it did; None while all is well and after an orderly close."""
        return self._failure

    @property
    def waiting_records(self) -> int:
        """Records appended and not yet acknowledged."""
        return self._waiting_records

    async def start(self) -> None:
        """Start the thread; from here on only it touches the store."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._look(None, 0.0)

    def append(self, facts: Sequence[FactT]) -> asyncio.Future[None]:
        """Queue `facts` for one transaction; the awaitable is done when they are on disk.

        Must be called on the loop that called `start`. Cancelling the awaitable does not take the facts back.

        Raises:
            JournalFailed: on awaiting, when the disk refused, a fact cannot be encoded, or the writer is closed.
        """
        if not facts or self._refusal is not None:
            return self._settled()
        if self._waiting_records + len(facts) > self._queue_records_max:
            self._fail(JournalFailed(f"{self._waiting_records} records wait for the disk: it has stopped writing"))
            return self._settled()
        try:
            drafts = [self._encode(fact) for fact in facts]
        except QuantdError as error:
            self._fail(JournalFailed(str(error)))
            return self._settled()
        return self._hand_over(Append(drafts, facts), len(facts))

    def snapshot(self, payload: bytes) -> asyncio.Future[None]:
        """Queue a snapshot of the state after all facts appended so far; done when it is on disk.

        Raises:
            JournalFailed: on awaiting, as `append`.
        """
        if self._refusal is not None:
            return self._settled()
        return self._hand_over(TakeSnapshot(payload), 0)

    def run(self, work: Callable[[JournalStore[FactT]], ResultT]) -> "asyncio.Future[ResultT]":
        """Have the thread do `work` with the store, after all that was appended so far.

        Appends wait meanwhile: it must be a matter of milliseconds. What it raises is told to whoever awaits, and is no
        failure of the journal.

        Raises:
            JournalFailed: on awaiting, as `append`.
        """
        assert self._loop is not None, "start() comes before run()"
        future: asyncio.Future[ResultT] = self._loop.create_future()
        refusal = self._refusal
        if refusal is not None:
            _refuse(future, refusal)
            return future
        self._works.add(future)
        future.add_done_callback(self._works.discard)
        self._queue.put(_Work(work, future))
        return future

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Write what is queued, end the thread and close the store; later appends fail.

        Raises:
            JournalFailed: when the disk does not answer within `timeout_s`, or an append failed before.
        """
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        if self._thread.ident is not None:
            self._queue.put(None)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ended.wait()
            except TimeoutError:
                raise JournalFailed(f"the disk did not answer for {timeout_s} s: queued records may be lost") from None
            self._thread.join()
        self._store.close()
        if self._failure is not None:
            raise self._failure

    @property
    def _refusal(self) -> JournalFailed | None:
        if self._failure is not None:
            return self._failure
        return JournalFailed("the journal is closed") if self._closed else None

    def _hand_over(self, entry: Append[FactT] | TakeSnapshot, records: int) -> asyncio.Future[None]:
        assert self._loop is not None, "start() comes before append()"
        future = self._loop.create_future()
        self._waiting.append(_Waiting(future, records, self._monotonic_ns()))
        self._waiting_records += records
        self._queue.put(entry)
        return future

    def _settled(self) -> asyncio.Future[None]:
        assert self._loop is not None, "start() comes before append()"
        future = self._loop.create_future()
        refusal = self._refusal
        if refusal is None:
            future.set_result(None)
        else:
            _refuse(future, refusal)
        return future

    def _look(self, before: _Waiting | None, stood_s: float) -> None:
        """Count by looks for how long the disk has not answered: while the whole process stood still, nobody waited."""
        oldest = self._waiting[0] if self._waiting else None
        stood_s = stood_s + _LOOK_EVERY_S if oldest is not None and oldest is before else 0.0
        if stood_s >= STALLED_S:
            self._fail(JournalFailed(f"the disk has not answered for {STALLED_S:g} s: it has stopped writing"))
        elif self._loop is not None and self._failure is None:
            self._looking = self._loop.call_later(_LOOK_EVERY_S, self._look, oldest, stood_s)

    # On the loop, called by the thread

    def _acknowledge(self, entries: int) -> None:
        if self._failure is not None:
            return  # written, but refused already: a later start finds more than was acknowledged, never less
        now = self._monotonic_ns()
        observe = self._observer.observe
        records = 0
        for _ in range(entries):
            waiting = self._waiting.popleft()
            records += waiting.records
            if not waiting.future.done():
                waiting.future.set_result(None)
            observe("quantd_journal_append_seconds", (now - waiting.appended_at_ns) / 1e9)
        self._waiting_records -= records
        observe("quantd_journal_batch_records", records)

    def _fail(self, failure: JournalFailed) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        while self._waiting:
            _refuse(self._waiting.popleft().future, failure)
        self._waiting_records = 0
        for work in list(self._works):
            _refuse(work, failure)
        self._on_failure(failure)

    # In the thread

    def _run(self) -> None:
        try:
            self._store.reserve_log()
            while (batch := self._take()) is not None:
                entries = [entry for entry in batch if not isinstance(entry, _Work)]
                if entries:
                    self._store.write(entries)
                    self._call(self._acknowledge, len(entries))
                if len(entries) < len(batch):
                    self._work(batch)
                self._store.checkpoint_if_due(idle=self._queue.empty())
        except Exception as error:  # noqa: BLE001  # boundary: whatever ends this thread is a failure of the journal
            failure = JournalFailed(f"an append did not reach the disk: {error}")
            failure.__cause__ = error
            self._call(self._fail, failure)
        finally:
            self._call(self._ended.set)

    def _work(self, batch: Sequence[Append[FactT] | TakeSnapshot | _Work]) -> None:
        for entry in batch:
            if isinstance(entry, _Work):
                try:
                    self._call(_settle, entry.future, entry.do(self._store))
                except Exception as error:  # noqa: BLE001  # boundary: for whoever awaits it; appends go on
                    self._call(_refuse, entry.future, error)

    def _take(self) -> list[Append[FactT] | TakeSnapshot | _Work] | None:
        """Wait for an entry, then take all that is there; None at the end."""
        if self._last_batch:
            return None
        batch: list[Append[FactT] | TakeSnapshot | _Work] = []
        records = 0
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if isinstance(entry, Append):
                records += len(entry.drafts)
            if records >= BATCH_RECORDS_MAX:
                return batch
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch
        self._last_batch = True
        return batch or None

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        # A loop that is closed already has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _settle(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _refuse(future: asyncio.Future[Any], failure: BaseException) -> None:
    if not future.done():
        future.set_exception(failure)
        # `on_failure` has told it: a caller that does not await is no reason for asyncio to log it again.
        future.exception()
