"""When a schedule comes due: cron lines with a time zone, fixed intervals, and the ends of trading days.

Used by the scheduler. Pure: the same instant always has the same next one, so that a restart continues where the last
run stopped. Reads no clock; the triggers of APScheduler do the calendar's arithmetic.

Summer time: a wall-clock time that is skipped comes at the moment at which the clocks jump; one that repeats comes once,
the first time. A line with every hour (``0 * * * *``) follows the hours as they pass instead.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from quantd.engine.risk.limits import DayEnd

NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day_of_week", 0, 6, ("mon", "tue", "wed", "thu", "fri", "sat", "sun")),
)
_WINDOWS_S = (120, 3_600, 86_400, 7 * 86_400, 32 * 86_400, 367 * 86_400)
"""How far `latest` looks back, step by step: it never walks through all the minutes of a long gap."""


class Trigger(Protocol):
    """A rule that says when something comes due; instants in nanoseconds UTC."""

    def next_after(self, at_ns: int) -> int | None:
        """Return the first instant after `at_ns`, None when there is none."""

    def latest(self, after_ns: int, until_ns: int) -> int | None:
        """Return the last instant after `after_ns` and not after `until_ns`, None when there is none."""


class Cron:
    """Five cron fields and, optionally, a time zone (UTC without one).

    Day of the month and weekday must both fit, where both are given: ``0 9 1-7 * mon`` is the first Monday.
    """

    def __init__(self, text: str) -> None:
        """Read a line such as ``55 16 * * mon-fri America/New_York``; weekdays go by name only.

        Raises:
            ValueError: when it is no such line.
        """
        words = text.split()
        if len(words) not in (5, 6):
            raise ValueError(f"expected five cron fields and, optionally, a time zone, found {text!r}")
        fields = {
            name: _values(word.lower(), name, low, high, names)
            for word, (name, low, high, names) in zip(words[:5], _FIELDS, strict=True)
        }
        self._zone = ZoneInfo(words[5] if len(words) == 6 else "UTC")
        self._follows_hours = len(fields["hour"]) == 24
        # Lists of numbers: APScheduler counts weekdays from Monday, cron from Sunday, and reads names in its own way.
        # It works on wall-clock time as if that were UTC: left to itself it loses a day when the clocks go forward.
        self._trigger = CronTrigger(
            **{name: ",".join(map(str, sorted(values))) for name, values in fields.items()}, second=0, timezone=UTC
        )

    def next_after(self, at_ns: int) -> int | None:
        """Return the first instant after `at_ns`."""
        return self._next_hourly(at_ns) if self._follows_hours else self._next_daily(at_ns)

    def _next_daily(self, at_ns: int) -> int | None:
        wall = _time(at_ns, self._zone).replace(tzinfo=UTC)
        while (wall_after := self._next_wall(wall)) is not None:
            wall = wall_after
            at = self._instant(wall)
            if at > at_ns:
                return at
        return None

    def _instant(self, wall: datetime) -> int:
        """Return when the clocks show `wall` for the first time, or when they jump over it."""
        shown = wall.replace(tzinfo=self._zone, fold=0)
        at = _ns(shown)
        if _time(at, self._zone).replace(tzinfo=UTC) == wall:
            return at
        return self._change(_ns(shown.replace(fold=1)) - NS_PER_S, at)

    def _next_hourly(self, at_ns: int) -> int | None:
        """Go on in the present offset; where that ends on the way, go on from there."""
        while True:
            here = _time(at_ns, self._zone)
            offset = here.utcoffset()
            found = self._next_wall(here.replace(tzinfo=UTC))
            if found is None or offset is None:
                return None
            at = _ns(found - offset)
            if _time(at, self._zone).utcoffset() == offset:
                return at
            at_ns = self._change(at_ns, at) - 1_000
            # The instant of the change itself has the new offset: look at it through that.
            found = self._next_wall(_time(at_ns + 1_000, self._zone).replace(tzinfo=UTC) - timedelta(microseconds=1))
            at = at_ns + 1_000
            if found is not None and found == _time(at, self._zone).replace(tzinfo=UTC):
                return at
            at_ns = at

    def _change(self, before_ns: int, after_ns: int) -> int:
        """Return when the zone's offset changes between two instants that differ in it; it does so on a full second."""
        low, high = before_ns // NS_PER_S, -(-after_ns // NS_PER_S)
        offset = _time(low * NS_PER_S, self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if _time(middle * NS_PER_S, self._zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return high * NS_PER_S

    def _next_wall(self, wall: datetime) -> datetime | None:
        """Return the first wall-clock time after `wall` that fits the line."""
        found: datetime | None = self._trigger.get_next_fire_time(None, wall + timedelta(microseconds=1))
        return found

    def latest(self, after_ns: int, until_ns: int) -> int | None:
        """Return the last instant after `after_ns` and not after `until_ns`, at most a year back."""
        for window_s in _WINDOWS_S:
            begin = max(after_ns, until_ns - window_s * NS_PER_S)
            found = None
            at = self.next_after(begin)
            while at is not None and at <= until_ns:
                found = at
                at = self.next_after(at)
            if found is not None or begin == after_ns:
                return found
        return None


class Interval:
    """Every so many seconds, counted from 1970 UTC, so that a restart keeps the beat."""

    def __init__(self, every_s: float) -> None:
        """Set the interval, to the microsecond.

        Raises:
            ValueError: when it is below a microsecond.
        """
        self._every_ns = round(every_s * 1e6) * 1_000 if 0 < every_s < 1e9 else 0
        if self._every_ns < 1_000:
            raise ValueError(f"expected a number of seconds above 0, found {every_s}")
        seconds, rest = divmod(self._every_ns // 1_000, 1_000_000)
        # Without a start date the trigger would read the system's clock.
        self._trigger = IntervalTrigger(seconds=seconds + rest / 1e6, start_date=_EPOCH, timezone=UTC)

    def next_after(self, at_ns: int) -> int | None:
        """Return the first instant after `at_ns`."""
        last = at_ns - at_ns % self._every_ns
        found = self._trigger.get_next_fire_time(_time(last, UTC), _time(at_ns, UTC))
        return None if found is None else _ns(found)

    def latest(self, after_ns: int, until_ns: int) -> int | None:
        """Return the last instant after `after_ns` and not after `until_ns`."""
        found = until_ns - until_ns % self._every_ns
        return found if found > after_ns else None


def day_end(end: DayEnd) -> Cron:
    """Return the trigger of the ends of trading days."""
    return Cron(f"{end.minute} {end.hour} * * * {end.time_zone}")


def day_of(end: DayEnd, trigger: Cron, at_ns: int) -> str:
    """Return the ISO date of the trading day that `at_ns` belongs to: the date on which that day ends.

    A day that ends at midnight has the date that it is; one that ends at 17:00 begins on the evening before.
    """
    ends_at_ns = trigger.next_after(at_ns)
    assert ends_at_ns is not None, f"a day that never ends: {end}"
    return _time(ends_at_ns - 1_000, ZoneInfo(end.time_zone)).date().isoformat()


def _time(at_ns: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_ns // 1_000)).astimezone(zone)


def _ns(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1_000


def _values(word: str, name: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    """Return the numbers that a cron field allows."""
    allowed: set[int] = set()
    for part in word.split(","):
        span, _, step_text = part.partition("/")
        first_text, has_last, last_text = span.partition("-")
        try:
            step = int(step_text) if step_text else 1
            first = low if span == "*" else _number(first_text, low, names, by_name=name == "day_of_week")
            last = _number(last_text, low, names, by_name=name == "day_of_week") if has_last else first
        except ValueError:
            raise ValueError(f"{part!r} is no {name} of a cron line") from None
        if span == "*" or (step_text and not has_last):
            last = high
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{part!r} is no {name} of a cron line: {low} to {high}")
        allowed.update(range(first, last + 1, step))
    return allowed


def _number(text: str, low: int, names: tuple[str, ...], *, by_name: bool) -> int:
    if text in names:
        return names.index(text) + low
    if by_name or not text.isdecimal():
        raise ValueError(text)
    return int(text)
