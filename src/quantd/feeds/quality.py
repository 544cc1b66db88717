"""The door before the inbox: bad market data is counted here and goes no further.

The composition root puts one `QualityGate` between the feeds of a venue and the inbox; readers of recorded files use
the same judgement of values (`flaw_of_quote`, `flaw_of_bar`, `flaw_of_book`). It never repairs data and never decides
about trading: what is withheld makes an instrument stale, and the risk gate denies on that.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum

import msgspec
import structlog

from quantd.domain.events import Event, MarketEvent
from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import LARGEST
from quantd.ports import Clock, Emit, Observer, wall_ns

NS_PER_S = 1_000_000_000
_LARGEST = 10.0**LARGEST
AHEAD_NS = 60 * NS_PER_S
"""How far a venue's clock may be ahead of ours."""
_RESTART_NS = 30 * NS_PER_S
"""After this time without a higher one a book's sequence has begun anew, or the last one was wrong."""

_log = structlog.get_logger(__name__)


class Anomaly(Enum):
    """What can be wrong with a piece of market data."""

    NOT_FINITE = "not_finite"
    """A price or quantity is NaN, infinite, or of a size that none is."""
    NON_POSITIVE = "non_positive"
    """A price is zero or less, or a quantity is negative."""
    CROSSED = "crossed"
    """The bid is above the ask. Equal ones are locked, which is legal."""
    INCONSISTENT = "inconsistent"
    """A bar's high or low excludes its open or close, a book is not sorted, a bar closes before it opens."""
    EMPTY = "empty"
    """A book without any level."""
    DUPLICATE = "duplicate"
    """The same content for the same time again."""
    OUT_OF_ORDER = "out_of_order"
    """Older than what came before."""
    STALE = "stale"
    """Older than the limit by the venue's own time."""
    FUTURE = "future"
    """Ahead of our clock by more than a skew may explain."""
    JUMPED = "jumped"
    """Too far from the last price; withheld until later data confirm the new level."""


class DataKind(Enum):
    """What a piece of market data is."""

    QUOTE = "quote"
    BAR = "bar"
    BOOK = "book"


class QualityLimits(msgspec.Struct, frozen=True):
    """When well-formed data are too old or too strange. None switches a check off."""

    max_age_s: float | None = None
    """Largest age of a quote or book by the venue's time, while the market is open; bars may come late."""
    max_ahead_s: float | None = 60.0
    """How far the venue's time may be ahead of ours."""
    max_jump_pct: float | None = None
    """Largest move of the mid or close between two pieces of data, in percent."""
    confirm_after_s: float | None = None
    """An unchanged quote or book, asked anew, passes again as a confirmation once the last one is older than this."""


