"""Tells systemd what the daemon is doing: ready, alive, stopping (sd_notify(3), without its library).

Used by the command line around a run. It speaks from the event loop only, so that a loop which stands still falls silent
and systemd's watchdog ends the process. Changes nothing in the daemon, and without a service manager does nothing.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Protocol, Self

import structlog

from quantd.runtime.accounts import AccountFollower

_log = structlog.get_logger("quantd.app")
LOOK_EVERY_S = 0.25
"""Seconds between two looks at the daemon; how late READY and STOPPING may be."""
FOLD_S = 600
"""Seconds that folding the journal may take, in which the loop does not turn yet."""
START_S = 30
"""Seconds by which each look extends the start: a venue that is away must not end in a restart."""
_STATUS_MAX = 500


class Watched(Protocol):
    """What is read of the daemon."""

    stopping: asyncio.Event

    @property
    def venues(self) -> Mapping[str, object]:
        """All venues by name."""

    @property
    def followers(self) -> Mapping[str, AccountFollower]:
        """Those that have been started; ready once the venue's truth was compared with the books, and acted upon."""

    def reasons(self) -> Sequence[str]:
        """Say why it does not trade; empty when it does."""


class ServiceManager:
    """The service manager that started this process, if one did.

    Args:
        address: Of its datagram socket, `NOTIFY_SOCKET`; empty without a service manager. `@` begins an abstract one.
        watchdog_s: Seconds of silence after which it kills; None when it does not watch.
        clean: Takes secrets out of a reason before it is shown as status.
    """

    def __init__(self, address: str, watchdog_s: float | None, clean: Callable[[str], str] = str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._clean = clean
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._status = ""
        self._is_ready = self._is_stopping = self._has_failed = False
        self._fed_at_s = float("-inf")
        self._next: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, environ: MutableMapping[str, str], clean: Callable[[str], str] = str) -> Self:
        """Read the variables of sd_notify(3) and sd_watchdog_enabled(3), and take them out of the environment."""
        address = environ.pop("NOTIFY_SOCKET", "")
        pid, interval = environ.pop("WATCHDOG_PID", ""), environ.pop("WATCHDOG_USEC", "")
        is_ours = pid in ("", str(os.getpid()))
        watchdog_s = int(interval) / 1e6 if interval.isdecimal() and int(interval) > 0 and is_ours else None
        return cls(address, watchdog_s, clean)

    def starting(self) -> None:
        """Ask for time before the journal is folded."""
        self._tell(f"STATUS=folding the journal\nEXTEND_TIMEOUT_USEC={FOLD_S * 1_000_000}")

    def follow(self, daemon: Watched) -> None:
        """Tell of the daemon from now on, by the running loop, until `close`."""
        if self._socket is not None:
            self._look(asyncio.get_running_loop(), daemon)

    def close(self) -> None:
        """Say that it ends, if that is not known yet, and nothing more."""
        if self._next is not None:
            self._next.cancel()
        if not self._is_stopping:
            self._is_stopping = True
            self._tell("STOPPING=1")
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _look(self, loop: asyncio.AbstractEventLoop, daemon: Watched) -> None:
        words = []
        if daemon.stopping.is_set():
            if not self._is_stopping:
                self._is_stopping = True
                words.append("STOPPING=1")
        elif not self._is_ready:
            followers = daemon.followers
            if followers.keys() == daemon.venues.keys() and all(one.is_ready for one in followers.values()):
                self._is_ready = True
                words.append("READY=1")
            else:
                words.append(f"EXTEND_TIMEOUT_USEC={START_S * 1_000_000}")
        status = "stopping" if self._is_stopping else self._status_of(daemon.reasons())
        if status != self._status:
            self._status = status
            words.append(f"STATUS={status}")
        every_s = LOOK_EVERY_S
        if self._watchdog_s is not None:
            every_s = min(every_s, self._watchdog_s / 4)
            if loop.time() - self._fed_at_s >= self._watchdog_s / 2 - every_s:
                self._fed_at_s = loop.time()
                words.append("WATCHDOG=1")
        if words:
            self._tell("\n".join(words))
        self._next = loop.call_later(every_s, self._look, loop, daemon)

    def _status_of(self, reasons: Sequence[str]) -> str:
        text = self._clean("; ".join(reasons)) or "trading"
        return " ".join(text.split())[:_STATUS_MAX]

    def _tell(self, words: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(words.encode(), self._address)
            self._has_failed = False
        except OSError as error:
            # Trading does not depend on it; systemd, hearing nothing, will end and restart the process if it watches.
            if not self._has_failed:
                _log.warning("service_manager_unreachable", error=str(error))
            self._has_failed = True
