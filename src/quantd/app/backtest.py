"""From a configuration and data to a backtest: every venue becomes a simulated account, everything else is as live.

Used by the command line. Opens the data's files and nothing else.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, cast

import quantd
from quantd.app import bar_limits
from quantd.app.engine import log_of
from quantd.app.feeds import synthetic_specs
from quantd.app.recordings import SAMPLE, rounded
from quantd.app.schedules import build_scheduler
from quantd.app.strategies import Prepared, one_strategy_each, prepare, source_hashes
from quantd.app.venues import build_venues, over_http
from quantd.backtest import Backtest, SimulatedVenue
from quantd.clock import ManualClock
from quantd.config import Settings
from quantd.domain.capabilities import LotWrite
from quantd.domain.cash import AccountKind
from quantd.domain.events import MarketEvent
from quantd.domain.facts import RunStarted
from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, TickTier, symbol_of
from quantd.domain.market import Bar
from quantd.domain.numbers import BPS, ZERO
from quantd.engine.context import EngineSettings
from quantd.engine.core import Engine
from quantd.errors import ConfigError
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.feeds.recorded import ReadOptions, Stamp, read_market
from quantd.feeds.replay import merge_by_time
from quantd.feeds.synthetic import SyntheticMarket
from quantd.plugins.hooks import unheard
from quantd.telemetry.metrics import NullObserver
from quantd.venues.paper.rules import instruments_of, rules_of
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.parts import Surroundings, VenueParts

SYNTHETIC_FROM_NS = 1_704_067_200_000_000_000
"""Where synthetic history begins: 2024-01-01 UTC. The same seed gives the same run on every day."""
_DEFAULT_LOT = Decimal("0.0001")
_DEFAULT_MARGIN_RATE = Decimal("0.05")
_DEFAULT_BALANCE = Decimal(100_000)


class Options(NamedTuple):
    """What the command line adds to the configuration."""

    data: Mapping[str, Path] = {}
    """Instrument -> file; under the key "" the file of the only instrument."""
    days: float = 1.0
    """Length of synthetic data."""
    bars_s: int | None = None
    """Interval of the strategies' bars, over that of the configuration."""
    balances: Mapping[str, Decimal] = {}
    """Opening balances of accounts that the configuration gives none."""
    tick: Decimal | None = None
    """Price step of instruments that the configuration does not describe; read off the data without it."""
    lot: Decimal = _DEFAULT_LOT
    stamp: Stamp | None = None
    """Which end of a bar its time in the files names; what the configuration says of recorded data without it."""
    margin_rate: Decimal = _DEFAULT_MARGIN_RATE
    """Share of a position's worth that margin accounts hold for such instruments."""


class Plan(NamedTuple):
    """A backtest that is ready to run."""

    backtest: Backtest
    notes: tuple[str, ...]
    """What was assumed, one sentence each."""
    expected: int | None
    """Number of market events to come, where it is known; for the progress bar."""


class _Data(NamedTuple):
    events: Iterator[MarketEvent]
    expected: int | None
    bar_s: float
    """Longest interval of the data's bars; 0 for quotes."""


