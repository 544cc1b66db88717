"""Strategies on a made-up market, in a process of its own; every fact that they cause goes into a file, to be compared.

Started twice by `quantd check` (`determinism`), under two hash seeds and with the wall clock displaced in the second: a
strategy that lives on its inputs alone writes the same facts both times. Sends nothing, opens nothing of the daemon's.
"""

import datetime
import pickle
import random
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantd.app.storage import codec
from quantd.backtest import Backtest, SimulatedVenue
from quantd.backtest.loop import BacktestFailed
from quantd.clock import ManualClock, SystemClock
from quantd.domain.capabilities import Capabilities, LotWrite
from quantd.domain.cash import Account, AccountKind
from quantd.domain.events import TimerFired
from quantd.domain.facts import OrderIntended
from quantd.domain.instruments import Instrument
from quantd.domain.numbers import use_exact_arithmetic
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.desk import Desk
from quantd.engine.risk.limits import DayEnd, Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.feeds.synthetic import SyntheticMarket, SyntheticSpec
from quantd.plugins.loader import LoadFailure, StrategyLoader
from quantd.plugins.settings import StrategySettings
from quantd.ports import Clock
from quantd.runtime.scheduler import Scheduler
from quantd.telemetry.metrics import NullObserver

STARTED_AT_NS = 1_704_067_200_000_000_000
"""2024-01-01 UTC, whenever it runs."""
_SEED = 11
_DAY_NS = 86_400_000_000_000
_TIMERS_DAYS = 40
"""How far it looks for two firings of every timer."""
_STEPS_MIN, _STEPS_MAX = 3_000, 40_000
_STEPS_A_BAR = 5
_BARS_TRADED = 150
_WEALTH = Decimal(10) ** 9
_LIMITS = Limits(price_collar_bps=Decimal(500), passive_collar_bps=Decimal(5_000), self_match="deny")
"""What holds for every order: the strategy's own limits would only hide what it wants."""


class Listing(NamedTuple):
    """One instrument of the made-up market."""

    rules: Instrument
    price: float
    """At the start."""


class Part(NamedTuple):
    """One strategy and what it trades."""

    settings: StrategySettings
    setup: StrategySetup
    listings: tuple[Listing, ...]


class Rehearsal(NamedTuple):
    """What one process is given."""

    search_path: tuple[str, ...]
    """As `sys.path`, so that strategies named by a dotted path are found."""
    folder: Path
    parts: tuple[Part, ...]
    venues: dict[str, tuple[Account, Capabilities]]
    later_by_s: float
    """By how much the wall clock is displaced."""


class Told(msgspec.Struct, frozen=True):
    """What one strategy caused."""

    id: str
    records: tuple[tuple[str, int, bytes], ...]
    """(kind, time in nanoseconds, payload as the journal would hold it), in order."""
    orders: int = 0
    fault: str = ""
    """What it raised, if it was quarantined."""
    failure: str = ""
    """Why it could not be rehearsed to the end."""
    longest: tuple[str, float] = ("", 0.0)
    """Of the hooks that were timed, one of a sample: its name, and the seconds that it took."""


class _Longest:
    """Keeps the longest of the hooks that are timed; as the engine's meter."""

    def __init__(self) -> None:
        self.hook, self.took_s = "", 0.0
        self._now_ns = SystemClock().monotonic_ns
        self._began_ns = 0

    def began(self) -> None:
        """A hook begins."""
        self._began_ns = self._now_ns()

    def ended(self, strategy: str, hook: str) -> None:
        """The hook that began last has returned."""
        took_s = (self._now_ns() - self._began_ns) / 1e9
        if took_s > self.took_s:
            self.hook, self.took_s = hook, took_s


def main() -> None:
    """Rehearse what the file named first describes; write the result of each strategy into the folder, once it is whole."""
    given, results = (Path(name) for name in sys.argv[1:])
    rehearsal: Rehearsal = pickle.loads(given.read_bytes())
    sys.path[:] = rehearsal.search_path
    use_exact_arithmetic()
    displace_wall_clock(rehearsal.later_by_s)
    for number, part in enumerate(rehearsal.parts):
        begun = results / f"{number}.begun"
        begun.write_bytes(msgspec.msgpack.encode(rehearse(part, rehearsal)))
        begun.rename(result_of(results, number))


def result_of(results: Path, number: int) -> Path:
    """Return the file that holds a strategy's result, a `Told`; it is there when that strategy is done."""
    return results / f"{number}.told"


def rehearse(part: Part, rehearsal: Rehearsal) -> Told:
    """Run one strategy over a seeded market until its bars, timers and orders have had their turn."""
    id = part.setup.id
    loaded = StrategyLoader(rehearsal.folder).load(part.settings)
    if isinstance(loaded, LoadFailure):
        return Told(id, (), failure=str(loaded))
    currency = part.listings[0].rules.quote
    engine = Engine(
        EngineSettings(journal_id="0", epoch=1),
        RiskSettings(base_currency=currency),
        [(part.setup, loaded.strategy, Limits())],
        make_random=random.Random,
        log=lambda name: lambda *args, **fields: None,
        defaults=_LIMITS,
    )
    venues = [
        _venue(name, part.listings, rehearsal.venues[name], currency)
        for name in dict.fromkeys(one.rules.venue for one in part.listings)
    ]
    for venue in venues:
        engine.connect(venue.account.venue, venue.capabilities)
    engine.declare()
    longest = engine.context.meter = _Longest()
    desk = engine.desks[id]
    step_s, duration_s = _extent(desk)
    market = SyntheticMarket(
        _specs(part.listings, desk, step_s), random.Random(_SEED), started_at_ns=STARTED_AT_NS, step_s=step_s
    )
    backtest = Backtest(engine, venues, market.events(duration_s), scheduler=partial(_scheduler, desk))
    failure = ""
    try:
        backtest.run()
    except BacktestFailed as error:
        failure = str(error)
    facts = backtest.journal.facts
    encode = codec().encode
    return Told(
        id,
        tuple((draft.kind, draft.at_ns, draft.payload) for draft in map(encode, facts)),
        sum(isinstance(fact, OrderIntended) for fact in facts),
        next((f"{fact.hook}: {fact.error}" for fact in facts if isinstance(fact, StrategyFaulted)), ""),
        failure,
        (longest.hook, longest.took_s),
    )


