"""`quantd simulate ionloop`: a venue on this machine, with prices, faults and webhooks, to practise and to test on.

Mounted by the command line as a group; each simulated venue is a command of it. Ends in order on SIGINT or SIGTERM
with exit code 0; 2 when an option is wrong, a file cannot be read or the port is taken.
"""

import asyncio
import random
import signal
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml
from rich.console import Console
from rich.live import Live

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.domain.numbers import decimal_from_text, use_exact_arithmetic
from quantd.errors import ConfigError
from quantd.feeds.replay import ReplayFeed
from quantd.feeds.synthetic import SyntheticFeed
from quantd.ports import Feed
from quantd.simulators import prices
from quantd.simulators.faults import FaultPlan, FaultScript, load_plan
from quantd.simulators.ionloop.options import DEPTH, ApiKey, MarketRules, Setup, Switches, Webhook
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.ionloop.webhooks import EVENTS
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session

EXIT_USAGE = 2
"""Exit code of a wrong option, an unreadable file or a port that is taken."""

_TOLD_EVERY_S = 0.5
_PRINTED_EVERY_S = 10.0

simulate_app = typer.Typer(help="Run a simulated venue on this machine.", no_args_is_help=True)


@simulate_app.callback()
def _group() -> None:
    """Keep the venue's name a command of its own, however many there are."""


