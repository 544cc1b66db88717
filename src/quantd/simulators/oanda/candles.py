"""Candles of a simulated OANDA, made of the prices that it saw: bid, mid and ask by five seconds, put together for longer ones.

Used by the venue. There is no candle where no price came, and the running one says that it is not complete. ``smooth`` opens
each candle at the close of the one before it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from quantd.domain.market import Quote
from quantd.simulators.oanda.answers import NS_PER_S, Answer, At, Failed, malformed, missing, moment_of
from quantd.simulators.oanda.calendar import DAYS, day_began, month_began, week_began
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.venue import Json

COUNT, COUNT_MAX = 500, 5000
_LEAST_NS = 5 * NS_PER_S
_KEPT = 200_000
SECONDS = {
    "S5": 5, "S10": 10, "S15": 15, "S30": 30, "M1": 60, "M2": 120, "M4": 240, "M5": 300, "M10": 600, "M15": 900,
    "M30": 1800, "H1": 3600, "H2": 7200, "H3": 10_800, "H4": 14_400, "H6": 21_600, "H8": 28_800, "H12": 43_200,
    "D": 86_400, "W": 604_800, "M": 2_678_400,
}  # fmt: skip
"""Length by granularity; those above an hour are aligned with the trading day."""
_PARTS = {"M": "mid", "B": "bid", "A": "ask"}
Prices = tuple[float, float, float, float]


class Candle(msgspec.Struct):
    """Prices of one interval: open, high, low, close."""

    began_ns: int
    bid: Prices
    ask: Prices
    mid: Prices
    volume: int = 1


class Wish(msgspec.Struct, frozen=True):
    """How candles are wanted."""

    granularity: str
    parts: str
    begins: Callable[[int], int]
    """The start of the interval that a moment lies in."""
    smooth: bool


def _grown(prices: Prices, price: float) -> Prices:
    return prices[0], max(prices[1], price), min(prices[2], price), price


def _joined(first: Prices, second: Prices) -> Prices:
    return first[0], max(first[1], second[1]), min(first[2], second[2]), second[3]


def joined(candles: Iterable[Candle], begins: Callable[[int], int]) -> list[Candle]:
    """Return candles put together into longer ones."""
    found: list[Candle] = []
    for one in candles:
        began_ns = begins(one.began_ns)
        if found and found[-1].began_ns == began_ns:
            last = found[-1]
            last.bid, last.ask = _joined(last.bid, one.bid), _joined(last.ask, one.ask)
            last.mid, last.volume = _joined(last.mid, one.mid), last.volume + one.volume
        else:
            found.append(Candle(began_ns, one.bid, one.ask, one.mid, one.volume))
    return found


class CandleDesk:
    """Candles of all instruments."""

    def __init__(self, instruments: Mapping[str, InstrumentRules]) -> None:
        self._instruments = instruments
        self._kept: dict[str, deque[Candle]] = {name: deque(maxlen=_KEPT) for name in instruments}

    def note(self, name: str, quote: Quote) -> None:
        """Take a price into its five seconds."""
        kept, began_ns = self._kept[name], quote.received_at_ns // _LEAST_NS * _LEAST_NS
        bid, ask, mid = quote.bid, quote.ask, quote.mid
        if not kept or kept[-1].began_ns < began_ns:
            kept.append(Candle(began_ns, (bid,) * 4, (ask,) * 4, (mid,) * 4))
            return
        last = kept[-1]
        last.bid, last.ask, last.mid = _grown(last.bid, bid), _grown(last.ask, ask), _grown(last.mid, mid)
        last.volume += 1

    # --- answers ----------------------------------------------------------------------------------------------------

    def listed(self, asked: Asked, name: str, now_ns: int) -> Answer:
        """Return an instrument's candles.

        Raises:
            Failed: a parameter is malformed, the range too long or in the future (400).
        """
        rules = self._instruments.get(name)
        if rules is None:
            raise malformed("instrument")
        wish = _wish(asked.query, asked.query.get("granularity", "S5"), asked.query.get("price", "M"))
        since = moment_of(asked.query["from"], "from") if "from" in asked.query else None
        until = moment_of(asked.query["to"], "to") if "to" in asked.query else None
        count = _count(asked.query, since, until)
        if until is not None and until > now_ns:
            raise Failed(400, "Invalid value specified for 'to'. Time is in the future")
        if since is not None and since > now_ns:
            raise Failed(400, "Invalid value specified for 'from'. Time is in the future")
        seconds = SECONDS[wish.granularity]
        if since is not None and count is None and ((until or now_ns) - since) // NS_PER_S // seconds > COUNT_MAX:
            raise Failed(400, "Maximum value for 'count' exceeded")
        found = joined(self._kept[name], wish.begins)
        if since is not None:
            first = wish.begins(since)
            first = first if asked.query.get("includeFirst", "true").lower() == "true" else first + 1
            found = [one for one in found if one.began_ns >= first]
        if until is not None:
            found = [one for one in found if one.began_ns < until]
        if count is not None:
            found = found[:count] if since is not None else found[-count:]
        return Answer(self._told(rules, wish, found, now_ns))

    def latest(self, asked: Asked, now_ns: int) -> Answer:
        """Return the two newest candles of each specification: the one before, and the running one.

        Raises:
            Failed: there is no specification, or one is malformed (400).
        """
        if not asked.query.get("candleSpecifications"):
            raise missing("candleSpecifications")
        told = []
        for specification in asked.query["candleSpecifications"].split(","):
            name, granularity, parts = ([*specification.split(":"), "", ""])[:3]
            rules = self._instruments.get(name)
            if rules is None:
                raise malformed("candleSpecifications")
            wish = _wish(asked.query, granularity, parts or "M")
            told.append(self._told(rules, wish, joined(self._kept[name], wish.begins)[-2:], now_ns))
        return Answer({"latestCandles": told})

    def _told(self, rules: InstrumentRules, wish: Wish, candles: list[Candle], now_ns: int) -> Json:
        running = wish.begins(now_ns)
        if wish.smooth:
            for before, after in pairwise(candles):
                for part in _PARTS.values():
                    prices, opened = getattr(after, part), getattr(before, part)[3]
                    setattr(after, part, (opened, max(prices[1], opened), min(prices[2], opened), prices[3]))
        return {
            "instrument": rules.name,
            "granularity": wish.granularity,
            "candles": [
                {
                    "complete": one.began_ns < running, "volume": one.volume, "time": At(one.began_ns),
                    **{_PARTS[part]: _text(rules, getattr(one, _PARTS[part])) for part in wish.parts},
                }
                for one in candles
            ],
        }  # fmt: skip


def _text(rules: InstrumentRules, prices: Prices) -> Json:
    return {
        name: f"{Decimal(repr(value)):.{rules.precision}f}" for name, value in zip("ohlc", prices, strict=True)
    }  # fmt: skip


def _count(query: Mapping[str, str], since: int | None, until: int | None) -> int | None:
    """Return how many candles are wanted at most, None for all of a range."""
    if "count" in query and since is not None and until is not None:
        raise Failed(400, "'count' cannot be specified when 'to' and 'from' parameters are set")
    if "count" not in query:
        return None if since is not None else COUNT
    text = query["count"]
    if not text.isascii() or not text.isdigit() or not int(text):
        raise malformed("count")
    if int(text) > COUNT_MAX:
        raise Failed(400, "Maximum value for 'count' exceeded")
    return int(text)


def _wish(query: Mapping[str, str], granularity: str, parts: str) -> Wish:
    """Return how candles are wanted, with the function that cuts time.

    Raises:
        Failed: a parameter is malformed (400).
    """
    if granularity not in SECONDS:
        raise malformed("granularity")
    if not parts or any(part not in _PARTS for part in parts):
        raise malformed("price")
    hour, zone_name = query.get("dailyAlignment", "17"), query.get("alignmentTimezone", "America/New_York")
    if not hour.isascii() or not hour.isdigit() or int(hour) > 23:
        raise malformed("dailyAlignment")
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError) as failure:
        raise malformed("alignmentTimezone") from failure
    weekday = query.get("weeklyAlignment", "Friday")
    if weekday not in DAYS:
        raise malformed("weeklyAlignment")
    smooth = query.get("smooth", "false").lower() == "true"
    begins: Callable[[int], int]
    if granularity == "W":
        begins = partial(week_began, weekday=weekday, hour=int(hour), zone=zone)
    elif granularity == "M":
        begins = partial(month_began, hour=int(hour), zone=zone)
    elif SECONDS[granularity] > 3600:
        begins = partial(_in_day, length_ns=SECONDS[granularity] * NS_PER_S, hour=int(hour), zone=zone)
    else:
        begins = partial(_in_epoch, length_ns=SECONDS[granularity] * NS_PER_S)
    return Wish(granularity, parts, begins, smooth)


def _in_epoch(at_ns: int, length_ns: int) -> int:
    return at_ns // length_ns * length_ns


def _in_day(at_ns: int, length_ns: int, hour: int, zone: ZoneInfo) -> int:
    began = day_began(at_ns, hour=hour, zone=zone)
    return began + (at_ns - began) // length_ns * length_ns
