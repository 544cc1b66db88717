"""The halt latch: a small file that says what is halted, by whom and why, and stays over kill -9 and restart.

Written and synced before anything else when something is halted, by the runner, the watchdog's kill path and the
command line; read at start without the journal, and by the executor just before bytes leave. Only a named person's
`clear` takes a halt away. A file that cannot be read counts as halted. Never opens the journal.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from quantd.domain.events import ALL, TradingState
from quantd.errors import JournalError
from quantd.journal.layout import sync_directory

UNREADABLE = -1
"""The generation of a latch file that cannot be read."""

_ROOM = bytes(64 * 1024)
"""What a halt may need on a disk that has no room any more: reserved while there is some."""
_TRIES = 100
_TRY_AGAIN_S = 0.005


class Halt(msgspec.Struct, frozen=True):
    """One scope that is latched."""

    scope: str
    state: TradingState
    """REDUCING or HALTED."""
    by: str
    why: str
    at_ns: int
    """UTC nanoseconds; 0 when unknown."""


class LatchContent(msgspec.Struct, frozen=True):
    """What the file says."""

    generation: int
    """Grows with every change; a command that was approved under another one must not leave."""
    halts: tuple[Halt, ...] = ()
    cleared: tuple[Halt, ...] = ()
    """Each scope that was cleared, with who, when and why it was last: several may be before anyone looks."""

    @property
    def state(self) -> TradingState:
        """The strictest state of the scope of everything."""
        return self.state_of(())

    def state_of(self, scopes: tuple[str, ...]) -> TradingState:
        """Return the strictest state of `scopes` and of everything."""
        states = {halt.state for halt in self.halts if halt.scope == ALL or halt.scope in scopes}
        if TradingState.HALTED in states:
            return TradingState.HALTED
        return TradingState.REDUCING if states else TradingState.ACTIVE

    def with_halt(self, halt: Halt, generation: int) -> "LatchContent":
        """Return the content after `halt`, which takes the place of an older one of its scope unless that is stricter."""
        older = [one for one in self.halts if one.scope == halt.scope and one.state is TradingState.HALTED]
        kept = older[0] if older and halt.state is not TradingState.HALTED else halt
        others = tuple(one for one in self.halts if one.scope != halt.scope)
        return LatchContent(generation, (*others, kept), self.cleared)

    def without(self, note: Halt, generation: int) -> "LatchContent":
        """Return the content after the scope of `note` was cleared, which says by whom, why and when."""
        halts = tuple(one for one in self.halts if one.scope != note.scope)
        others = tuple(one for one in self.cleared if one.scope != note.scope)
        return LatchContent(generation, halts, (*others, note))


class _Seen(NamedTuple):
    inode: int
    modified_ns: int
    size: int


class HaltLatch:
    """The latch at a path. May be used from any thread; a change by another process is seen at the next look.

    Args:
        path: The file; its directory is created when something is halted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        # One tuple, so that another thread never sees a new status with an old content.
        self._cache: tuple[_Seen | None, LatchContent] = (None, LatchContent(0))
        self._highest = 0
        self._unwritten: tuple[Halt, ...] = ()

    def read(self) -> LatchContent:
        """Return what is latched now; one `stat` when nothing has changed. Never raises."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            content, seen = LatchContent(0), None
        except OSError as error:
            content, seen = _unreadable(self.path, str(error.strerror)), None
        else:
            seen = _Seen(status.st_ino, status.st_mtime_ns, status.st_size)
            cached = self._cache
            if seen == cached[0]:
                return cached[1]
            content = _load(self.path)
        if self._unwritten:
            # A halt that the disk did not take still holds in this process.
            content = LatchContent(UNREADABLE, (*content.halts, *self._unwritten), content.cleared)
            seen = None
        self._highest = max(self._highest, content.generation)
        self._cache = (seen, content)
        return content

    @property
    def generation(self) -> int:
        """The generation of what is latched now."""
        return self.read().generation

    def halt(self, halt: Halt) -> LatchContent:
        """Latch `halt`, in place of an older one of its scope unless that is stricter, and return what holds now.

        Raises:
            JournalError: when the disk refused; the halt holds in this process all the same.
        """
        if halt.state is TradingState.ACTIVE:
            raise ValueError("a halt is REDUCING or HALTED; `clear` makes a scope active")
        halt = msgspec.structs.replace(halt, by=_whole(halt.by), why=_whole(halt.why))
        with self._lock:
            try:
                with self._exclusive(patient=False):
                    now = self.read()
                    return self._write(now.with_halt(halt, self._highest + 1))
            except OSError as error:
                self._unwritten = (*self._unwritten, halt)
                raise JournalError(f"{self.path}: the halt could not be written: {error.strerror}") from error

    def clear(self, scope: str, *, by: str, why: str, at_ns: int) -> LatchContent:
        """Take the halt of `scope` away, in the name of a person, and return what holds now.

        Clearing `ALL` also clears a file that could not be read. Other scopes' halts stay.

        Raises:
            JournalError: when the disk refused, nothing of that scope is latched, or `by` or `why` is empty.
        """
        if not by.strip() or not why.strip():
            raise JournalError("a halt is cleared by a named person who says why")
        with self._lock:
            try:
                with self._exclusive(patient=True):
                    now = self.read()
                    gone = [one for one in now.halts if one.scope == scope]
                    if not gone:
                        raise JournalError(f"{self.path}: nothing is halted with scope {scope!r}")
                    note = Halt(scope, gone[0].state, _whole(by), _whole(why), at_ns)
                    return self._write(now.without(note, self._highest + 1))
            except OSError as error:
                raise JournalError(f"{self.path}: the halt could not be cleared: {error.strerror}") from error

    def reserve(self) -> None:
        """Keep room beside the file, so that a halt can be written on a full disk; never raises."""
        spare = self._spare
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):
                self.path.with_name(f"{self.path.name}.lock").touch(mode=0o644)
            if spare.exists() and spare.stat().st_size >= len(_ROOM):
                return
            try:
                _put(spare, _ROOM, os.O_CREAT)
            except OSError:
                spare.unlink(missing_ok=True)

    @property
    def _spare(self) -> Path:
        return self.path.with_name(f"{self.path.name}.spare")

    def _write(self, content: LatchContent) -> LatchContent:
        data = msgspec.json.format(msgspec.json.encode(content)) + b"\n"
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            _put(temporary, data, os.O_CREAT | os.O_TRUNC)
            temporary.rename(self.path)
        except OSError as refused:
            with contextlib.suppress(OSError):
                temporary.unlink()
            try:
                _put(self._spare, data, 0)  # over what is there: that takes no more room
                self._spare.rename(self.path)
            except OSError:
                raise refused from None
            self.reserve()
        sync_directory(self.path.parent)
        self._unwritten = ()
        self._cache = (None, content)
        return self.read()

    @contextmanager
    def _exclusive(self, *, patient: bool) -> Iterator[None]:
        """Keep other processes from changing the file meanwhile.

        A halt waits half a second and then goes on without: neither a stopped process nor a lock that is another user's, or
        that this file system does not know, must keep anybody from halting.

        Raises:
            OSError: `patient`, and the lock cannot be had.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            try:
                self._wait_for_lock(held)
            except OSError:
                if patient:
                    raise
            yield

    def _wait_for_lock(self, held: ExitStack) -> None:
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError:
            descriptor = os.open(
                path, os.O_RDONLY | os.O_CLOEXEC
            )  # made by another user, by root perhaps: it locks as well
        held.callback(os.close, descriptor)
        for attempt in range(_TRIES):
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt == _TRIES - 1:
                    raise
                threading.Event().wait(_TRY_AGAIN_S)


def _whole(text: str) -> str:
    """Return a text that can be written: the bytes of a terminal that speaks no UTF-8 are no reason not to halt."""
    return text.encode("utf-8", "replace").decode()


def _put(path: Path, data: bytes, flags: int) -> None:
    """Write a file of just `data`, on disk when this returns.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # whoever writes it, under whichever umask: the daemon must be able to read it
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "the disk is full")
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load(path: Path) -> LatchContent:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LatchContent)
    except FileNotFoundError:
        return LatchContent(0)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _unreadable(path, str(error))


def _unreadable(path: Path, cause: str) -> LatchContent:
    halt = Halt(ALL, TradingState.HALTED, "quantd", f"the halt latch {path} cannot be read: {cause}", 0)
    return LatchContent(UNREADABLE, (halt,))
