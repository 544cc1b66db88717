"""A strategy on trial: one class on the real engine and the simulated exchange, driven bar by bar by a test.

For the tests of strategy authors, and of the strategies that come with quantd. Everything is as in the daemon (warm-up,
risk gate, books, targets, timers, restarts), but time moves only when the test says so, and a market order trades at
once, at the price that is seen, so that a test can look at the position right after the bar. A strategy that raises
fails the test where it raised.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantd.backtest.jobs import do
from quantd.backtest.orders import perform
from quantd.clock import ManualClock
from quantd.domain.commands import CancelAll, Command
from quantd.domain.events import (
    AccountOpened,
    Event,
    HaltOrdered,
    InstrumentListed,
    OperationSent,
    OutcomeReceived,
    StrategyStarted,
    TimePassed,
    TradingState,
)
from quantd.domain.facts import Fact, FillRecorded, RequestDenied
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.authored import interval_s
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.orders import Order, view_of
from quantd.engine.params import fill
from quantd.engine.risk.controls import DEFAULTS_WITHOUT_HOURS
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.strategy import Strategy
from quantd.errors import StrategyError
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.feeds.bars import BarAggregator, BarBuilder
from quantd.plugins.hooks import check_class
from quantd.plugins.importing import NotLoadable
from quantd.plugins.loader import LoadFailure, StrategyLoader
from quantd.runtime.scheduler import Scheduler
from quantd.testing.builders import make_account, make_capabilities, make_instrument
from quantd.testing.observer import RecordingObserver

STARTED_AT_NS = 1_599_998_400_000_000_000
"""When a trial begins: Sunday, 2020-09-13 12:00 UTC."""
STRATEGY = "trial"
"""The strategy's id in a trial."""
_NS_PER_S = 1_000_000_000


def load_strategy(use: str, folder: Path = Path("strategies")) -> type[Strategy]:
    """Return the class that ``use:`` names in the configuration.

    Raises:
        StrategyError: with file, line and cause.
    """
    found = StrategyLoader(folder).find(use)
    if isinstance(found, LoadFailure):
        raise StrategyError(str(found))
    return found