class Freshness:
    """When the last good data of each instrument and kind were received; nanoseconds UTC."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._at_ns: dict[tuple[InstrumentId, DataKind], int] = {}

    def note(self, instrument: InstrumentId, kind: DataKind, at_ns: int) -> None:
        """Remember that good data were received at `at_ns`."""
        self._at_ns[instrument, kind] = at_ns

    def last_good_at_ns(self, instrument: InstrumentId, kind: DataKind) -> int | None:
        """Return when good data came last; None if never."""
        return self._at_ns.get((instrument, kind))

    def age_s(self, instrument: InstrumentId, kind: DataKind, now_ns: int) -> float | None:
        """Return the seconds since the last good data; None if there were none."""
        at_ns = self._at_ns.get((instrument, kind))
        return None if at_ns is None else (now_ns - at_ns) / NS_PER_S


class _Seen:
    """What a gate remembers of one (instrument, kind, bar interval)."""

    __slots__ = ("complaint", "last", "suspect")

    def __init__(self) -> None:
        self.last: Quote | Bar | Book | None = None
        self.suspect: Quote | Bar | Book | None = None
        """What jumped, until something confirms or contradicts it."""
        self.complaint: Anomaly | None = None
        """What was logged last; each kind of trouble is said once until good data come again."""


class QualityGate:
    """Passes good market data on, in order, and counts the rest by venue and kind of anomaly.

    Invariant: per instrument and kind, times never go back in what is passed on.
    """

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        limits: QualityLimits | None = None,
        *,
        overrides: Mapping[InstrumentId, QualityLimits] | None = None,
        on_anomaly: Callable[[MarketEvent, Anomaly], None] | None = None,
    ) -> None:
        """Use `limits` for every instrument that has none of its own in `overrides`."""
        self.freshness = Freshness()
        self._clock = clock
        self._observer = observer
        self._limits = limits or QualityLimits()
        self._overrides = dict(overrides or {})
        self._on_anomaly = on_anomaly
        self._seen: dict[tuple[InstrumentId, DataKind, int], _Seen] = {}
        self._shut: set[InstrumentId] = set()

    def guard(self, emit: Emit) -> Emit:
        """Return an `Emit` that passes to `emit` only what is good; all that is no market data passes untouched."""

        def emit_good(event: Event) -> None:
            for good in self.admit(event):
                emit(good)

        return emit_good

    def admit(self, event: Event) -> tuple[Event, ...]:
        """Return what may be passed on: the event, nothing, or a withheld bar that it confirms and the event."""
        if isinstance(event, Quote):
            return self._examine(event, DataKind.QUOTE, flaw_of_quote(event))
        if isinstance(event, Bar):
            return self._examine(event, DataKind.BAR, flaw_of_bar(event))
        if isinstance(event, Book):
            return self._examine(event, DataKind.BOOK, flaw_of_book(event))
        if isinstance(event, StatusChanged):
            if event.status in (MarketStatus.CLOSED, MarketStatus.HALTED, MarketStatus.DELISTED):
                self._shut.add(event.instrument)
            else:
                self._shut.discard(event.instrument)
        return (event,)

    def _examine(self, event: Quote | Bar | Book, kind: DataKind, flaw: Anomaly | None) -> tuple[Event, ...]:
        interval = event.interval_ns if isinstance(event, Bar) else 0
        key = (event.instrument, kind, interval)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen()
        limits = self._overrides.get(event.instrument, self._limits)
        now = self._clock.now_ns()
        released: tuple[Event, ...] = (event,)
        anomaly = (
            flaw or self._age_anomaly(event, limits, wall_ns(self._clock)) or self._order_anomaly(event, seen, limits)
        )
        if anomaly is None and limits.max_jump_pct is not None:
            anomaly, released = _jump_anomaly(event, seen, limits.max_jump_pct)
        if anomaly is not None:
            self._refuse(event, anomaly, seen)
            return ()
        seen.last = event
        seen.suspect = None
        if seen.complaint is not None:
            _log.info("feed_data_good_again", instrument=event.instrument, kind=kind.value)
            seen.complaint = None
        self.freshness.note(event.instrument, kind, now)
        venue = event.instrument.partition(":")[0]
        self._observer.count("quantd_feed_events_total", len(released), venue=venue, kind=kind.value)
        self._observer.gauge(
            "quantd_feed_last_event_timestamp_seconds",
            now / NS_PER_S,
            venue=venue,
            instrument=event.instrument,
            kind=kind.value,
        )
        return released

    def _age_anomaly(self, event: Quote | Bar | Book, limits: QualityLimits, now_ns: int) -> Anomaly | None:
        """Hold the venue's time against the wall clock: ours is ahead of it for a while after it was set back."""
        at_ns = event.closed_at_ns if isinstance(event, Bar) else event.occurred_at_ns
        if at_ns is None:
            return None
        ahead_s = (at_ns - now_ns) / NS_PER_S
        complete = not isinstance(event, Bar) or event.complete
        if complete and limits.max_ahead_s is not None and ahead_s > limits.max_ahead_s:
            return Anomaly.FUTURE
        if isinstance(event, Bar) or limits.max_age_s is None or event.instrument in self._shut:
            return None
        return Anomaly.STALE if -ahead_s > limits.max_age_s else None

    def _order_anomaly(self, event: Quote | Bar | Book, seen: _Seen, limits: QualityLimits) -> Anomaly | None:
        last = seen.last
        if last is None:
            return None
        if isinstance(event, Bar):
            return _bar_order(event, last) if isinstance(last, Bar) else None
        age_s = (event.received_at_ns - last.received_at_ns) / NS_PER_S
        if isinstance(event, Quote):
            anomaly = _quote_order(event, last) if isinstance(last, Quote) else None
        else:
            anomaly = _book_order(event, last) if isinstance(last, Book) else None
        if anomaly is Anomaly.DUPLICATE and limits.confirm_after_s is not None and age_s >= limits.confirm_after_s:
            return None
        return anomaly

    def _refuse(self, event: Quote | Bar | Book, anomaly: Anomaly, seen: _Seen) -> None:
        venue = event.instrument.partition(":")[0]
        self._observer.count("quantd_feed_anomalies_total", venue=venue, kind=anomaly.value)
        # An unchanged quote is what polling a quiet market looks like; a line for it would say nothing.
        if anomaly is not seen.complaint and anomaly is not Anomaly.DUPLICATE:
            seen.complaint = anomaly
            _log.warning("feed_data_refused", instrument=event.instrument, reason=anomaly.value)
        if self._on_anomaly is not None:
            self._on_anomaly(event, anomaly)


def is_sized(value: float) -> bool:
    """Tell whether a price or size is a number, and one that money arithmetic can take."""
    return -_LARGEST < value < _LARGEST


def flaw_of_quote(quote: Quote) -> Anomaly | None:
    """Return what is wrong with the values of a quote."""
    bid, ask = quote.bid, quote.ask
    if not (is_sized(bid) and is_sized(ask) and is_sized(quote.bid_size) and is_sized(quote.ask_size)):
        return Anomaly.NOT_FINITE
    if bid <= 0 or ask <= 0 or quote.bid_size < 0 or quote.ask_size < 0:
        return Anomaly.NON_POSITIVE
    return Anomaly.CROSSED if bid > ask else None


