"""Runs a simulated venue for `quantd simulate`: prices, listener, faults and a line on the terminal, until a signal.

Used by the commands in `simulate`, one for each venue. Knows no venue's options.
"""

import asyncio
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import yaml
from rich.console import Console
from rich.live import Live

from quantd.clock import SystemClock
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.numbers import decimal_from_text
from quantd.errors import ConfigError, first_of
from quantd.feeds.replay import ReplayFeed
from quantd.feeds.synthetic import SyntheticFeed
from quantd.ports import Clock, Feed
from quantd.simulators import prices
from quantd.simulators.faults import FaultPlan, FaultScript, load_plan
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session
from quantd.simulators.venue import SimulatedVenue

_TOLD_EVERY_S = 0.5
_PRINTED_EVERY_S = 10.0
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Shown(SimulatedVenue, Protocol):
    """A venue that takes prices in."""

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event."""


class Place(msgspec.Struct, frozen=True):
    """Where to listen."""

    host: str
    port: int


class Market(msgspec.Struct, frozen=True):
    """Where prices come from."""

    replay: Sequence[Path]
    """Recorded ones for the first instruments, a file each; the others are synthetic."""
    price: float
    """Where a synthetic one starts."""
    spread_bps: float
    """Between bid and ask of recorded bars."""
    speed: float
    seed: int


# --- options that every venue has ---------------------------------------------------------------------------------


def symbols_of(given: Sequence[str] | None) -> list[str]:
    """Return the markets that were named, BTC-USDT without any.

    Raises:
        ConfigError: when a name is none.
    """
    symbols = list(given or ["BTC-USDT"])
    for name in symbols:
        base, _, quote = name.partition("-")
        if not base.isalnum() or not quote.isalnum() or name != name.upper() or symbols.count(name) > 1:
            raise ConfigError(f"--symbol {name}: expected BASE-QUOTE in upper case, each once")
    return symbols


def balances_of(given: Sequence[str]) -> dict[str, dict[str, Decimal]]:
    """Return balances by account (``main`` where none is named) and asset.

    Raises:
        ConfigError: when a text is no ``[ACCOUNT:]ASSET=AMOUNT``.
    """
    found: dict[str, dict[str, Decimal]] = {}
    for text in given:
        name, _, amount = text.partition("=")
        account, _, asset = name.rpartition(":")
        try:
            value = decimal_from_text(amount)
        except ValueError as error:
            raise ConfigError(f"--balance {text}: {error}") from error
        if not asset.isalnum() or value < 0:
            raise ConfigError(f"--balance {text}: expected [ACCOUNT:]ASSET=AMOUNT of 0 or more")
        found.setdefault(account or "main", {})[asset] = value
    return found


def switches_of(given: Sequence[str], kind: type[_Struct]) -> _Struct:
    """Return a venue's switches from ``NAME=VALUE`` texts.

    Raises:
        ConfigError: when a name or a value is none of theirs; names those that there are.
    """
    changes: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        changes[name] = yaml.safe_load(value)
    try:
        return msgspec.convert(changes, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--switch: {error}; there are {', '.join(kind.__struct_fields__)}") from error


def plan_of(path: Path | None, seed: int) -> FaultPlan:
    """Return the fault script of a file, an empty one without it.

    Raises:
        ConfigError: when it cannot be read.
    """
    return load_plan(path) if path is not None else FaultPlan(seed=seed)


def replayed(
    instruments: Sequence[Instrument], files: Sequence[Path], spread_bps: float
) -> dict[InstrumentId, Iterator[Quote]]:
    """Return recorded quotes for the first instruments, one file each.

    Raises:
        ConfigError: when there are more files than instruments, or one cannot be read.
    """
    if len(files) > len(instruments):
        raise ConfigError(f"{len(files)} files to replay for {len(instruments)} markets: name more with --symbol")
    found: dict[InstrumentId, Iterator[Quote]] = {}
    for instrument, path in zip(instruments, files, strict=False):
        quotes = prices.replayed(path, instrument, spread_bps)
        first = next(quotes, None)  # a file that cannot be read is told before anything starts
        if first is None:
            raise ConfigError(f"{path}: expected bars or quotes, found none")
        found[instrument.id] = chain((first,), quotes)
    return found


# --- running ------------------------------------------------------------------------------------------------------


def serve(
    make: Callable[[Clock], Shown],
    instruments: Sequence[Instrument],
    *,
    place: Place,
    market: Market,
    faults: Path | None,
) -> None:
    """Serve a venue until SIGINT or SIGTERM.

    Raises:
        ConfigError: when the port is taken or a file cannot be read.
    """
    plan = plan_of(faults, market.seed)
    recorded = replayed(instruments, market.replay, market.spread_bps)
    clock = SystemClock()
    feeds: list[Feed] = []
    for number, instrument in enumerate(instruments):
        quotes = recorded.get(instrument.id)
        if quotes is not None:
            feeds.append(ReplayFeed(quotes, clock, speed=market.speed))
        else:
            made = prices.synthetic(instrument, price=market.price, seed=market.seed + number, speed=market.speed)
            feeds.append(SyntheticFeed(made, clock))
    asyncio.run(_serve(make(clock), feeds, plan, place=place, clock=clock))


async def _serve(venue: Shown, feeds: Sequence[Feed], plan: FaultPlan, *, place: Place, clock: Clock) -> None:
    script = FaultScript(plan.rules, clock=clock, rng=random.Random(plan.seed))
    server = SimulatorServer(venue, script, host=place.host, port=place.port)
    session = Session(venue, server, clock=clock, feeds=feeds, on_market=venue.on_market)
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, session.stop)
    console = Console(stderr=True)
    failure = ""
    try:
        async with asyncio.TaskGroup() as group:
            told = group.create_task(_tell(venue, session, console), name="status line")
            await session.run()
            told.cancel()
    except* OSError as errors:
        failure = f"cannot listen on {place.host}:{place.port}: {first_of(errors)}"
    except* ConfigError as errors:
        failure = str(first_of(errors))
    if failure:
        raise ConfigError(failure)
    console.print(f"stopped: {line(venue)}", highlight=False, soft_wrap=True)


async def _tell(venue: Shown, session: Session, console: Console) -> None:
    """Keep a line about the venue on the terminal; print one now and then where there is none."""
    await session.started.wait()
    console.print(f"{venue.name} on {session.server.url}, admin on {session.server.url}/__admin/", highlight=False)
    if not console.is_terminal:
        while True:
            console.print(line(venue), highlight=False, soft_wrap=True)
            await asyncio.sleep(_PRINTED_EVERY_S)
    with Live(line(venue), console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(line(venue), refresh=True)
            await asyncio.sleep(_TOLD_EVERY_S)


def line(venue: Shown) -> str:
    """Return what is going on at a venue, in one line."""
    counters = venue.counters()
    orders, webhooks = counters["orders"], counters.get("webhooks")
    quotes = [f"{symbol} {bid}/{ask}" for symbol, (bid, ask) in counters.get("prices", {}).items()]
    told = (
        f"{'  '.join(quotes) or 'no price'}  orders {orders['created']} ({orders['open']} open)  fills {orders['fills']}"
        f"  requests {counters['requests']['total']} (429: {counters['rate_limited']['total']})"
    )
    return told if webhooks is None else f"{told}  webhooks {webhooks['delivered']} ({webhooks['pending']} pending)"
