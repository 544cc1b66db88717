"""The desk of one strategy: what its calls mean to the engine, and how its hooks are called.

Keeps the strategy's declarations and its own view; everything that it sends goes through `Trading` and the gate.
"""

import copy
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.events import TimerFired, TradingState
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.domain.orders import How, Protect, Side
from quantd.domain.strategy_facts import StrategyFaulted, StrategySaved
from quantd.engine import authored
from quantd.engine.callbacks import CallbackOverrun, Callbacks, acting
from quantd.engine.context import Context, StrategySetup
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder, Order, view_of
from quantd.engine.reading import Reading
from quantd.engine.reducing import only_reduces
from quantd.engine.risk.wish import Denied
from quantd.engine.series import HISTORY_MAX, Series
from quantd.engine.strategy import Strategy
from quantd.engine.tallies import SUPERVISION
from quantd.engine.targets import Targets
from quantd.engine.trading import Trading
from quantd.engine.views import Instruments, Job, Random, StrategyLog, Timer


class Desk(Callbacks):
    """One strategy in the engine."""

    def __init__(  # noqa: PLR0913 -- what a desk is made of
        self,
        setup: StrategySetup,
        strategy: Strategy,
        *,
        context: Context,
        trading: Trading,
        targets: Targets,
        random: Random,
        log: StrategyLog,
    ) -> None:
        super().__init__(setup, context)
        self.strategy = strategy
        self.random = random
        self.log = log
        self.instruments = Instruments(setup)
        self.read = Reading(setup.id, self.instruments, context)
        self.series: list[Series] = []
        self.aligned: list[tuple[tuple[Series, ...], int, dict[int, dict[int, Bar]]]] = []
        self.quotes: dict[InstrumentId, float | None] = {}
        """Instruments whose quotes it takes -> age limit in seconds."""
        self.books: dict[InstrumentId, int] = {}
        self.timers: list[Timer] = []
        self.waiting_timers: dict[str, TimerFired] = {}
        """What came due before the strategy could be called; the newest of each name."""
        self.jobs: list[Job] = []
        self.is_started = False
        self._has_begun = False
        """Its `on_start` was called; one that was quarantined before a restart of the daemon waits for that."""
        self.late_closes = 0
        """Closes of aligned series that were dropped because some series had no bar in time."""
        self._trading = trading
        self._targets = targets
        self._is_declaring = False
        self._saved: bytes | None = None
        self._pristine = copy.deepcopy(strategy) if setup.restarts_max else strategy
        """As it was before its `setup`, where a fresh object may be wanted."""
        strategy._desk = self

    # -- declarations --------------------------------------------------------------------------------------------

    def declare(self) -> None:
        """Run the strategy's `setup`; its errors are the loader's to report."""
        self._is_declaring = True
        try:
            self.strategy.setup()
        finally:
            self._is_declaring = False
        if type(self.strategy).on_quote is not Strategy.on_quote and not self.quotes:
            self.quotes = dict.fromkeys(self.instruments)

    def _must_declare(self, what: str) -> None:
        if not self._is_declaring:
            raise RuntimeError(f"{what} may be called in setup() only")

    def declare_bars(
        self, instrument: str | None, every: str | None, max_age_s: float | None, warm_up: int = 1
    ) -> Series:
        """Make a series."""
        self._must_declare("bars")
        try:
            every_s = self.setup.bars_s if every is None else authored.interval_s(every)
        except ValueError as error:
            raise ValueError(f"bars: every: expected {error}, found {every!r}") from None
        series = Series(self.read.resolve(instrument), every_s, max_gap_s=self.setup.max_gap_s, max_age_s=max_age_s)
        if not 1 <= warm_up <= HISTORY_MAX:
            raise ValueError(f"bars: warm_up: expected 1 to {HISTORY_MAX} bars, found {warm_up}")
        series.needed = int(warm_up)
        self.series.append(series)
        return series

    def declare_quotes(self, instrument: str | None, max_age_s: float | None) -> None:
        """Note a wish for quotes."""
        self._must_declare("quotes")
        self.quotes[self.read.resolve(instrument)] = max_age_s

    def declare_book(self, instrument: str | None, depth: int) -> None:
        """Note a wish for books."""
        self._must_declare("book")
        self.books[self.read.resolve(instrument)] = depth

    def declare_aligned(self, series: Sequence[Series], late_after_s: float) -> None:
        """Note series that are taken together."""
        self._must_declare("aligned")
        if len({one.every_s for one in series}) != 1:
            raise ValueError("aligned series must have one interval")
        for one in series:
            one.is_aligned = True
        self.aligned.append((tuple(series), int(late_after_s * 1e9), {}))

    def declare_timer(self, name: str, cron: str | None, every_s: float | None) -> None:
        """Note a schedule."""
        self._must_declare("timer")
        if (cron is None) == (every_s is None):
            raise ValueError(f"timer {name!r}: give either cron or every_s")
        self.timers.append(Timer(self.id, authored.text(name), cron, every_s))

    # -- hooks ---------------------------------------------------------------------------------------------------

    def quarantine(self, hook: str, error: str) -> None:
        """Stop calling the strategy, let it only reduce, and do with its orders what `at_fault` says; latched."""
        context = self._context
        self.is_quarantined = True
        context.record(StrategyFaulted(self.id, hook, error, context.now_ns))
        context.latch(f"strategy:{self.id}", TradingState.REDUCING, SUPERVISION, f"{hook}: {error}")
        if self.setup.at_fault == "flatten":
            self.flatten("quarantine")
        elif self.setup.at_fault == "cancel_entries":
            self.cancel_entries("quarantine")

    def renew(self) -> None:
        """Put a fresh object in the place of one that failed: declared anew, not started, its series cold.

        Raises:
            Exception: whatever its `setup` raises.
        """
        self._put(copy.deepcopy(self._pristine))

    def replace(self, setup: StrategySetup, strategy: Strategy) -> None:
        """Put another object in the place of this one, with the settings that it comes with; see `renew`.

        Raises:
            Exception: whatever its `setup` raises.
        """
        self.setup = setup
        self._pristine = copy.deepcopy(strategy) if setup.restarts_max else strategy
        self._put(strategy)

    def _put(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.strategy._desk = self
        for declared in (self.series, self.aligned, self.timers, self.jobs):
            declared.clear()
        for named in (self.quotes, self.books, self.waiting_timers):
            named.clear()
        self.is_broken = self.is_quarantined = self.is_started = self._has_begun = False
        self._errors.clear()
        self._saved = None
        self.declare()

    def cancel_entries(self, why: str) -> None:
        """Cancel every open order that adds exposure."""
        for order in self.read.live_orders(None):
            if not only_reduces(self._context.state, order):
                self._trading.cancel(order, why)

    def on_bar(self, series: Series, bar: Bar) -> None:
        """Feed a bar to a series and, when it is warm and trading has begun, to the strategy."""
        if self.is_broken:
            return
        self.callbacks += 1
        self.acts = 0
        if self._cuts and self._is_left_out(self.strategy.on_bar):
            return
        context = self._context
        meter = context.meter
        if meter is not None:
            meter = self._timed(meter)
        try:
            context.running = self
            # Indicators may be the author's own, so they run under the same guard as the hook.
            if series.add(bar) and self._wants(series, bar):
                self.strategy.on_bar(bar)
            context.running = None
        except (Exception, CallbackOverrun, SystemExit) as error:  # noqa: BLE001 -- boundary: an author's code
            context.running = None
            self._failed(self.strategy.on_bar, error)
            return
        if self._stop_after >= 0:
            self._failed(self.strategy.on_bar, None)
            return
        if meter is not None:
            meter.ended(self.id, "on_bar")
        if series.is_aligned:
            self._align(series, bar)

    def _wants(self, series: Series, bar: Bar) -> bool:
        """Tell whether a bar of a warm series goes to `on_bar`: not one that was too old when it arrived."""
        if not self.is_started or self.is_quarantined or series.is_aligned:
            return False
        return series.max_age_s is None or self._context.now_ns - bar.closed_at_ns <= series.max_age_s * 1e9

    def on_quote(self, quote: Quote) -> None:
        """Pass a quote on, unless it was too old when it arrived."""
        limit_s = self.quotes[quote.instrument]
        told_at_ns = quote.occurred_at_ns
        if limit_s is not None and told_at_ns is not None and quote.received_at_ns - told_at_ns > limit_s * 1e9:
            return
        if self.is_started:
            self.call(self.strategy.on_quote, quote)

    def _align(self, series: Series, bar: Bar) -> None:
        for group, late_ns, waiting in self.aligned:
            if series not in group:
                continue
            close = waiting.setdefault(bar.closed_at_ns, {})
            close[group.index(series)] = bar
            if len(close) == len(group):
                del waiting[bar.closed_at_ns]
                if bar.received_at_ns - min(one.received_at_ns for one in close.values()) > late_ns:
                    self.late_closes += 1
                elif self.is_started and all(one.is_ready for one in group):
                    self.call(self.strategy.on_bars, [close[number] for number in range(len(group))])
            for closed_at_ns in [at for at in waiting if at + late_ns < bar.closed_at_ns]:
                del waiting[closed_at_ns]
                self.late_closes += 1

    def start(self) -> None:
        """Take part from now on; one that is quarantined begins when it is resumed."""
        if self.is_started:
            return
        self.is_quarantined = self.id in self._context.state.quarantined
        self.is_started = True
        self._begin()

    def resume(self) -> None:
        """Call a quarantined strategy again, unless it was cut short."""
        self.is_quarantined = self.is_broken
        if self.is_started:
            self._begin()

    def _begin(self) -> None:
        """Load what was saved and call `on_start`, once."""
        if self._has_begun or self.is_quarantined:
            return
        saved = self._context.state.saves.get(self.id)
        if saved is not None:
            self._saved = saved.state
            self.call(self.strategy.load, msgspec.json.decode(saved.state), saved.version)
        if not self.is_quarantined:
            self._has_begun = True
            self.call(self.strategy.on_start)

    def keep(self) -> None:
        """Record what `save` returns, if it changed."""
        if type(self.strategy).save is Strategy.save or self.is_quarantined or not self.is_started:
            return
        self.callbacks += 1
        self.acts = 0
        if self._cuts and self._is_left_out(self.strategy.save):
            return
        context = self._context
        try:
            context.running = self
            state = self.strategy.save()
            encoded = None if state is None else msgspec.json.encode(state)
            version = int(type(self.strategy).state_version)
            context.running = None
        except (Exception, CallbackOverrun, SystemExit) as error:  # noqa: BLE001 -- boundary: an author's code
            context.running = None
            self._failed(self.strategy.save, error)
            return
        if self._stop_after >= 0:
            self._failed(self.strategy.save, None)
            return
        if encoded is not None and encoded != self._saved:
            self._saved = encoded
            self._context.record(StrategySaved(self.id, version, encoded, self._context.now_ns))

    @property
    def is_warm(self) -> bool:
        """Whether all series have their warm-up behind them."""
        return all(series.is_ready for series in self.series)

    # -- acting --------------------------------------------------------------------------------------------------

    @acting
    def order(  # noqa: PLR0913 -- what an author may say of an order
        self, side: Side, instrument: str, quantity: Decimal | float, how: How, *, protect: Protect | None, why: str
    ) -> Order | Denied:
        """Send an order."""
        self._must_trade("orders")
        cap, where = self.setup.max_slippage_bps, self.read.resolve(instrument)
        how, exits = authored.how_of(how), authored.protect_of(protect)
        why = authored.text(why)
        ticket = Ticket(self.id, where, side, quantity, how, protect=exits, why=why, max_slippage_bps=cap)
        placed = self._trading.submit(ticket)
        return placed if isinstance(placed, Denied) else view_of(placed)

    def _must_trade(self, what: str) -> None:
        if self._is_declaring:
            raise RuntimeError(f"{what} are not possible in setup()")

    @acting
    def target(
        self, instrument: str | None, quantity: Decimal | float, how: How, protect: Protect | None, why: str
    ) -> None:
        """Set a target."""
        self._must_trade("targets")
        where, exits = self.read.resolve(instrument), authored.protect_of(protect)
        self._targets.set(self.id, where, quantity, authored.how_of(how), exits, authored.text(why))

    @acting
    def protect(self, instrument: str | None, protect: Protect) -> bool:
        """Put what is held under these exits."""
        self._must_trade("exits")
        exits = authored.protect_of(protect) or Protect()
        return self._trading.change_exits(self.id, self.read.resolve(instrument), exits)

    @acting
    def cancel(self, order: Order) -> bool:
        """Cancel one order."""
        live = self._context.state.orders.get(order.id)
        return live is not None and live.strategy == self.id and self._cancel(live)

    def _cancel(self, order: LiveOrder) -> bool:
        """Cancel an order as the strategy's own wish; a target that it works for ends with it."""
        self._targets.forget(order)
        return self._trading.cancel(order, urgent=False)

    @acting
    def cancel_all(self, instrument: str | None) -> int:
        """Cancel all orders."""
        return sum(self._cancel(order) for order in self.read.live_orders(instrument))

    @acting
    def amend(self, order: Order, quantity: Decimal | float | None, price: Decimal | float | None) -> Order | Denied:
        """Change an order."""
        live = self._context.state.orders.get(order.id)
        if live is None or live.strategy != self.id:
            raise ValueError(f"{order!r} is not an order of {self.id}")
        rules = self._context.instrument(live.instrument)
        exact = None if quantity is None else rules.quantity(quantity)
        exact_price = None if price is None else (price if isinstance(price, Decimal) else Decimal(repr(float(price))))
        changed = self._trading.amend(live, exact, exact_price)
        return changed if isinstance(changed, Denied) else view_of(changed)

    @acting
    def job(self, name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Give slow work away."""
        self._must_trade("jobs")
        self.jobs.append(Job(self.id, authored.text(name), function, args))

    def flatten(self, why: str) -> None:
        """Cancel everything and close every book."""
        for order in self.read.live_orders(None):
            self._trading.cancel(order, why)
        for instrument in self.instruments:
            self._targets.close(self.id, instrument, why)


BOUNDARIES = frozenset(one.__code__ for one in (Callbacks.call, Desk.on_bar, Desk.keep))
"""Where the engine ends and the author's code begins; a watchdog that reads the stack looks for these."""
