"""Looks after the engine's thread from a thread of its own: callbacks past their deadline, a loop that stands still, and
the operator's kill by SIGUSR1 or by a file.

Used by the composition root in production only; simulations have no threads. Shares no lock and no queue with the loop.
Python code is interrupted by a signal whose handler raises only where the author's own code runs. C code that lets other
threads run but ignores signals ends in the kill path; C code that keeps the interpreter's lock stops this thread too,
and only the process's supervisor can end it.
"""

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import structlog

from quantd.domain.events import ALL
from quantd.engine.callbacks import ACT
from quantd.engine.context import Called, Context
from quantd.engine.desk import BOUNDARIES
from quantd.ports import Clock

KILL_SIGNAL = signal.SIGUSR1
INTERRUPT_SIGNAL = signal.SIGUSR2
POLL_S = 0.02
"""How often the watchdog looks; a callback is interrupted at most so much after its deadline."""
INSIST_S = 0.002
"""Pause between two signals to a callback that sat inside an engine call."""
FILE_S = 0.5
STALLED_S = 10.0
_SCOPE_MAX = 200
_WRITING_S = 0.05
_SCOPE = re.compile(r"all|(venue|strategy|instrument):\S+")
_STEP_MAX_S = 0.1
"""Longest step that counts: while the whole process was stopped, nothing overran."""

_log = structlog.get_logger("quantd.watchdog")


def hold_kill_signal() -> None:
    """Keep SIGUSR1 for the watchdog; call before any thread is started, since threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})


class Place(Enum):
    """Where the engine's thread is."""

    AUTHOR = "author"
    """In an author's code, called by a desk, with no engine call between."""
    ACT = "act"
    """In an engine call by which an author's code acts."""
    ENGINE = "engine"
    """Anywhere else."""


def place_of(frame: FrameType | None) -> Place:
    """Tell from the stack where the thread is; the walk goes outward, from engine calls over the author's to the desk."""
    place, is_engine, is_author = Place.AUTHOR, False, False
    while frame is not None and frame.f_code not in BOUNDARIES:
        module = str(frame.f_globals.get("__name__", ""))
        if module != "quantd" and not module.startswith("quantd."):
            if is_author and is_engine:
                return Place.ENGINE  # the author's code, called by the engine in some other way than as a hook
            is_author = True
        elif is_author:
            is_engine = True  # between the desk and the hook, unless more of the author's lies further out
        else:
            place = Place.ACT if frame.f_code is ACT else place if place is Place.ACT else Place.ENGINE
        frame = frame.f_back
    return place if is_author and frame is not None else Place.ENGINE


class _Owed(NamedTuple):
    """A kill that is to begin."""

    by: str
    why: str
    scope: str = ALL
    file: Path | None = None
    """What ordered it, to be taken away once it has begun."""


class _Overrun(NamedTuple):
    callbacks: Called
    number: int
    reason: str


def scope_of(file: Path) -> str:
    """Return the scope that a kill file holds. An empty one, and one that cannot be read or understood, means all."""
    text = _text(file)
    if not text:
        threading.Event().wait(_WRITING_S)  # `echo venue:x > kill` makes the file first and fills it then
        text = _text(file)
    if text and not _SCOPE.fullmatch(text):
        _log.critical("kill_file_not_understood", found=text[:64], expected="nothing, all, or KIND:NAME; killing all")
        return ALL
    return text or ALL


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_SCOPE_MAX).strip()
    except OSError:
        return ""


