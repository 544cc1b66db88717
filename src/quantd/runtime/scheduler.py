"""The scheduler: strategies' timers, their trading schedules and the ends of trading days, as events.

The composition root runs one with the daemon's clock; the backtest steps the same object in virtual time. It knows no
other time than what it is told, fires each scheduled instant once, restarts included, and after a gap once for all that
it missed.
"""

import asyncio
import heapq
from collections.abc import Mapping, Sequence

import msgspec

from quantd.domain.events import DayRolled, Event, TimerFired
from quantd.engine.risk.limits import DayEnd
from quantd.engine.views import Timer
from quantd.ports import Clock, Emit, Observer, wall_ns
from quantd.runtime.triggers import NS_PER_S, Cron, Interval, Trigger, day_end, day_of

START, STOP, FLAT = "@start", "@stop", "@flat"
"""Names of the events of a trading schedule; no strategy can give a timer such a name."""
LATE_S = 5.0
"""A firing that comes later than this after its time counts as a misfire."""
_LOOK_S = 1.0
"""How long `run` sleeps at most: the wall clock may be set forward meanwhile."""


class Schedule(msgspec.Struct, frozen=True):
    """When a strategy trades, as cron lines with a time zone; None for never."""

    start_at: str | None = None
    """From here on new exposure is allowed."""
    stop_at: str | None = None
    """From here on only exits are allowed."""
    flat_by: str | None = None
    """Here everything is closed. Without the other two, the next trading day starts afresh."""


class _Entry:
    """One thing that comes due again and again."""

    __slots__ = ("is_beat", "is_known", "name", "next_at_ns", "strategy", "trigger")

    def __init__(self, key: tuple[str, str], trigger: Trigger, *, after_ns: int, is_known: bool) -> None:
        self.strategy, self.name = key
        """The strategy is empty for the end of the trading day."""
        self.trigger = trigger
        self.is_beat = isinstance(trigger, Interval)
        """Every so many seconds, whatever the time of day is."""
        self.is_known = is_known
        """Whether it is known to have fired before; what it missed since then is a misfire."""
        self.next_at_ns = trigger.next_after(after_ns)