@simulate_app.command("ionloop")
def simulate_ionloop(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9101,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    replay: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded bars or quotes (CSV, gzip, Parquet); the first for the first --symbol."),
    ] = None,
    speed: Annotated[float, typer.Option(help="How many times faster than recorded the market moves.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of synthetic prices, depth and faults.")] = 0,
    symbol: Annotated[list[str] | None, typer.Option(help="Market, BASE-QUOTE; may be repeated.")] = None,
    price: Annotated[float, typer.Option(help="Where a synthetic market starts.")] = 65_000.0,
    spread_bps: Annotated[float, typer.Option(help="Between bid and ask of replayed bars.")] = prices.SPREAD_BPS,
    balance: Annotated[
        list[str] | None, typer.Option(help="ASSET=AMOUNT, or ACCOUNT:ASSET=AMOUNT; may be repeated.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="API key with all scopes; may be repeated.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="YAML list of keys: {key: ..., account: ..., scopes: [...]}.")
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="YAML fault script.")] = None,
    switch: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, see the admin route `switches`.")] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="From an order's acceptance to the market.")] = 0.0,
    level_quantity: Annotated[
        float, typer.Option(help="Mean quantity at the best prices; a small one makes orders fill in parts.")
    ] = 0.5,
    webhook_http: Annotated[
        bool, typer.Option("--webhook-http", help="Let webhooks go to plain http on this machine.")
    ] = False,
    webhook_secret_file: Annotated[
        Path | None, typer.Option(help="File with the console's webhook secret; others are then refused.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Address registered beforehand, for all events; needs the secret.")
    ] = None,
) -> None:
    """Serve ionloop.trade's API over a simulated exchange, on this machine."""
    use_exact_arithmetic()
    if not speed > 0 or not price > 0 or not level_quantity > 0 or spread_bps < 0:
        raise typer.BadParameter("expected --speed, --price and --level-quantity above 0, --spread-bps of 0 or more")
    try:
        markets = tuple(MarketRules(symbol=name) for name in _symbols(symbol))
        secret = _text(webhook_secret_file) if webhook_secret_file is not None else ""
        if webhook_url is not None and not secret:
            raise ConfigError("--webhook-url needs --webhook-secret-file")
        granted = _keys(key or [], keys)
        setup = Setup(
            markets=markets,
            keys=granted,
            balances=_balances(balance or ["USDT=100000"]),
            depth=msgspec.structs.replace(DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
            webhook_http=webhook_http,
            webhook_secret=secret,
            webhooks=() if webhook_url is None else (Webhook("wh_console", webhook_url, EVENTS, secret),),
        )
        plan = load_plan(faults) if faults is not None else FaultPlan(seed=seed)
        sources = _sources(markets, replay or [], spread_bps)
        asyncio.run(_run(setup, _switches(switch or []), plan, _Place(host, port), _Prices(sources, price, speed)))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None


class _Place(msgspec.Struct, frozen=True):
    """Where to listen."""

    host: str
    port: int


class _Prices(msgspec.Struct, frozen=True):
    """Where prices come from: recorded quotes by symbol, else synthetic ones."""

    recorded: dict[str, Iterator[Quote]]
    price: float
    speed: float


# --- options ------------------------------------------------------------------------------------------------------


def _symbols(given: list[str] | None) -> list[str]:
    symbols = given or ["BTC-USDT"]
    for name in symbols:
        base, _, quote = name.partition("-")
        if not base.isalnum() or not quote.isalnum() or name != name.upper() or symbols.count(name) > 1:
            raise ConfigError(f"--symbol {name}: expected BASE-QUOTE in upper case, each once")
    return symbols


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _keys(given: list[str], path: Path | None) -> tuple[ApiKey, ...]:
    found = [ApiKey(text) for text in given]
    if path is not None:
        try:
            found += msgspec.convert(yaml.safe_load(_text(path)), list[ApiKey])
        except (yaml.YAMLError, msgspec.ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
    return tuple(found) or (ApiKey("sim-key"),)


def _balances(given: list[str]) -> dict[str, dict[str, Decimal]]:
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


def _switches(given: list[str]) -> Switches:
    changes = {}
    for text in given:
        name, _, value = text.partition("=")
        changes[name] = yaml.safe_load(value)
    try:
        return msgspec.convert(changes, Switches)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--switch: {error}; there are {', '.join(Switches.__struct_fields__)}") from error


def _sources(markets: tuple[MarketRules, ...], replay: list[Path], spread_bps: float) -> dict[str, Iterator[Quote]]:
    if len(replay) > len(markets):
        raise ConfigError(f"{len(replay)} files to replay for {len(markets)} markets: name more with --symbol")
    found: dict[str, Iterator[Quote]] = {}
    for market, path in zip(markets, replay, strict=False):
        quotes = prices.replayed(path, market.instrument(), spread_bps)
        first = next(quotes, None)  # a file that cannot be read is told before anything starts
        if first is None:
            raise ConfigError(f"{path}: expected bars or quotes, found none")
        found[market.symbol] = chain((first,), quotes)
    return found


# --- running ------------------------------------------------------------------------------------------------------


async def _run(setup: Setup, switches: Switches, plan: FaultPlan, place: _Place, source: _Prices) -> None:
    clock = SystemClock()
    venue = IonloopVenue(setup, clock=clock, switches=switches)
    script = FaultScript(plan.rules, clock=clock, rng=random.Random(plan.seed))
    server = SimulatorServer(venue, script, host=place.host, port=place.port)
    feeds: list[Feed] = []
    for number, market in enumerate(setup.markets):
        recorded = source.recorded.get(market.symbol)
        if recorded is not None:
            feeds.append(ReplayFeed(recorded, clock, speed=source.speed))
        else:
            made = prices.synthetic(
                market.instrument(), price=source.price, seed=setup.seed + number, speed=source.speed
            )  # fmt: skip
            feeds.append(SyntheticFeed(made, clock))
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
        failure = f"cannot listen on {place.host}:{place.port}: {_first(errors)}"
    except* ConfigError as errors:
        failure = str(_first(errors))
    if failure:
        raise ConfigError(failure)
    console.print(f"stopped: {_line(venue)}", highlight=False, soft_wrap=True)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _tell(venue: IonloopVenue, session: Session, console: Console) -> None:
    """Keep a line about the venue on the terminal; print one now and then where there is none."""
    await session.started.wait()
    console.print(f"ionloop on {session.server.url}, admin on {session.server.url}/__admin/", highlight=False)
    if not console.is_terminal:
        while True:
            console.print(_line(venue), highlight=False, soft_wrap=True)
            await asyncio.sleep(_PRINTED_EVERY_S)
    with Live(_line(venue), console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_line(venue), refresh=True)
            await asyncio.sleep(_TOLD_EVERY_S)


def _line(venue: IonloopVenue) -> str:
    counters = venue.counters()
    orders, webhooks = counters["orders"], counters["webhooks"]
    shown = []
    for symbol, market in venue.markets.listed.items():
        quote = venue.exchange.quote(market.instrument.id)
        shown.append(f"{symbol} {quote.bid:.2f}/{quote.ask:.2f}" if quote is not None else f"{symbol} no price")
    return (
        f"{'  '.join(shown)}  orders {orders['created']} ({orders['open']} open)  fills {orders['fills']}"
        f"  requests {counters['requests']['total']} (429: {counters['rate_limited']['total']})"
        f"  webhooks {webhooks['delivered']} ({webhooks['pending']} pending)"
    )
