"""Locks between processes: one daemon for a journal, one for each account at a venue.

Taken first at start and released last, by the composition root. Advisory `flock` on small files of their own: the
system releases them when the process dies, however it dies, so that a stale file never keeps a daemon from starting.
The lock is never on the journal's own file: closing any descriptor of that would drop SQLite's locks on it.
"""

import contextlib
import errno
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from quantd.errors import JournalError, JournalLocked
from quantd.journal.layout import give_to_owner_of


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock, for the message to whoever comes second."""

    pid: int
    started_at_ns: int
    """UTC nanoseconds; 0 when unknown."""
    what: str
    """What runs there, e.g. ``quantd run config/site.yaml``."""


class FileLock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    Raises:
        JournalLocked: when it is held already, by this process or another; the message names path and pid.
        JournalError: when the file cannot be opened.
    """

    def __init__(self, path: Path, *, what: str, started_at_ns: int = 0) -> None:
        self.path = path
        self._descriptor = _open(path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            holder = Holder(os.getpid(), started_at_ns, what)
            os.pwrite(self._descriptor, msgspec.json.encode(holder) + b"\n", 0)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                message = f"{path}: held by {_describe(self._descriptor)}"
                self.release()
                raise JournalLocked(message) from error
            self.release()
            raise JournalError(f"{path}: cannot be locked: {error.strerror}") from error

    @property
    def is_held(self) -> bool:
        """Whether the lock still keeps others out: a file that was deleted or replaced locks nobody who comes next."""
        try:
            mine, there = os.fstat(self._descriptor), os.stat(self.path)
        except OSError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Let go; the file stays, empty of meaning. A second call does nothing."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Return the lock, which is held already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


def lock_journal(path: Path, *, what: str, started_at_ns: int = 0) -> FileLock:
    """Lock the journal at `path` for this process, whatever links lead to it.

    Raises:
        JournalLocked: when another daemon, or a restore, holds it.
        JournalError: when the lock file beside it cannot be written.
    """
    whole = path.resolve()
    return FileLock(whole.with_name(f"{whole.name}.lock"), what=what, started_at_ns=started_at_ns)


def lock_account(state: Path, venue: str, account: str, *, what: str, started_at_ns: int = 0) -> FileLock:
    """Lock an account for this process: two daemons with two journals must not trade the same one.

    Args:
        state: A directory that all daemons of this machine share.
        venue: Type of the venue and its environment, the same in every configuration that reaches the account.
        account: The venue's name of the account.
        what: What runs here.
        started_at_ns: When it started, UTC nanoseconds.

    Raises:
        JournalLocked: when another daemon trades it.
        JournalError: when the lock file cannot be written.
    """
    return FileLock(state / f"{_plain(venue)}--{_plain(account)}.lock", what=what, started_at_ns=started_at_ns)


def _plain(text: str) -> str:
    """Return a file name that no other text has."""
    return re.sub(r"[^A-Za-z0-9_]", lambda match: f"%{ord(match.group()):x}.", text)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if is_new:
            give_to_owner_of(path.parent, path)
        return descriptor
    except OSError as error:
        raise JournalError(f"{path}: the lock file cannot be opened: {error.strerror}") from error


def _describe(descriptor: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(descriptor, 4_096, 0), type=Holder)
    except (OSError, msgspec.MsgspecError):
        # The other one holds the lock but has not written its name yet.
        return "another process"
    return f"process {holder.pid} ({holder.what})"
