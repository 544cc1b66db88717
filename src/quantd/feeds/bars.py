"""Bars made here: from quotes where a venue has none, and larger bars from smaller ones.

`BarBuilder` and `BarAggregator` are plain state machines for backtests, warm-up and the live stage; `BarStage` joins
them to the feeds. Bars are aligned to multiples of their interval since 1970 UTC and hold [opened, closed). They never
invent data: an interval without a quote has no bar, and the volume of a bar built from quotes is 0.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from quantd.domain.events import Event
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.ports import Clock, Emit, wall_ns

NS_PER_S = 1_000_000_000


class _Forming:
    """A bar that still takes quotes in."""

    __slots__ = ("close", "closing_at_ns", "high", "low", "open", "opening_at_ns")

    def __init__(self, price: float, at_ns: int) -> None:
        self.open = self.high = self.low = self.close = price
        self.opening_at_ns = self.closing_at_ns = at_ns

    def take(self, price: float, at_ns: int) -> None:
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if at_ns >= self.closing_at_ns:
            self.close = price
            self.closing_at_ns = at_ns
        elif at_ns < self.opening_at_ns:
            self.open = price
            self.opening_at_ns = at_ns


class BarBuilder:
    """Builds the bars of one instrument and interval from the mids of its quotes.

    A quote belongs to the interval of the venue's time, or of ours where the venue tells none. A bar is emitted once
    our time has reached its close plus the grace, by a later quote or by `on_time`; a quote later than that is counted
    in `late` and ignored. Bars come in order; intervals without quotes are left out. The first bar has `complete` False
    when the builder began inside its interval.
    """

    def __init__(
        self, instrument: InstrumentId, interval_s: int, *, grace_s: float = 0.0, started_at_ns: int | None = None
    ) -> None:
        """Build bars of `interval_s` seconds; without `started_at_ns` the first quote's time counts as the start.

        Raises:
            ValueError: when the interval is below 1 or the grace negative.
        """
        if interval_s < 1 or grace_s < 0:
            raise ValueError(f"expected interval_s >= 1 and grace_s >= 0, found {interval_s} and {grace_s}")
        self.instrument = instrument
        self.interval_s = interval_s
        self.late = 0
        """Quotes that came after their bar was emitted."""
        self._interval_ns = interval_s * NS_PER_S
        self._grace_ns = round(grace_s * NS_PER_S)
        self._started_at_ns = started_at_ns
        self._forming: dict[int, _Forming] = {}
        self._due_at_ns: int | None = None
        self._emitted_to_ns = 0
        self._is_told = False
        """Whether the venue tells when its quotes were made: bars then follow the wall clock, ahead of which ours may be."""

    @property
    def due_at_ns(self) -> int | None:
        """When the oldest forming bar is to be emitted; None without any."""
        return self._due_at_ns

    def on_quote(self, quote: Quote, *, ahead_ns: int = 0) -> tuple[Bar, ...]:
        """Take a quote in; return the bars that are due by the time it was received.

        Args:
            quote: The quote.
            ahead_ns: How far our clock is ahead of the wall clock, after a step backwards.
        """
        at_ns = quote.received_at_ns if quote.occurred_at_ns is None else quote.occurred_at_ns
        price = (quote.bid + quote.ask) * 0.5
        if not self._is_told and quote.occurred_at_ns is not None:
            self._is_told = True
            if self._started_at_ns is not None:
                self._started_at_ns -= ahead_ns
        due_at_ns = self._due_at_ns
        now_ns = quote.received_at_ns - ahead_ns if self._is_told else quote.received_at_ns
        # The bars that are due are closed first: this quote may be too late for them.
        bars = self._closed(now_ns) if due_at_ns is not None and now_ns >= due_at_ns else ()
        opened = at_ns - at_ns % self._interval_ns
        if opened < self._emitted_to_ns:
            self.late += 1
            return bars
        if self._started_at_ns is None:
            self._started_at_ns = at_ns
        forming = self._forming.get(opened)
        if forming is not None:
            forming.take(price, at_ns)
        else:
            self._forming[opened] = _Forming(price, at_ns)
            self._plan()
        return bars

    def on_time(self, now_ns: int, *, ahead_ns: int = 0) -> tuple[Bar, ...]:
        """Return the bars that are due at `now_ns`, oldest first; `ahead_ns` as for `on_quote`."""
        if self._is_told:
            now_ns -= ahead_ns
        return () if self._due_at_ns is None or now_ns < self._due_at_ns else self._closed(now_ns)

    def _closed(self, now_ns: int) -> tuple[Bar, ...]:
        bars = []
        for opened in sorted(self._forming):
            if opened + self._interval_ns + self._grace_ns > now_ns:
                break
            bars.append(self._bar(opened, self._forming.pop(opened), now_ns))
            self._emitted_to_ns = opened + self._interval_ns
        self._plan()
        return tuple(bars)

    def _plan(self) -> None:
        self._due_at_ns = min(self._forming) + self._interval_ns + self._grace_ns if self._forming else None

    def _bar(self, opened: int, forming: _Forming, now_ns: int) -> Bar:
        assert self._started_at_ns is not None
        return Bar(
            instrument=self.instrument,
            opened_at_ns=opened,
            closed_at_ns=opened + self._interval_ns,
            open=forming.open,
            high=forming.high,
            low=forming.low,
            close=forming.close,
            volume=0.0,
            received_at_ns=now_ns,
            complete=opened >= self._started_at_ns,
        )


class BarAggregator:
    """Joins bars of one instrument and a smaller interval into larger ones.

    A larger bar is emitted with its last part, with the first part of a later one, or by `on_time` after close and
    grace. It is complete when its parts are and the aggregator has seen its interval from the start.
    """

    def __init__(
        self, instrument: InstrumentId, interval_s: int, *, grace_s: float = 0.0, started_at_ns: int | None = None
    ) -> None:
        """Make bars of `interval_s` seconds; without `started_at_ns` the first part's opening counts as the start.

        Raises:
            ValueError: when the interval is below 1 or the grace negative.
        """
        if interval_s < 1 or grace_s < 0:
            raise ValueError(f"expected interval_s >= 1 and grace_s >= 0, found {interval_s} and {grace_s}")
        self.instrument = instrument
        self.interval_s = interval_s
        self._interval_ns = interval_s * NS_PER_S
        self._grace_ns = round(grace_s * NS_PER_S)
        self._started_at_ns = started_at_ns
        self._opened_at_ns = 0
        self._parts: list[Bar] = []

    @property
    def due_at_ns(self) -> int | None:
        """When what has come of the larger bar is to be emitted without the rest; None without any part."""
        return self._opened_at_ns + self._interval_ns + self._grace_ns if self._parts else None

    def on_bar(self, bar: Bar) -> tuple[Bar, ...]:
        """Take the next part in; return the larger bars that it ends.

        Raises:
            ValueError: when parts of this length cannot fill the interval, or when a part is older than the last one.
        """
        if self._interval_ns % bar.interval_ns or bar.opened_at_ns % bar.interval_ns:
            raise ValueError(
                f"{self.instrument}: bars of {bar.interval_ns} ns opened at {bar.opened_at_ns} do not fill bars of "
                f"{self._interval_ns} ns: expected an aligned divisor"
            )
        if self._parts and bar.opened_at_ns < self._parts[-1].closed_at_ns:
            raise ValueError(
                f"{self.instrument}: expected a bar from {self._parts[-1].closed_at_ns} on, found {bar.opened_at_ns}"
            )
        if self._started_at_ns is None:
            self._started_at_ns = bar.opened_at_ns
        opened = bar.opened_at_ns - bar.opened_at_ns % self._interval_ns
        done = []
        if self._parts and opened != self._opened_at_ns:
            done.append(self._join(bar.received_at_ns))
        self._opened_at_ns = opened
        self._parts.append(bar)
        if bar.closed_at_ns == opened + self._interval_ns:
            done.append(self._join(bar.received_at_ns))
        return tuple(done)

    def on_time(self, now_ns: int) -> tuple[Bar, ...]:
        """Return the larger bar whose last part did not come in time."""
        due_at_ns = self.due_at_ns
        return () if due_at_ns is None or now_ns < due_at_ns else (self._join(now_ns),)

    def _join(self, now_ns: int) -> Bar:
        parts, self._parts = self._parts, []
        assert self._started_at_ns is not None
        return Bar(
            instrument=self.instrument,
            opened_at_ns=self._opened_at_ns,
            closed_at_ns=self._opened_at_ns + self._interval_ns,
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=sum(part.volume for part in parts),
            received_at_ns=now_ns,
            complete=self._opened_at_ns >= self._started_at_ns and all(part.complete for part in parts),
        )


def bars_from_quotes(quotes: Iterable[Event], builders: Sequence[BarBuilder]) -> Iterable[Event]:
    """Yield the events and, in between, the bars that the builders make of them; for backtests."""
    by_instrument: dict[InstrumentId, list[BarBuilder]] = {}
    for builder in builders:
        by_instrument.setdefault(builder.instrument, []).append(builder)
    for event in quotes:
        if isinstance(event, Quote):
            for builder in by_instrument.get(event.instrument, ()):
                yield from builder.on_quote(event)
        yield event


class BarStage:
    """Stands between the quality gate and the inbox: builds the bars that a venue does not have.

    `on_bar` is told each bar made, complete or not; the bar store listens there. Bars that are not complete are not
    emitted: the warm-up covers that interval or leaves it out.
    """

    def __init__(
        self,
        intervals: Mapping[InstrumentId, Iterable[int]],
        clock: Clock,
        *,
        grace_s: float = 0.25,
        on_bar: Callable[[Bar], None] = lambda bar: None,
    ) -> None:
        """Build bars of the given intervals, in seconds, for each instrument."""
        self._clock = clock
        self._on_bar = on_bar
        now = clock.now_ns()
        self._builders = {
            instrument: tuple(
                BarBuilder(instrument, interval_s, grace_s=grace_s, started_at_ns=now)
                for interval_s in sorted(set(lengths))
            )
            for instrument, lengths in intervals.items()
        }

    def guard(self, emit: Emit) -> Emit:
        """Return an `Emit` that passes all on to `emit`, each bar before the quote that ended it."""

        def emit_with_bars(event: Event) -> None:
            if type(event) is Quote:
                builders = self._builders.get(event.instrument)
                if builders:
                    ahead_ns = self._ahead_ns()
                    for builder in builders:
                        for bar in builder.on_quote(event, ahead_ns=ahead_ns):
                            self._pass(bar, emit)
            emit(event)

        return emit_with_bars

    def tick(self, now_ns: int, emit: Emit) -> None:
        """Emit the bars that are due at `now_ns` although no quote has come since."""
        ahead_ns = self._ahead_ns()
        for builders in self._builders.values():
            for builder in builders:
                for bar in builder.on_time(now_ns, ahead_ns=ahead_ns):
                    self._pass(bar, emit)

    async def run(self, emit: Emit) -> None:
        """Tick whenever a bar falls due, until cancelled; at least once a second."""
        while True:
            now = self._clock.now_ns()
            self.tick(now, emit)
            dues = [b.due_at_ns for group in self._builders.values() for b in group if b.due_at_ns is not None]
            rest_s = min((min(dues) - now) / NS_PER_S, 1.0) if dues else 1.0
            await asyncio.sleep(max(rest_s, 1e-3))

    def _ahead_ns(self) -> int:
        return max(self._clock.now_ns() - wall_ns(self._clock), 0)

    def _pass(self, bar: Bar, emit: Emit) -> None:
        self._on_bar(bar)
        if bar.complete:
            emit(bar)
