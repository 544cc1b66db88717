"""Control 34: the busiest stretch of recorded runs once more, at twice its pace, through engine and journal.

Inputs arrive when they did, `factor` times as fast, whether the one before is done or not; facts go to a journal on the same
disk. The decisions must be those of the run, to the last byte, as each control acts on what the input says and not on how
late it is; and no input may wait long. Venues do not answer here: their recorded answers are inputs.
"""

import asyncio
import tempfile
import time
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from quantd.app.recording import Recording, difference, open_recording
from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.config import Settings
from quantd.domain.commands import Command
from quantd.domain.events import Event, StrategiesReplaced
from quantd.domain.facts import Fact, RequestDenied, StateSet
from quantd.errors import JournalError, JournalFailed
from quantd.feeds.conflation import Inbox
from quantd.journal.inputlog import InputLogReader
from quantd.journal.projections import projections
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter
from quantd.ports import Clock
from quantd.runtime.executor import Executor
from quantd.runtime.runner import Runner
from quantd.telemetry.metrics import NullObserver

SECOND_NS = 1_000_000_000
_WARMING = 1_000
"""Facts from before the peak that the journal writes first."""
_NEVER_CONFLATE = 1 << 60
"""Every input is handled: to merge quotes, as the daemon does under load, would be other inputs than the run's."""


class Peak(NamedTuple):
    """The busiest stretch of a recording."""

    inputs: Path
    first: int
    """Number of its first input, from 0."""
    size: int
    """Inputs in it."""
    busiest_s: int
    """Inputs in its busiest second."""
    length_s: float
    """From its first input to its last."""


class Load(NamedTuple):
    """How one pace went; latencies from the moment an input was due until its facts were on disk and its commands out."""

    factor: float
    peak: Peak
    took_s: float
    commands: int
    denials: int
    latches: int
    """Times that a trading state was set."""
    latencies_ns: Sequence[int]
    """Sorted."""
    waiting_max: int
    """Most inputs that were due and not done."""
    cpu_share: float
    """CPU seconds of the process for each second; above 1 means several threads."""
    difference: str
    """The first decision that differs from the run's, empty when none does."""

    def latency_ms(self, share: float) -> float:
        """Return the latency within which `share` of the inputs were done, in milliseconds."""
        last = len(self.latencies_ns) - 1
        return self.latencies_ns[min(last, round(share * last))] / 1e6


def find_peak(inputs: Sequence[Path], window_s: float) -> Peak:
    """Return the `window_s` seconds with the most inputs of all recordings.

    Raises:
        JournalError: a log cannot be read, or all are empty.
    """
    best: Peak | None = None
    for path in inputs:
        times = array("q", (event.received_at_ns for event in _inputs(path)))
        first, count = _busiest(times, round(window_s * SECOND_NS))
        if count and (best is None or count > best.size):
            chosen = times[first : first + count]
            length_s = (chosen[-1] - chosen[0]) / SECOND_NS
            best = Peak(path, first, count, _busiest(chosen, SECOND_NS)[1], length_s)
    if best is None:
        raise JournalError(f"{', '.join(map(str, inputs))}: no inputs were recorded")
    return best


def _inputs(path: Path) -> Iterator[Event]:
    """Yield the inputs up to where a run took over new code, which is not at hand any more."""
    for event in InputLogReader[Event](path, Event):
        if isinstance(event, StrategiesReplaced):
            return
        yield event


def _busiest(times: "array[int]", window_ns: int) -> tuple[int, int]:
    """Return where the window with the most entries begins, and how many there are; `times` never fall."""
    best = (0, 0)
    for first, at in enumerate(times):
        if first + best[1] >= len(times):
            break
        # Nothing shorter than the best so far matters, so that most entries cost one comparison.
        if times[first + best[1]] - at < window_ns:
            best = (first, bisect_left(times, at + window_ns, first) - first)
    return best