class Trial:
    """One strategy, its market and its account.

    Args:
        strategy: The class.
        params: As in the configuration.
        instruments: Ids (``venue:BASE-QUOTE``), by role where the strategy wants roles; or whole `Instrument`s, for
            rules and fees of your own. The quote of the first is the base currency.
        bars: The interval that `Strategy.bars` stands for.
        margin: A margin account, which can be short, instead of a spot account.
        balances: Of the account; a million of the base currency where nothing is said.
        limits: The strategy's own limits, as under ``risk:`` in its entry.
        risk: All other limits.
        quarantine: Let a strategy that raises be quarantined, as the daemon does, instead of failing the test.

    Raises:
        StrategyError: the daemon would not load the class.
    """

    def __init__(  # noqa: PLR0913 -- what surrounds a strategy, each with a default
        self,
        strategy: type[Strategy],
        params: Mapping[str, Any] | None = None,
        *,
        instruments: Sequence[str | Instrument] | Mapping[str, str | Instrument] = ("paper:BTC-USD",),
        bars: str = "1m",
        margin: bool = False,
        balances: Mapping[str, Decimal | int | str] | None = None,
        limits: Limits | None = None,
        risk: RiskSettings | None = None,
        quarantine: bool = False,
    ) -> None:
        """Start the strategy; it has no data yet."""
        try:
            check_class(strategy)
        except NotLoadable as error:
            raise StrategyError(f"{error.file}:{error.line}: {error.what}") from None
        roles = instruments if isinstance(instruments, Mapping) else {}
        named = list(instruments.values()) if isinstance(instruments, Mapping) else list(instruments)
        self.rules = {one.id: one for one in map(_rules_of, named)}
        self.now_ns = STARTED_AT_NS
        self.facts: list[Fact] = []
        """Everything that the journal would hold."""
        self.log: list[tuple[str, dict[str, Any]]] = []
        """What the strategy logged: (event, values)."""
        self._class = strategy
        self._params = dict(params or {})
        self._quarantine = quarantine
        self._bars_seen: list[Bar] = []
        self._last_seen: dict[tuple[type, InstrumentId], Bar | Quote | Book | StatusChanged] = {}
        first = next(iter(self.rules.values()))
        self._risk = risk or RiskSettings(base_currency=first.quote)
        self._limits = limits or Limits()
        self._account = make_account(first.venue, margin=margin)
        self._account = msgspec.structs.replace(self._account, home_currency=first.quote)
        self._setup = StrategySetup(
            id=STRATEGY,
            instruments=tuple(self.rules),
            roles={role: _rules_of(one).id for role, one in roles.items()},
            bars_s=interval_s(bars),
        )
        told = {first.quote: 1_000_000} if balances is None else balances
        opening = AccountSetup(
            kind=self._account.kind,
            home_currency=first.quote,
            balances={asset: Decimal(amount) for asset, amount in told.items()},
        )
        self.exchange = Exchange(
            self.rules.values(), {self._account.id: opening}, rules=ExchangeRules(), opened_at_ns=self.now_ns
        )
        self._begin(saved=())

    def _begin(self, saved: Sequence[Fact]) -> None:
        """Build strategy and engine; go on from `saved` facts where there are any."""
        self.strategy: Any = self._class()
        for name, value in fill(self._class, self._params).items():
            setattr(self.strategy, name, value)
        self.engine = Engine(
            EngineSettings(journal_id="0", epoch=1),
            self._risk,
            [(self._setup, self.strategy, self._limits)],
            make_random=random.Random,
            log=lambda strategy: lambda event, **values: self.log.append((event, values)),
            defaults=DEFAULTS_WITHOUT_HOURS,
        )
        venue = self._account.venue
        self.engine.connect(venue, make_capabilities())
        self.engine.declare()
        self._desk = self.engine.desks[STRATEGY]
        if not self._quarantine:
            # Called in the `except` clause that caught it, so that pytest shows the author's own line.
            vars(self._desk)["quarantine"] = _fail
        for fact in saved:
            self.engine.state.apply(fact)
        if saved:
            self.engine.restored()
        self._scheduler = Scheduler(
            ManualClock(self.now_ns),
            self._desk.timers,
            schedules={},
            day_ends=self._risk.day_ends,
            last_fired=self.engine.state.timers,
            observer=RecordingObserver(),
        )
        wanted = sorted({(series.instrument, series.every_s) for series in self._desk.series})
        self._builders = [BarBuilder(*one) for one in wanted]
        self._aggregators = [BarAggregator(*one) for one in wanted]
        for rules in self.rules.values():
            self._handle(InstrumentListed(rules, self.now_ns))
        self._handle(AccountOpened(self._account, self.now_ns))
        # Looked at after all that happened at this moment: of a look at the same time nobody knows what is in it.
        shown = self.exchange.snapshot(self._account.id, venue, self.now_ns)
        self._handle(msgspec.structs.replace(shown, asked_at_ns=self.now_ns + 1))
        self._warm_up()
        self._handle(StrategyStarted(STRATEGY, self.now_ns))

    def _warm_up(self) -> None:
        """Feed the bars seen so far to the series, and the last price of each instrument to the engine."""
        for bar in self._bars_seen:
            for series in self._desk.series:
                if series.instrument == bar.instrument and series.every_s * _NS_PER_S == bar.interval_ns:
                    self._desk.on_bar(series, bar)
        for event in self._last_seen.values():
            self._handle(event)

    # -- the market ----------------------------------------------------------------------------------------------

    def bar(  # noqa: PLR0913 -- the fields of a bar
        self,
        close: float,
        *,
        open: float | None = None,
        high: float | None = None,
        low: float | None = None,
        volume: float = 1.0,
        instrument: str | None = None,
    ) -> "Trial":
        """Let one bar pass: time moves on by its interval. Open, high and low are the close where nothing is said.

        Longer bars that the strategy asks for are joined from these, as in the daemon.
        """
        return self.bars({instrument or "": (open, high, low, close)}, volume=volume)

    def closes(self, *closes: float, instrument: str | None = None) -> "Trial":
        """Let bars pass that have these closes."""
        for close in closes:
            self.bar(close, instrument=instrument)
        return self

    def bars(
        self, prices: Mapping[str, float | tuple[float | None, float | None, float | None, float]], volume: float = 1.0
    ) -> "Trial":
        """Let one bar of several instruments pass, by id or role: a close, or (open, high, low, close)."""
        opened = self.now_ns
        self._pass_until(opened + self._setup.bars_s * _NS_PER_S)
        for name, given in prices.items():
            first, top, bottom, close = given if isinstance(given, tuple) else (None, None, None, given)
            first = close if first is None else first
            top = max(first, close) if top is None else top
            bottom = min(first, close) if bottom is None else bottom
            id = self.id_of(name)
            self._take(Bar(id, opened, self.now_ns, first, top, bottom, close, volume, self.now_ns))
        return self._tick()

    def quote(self, bid: float, ask: float | None = None, *, instrument: str | None = None) -> "Trial":
        """Show a quote, without moving time; bid and ask are the same where only one is given."""
        self._take(Quote(self.id_of(instrument), bid, bid if ask is None else ask, self.now_ns))
        return self._tick()

    def play(self, events: Iterable[Bar | Quote | Book | StatusChanged]) -> "Trial":
        """Let recorded or synthetic market data pass, with their times; bars are built from quotes."""
        for event in events:
            self._pass_until(event.received_at_ns)
            if isinstance(event, Quote):
                for builder in self._builders:
                    if builder.instrument == event.instrument:
                        self._tell_made(builder.on_quote(event))
            self._take(event)
            self._tick()
        return self

    def wait(self, seconds: float) -> "Trial":
        """Let time pass without prices; timers fire when they come due."""
        self._pass_until(self.now_ns + round(seconds * _NS_PER_S))
        return self._tick()

    def halt(self, state: TradingState = TradingState.HALTED) -> "Trial":
        """Stop trading as an operator would."""
        generation = self.engine.state.halt_generation + 1
        self._handle(HaltOrdered("all", state, "tester", "trial", generation, self.now_ns))
        return self

    def restart(self) -> "Trial":
        """End and start again as after a crash: the state is folded from the facts, the bars come as warm-up."""
        self._begin(saved=list(self.facts))
        return self

    # -- what came of it -----------------------------------------------------------------------------------------

    def id_of(self, instrument: str | None = None) -> InstrumentId:
        """Return an instrument's id by id or role; the first one's without either."""
        if not instrument:
            return next(iter(self.rules))
        return self._setup.roles.get(instrument, InstrumentId(instrument))

    def position(self, instrument: str | None = None) -> Decimal:
        """Return the signed quantity in the strategy's book."""
        return self.engine.state.portfolio.book(STRATEGY, self.id_of(instrument)).quantity

    @property
    def orders(self) -> list[Order]:
        """The open orders, oldest first."""
        return [view_of(order) for order in self.engine.state.orders.open_orders()]

    @property
    def fills(self) -> list[FillRecorded]:
        """All executions."""
        return [fact for fact in self.facts if isinstance(fact, FillRecorded)]

    @property
    def trades(self) -> list[tuple[str, Decimal, Decimal]]:
        """All executions as (buy or sell, quantity, price)."""
        return [(fact.side.value, fact.fill.quantity, fact.fill.price) for fact in self.fills]

    @property
    def denials(self) -> list[RequestDenied]:
        """What the risk gate denied."""
        return [fact for fact in self.facts if isinstance(fact, RequestDenied)]

    @property
    def faults(self) -> list[StrategyFaulted]:
        """What quarantined the strategy."""
        return [fact for fact in self.facts if isinstance(fact, StrategyFaulted)]

    @property
    def equity(self) -> Decimal | None:
        """Worth of the account in the base currency; None while a price is missing."""
        return self.engine.state.equity(self._account.venue)

    # -- the machine ---------------------------------------------------------------------------------------------

    def _pass_until(self, now_ns: int) -> None:
        while (at := self._scheduler.next_at_ns) is not None and at <= now_ns:
            self.now_ns = max(self.now_ns, at)
            for event in self._scheduler.due(self.now_ns):
                self._handle(event)
        self.now_ns = max(self.now_ns, now_ns)

    def _tick(self) -> "Trial":
        self._pass_until(self.now_ns)
        self._handle(TimePassed(self.now_ns))
        for job in self.engine.take_jobs():
            done = do(job, self.now_ns)
            if done.error and type(self.strategy).on_job is Strategy.on_job:
                raise StrategyError(f"job {job.name!r} failed, and no on_job hears of it: {done.error}")
            self._handle(done)
        return self

    def _take(self, event: Bar | Quote | Book | StatusChanged) -> None:
        """Show a market event to the exchange, then to the strategy: fills come first, as they do in the daemon."""
        self._last_seen[type(event), event.instrument] = event
        if isinstance(event, Bar):
            self._bars_seen.append(event)
        for told in self.exchange.handle(event):
            self._handle(told.report)
        self._handle(event)
        if isinstance(event, Bar):
            for joiner in self._aggregators:
                length_ns = joiner.interval_s * _NS_PER_S
                is_longer = length_ns > event.interval_ns and not length_ns % event.interval_ns
                if joiner.instrument == event.instrument and is_longer:
                    self._tell_made(joiner.on_bar(event))

    def _tell_made(self, bars: Iterable[Bar]) -> None:
        """Show the strategy bars that were made of others or of quotes, which have moved the market already."""
        for bar in bars:
            if bar.complete:
                self._bars_seen.append(bar)
                self._handle(bar)

    def _handle(self, event: Event) -> None:
        """Give an event to the engine, and carry out what it commands until nothing more is to be done."""
        commands = list(self.engine.handle(event))
        self.facts += self.engine.take_facts()
        while commands:
            command = commands.pop(0)
            commands += self._carry_out(command)
            self.facts += self.engine.take_facts()

    def _carry_out(self, command: Command) -> list[Command]:
        engine, now_ns, account = self.engine, self.now_ns, self._account.id
        if isinstance(command, CancelAll):
            done = self.exchange.cancel_all(account, now_ns, instrument=command.instrument)
            return [more for one in done for more in engine.handle(one.report)]
        following = [*engine.handle(OperationSent(command.client_order_id, command.operation, now_ns))]
        outcome = perform(self.exchange, account, command, now_ns)
        following += engine.handle(OutcomeReceived(command.client_order_id, command.operation, outcome, now_ns))
        for told in self.exchange.requote(command.instrument, now_ns):
            following += engine.handle(told.report)
        return following


def _fail(hook: str, error: str) -> None:
    raise StrategyError(f"the strategy failed in {hook}: {error}")


def _rules_of(instrument: str | Instrument) -> Instrument:
    if isinstance(instrument, Instrument):
        return instrument
    return make_instrument(instrument, lot=Decimal("0.00001"), margin_rate=Decimal("0.05"))


@pytest.fixture
def trial() -> Callable[..., Trial]:
    """`Trial`, for tests that like fixtures; put ``pytest_plugins = ["quantd.testing.kit"]`` into conftest.py."""
    return Trial