def plan_backtest(settings: Settings, options: Options) -> Plan:
    """Build everything.

    Raises:
        ConfigError: data, instruments or strategies do not fit together.
    """
    notes: list[str] = []
    parts = _venues(settings)
    if options.bars_s is not None:
        settings = _with_bars(settings, options.bars_s)
    capabilities = {name: one.connector.capabilities for name, one in parts.items()}
    prepared, failures = prepare(settings, capabilities)
    if failures:
        first = failures[0]
        raise settings.error(
            ("strategies", first.id, "use"), found=str(first), expected="a strategy that can be loaded"
        )
    one_strategy_each(settings, prepared, {name: one.connector for name, one in parts.items()})
    wanted = _instruments(prepared)
    files = _files(settings, options, wanted)
    sources = {one: _peeked(path, one, _stamp(settings, options, one)) for one, path in files.items()}
    rules = _rules(parts, options, sources, wanted, notes)
    _check_effect(settings, options, rules, is_filed=bool(files))
    data = _synthetic(settings, options, rules) if not files else _recorded(files, sources)
    venues = _simulated(settings, options, parts, rules)
    risk, defaults = bar_limits.reference_age(settings.risk, data.bar_s, notes)
    limits = [(one.setup, one.strategy, bar_limits.older(one.limits, data.bar_s)) for one in prepared]
    engine = Engine(
        EngineSettings(
            journal_id="0",
            epoch=1,
            naked_after_s=bar_limits.naked_after_s(settings.protection.naked_after_s, data.bar_s, notes),
            when_naked=settings.protection.when_naked,
        ),
        risk,
        limits,
        make_random=random.Random,
        log=log_of,
        defaults=defaults,
    )
    for venue in venues:
        engine.connect(venue.account.venue, venue.capabilities)
    engine.declare()
    notes += [note for desk in engine.desks.values() for note in unheard(desk)]
    bar_limits.check_desks(engine.desks.values(), capabilities, data.bar_s, notes)
    run = RunStarted(quantd.__version__, settings.hash, source_hashes(prepared), "0", 1, 0)
    backtest = Backtest(
        engine,
        venues,
        data.events,
        scheduler=lambda clock: build_scheduler(
            settings, [one.settings for one in prepared], engine, clock, NullObserver()
        ),
        run=run,
    )
    return Plan(backtest, tuple(notes), data.expected)


# --- strategies and instruments ---------------------------------------------------------------------------------------


def _instruments(prepared: Sequence[Prepared]) -> list[InstrumentId]:
    wanted = dict.fromkeys(instrument for one in prepared for instrument in one.setup.instruments)
    if not wanted:
        raise ConfigError("no strategy is enabled: there is nothing to test")
    return list(wanted)


def _with_bars(settings: Settings, bars_s: int) -> Settings:
    strategies = tuple(one.model_copy(update={"bars": bars_s}) for one in settings.strategies)
    return replace(settings, strategies=strategies)


def _rules(
    parts: Mapping[str, VenueParts],
    options: Options,
    sources: "Mapping[InstrumentId, _Source]",
    wanted: Iterable[InstrumentId],
    notes: list[str],
) -> dict[InstrumentId, Instrument]:
    """Return the trading rules: those of the configuration, else plain ones with the tick of the data, and a note."""
    rules: dict[InstrumentId, Instrument] = {}
    for instrument in wanted:
        venue, _, symbol = instrument.partition(":")
        part = parts[venue]
        section = part.settings
        known = instruments_of(venue, section) if isinstance(section, PaperSettings) else {}
        source = sources.get(instrument)
        if symbol in known:
            rules[instrument] = known[symbol]
            notes += [] if source is None else rounded(source.path, source.first, known[symbol])
            continue
        tick = options.tick or (source.tick() if source is not None else Decimal("0.01"))
        plain = rules[instrument] = Instrument(
            instrument,
            *_currencies(instrument),
            ticks=(TickTier(ZERO, tick),),
            lot=options.lot,
            fees=_fees(section),
            margin_rate=options.margin_rate if part.connector.account.kind is AccountKind.MARGIN else None,
        )
        notes.append(_assumed(plain))
        notes += [] if source is None else rounded(source.path, source.first, plain)
    return rules


def _check_effect(
    settings: Settings, options: Options, rules: Mapping[InstrumentId, Instrument], *, is_filed: bool
) -> None:
    """Refuse options that would change nothing, so that nobody takes the result for theirs."""
    sections = {one: settings.venues[one.partition(":")[0]] for one in rules}
    told = [one for one, section in sections.items() if isinstance(section, PaperSettings)]
    described = [one for one in told if symbol_of(one) in instruments_of("", cast(PaperSettings, sections[one]))]
    plain = Options()
    if options.balances and len(told) == len(rules):
        raise ConfigError("--balance: every account has its `balances` in the configuration; expected a change there")
    rest = (options.tick, options.lot, options.margin_rate) != (plain.tick, plain.lot, plain.margin_rate)
    if rest and len(described) == len(rules):
        raise ConfigError(
            "--tick, --lot, --margin-rate: the configuration describes every instrument; expected a change there"
        )
    if options.days != plain.days and is_filed:
        raise ConfigError(
            f"--days: found {options.days:g}, expected it for synthetic data alone: files run to their end"
        )