async def stress(settings: Settings, peak: Peak, factor: float) -> Load:
    """Run the inputs before the peak as fast as they go, then the peak at `factor` times its pace.

    Raises:
        JournalError: the journal cannot be read, or the one beside it not written.
        ConfigProblems: the configuration does not fit.
    """
    recording = open_recording(settings, peak.inputs)
    events = _inputs(peak.inputs)
    facts = recording.engine.take_facts()
    for event in islice(events, peak.first):
        recording.engine.handle(event)
        facts += recording.engine.take_facts()
    before = len(facts)
    with tempfile.TemporaryDirectory(prefix="stress-", dir=settings.journal.path.parent) as folder:
        journal = await _journal(Path(folder) / "journal.db", facts[-_WARMING:])
        course = await _hurry(recording, list(islice(events, peak.size)), factor, journal)
    facts += course.facts
    made = facts[before:]
    return Load(
        factor=factor,
        peak=peak,
        took_s=course.took_s,
        commands=course.commands,
        denials=sum(isinstance(fact, RequestDenied) for fact in made),
        latches=sum(isinstance(fact, StateSet) for fact in made),
        latencies_ns=sorted(course.latencies_ns),
        waiting_max=course.waiting_max,
        cpu_share=course.cpu_s / course.took_s,
        difference=difference(facts, recording.told[: len(facts)]),
    )


async def _journal(path: Path, warming: Sequence[Fact]) -> JournalWriter[Fact]:
    """Return a journal that has written before: what its first write costs, a running daemon has long paid.

    Raises:
        JournalError: the disk refused.
    """
    store: JournalStore[Fact] = JournalStore.create(path, codec(), journal_id="0", epoch=1, projections=projections())
    journal = JournalWriter(store, clock=SystemClock(), observer=NullObserver(), on_failure=lambda error: None)
    await journal.start()
    try:
        await journal.append(warming)
    except BaseException:
        await journal.close()
        raise
    return journal


async def _hurry(recording: Recording, events: list[Event], factor: float, journal: JournalWriter[Fact]) -> "_Course":
    """Put the events through a runner of their own, each when it is due; closes the journal.

    Raises:
        JournalError: the disk refused.
    """
    clock = SystemClock()
    course = _Course(clock)
    # The runner knows an inbox and an executor; the course stands in for both and takes the times.
    runner = Runner(
        recording.engine,
        course,
        journal,
        cast("Executor", course),
        clock=clock,
        observer=NullObserver(),
        latch=lambda fact: None,
        watch=course.watch,
    )
    try:
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(runner.run(), name="runner")
                await course.run(events, factor)
                running.cancel()
        finally:
            await journal.close()
    except* JournalFailed as group:
        raise JournalError(str(group.exceptions[0])) from group
    return course


class _Course:
    """The runner's inbox and executor: hands over what is due and notes when it is done."""

    def __init__(self, clock: Clock) -> None:
        self._now_ns = clock.monotonic_ns
        self._inbox = Inbox(_NEVER_CONFLATE)
        self._due: deque[int] = deque()
        """When the inputs that are not done were due, oldest first."""
        self._under_way = 0
        self._idle = asyncio.Event()
        self.is_stopped = False
        self.facts: list[Fact] = []
        """What the engine decided."""
        self.latencies_ns: list[int] = []
        self.waiting_max = 0
        self.commands = 0
        self.took_s = self.cpu_s = 0.0

    async def run(self, events: Sequence[Event], factor: float) -> None:
        """Let each input come in when it is due, and wait until all are done."""
        began_ns, began_cpu_s = self._now_ns(), time.process_time()
        first_ns = events[0].received_at_ns
        for event in events:
            due_ns = began_ns + round((event.received_at_ns - first_ns) / factor)
            early_ns = due_ns - self._now_ns()
            if early_ns > 0:
                await asyncio.sleep(early_ns / SECOND_NS)
            self._idle.clear()
            self._due.append(due_ns)
            self.waiting_max = max(self.waiting_max, len(self._due))
            self._inbox.put(event)
        await self._idle.wait()
        self.took_s = (self._now_ns() - began_ns) / SECOND_NS
        self.cpu_s = time.process_time() - began_cpu_s

    async def get_batch(self) -> list[Event]:
        """Note that the last batch is done, and return the next one."""
        now_ns = self._now_ns()
        for _ in range(self._under_way):
            self.latencies_ns.append(now_ns - self._due.popleft())
        self._under_way = 0
        if not self._due:
            self._idle.set()
        batch = await self._inbox.get_batch()
        self._under_way = len(batch)
        return batch

    def watch(self, facts: Sequence[Fact]) -> None:
        """Keep what was decided; it is on disk."""
        self.facts += facts

    def execute(self, commands: Sequence[Command], ticks: object = None) -> None:
        """Count what would be sent."""
        self.commands += len(commands)
