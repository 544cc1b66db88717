"""A small backtest: one spot account, one instrument, strategies and bars made by hand."""

import random
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from quantd import Bar, Instrument, InstrumentId, Quote, Strategy
from quantd.backtest import Backtest, SimulatedVenue
from quantd.domain.events import MarketEvent
from quantd.domain.facts import Fact
from quantd.domain.instruments import FeeSchedule
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import DayEnd, Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.journal.memory import MemoryJournal
from quantd.ports import Clock
from quantd.runtime.scheduler import Scheduler
from quantd.telemetry.metrics import NullObserver
from quantd.testing.builders import make_account, make_capabilities, make_instrument

BTC = InstrumentId("paper:BTC-USD")
MINUTE_NS = 60_000_000_000
START_NS = 1_600_000_020_000_000_000 // MINUTE_NS * MINUTE_NS
FEE = Decimal("0.001")
WIDE = Limits(max_quote_age_s=86_400.0)


def bars(closes: Sequence[float], *, instrument: InstrumentId = BTC, interval_ns: int = MINUTE_NS) -> list[Bar]:
    """Return bars that each open at the last close, a tick beyond it at both ends."""
    made, last = [], closes[0]
    for number, close in enumerate(closes):
        opened = START_NS + number * interval_ns
        high, low = max(last, close) + 0.01, min(last, close) - 0.01
        closed = opened + interval_ns
        made.append(Bar(instrument, opened, closed, last, high, low, close, 100.0, closed))
        last = close
    return made


def quotes(mids: Sequence[float], *, step_s: float) -> list[Quote]:
    """Return quotes with a spread of two ticks."""
    times = [START_NS + int(number * step_s * 1e9) for number in range(len(mids))]
    return [Quote(BTC, mid - 0.01, mid + 0.01, at, at) for mid, at in zip(mids, times, strict=True)]


def instrument(**rules: Any) -> Instrument:
    """Return the instrument, with a fee of 10 basis points."""
    return make_instrument(BTC, **({"fees": FeeSchedule(FEE, FEE)} | rules))


def backtest(
    strategies: Strategy | dict[str, Strategy],
    events: Iterable[MarketEvent],
    *,
    limits: Limits = WIDE,
    journal: MemoryJournal[Fact] | None = None,
    rules: ExchangeRules | None = None,
    scheduled: bool = False,
) -> Backtest:
    """Return a run with 100,000 USD on the account."""
    named = {"one": strategies} if isinstance(strategies, Strategy) else strategies
    engine = Engine(
        EngineSettings(journal_id="t", epoch=1),
        RiskSettings(base_currency="USD", order=limits),
        [(StrategySetup(id=name, instruments=(BTC,)), strategy, Limits()) for name, strategy in named.items()],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    engine.declare()
    listed = instrument()
    exchange = Exchange([listed], {"1": AccountSetup(balances={"USD": Decimal(100_000)})}, rules=rules)
    venue = SimulatedVenue(make_account(), make_capabilities(), exchange, (listed,))
    return Backtest(
        engine, [venue], events, journal=journal, scheduler=_scheduler_of(engine) if scheduled else None
    )  # fmt: skip


def _scheduler_of(engine: Engine) -> Callable[[Clock], Scheduler]:
    def make(clock: Clock) -> Scheduler:
        timers = [timer for desk in engine.desks.values() for timer in desk.timers]
        return Scheduler(clock, timers, schedules={}, day_ends=DayEnd(), last_fired={}, observer=NullObserver())

    return make