def _currencies(instrument: InstrumentId) -> tuple[str, str]:
    symbol = symbol_of(instrument)
    base, separator, quote = symbol.replace("_", "-").replace("/", "-").partition("-")
    if not separator:
        raise ConfigError(f"{instrument}: expected a symbol of base and quote such as BTC-USDT")
    return base, quote


def _assumed(plain: Instrument) -> str:
    """Say what stands in for the rules that the venue would tell."""
    fees = f"fees {plain.fees.maker / BPS:f} (maker) and {plain.fees.taker / BPS:f} (taker) basis points"
    margin = "" if plain.margin_rate is None else f", margin rate {plain.margin_rate:f}"
    return (
        f"assumed of {plain.id}: tick {plain.ticks[0].tick:f}, lot {plain.lot:f}, a quantity of 1 is "
        f"{plain.units_per_quantity:f} {plain.base}, {fees}{margin}"
    )


def _fees(section: object) -> FeeSchedule:
    maker, taker = getattr(section, "maker_fee_bps", ZERO), getattr(section, "taker_fee_bps", ZERO)
    return FeeSchedule(maker=maker * BPS, taker=taker * BPS)


# --- venues -----------------------------------------------------------------------------------------------------------


def _venues(settings: Settings) -> dict[str, VenueParts]:
    """Return the venues as the daemon would have them; none is ever started."""
    around = Surroundings(
        ManualClock(),
        NullObserver(),
        last_look=lambda lane: "backtest",
        known_venue_ids=lambda instrument: (),
        auth_failed=lambda venue, reason: None,
        transport=over_http,
    )
    return build_venues(settings, around)


def _simulated(
    settings: Settings,
    options: Options,
    parts: Mapping[str, VenueParts],
    rules: Mapping[InstrumentId, Instrument],
) -> list[SimulatedVenue]:
    venues = []
    for name, part in parts.items():
        listed = tuple(one for one in rules.values() if one.venue == name)
        if not listed:
            continue
        section = part.settings
        if isinstance(section, PaperSettings):
            balances, behaviour = section.balances, rules_of(section)
        else:
            balances = dict(options.balances) or {settings.risk.base_currency: _DEFAULT_BALANCE}
            behaviour = ExchangeRules(keep_history=False)
        account = part.connector.account
        home = account.home_currency if account.kind is AccountKind.MARGIN else settings.risk.base_currency
        hangs = LotWrite.PROTECT in part.connector.capabilities.lot_writes
        setup = AccountSetup(
            kind=account.kind, mode=account.mode, home_currency=home, balances=balances, lot_per_trade=hangs
        )
        exchange = Exchange(listed, {account.id: setup}, rules=behaviour)
        venues.append(SimulatedVenue(account, part.connector.capabilities, exchange, listed))
    return venues


# --- data -------------------------------------------------------------------------------------------------------------


class _Source:
    """A file's events, and what its first ones tell."""

    def __init__(self, path: Path, events: Iterator[MarketEvent]) -> None:
        self.path = path
        self.first = list(islice(events, SAMPLE))
        self.events = chain(self.first, events)

    def tick(self) -> Decimal:
        """Return the step that the first prices lie on: as many decimals as they have."""
        prices = [one.close if isinstance(one, Bar) else getattr(one, "bid", 0.0) for one in self.first]
        decimals = max((len(f"{price:.10f}".rstrip("0").partition(".")[2]) for price in prices), default=2)
        return Decimal(1).scaleb(-min(decimals, 8))

    @property
    def bar_s(self) -> float:
        """Return the length of its bars, 0 for quotes."""
        first = self.first[0] if self.first else None
        return first.interval_ns / 1e9 if isinstance(first, Bar) else 0.0