class Watchdog:
    """The watching thread; start and stop it in the engine's thread, which must be the main one.

    Args:
        context: The engine's; says whose code is being called.
        deadlines: Longest callback by strategy, in seconds.
        clock: Monotonic time.
        beat: Has a function called by the loop soon, from any thread.
        kill: Given who, why and the scope; returns at once.
        kill_file: The file that stands for a kill, of the scope that it holds, or of all when it is empty.
    """

    def __init__(  # noqa: PLR0913 -- what it watches and what it may do
        self,
        context: Context,
        deadlines: Mapping[str, float],
        *,
        clock: Clock,
        beat: Callable[[Callable[[], None]], object],
        kill: Callable[[str, str, str], None],
        kill_file: Path,
    ) -> None:
        self._context = context
        self._deadlines = deadlines
        self._clock = clock
        self._beat = beat
        self._kill = kill
        self._kill_file = kill_file
        self.stalled_after_s = max(STALLED_S, max(deadlines.values(), default=0.0) + STALLED_S / 2)
        """Seconds after which a loop that does not turn ends in the kill path."""
        self._stop = threading.Event()
        self._turned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._main = threading.get_ident()
        self._overrun: _Overrun | None = None
        self._seen: tuple[Called | None, int] = (None, 0)
        self._age_s = self._stalled_s = self._file_s = 0.0
        self._owed: list[_Owed] = []
        """Kills that have not begun."""
        self._is_refused = False

    def start(self) -> None:
        """Take the signals and begin."""
        hold_kill_signal()
        self._before = signal.signal(INTERRUPT_SIGNAL, self._on_signal)
        self._turned.set()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the signal back."""
        self._stop.set()
        self._thread.join(1.0)
        signal.signal(INTERRUPT_SIGNAL, self._before)

    # -- in the engine's thread ----------------------------------------------------------------------------------

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        overrun = self._overrun
        if overrun is None:
            return
        callbacks, number, reason = overrun
        if self._context.running is not callbacks or callbacks.callbacks != number:
            return
        place = place_of(frame)
        if place is Place.AUTHOR:
            callbacks.cut_short(reason)
        elif place is Place.ACT:
            callbacks.cut_after_act(reason)

    # -- in the watchdog's thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        last_ns = self._clock.monotonic_ns()
        pause_s = POLL_S
        while not self._stop.is_set():
            if self._signalled(pause_s):
                self._order_kill(_Owed("operator", "SIGUSR1"))
            now_ns = self._clock.monotonic_ns()
            step_s, last_ns = min((now_ns - last_ns) / 1e9, _STEP_MAX_S), now_ns
            pause_s = self._look_at_callback(step_s)
            self._look_at_loop(step_s)
            self._file_s += step_s
            if self._file_s >= FILE_S:
                self._file_s = 0.0
                self._look_at_file()
            self._begin_kills()

    def _order_kill(self, kill: _Owed) -> None:
        self._owed.append(kill)
        self._begin_kills()

    def _begin_kills(self) -> None:
        """Begin what is owed; where no thread can be started for it, again at the next look."""
        while self._owed:
            by, why, scope, file = self._owed[0]
            try:
                self._kill(by, why, scope)
            except RuntimeError as error:
                if not self._is_refused:
                    _log.critical("kill_not_begun", error=str(error))
                self._is_refused = True
                return
            self._is_refused = False
            del self._owed[0]
            if file is not None:
                with contextlib.suppress(OSError):  # a folder that cannot be changed: it is not begun twice
                    file.unlink(missing_ok=True)

    def _signalled(self, pause_s: float) -> bool:
        """Wait, and tell whether the kill signal came; it is taken here, whatever the other threads do.

        Not by `signal.sigtimedwait`: where its time ran out while the process stood still (SIGSTOP, a debugger), CPython
        answers with what lay in memory instead of None.
        """
        self._stop.wait(pause_s)
        if KILL_SIGNAL not in signal.sigpending():
            return False
        signal.sigwait({KILL_SIGNAL})
        return True

    def _look_at_callback(self, step_s: float) -> float:
        """Interrupt a callback that is past its deadline; return the pause until the next look."""
        running = self._context.running
        seen = (running, 0 if running is None else running.callbacks)
        if running is None or seen != self._seen:
            self._seen, self._age_s, self._overrun = seen, 0.0, None
            return POLL_S
        self._age_s += step_s
        deadline_s = self._deadlines.get(running.id)
        if deadline_s is None or self._age_s < deadline_s:
            return POLL_S if deadline_s is None else min(POLL_S, max(deadline_s - self._age_s, INSIST_S))
        first = self._overrun is None
        self._overrun = _Overrun(running, seen[1], f"overran its deadline of {deadline_s:g} s")
        with contextlib.suppress(ProcessLookupError):
            signal.pthread_kill(self._main, INTERRUPT_SIGNAL)
        if first:
            return INSIST_S
        # Not answered at once: it is inside an engine call, or in C code that ignores signals.
        return INSIST_S if self._age_s < deadline_s + 1.0 else POLL_S

    def _look_at_loop(self, step_s: float) -> None:
        if self._turned.is_set():
            self._stalled_s = 0.0
            self._turned.clear()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._beat(self._turned.set)
            return
        before_s, self._stalled_s = self._stalled_s, self._stalled_s + step_s
        if before_s < self.stalled_after_s <= self._stalled_s:
            blocker = self.blocker()
            why = f"the event loop has stood still for {self.stalled_after_s:g} s in {blocker}"
            self._order_kill(_Owed("watchdog", why))
            _log.critical("loop_blocked", reason=blocker, duration_s=round(self._stalled_s, 1))

    def blocker(self) -> str:
        """Return who blocks the loop: the strategy and its functions, outermost first, or the innermost function."""
        frame = sys._current_frames().get(self._main)
        running = self._context.running
        names: list[str] = []
        while frame is not None and frame.f_code not in BOUNDARIES:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if running is None or frame is None:
            return names[0] if names else "no code"
        return ".".join([running.id, *reversed(names)])

    def _look_at_file(self) -> None:
        """Kill when the file is there, and take it away once that has begun, so that it counts once."""
        with contextlib.suppress(OSError):  # a folder that cannot be read
            file = self._kill_file
            if not self._owed and file.exists():
                self._order_kill(_Owed("operator", f"file {file.name}", scope_of(file), file))
