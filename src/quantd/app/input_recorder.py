"""Keeps the input log of `record: true` from standing in the way of what it is evidence of.

Used by the runner. A disk that refuses an input ends the recording, said once, and nothing else: whether the daemon may
go on is the journal's to tell, whose failure ends it in order.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from quantd.domain.commands import Command
from quantd.domain.events import Event
from quantd.errors import JournalError
from quantd.journal.inputlog import InputLogWriter

_log = structlog.get_logger("quantd.app")


class InputRecorder:
    """An input log that ends at the first write which the disk refuses: what came after a hole could not be replayed.

    Args:
        log: Open, and closed by `close`.
    """

    def __init__(self, log: InputLogWriter[Any]) -> None:
        self._log = log
        self.has_ended = False
        """Whether the disk refused."""

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
        except (JournalError, OSError, TypeError, ValueError) as error:  # or it holds what cannot be written
            self.has_ended = True
            _log.error("recording_ended", inputs=self._log.count, error=str(error))
            with contextlib.suppress(JournalError, OSError):  # what waits in its buffer is refused as well
                self._log.close()
