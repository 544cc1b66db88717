"""Market data for every venue: what strategies need decides what is polled, built, replayed or made up.

Each venue's data pass the quality gate, then the bar stage, then the paper venues that trade on them, then the inbox.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from quantd.app.recordings import Recording
from quantd.config import Settings
from quantd.domain.events import Event, VenueChanged
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.engine.core import Engine
from quantd.feeds.bars import BarStage
from quantd.feeds.pollers import BarPoller, BookPoller, QuotePoller, StatusPoller
from quantd.feeds.polling import FeedChange, PollSupport, PollTiming
from quantd.feeds.quality import QualityGate, QualityLimits
from quantd.feeds.recorded import Stamp
from quantd.feeds.replay import ReplayFeed
from quantd.feeds.synthetic import SyntheticFeed, SyntheticMarket, SyntheticSpec
from quantd.ports import Clock, Connector, Emit, Observer
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings, SyntheticData
from quantd.venues.settings import VenueSettings

FeedTask = tuple[str, Callable[[], Coroutine[Any, Any, None]]]
"""A name and what to run for ever."""

StreamedPrices = Callable[[Iterable[Instrument], Emit], Coroutine[Any, Any, None]]
"""Emits quotes of these instruments for ever."""

_log = structlog.get_logger("quantd.app")
_SYNTHETIC_STEP_S = 0.1
_SECONDS_A_YEAR = 365.25 * 86_400
_QUESTIONS_MAX = 8
"""Questions of one poller that are under way at once where a venue answers for few instruments at a time: what a budget of
20 a second admits is used with answers of 400 ms, and connections are left to orders."""
_STATUS_TIMEOUT_S, _STATUS_EACH_S = 30.0, 1.0


class Wants(NamedTuple):
    """What the strategies on one venue need to see."""

    instruments: tuple[InstrumentId, ...]
    bars: dict[InstrumentId, set[int]]
    """Intervals in seconds."""
    books: dict[InstrumentId, int]
    """Levels a side."""

    def of(self, known: Mapping[InstrumentId, Instrument]) -> "Wants":
        """Return what is wanted of these: of an instrument whose rules nobody can tell nothing is fed."""
        return Wants(
            tuple(one for one in self.instruments if one in known),
            {one: intervals for one, intervals in self.bars.items() if one in known},
            {one: depth for one, depth in self.books.items() if one in known},
        )


def wants(engine: Engine, venue: str) -> Wants:
    """Gather what all desks declared for a venue."""
    instruments: dict[InstrumentId, None] = {}
    bars: dict[InstrumentId, set[int]] = {}
    books: dict[InstrumentId, int] = {}
    for desk in engine.desks.values():
        for instrument in desk.instruments:
            if instrument.partition(":")[0] == venue:
                instruments[instrument] = None
        for series in desk.series:
            if series.instrument.partition(":")[0] == venue:
                bars.setdefault(series.instrument, set()).add(series.every_s)
        for instrument, depth in desk.books.items():
            if instrument.partition(":")[0] == venue:
                books[instrument] = max(depth, books.get(instrument, 0))
    return Wants(tuple(instruments), bars, books)


class FeedBuilder:
    """Makes the tasks that feed one venue.

    Args:
        settings: The configuration.
        emit: The inbox.
        on_bar: Gets every bar that was built, for the bar store.
        on_change: Told when a source fails, recovers or stops.
        fed: Close of the newest bar that the warm-up fed, by (instrument, interval in seconds): live bars begin after it.
        is_fed: Set when `fed` is complete; the venue's bars and data that are played back wait for it. None where it is.
    """

    def __init__(  # noqa: PLR0913 -- what all feeds share
        self,
        settings: Settings,
        emit: Emit,
        *,
        clock: Clock,
        observer: Observer,
        on_bar: Callable[[Bar], None],
        on_change: Callable[[FeedChange], None],
        fed: Mapping[tuple[InstrumentId, int], int],
        is_fed: asyncio.Event | None = None,
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._observer = observer
        self._on_bar = on_bar
        self._fed = fed
        self._is_fed = is_fed
        self._support = PollSupport(clock=clock, random=random.Random(0), observer=observer, on_change=on_change)

    def venue(
        self,
        venue: VenueSettings,
        connector: Connector,
        instruments: Iterable[Instrument],
        wanted: Wants,
        *,
        streamed: StreamedPrices | None = None,
    ) -> list[FeedTask]:
        """Return the tasks of a venue whose rules are known; prices that it streams come beside the polls."""
        name = connector.venue
        known = {instrument.id: instrument for instrument in instruments}
        wanted = wanted.of(known)
        if isinstance(connector, PaperConnector) and isinstance(venue, PaperSettings):
            return self._paper(venue, connector, known, wanted)
        native, built = _divided(wanted.bars, connector)
        stage, guarded = self._chain(self._emit, built)
        tasks = self._pollers(venue, connector, known, wanted.books, guarded)
        tasks += self._bars(connector, known, native, guarded)
        if streamed is not None:
            tasks.append((f"price stream {name}", lambda: streamed(known.values(), guarded)))
        tasks.append((f"bar builder {name}", lambda: stage.run(self._emit)))
        return tasks

    def _chain(self, emit: Emit, built: dict[InstrumentId, set[int]]) -> tuple[BarStage, Emit]:
        """Return the bar stage, and what a source emits into."""
        feeds = self._settings.feeds
        stage = BarStage(built, self._clock, grace_s=feeds.bar_grace_s, on_bar=self._on_bar)
        limits = QualityLimits(max_age_s=feeds.max_age_s, confirm_after_s=min(feeds.quote_every_s, 0.5))
        gate = QualityGate(self._clock, self._observer, limits)
        return stage, gate.guard(stage.guard(emit))

    def _pollers(
        self,
        venue: VenueSettings,
        connector: Connector,
        known: dict[InstrumentId, Instrument],
        books: dict[InstrumentId, int],
        emit: Emit,
    ) -> list[FeedTask]:
        feeds, support, name = self._settings.feeds, self._support, connector.venue
        every_s, together = venue.quotes_every_s or feeds.quote_every_s, connector.capabilities.quotes_at_once
        timing = PollTiming(every_s=every_s, batch_max=together, concurrency=_QUESTIONS_MAX if together else 1)
        quotes = QuotePoller(connector, known.values(), timing=timing, support=support)
        # Some venues tell the status of one market after the other, and slowly.
        timing = PollTiming(every_s=venue.status_every_s, timeout_s=max(_STATUS_TIMEOUT_S, len(known) * _STATUS_EACH_S))
        statuses = StatusPoller(connector, known.values(), timing=timing, support=support)
        tasks: list[FeedTask] = [
            (f"quotes {name}", lambda: quotes.run(emit)),
            (f"status {name}", lambda: statuses.run(emit)),
        ]
        if books:
            depths = [(known[one], depth) for one, depth in books.items()]
            timing = PollTiming(every_s=venue.book_every_s or feeds.book_every_s, concurrency=_QUESTIONS_MAX)
            poller = BookPoller(connector, depths, timing=timing, support=support)
            tasks.append((f"books {name}", lambda: poller.run(emit)))
        return tasks

    def _bars(
        self,
        connector: Connector,
        known: dict[InstrumentId, Instrument],
        native: dict[InstrumentId, set[int]],
        emit: Emit,
    ) -> list[FeedTask]:
        """Return what asks for the venue's own bars; `known` are its rules by the names that the daemon uses."""
        polled = [(known[one], interval) for one, many in native.items() for interval in sorted(many)]
        if not polled:
            return []
        bars = BarPoller(connector, polled, timing=PollTiming(every_s=1.0), support=self._support)

        async def follow() -> None:
            for (one, interval), closed_at_ns in self._fed.items():
                if interval in native.get(one, ()):
                    bars.mark(known[one].id, interval, closed_at_ns)
            await bars.run(emit)

        return [(f"bars {connector.venue}", self._once_fed(follow))]

    def _once_fed(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        """Return work that begins when the warm-up is done."""

        async def wait_and_work() -> None:
            if self._is_fed is not None:
                await self._is_fed.wait()
            await work()

        return wait_and_work

    # -- paper ---------------------------------------------------------------------------------------------------

    def _paper(
        self,
        venue: PaperSettings,
        connector: PaperConnector,
        known: dict[InstrumentId, Instrument],
        wanted: Wants,
    ) -> list[FeedTask]:
        """Return the tasks of a paper venue: its market moves first, then the strategies see it."""
        inbox = self._emit
        data = venue.data.recorded
        files = {one: data.files[rules.symbol] for one, rules in known.items() if data and rules.symbol in data.files}
        as_recorded = data is not None and data.speed == 1
        recording = Recording(files, wanted.bars, stamp=Stamp(data.stamp if data else "open"), of_quotes=as_recorded)

        def through_the_exchange(event: Event) -> None:
            if isinstance(event, Quote | Bar | Book | StatusChanged) and not recording.is_joined(event):
                connector.on_market(event, inbox)
            if not isinstance(event, Book) or event.instrument in wanted.books:
                inbox(event)

        native, built = _divided(wanted.bars, connector)
        stage, guarded = self._chain(through_the_exchange, {} if as_recorded else built)
        tasks: list[FeedTask] = [
            (f"bar builder {connector.venue}", lambda: stage.run(through_the_exchange)),
            (f"exchange {connector.venue}", lambda: connector.run(inbox)),
        ]
        if not known:
            return tasks  # no strategy of this venue could be loaded: there is no market to make up
        if venue.data.synthetic is not None:
            feed = SyntheticFeed(self._synthetic(venue.data.synthetic, known), self._clock)
            tasks.append((f"synthetic {connector.venue}", self._once_fed(lambda: feed.run(guarded))))
        elif data is not None:
            replay = ReplayFeed(recording.events(), self._clock, speed=data.speed)
            tasks.append((f"replay {connector.venue}", self._once_fed(lambda: replay.run(guarded))))
        elif connector.source is not None:
            tasks += self._borrowed(venue, connector.source, known, wanted._replace(bars=native), guarded)
        return tasks

    def _borrowed(
        self,
        venue: PaperSettings,
        source: Connector,
        known: dict[InstrumentId, Instrument],
        wanted: Wants,
        emit: Emit,
    ) -> list[FeedTask]:
        """Poll another venue's data, its own bars among them, and give them the paper venue's name."""
        theirs = {
            one: msgspec.structs.replace(rules, id=InstrumentId(f"{source.venue}:{rules.symbol}"))
            for one, rules in known.items()
        }
        ours = {rules.id: one for one, rules in theirs.items()}
        venue_name = next(iter(known.values())).venue

        def rename(event: Event) -> None:
            if isinstance(event, Quote | Bar | Book | StatusChanged):
                event = msgspec.structs.replace(event, instrument=ours[event.instrument])
            elif isinstance(event, VenueChanged):  # it is this venue that has no data for it
                event = msgspec.structs.replace(event, venue=venue_name)
            emit(event)

        books = {theirs[one].id: depth for one, depth in wanted.books.items()}
        tasks = self._pollers(venue, source, {rules.id: rules for rules in theirs.values()}, books, rename)
        return tasks + self._bars(source, theirs, wanted.bars, rename)

    def _synthetic(self, data: SyntheticData, known: dict[InstrumentId, Instrument]) -> SyntheticMarket:
        specs = synthetic_specs(data, {rules.symbol: rules for rules in known.values()}, speed=data.speed)
        return SyntheticMarket(
            specs, random.Random(data.seed), started_at_ns=self._clock.now_ns(), step_s=_SYNTHETIC_STEP_S
        )


def _divided(
    bars: Mapping[InstrumentId, set[int]], connector: Connector
) -> tuple[dict[InstrumentId, set[int]], dict[InstrumentId, set[int]]]:
    """Return the intervals that the venue has by itself, and those that are built from its quotes."""
    native = {one: {s for s in many if s in connector.capabilities.native_bars_s} for one, many in bars.items()}
    return native, {one: many - native[one] for one, many in bars.items()}


def synthetic_specs(
    data: SyntheticData, by_symbol: Mapping[str, Instrument], *, speed: float = 1.0
) -> list[SyntheticSpec]:
    """Return the instruments of a synthetic market that are wanted, as its section describes them.

    Args:
        data: The section.
        by_symbol: What is wanted.
        speed: Market seconds that pass in one of the feed's: 1 where time is the market's own, as in a backtest.
    """
    specs = []
    for one in data.instruments:
        rules = by_symbol.get(one.symbol)
        if rules is None:
            continue
        price = float(one.price)
        spread = price * float(one.spread_bps) / 10_000
        specs.append(
            SyntheticSpec(
                rules,
                price,
                volatility_bps=one.volatility * 10_000 * (speed / _SECONDS_A_YEAR) ** 0.5,
                drift_bps=one.drift * 10_000 * speed / _SECONDS_A_YEAR,
                spread_ticks=max(1, round(spread / float(one.tick))),
                regime_s=data.regime_every_s / speed,
                depth=one.depth,
                level_quantity=float(one.level_quantity),
            )
        )
    return specs


def log_change(change: FeedChange) -> None:
    """Log that a source answers, or no longer does."""
    log = _log.info if change.state.value == "up" else _log.warning
    log("feed_changed", venue=change.venue, endpoint=change.endpoint, state=change.state.value, reason=change.reason)