def flaw_of_bar(bar: Bar) -> Anomaly | None:
    """Return what is wrong with the values of a bar."""
    if not all(map(is_sized, (bar.open, bar.high, bar.low, bar.close, bar.volume))):
        return Anomaly.NOT_FINITE
    if min(bar.open, bar.high, bar.low, bar.close) <= 0 or bar.volume < 0:
        return Anomaly.NON_POSITIVE
    ordered = bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high
    return None if ordered and bar.opened_at_ns < bar.closed_at_ns else Anomaly.INCONSISTENT


def sound_bars(bars: Iterable[Bar], *, until_ns: int) -> list[Bar]:
    """Return the complete bars whose values can be and that closed until a moment of our clock, oldest first, each once."""
    last_ns = until_ns + AHEAD_NS
    known = (bar for bar in bars if bar.complete and bar.closed_at_ns <= last_ns)
    found = {bar.closed_at_ns: bar for bar in known if flaw_of_bar(bar) is None}
    return [found[at_ns] for at_ns in sorted(found)]


def flaw_of_book(book: Book) -> Anomaly | None:
    """Return what is wrong with the values of a book."""
    if not book.bids and not book.asks:
        return Anomaly.EMPTY
    for levels in (book.bids, book.asks):
        for price, quantity in levels:
            if not (is_sized(price) and is_sized(quantity)):
                return Anomaly.NOT_FINITE
            if price <= 0 or quantity < 0:
                return Anomaly.NON_POSITIVE
    if book.bids and book.asks and book.bids[0][0] > book.asks[0][0]:
        return Anomaly.CROSSED
    falling = all(a[0] > b[0] for a, b in zip(book.bids, book.bids[1:], strict=False))
    rising = all(a[0] < b[0] for a, b in zip(book.asks, book.asks[1:], strict=False))
    return None if falling and rising else Anomaly.INCONSISTENT


def _quote_order(quote: Quote, last: Quote) -> Anomaly | None:
    same = (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (last.bid, last.ask, last.bid_size, last.ask_size)
    return _time_order(_times(quote), _times(last), same)


def _book_order(book: Book, last: Book) -> Anomaly | None:
    if book.sequence < last.sequence and book.received_at_ns - last.received_at_ns < _RESTART_NS:
        return Anomaly.OUT_OF_ORDER
    same = book.sequence == last.sequence and book.bids == last.bids and book.asks == last.asks
    return _time_order(_times(book), _times(last), same)


def _times(event: Quote | Book) -> tuple[int | None, int]:
    return event.occurred_at_ns, event.received_at_ns


def _time_order(new: tuple[int | None, int], last: tuple[int | None, int], same: bool) -> Anomaly | None:
    """Compare the venue's times where it tells them, else our own: venues of whole seconds may repeat one."""
    told = new[0] is not None and last[0] is not None
    this, before = (new[0], last[0]) if told else (new[1], last[1])
    assert this is not None
    assert before is not None
    if this < before:
        return Anomaly.OUT_OF_ORDER
    return Anomaly.DUPLICATE if same and this == before else None


def _bar_order(bar: Bar, last: Bar) -> Anomaly | None:
    if bar.opened_at_ns < last.opened_at_ns:
        return Anomaly.OUT_OF_ORDER
    if bar.opened_at_ns > last.opened_at_ns:
        return None
    if last.complete:
        return Anomaly.DUPLICATE  # a bar once complete is final
    return Anomaly.DUPLICATE if not bar.complete and _shape(bar) == _shape(last) else None


def _shape(bar: Bar) -> tuple[float, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def _jump_anomaly(
    event: Quote | Bar | Book, seen: _Seen, max_jump_pct: float
) -> tuple[Anomaly | None, tuple[Event, ...]]:
    """Judge a price against the last good one, and against the suspect that it may confirm."""
    last = None if seen.last is None else _price(seen.last)
    price = _price(event)
    if last is None or price is None or _is_near(price, last, max_jump_pct):
        return None, (event,)
    suspect = seen.suspect
    if suspect is not None and _is_later(event, suspect):
        suspected = _price(suspect)
        if suspected is not None and _is_near(price, suspected, max_jump_pct):
            # A withheld bar is the only one of its interval; a withheld quote is out of date by now.
            return None, (suspect, event) if isinstance(suspect, Bar) else (event,)
    elif suspect is not None:
        return Anomaly.DUPLICATE, ()
    seen.suspect = event
    return Anomaly.JUMPED, ()


def _is_near(price: float, last: float, max_jump_pct: float) -> bool:
    return abs(price - last) * 100 <= max_jump_pct * last


def _is_later(event: Quote | Bar | Book, suspect: Quote | Bar | Book) -> bool:
    return _event_at_ns(event) > _event_at_ns(suspect)


def _event_at_ns(event: Quote | Bar | Book) -> int:
    if isinstance(event, Bar):
        return event.opened_at_ns
    return event.received_at_ns if event.occurred_at_ns is None else event.occurred_at_ns


def _price(event: Quote | Bar | Book) -> float | None:
    if isinstance(event, Quote):
        return event.mid
    if isinstance(event, Bar):
        return event.close
    if event.bids and event.asks:
        return (event.bids[0][0] + event.asks[0][0]) * 0.5
    return None