def _files(settings: Settings, options: Options, wanted: Sequence[InstrumentId]) -> dict[InstrumentId, Path]:
    """Return the file of each instrument: those named, else those that the configuration records; none for synthetic."""
    files: dict[InstrumentId, Path] = {}
    for name, path in options.data.items():
        if not name and len(wanted) != 1:
            raise ConfigError(
                f"--data {path}: the strategies trade {len(wanted)} instruments; expected INSTRUMENT=FILE with one of "
                + ", ".join(wanted)
            )
        instrument = InstrumentId(name) if name else wanted[0]
        if instrument not in wanted:
            raise ConfigError(f"--data {name}={path}: no strategy trades {name}; expected one of {', '.join(wanted)}")
        files[instrument] = path
    for instrument in wanted:
        venue, _, symbol = instrument.partition(":")
        section = settings.venues[venue]
        recorded = section.data.recorded if isinstance(section, PaperSettings) else None
        if instrument not in files and recorded is not None and symbol in recorded.files:
            files[instrument] = recorded.files[symbol]
    missing = [one for one in wanted if one not in files]
    if files and missing:
        raise ConfigError(f"no data for {', '.join(missing)}: expected --data INSTRUMENT=FILE for each")
    return files


def _stamp(settings: Settings, options: Options, instrument: InstrumentId) -> Stamp:
    section = settings.venues[instrument.partition(":")[0]]
    recorded = section.data.recorded if isinstance(section, PaperSettings) else None
    return options.stamp or Stamp(recorded.stamp if recorded is not None else "open")


def _peeked(path: Path, instrument: InstrumentId, stamp: Stamp) -> _Source:
    source = _Source(path, read_market(path, instrument, options=ReadOptions(stamp=stamp)))
    if not source.first:
        raise ConfigError(f"{path}: no row that can be used for {instrument}")
    return source


def _recorded(files: Mapping[InstrumentId, Path], sources: Mapping[InstrumentId, _Source]) -> _Data:
    events = merge_by_time(*(source.events for source in sources.values()))
    counts = [_rows(path) for path in files.values()]
    expected = None if None in counts else sum(count or 0 for count in counts)
    return _Data(iter(events), expected, max(source.bar_s for source in sources.values()))


def _rows(path: Path) -> int | None:
    """Estimate a plain file's rows from its size and its first lines; None for packed ones."""
    if path.suffix != ".csv":
        return None
    with path.open("rb") as file:
        head = file.read(65_536)
    lines = head.count(b"\n")
    return path.stat().st_size * lines // len(head) if lines else None


def _synthetic(settings: Settings, options: Options, rules: Mapping[InstrumentId, Instrument]) -> _Data:
    """Return the synthetic markets of all paper venues, in steps of a second, merged."""
    duration_s = options.days * 86_400.0
    sources: list[Iterable[MarketEvent]] = []
    count = 0
    for venue in dict.fromkeys(one.venue for one in rules.values()):
        section = settings.venues[venue]
        made = section.data.synthetic if isinstance(section, PaperSettings) else None
        if made is None:
            raise ConfigError(
                f"venue {venue} has no data of its own: expected --data INSTRUMENT=FILE for "
                + ", ".join(one.id for one in rules.values() if one.venue == venue)
            )
        by_symbol = {one.symbol: one for one in rules.values() if one.venue == venue}
        specs = synthetic_specs(made, by_symbol)
        unknown = set(by_symbol) - {spec.instrument.symbol for spec in specs}
        if unknown:
            raise ConfigError(f"venue {venue}: no synthetic instrument {', '.join(sorted(unknown))}")
        market = SyntheticMarket(specs, random.Random(made.seed), started_at_ns=SYNTHETIC_FROM_NS, step_s=1.0)
        sources.append(market.events(duration_s))
        count += round(duration_s) * sum(2 if spec.depth else 1 for spec in specs)
    return _Data(iter(merge_by_time(*sources)), count, 0.0)