class Scheduler:
    """Tells what has come due.

    Args:
        clock: Whose time counts; what came due before now fires only where `last_fired` knows the timer.
        timers: What strategies asked for.
        schedules: Strategy -> its trading schedule.
        day_ends: When trading days end.
        last_fired: (strategy, name) -> the scheduled time fired last, as the journal has it.
        observer: Gets ``quantd_scheduler_misfires_total``.

    A strategy with `flat_by` alone starts again with the next trading day.
    """

    def __init__(  # noqa: PLR0913 -- the sources of its events, and what they need
        self,
        clock: Clock,
        timers: Sequence[Timer],
        *,
        schedules: Mapping[str, Schedule],
        day_ends: DayEnd,
        last_fired: Mapping[tuple[str, str], int],
        observer: Observer,
    ) -> None:
        """Plan everything.

        Raises:
            ValueError: when a cron line or interval is wrong, or a timer is there twice or has a name with ``@``.
        """
        self._clock = clock
        self._observer = observer
        self._day_ends = day_ends
        self._day_trigger = day_end(day_ends)
        self._begun_at_ns = wall_ns(clock)
        self._day_told = False
        self._entries: list[_Entry] = []
        self._queue: list[tuple[int, int, _Entry]] = []
        self._beats: list[tuple[int, int, _Entry]] = []
        for timer in timers:
            if timer.name.startswith("@"):
                raise ValueError(f"timer {timer.name!r} of {timer.strategy}: names that begin with @ are taken")
            trigger = _trigger(timer)
            key = (timer.strategy, timer.name)
            self._add(key, trigger, fired_at_ns=last_fired.get(key))
        for strategy, schedule in schedules.items():
            self._add_schedule(strategy, schedule, last_fired)
        self._add(("", ""), self._day_trigger)
        known = [(entry.strategy, entry.name) for entry in self._entries]
        if len(set(known)) < len(known):
            twice = next(key for key in known if known.count(key) > 1)
            raise ValueError(f"timer {twice[1]!r} of {twice[0]} is there twice")

    def _add(
        self, key: tuple[str, str], trigger: Trigger, *, fired_at_ns: int | None = None, closed_at_ns: int | None = None
    ) -> None:
        # Where no firing is known, the scheduler's own start counts: nothing from before fires.
        begun = self._clock.now_ns() if isinstance(trigger, Interval) else self._begun_at_ns
        after = begun if closed_at_ns is None else closed_at_ns - 1
        if fired_at_ns is not None:
            after = fired_at_ns
        entry = _Entry(key, trigger, after_ns=after, is_known=fired_at_ns is not None)
        self._entries.append(entry)
        self._push(entry, len(self._entries))

    def _push(self, entry: _Entry, number: int) -> None:
        if entry.next_at_ns is not None:
            heapq.heappush(self._beats if entry.is_beat else self._queue, (entry.next_at_ns, number, entry))

    def _add_schedule(self, strategy: str, schedule: Schedule, last_fired: Mapping[tuple[str, str], int]) -> None:
        lines = ((START, schedule.start_at), (STOP, schedule.stop_at), (FLAT, schedule.flat_by))
        triggers: dict[str, Trigger] = {name: Cron(line) for name, line in lines if line is not None}
        if triggers.keys() == {FLAT}:
            triggers[START] = self._day_trigger
        started = triggers[START].latest(0, self._begun_at_ns) if START in triggers else None
        for name, trigger in triggers.items():
            closed = None
            if name != START and started is not None:
                # On its first day a strategy may come up outside its hours: what closed them still holds.
                closed = trigger.latest(started, self._begun_at_ns)
            key = (strategy, name)
            self._add(key, trigger, fired_at_ns=last_fired.get(key), closed_at_ns=closed)

    # -- stepping ------------------------------------------------------------------------------------------------

    @property
    def next_at_ns(self) -> int | None:
        """When something comes due next, nanoseconds UTC; None when nothing ever will."""
        if not self._day_told:
            return self._begun_at_ns
        return min((queue[0][0] for queue in (self._queue, self._beats) if queue), default=None)

    def due(self, now_ns: int, *, beat_ns: int | None = None) -> list[Event]:
        """Return what has come due up to `now_ns`, in the order of its scheduled times; each instant once.

        Args:
            now_ns: The time of day, nanoseconds UTC.
            beat_ns: The time by which fixed intervals go, where it is another: one that never goes back.
        """
        events: list[Event] = []
        if now_ns < self._begun_at_ns - LATE_S * NS_PER_S:
            self._plan_anew(now_ns)
        if not self._day_told:
            # The engine takes a day that it knows already for nothing new.
            self._day_told = True
            events.append(self._day(min(now_ns, self._begun_at_ns), now_ns))
        fired: list[tuple[int, int, _Entry, bool]] = []
        for queue, until_ns in ((self._queue, now_ns), (self._beats, now_ns if beat_ns is None else beat_ns)):
            while queue and queue[0][0] <= until_ns:
                first, number, entry = heapq.heappop(queue)
                at = entry.trigger.latest(first, until_ns) or first
                entry.next_at_ns = entry.trigger.next_after(at)
                self._push(entry, number)
                fired.append((at, number, entry, at != first))
        for at, _, entry, skipped in sorted(fired, key=lambda one: one[:2]):
            if not entry.strategy:
                events.append(self._day(at, now_ns))
                continue
            told_ns = beat_ns if entry.is_beat and beat_ns is not None else now_ns
            late = skipped or told_ns - at > LATE_S * NS_PER_S
            if late and (entry.is_known or at > self._begun_at_ns):
                self._observer.count("quantd_scheduler_misfires_total", strategy=entry.strategy)
            entry.is_known = True
            events.append(TimerFired(entry.strategy, entry.name, at, told_ns))
        return events

    def _plan_anew(self, now_ns: int) -> None:
        """Plan what has not fired yet from `now_ns` on: the run began by a clock that was ahead, and was put right since."""
        self._begun_at_ns = now_ns
        self._queue = []
        for number, entry in enumerate(self._entries, 1):
            if not entry.is_beat:
                if not entry.is_known:
                    entry.next_at_ns = entry.trigger.next_after(now_ns)
                self._push(entry, number)

    def _day(self, at_ns: int, now_ns: int) -> DayRolled:
        return DayRolled(day_of(self._day_ends, self._day_trigger, at_ns), now_ns)

    async def run(self, emit: Emit) -> None:
        """Emit what comes due, until cancelled: by the system's own wall time, where the clock tells it.

        A clock that never goes back is ahead of it for a while after it was set back, and what is due at a time of day is not.
        Fixed intervals go by that clock: by the other they would stand still for as long as it was set back.
        """
        clock = self._clock
        while True:
            for event in self.due(wall_ns(clock), beat_ns=clock.now_ns()):
                emit(event)
            heads = ((self._queue, wall_ns(clock)), (self._beats, clock.now_ns()))
            left_s = min(((queue[0][0] - now_ns) / NS_PER_S for queue, now_ns in heads if queue), default=_LOOK_S)
            # Rounded up: a nap that ends a moment too early would only be followed by another one.
            await asyncio.sleep(min(max(left_s + 1e-6, 0.0), _LOOK_S))


def _trigger(timer: Timer) -> Trigger:
    if timer.cron is not None:
        return Cron(timer.cron)
    if timer.every_s is None:
        raise ValueError(f"timer {timer.name!r} of {timer.strategy}: expected cron or every_s")
    return Interval(timer.every_s)