def _venue(
    name: str, listings: tuple[Listing, ...], known: tuple[Account, Capabilities], currency: str
) -> SimulatedVenue:
    account, capabilities = known
    listed = tuple(one.rules for one in listings if one.rules.venue == name)
    margin = account.kind is AccountKind.MARGIN
    home = account.home_currency if margin else currency
    assets = (home,) if margin else (home, *(asset for one in listed for asset in (one.quote, one.base)))
    setup = AccountSetup(
        kind=account.kind,
        mode=account.mode,
        home_currency=home,
        balances=dict.fromkeys(assets, _WEALTH),
        lot_per_trade=LotWrite.PROTECT in capabilities.lot_writes,
    )
    exchange = Exchange(listed, {account.id: setup}, rules=ExchangeRules(keep_history=False))
    return SimulatedVenue(account, capabilities, exchange, listed)


def _scheduler(desk: Desk, clock: Clock) -> Scheduler:
    return Scheduler(clock, desk.timers, schedules={}, day_ends=DayEnd(), last_fired={}, observer=NullObserver())


def _extent(desk: Desk) -> tuple[float, float]:
    """Return the step of the market and how long it lasts, in seconds of market time."""
    intervals = [one.every_s for one in desk.series] or [10]
    step_s = max(0.5, min(intervals) / _STEPS_A_BAR)
    warm_s = max((one.every_s * (2 * one.needed + _BARS_TRADED) for one in desk.series), default=0.0)
    steps = max(warm_s, _timers_s(desk)) / step_s
    return step_s, min(max(steps, _STEPS_MIN), _STEPS_MAX) * step_s


def _timers_s(desk: Desk) -> float:
    """Return the seconds until every timer has fired twice."""
    scheduler = _scheduler(desk, ManualClock(STARTED_AT_NS))
    missing = [timer.name for timer in desk.timers] * 2
    at_ns = STARTED_AT_NS
    while missing:
        next_at_ns = scheduler.next_at_ns
        if next_at_ns is None or next_at_ns > STARTED_AT_NS + _TIMERS_DAYS * _DAY_NS:
            break
        at_ns = next_at_ns
        for event in scheduler.due(at_ns):
            if isinstance(event, TimerFired) and event.name in missing:
                missing.remove(event.name)
    return (at_ns - STARTED_AT_NS) / 1e9 * 1.01


def _specs(listings: tuple[Listing, ...], desk: Desk, step_s: float) -> list[SyntheticSpec]:
    """Return the market: the first instrument leads, the others move with it, so that spreads come back."""
    lead = listings[0].rules.id
    depth = max(desk.books.values(), default=1)
    return [
        SyntheticSpec(
            one.rules,
            one.price,
            volatility_bps=2.0,
            regime_s=60 * step_s,
            depth=depth,
            level_quantity=1_000.0,
            follows=None if one.rules.id == lead else lead,
        )
        for one in listings
    ]


# -- the displaced clock -----------------------------------------------------------------------------------------------


def displace_wall_clock(by_s: float) -> None:
    """Let all Python code that is loaded from here on read a wall clock that is `by_s` ahead.

    Two runs of a second each would else see the same hour and the same day. For a process of its own only.
    """
    delta = datetime.timedelta(seconds=by_s)
    for name, ahead in (("time", by_s), ("time_ns", round(by_s * 1e9))):
        setattr(time, name, _ahead(getattr(time, name), ahead))
    now = time.time  # noqa: TID251 -- displaced a line above: this is what the strategy is to see
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _at(getattr(time, name), now))
    for real, names in ((datetime.datetime, ("now", "utcnow", "today")), (datetime.date, ("today",))):
        setattr(datetime, real.__name__, _later(real, names, delta))


def _ahead(read: Callable[[], Any], by: float) -> Callable[[], Any]:
    return lambda: read() + by


def _at(convert: Callable[[float], Any], now: Callable[[], float]) -> Callable[..., Any]:
    return lambda seconds=None: convert(now() if seconds is None else seconds)


def _later(real: Any, names: tuple[str, ...], delta: datetime.timedelta) -> type:
    """Return a subclass of `real` that reads the displaced clock, and takes every `real` for one of its own."""

    def reader(name: str) -> Any:
        return classmethod(lambda cls, *args, **named: getattr(real, name)(*args, **named) + delta)

    kind = type("Later", (type,), {"__instancecheck__": lambda cls, value: isinstance(value, real)})
    made: type = kind(real.__name__, (real,), {name: reader(name) for name in names})
    return made
