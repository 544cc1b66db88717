"""Keeps the input log of `record: true` from standing in the way of what it is evidence of.

Used by the runner. A disk that refuses an input ends the recording, said once, and nothing else: whether the daemon may
go on is the journal's to tell, whose failure ends it in order. A limit of the operator's ends it likewise: a run can only
be replayed from its first input on, so that its log is kept from the start and not from the end.
"""

import contextlib
import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from quantd.domain.commands import Command
from quantd.domain.events import Event
from quantd.errors import JournalError
from quantd.journal.inputlog import InputLogWriter

_log = structlog.get_logger("quantd.app")
_STARTED = re.compile(r"\.inputs-\d+-\d+-\d+$")
"""How the files are named: epoch, record, UTC nanoseconds of the start. What else lies there is not ours to remove."""


class InputRecorder:
    """An input log that ends at the first write which the disk refuses: what came after a hole could not be replayed.

    Args:
        log: Open, and closed by `close`.
        max_bytes: What it may take; None: no limit.
    """

    def __init__(self, log: InputLogWriter[Any], max_bytes: int | None = None) -> None:
        self._log = log
        self._max_bytes = max_bytes
        self.path = log.path
        self.has_ended = False
        """Whether the disk refused, or the limit was reached."""

    def append(self, event: Event) -> None:
        """Keep an input."""
        self._try(lambda: self._log.append(event))

    def answered(self, commands: Sequence[Command]) -> None:
        """Note the commands that the inputs since the last note led to."""
        self._try(lambda: self._log.answered(commands))

    def flush(self) -> None:
        """Hand what was kept to the operating system."""
        self._try(self._log.flush)

    def close(self) -> None:
        """Write what waits and close the file."""
        self._try(self._log.close)

    def _try(self, write: Callable[[], None]) -> None:
        if self.has_ended:
            return
        try:
            write()
            if self._max_bytes is not None and self._log.size >= self._max_bytes:
                self.has_ended = True
                self._log.ended(f"it has reached {self._max_bytes} bytes")
                _log.error("recording_ended", inputs=self._log.count, error=f"{self._max_bytes} bytes are written")
        except (JournalError, OSError, TypeError, ValueError) as error:  # or it holds what cannot be written
            self.has_ended = True
            _log.error("recording_ended", inputs=self._log.count, error=str(error))
            with contextlib.suppress(JournalError, OSError):  # what waits in its buffer is refused as well
                self._log.close()


def input_logs(journal: Path) -> list[Path]:
    """Return the input logs beside the journal, the oldest run's first."""
    found = journal.parent.glob(f"{glob.escape(journal.name)}.inputs-*")
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]) if _STARTED.search(path.name) else 0)


def remove_input_logs(journal: Path, running: Path, max_bytes: int) -> None:
    """Remove the logs of the oldest runs until all together take no more than that; the running one's stays.

    Raises:
        OSError: the disk refused.
    """
    logs = [(path, path.stat().st_size) for path in input_logs(journal)]
    total = sum(size for _, size in logs)
    for path, size in logs:
        if total <= max_bytes:
            return
        if path != running and _STARTED.search(path.name):
            path.unlink()
            total -= size
            _log.info("input_log_removed", file=str(path), bytes=size)
