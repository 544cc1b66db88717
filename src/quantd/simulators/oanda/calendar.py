"""New York's trading day: ends at 17:00 there, whatever UTC says. Candles and orders for the day go by it."""

from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from quantd.simulators.oanda.answers import NS_PER_S

NEW_YORK = ZoneInfo("America/New_York")
DAY_ENDS_AT = 17
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _local(at_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S, zone)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * NS_PER_S


def day_began(at_ns: int, *, hour: int = DAY_ENDS_AT, zone: tzinfo = NEW_YORK) -> int:
    """Return when the day that a moment lies in began, in nanoseconds UTC."""
    local = _local(at_ns, zone)
    begin = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    if begin > local:
        begin = (begin - timedelta(days=1)).replace(hour=hour)
    return _ns(begin)


def day_ends(at_ns: int) -> int:
    """Return when the trading day that a moment lies in ends, in nanoseconds UTC."""
    begin = _local(day_began(at_ns), NEW_YORK)
    return _ns((begin + timedelta(days=1)).replace(hour=DAY_ENDS_AT))


def week_began(at_ns: int, *, weekday: str, hour: int, zone: tzinfo) -> int:
    """Return when the week that a moment lies in began; weeks begin at `hour` on `weekday`."""
    day = _local(day_began(at_ns, hour=hour, zone=zone), zone)
    back = (day.weekday() - DAYS.index(weekday)) % 7
    return _ns((day - timedelta(days=back)).replace(hour=hour))


def month_began(at_ns: int, *, hour: int, zone: tzinfo) -> int:
    """Return when the month that a moment lies in began, at `hour` on its first day."""
    local = _local(at_ns, zone)
    first = local.replace(day=1, hour=hour, minute=0, second=0, microsecond=0)
    if first > local:
        first = (first - timedelta(days=1)).replace(day=1, hour=hour)
    return _ns(first)
