"""`quantd simulate VENUE`: a venue on this machine, with prices, faults and webhooks, to practise and to test on.

Mounted by the command line as a group; each simulated venue is a command of it. Ends in order on SIGINT or SIGTERM
with exit code 0; 2 when an option is wrong, a file cannot be read or the port is taken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
import yaml

from quantd.cli.simulation import Market, Place, balances_of, serve, switches_of, symbols_of
from quantd.domain.cash import PositionMode
from quantd.domain.numbers import use_exact_arithmetic
from quantd.errors import ConfigError
from quantd.simulators import prices
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.ionloop.options import DEPTH, ApiKey, MarketRules, Setup, Switches, Webhook
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.ionloop.webhooks import EVENTS
from quantd.simulators.oanda import options as oanda
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.ripio import options as ripio
from quantd.simulators.ripio.venue import RipioVenue
from quantd.simulators.tradelocker import options as tradelocker
from quantd.simulators.tradelocker.venue import TradeLockerVenue

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

EXIT_USAGE = 2
"""Exit code of a wrong option, an unreadable file or a port that is taken."""

simulate_app = typer.Typer(help="Run a simulated venue on this machine.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Replay = Annotated[
    list[Path] | None,
    typer.Option(help="Recorded bars or quotes (CSV, gzip, Parquet); the first for the first --symbol."),
]
Speed = Annotated[float, typer.Option(help="How many times faster than recorded the market moves.")]
Seed = Annotated[int, typer.Option(help="Of synthetic prices, depth and faults.")]
Symbols = Annotated[list[str] | None, typer.Option(help="Market, BASE-QUOTE; may be repeated.")]
Price = Annotated[float, typer.Option(help="Where a synthetic market starts.")]
Spread = Annotated[float, typer.Option(help="Between bid and ask of replayed bars.")]
Faults = Annotated[Path | None, typer.Option(help="YAML fault script.")]
Switched = Annotated[list[str] | None, typer.Option(help="NAME=VALUE, see the admin route `switches`.")]
Latency = Annotated[float, typer.Option(min=0, help="From an order's acceptance to the market.")]
LevelQuantity = Annotated[
    float, typer.Option(help="Mean quantity at the best prices; a small one makes orders fill in parts.")
]


@simulate_app.callback()
def _group() -> None:
    """Keep the venue's name a command of its own, however many there are."""


@contextmanager
def _usage() -> Iterator[None]:
    """Tell a wrong option or file in a line, with the exit code for it."""
    use_exact_arithmetic()
    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None


def _check(market: Market, level_quantity: float) -> None:
    if not market.speed > 0 or not market.price > 0 or not level_quantity > 0 or market.spread_bps < 0:
        raise typer.BadParameter("expected --speed, --price and --level-quantity above 0, --spread-bps of 0 or more")


@simulate_app.command("ionloop")
def simulate_ionloop(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9101,
    host: Host = "127.0.0.1",
    replay: Replay = None,
    speed: Speed = 1.0,
    seed: Seed = 0,
    symbol: Symbols = None,
    price: Price = 65_000.0,
    spread_bps: Spread = prices.SPREAD_BPS,
    balance: Annotated[
        list[str] | None, typer.Option(help="ASSET=AMOUNT, or ACCOUNT:ASSET=AMOUNT; may be repeated.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="API key with all scopes; may be repeated.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="YAML list of keys: {key: ..., account: ..., scopes: [...]}.")
    ] = None,
    faults: Faults = None,
    switch: Switched = None,
    latency_ms: Latency = 0.0,
    level_quantity: LevelQuantity = 0.5,
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
    market = Market(replay or (), price, spread_bps, speed, seed)
    _check(market, level_quantity)
    with _usage():
        secret = _text(webhook_secret_file) if webhook_secret_file is not None else ""
        if webhook_url is not None and not secret:
            raise ConfigError("--webhook-url needs --webhook-secret-file")
        setup = Setup(
            markets=tuple(MarketRules(symbol=name) for name in symbols_of(symbol)),
            keys=_keys(key or [], keys),
            balances=balances_of(balance or ["USDT=100000"]),
            depth=msgspec.structs.replace(DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
            webhook_http=webhook_http,
            webhook_secret=secret,
            webhooks=() if webhook_url is None else (Webhook("wh_console", webhook_url, EVENTS, secret),),
        )
        switches = switches_of(switch or [], Switches)
        serve(
            lambda clock: IonloopVenue(setup, clock=clock, switches=switches),
            [one.instrument() for one in setup.markets],
            place=Place(host, port),
            market=market,
            faults=faults,
        )


@simulate_app.command("hummingbot")
def simulate_hummingbot(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9105,
    host: Host = "127.0.0.1",
    replay: Replay = None,
    speed: Speed = 1.0,
    seed: Seed = 0,
    symbol: Symbols = None,
    price: Price = 65_000.0,
    spread_bps: Spread = prices.SPREAD_BPS,
    balance: Annotated[list[str] | None, typer.Option(help="ASSET=AMOUNT; may be repeated.")] = None,
    connector: Annotated[str, typer.Option(help="Name of the exchange behind the server.")] = "binance",
    username: Annotated[str, typer.Option(help="The server's user.")] = "admin",
    password_file: Annotated[Path | None, typer.Option(help="File with its password; `admin` without one.")] = None,
    faults: Faults = None,
    switch: Switched = None,
    latency_ms: Latency = 0.0,
    level_quantity: LevelQuantity = 0.5,
) -> None:
    """Serve the Hummingbot API over a simulated exchange, on this machine."""
    market = Market(replay or (), price, spread_bps, speed, seed)
    _check(market, level_quantity)
    with _usage():
        balances = balances_of(balance or ["USDT=100000"])
        if set(balances) != {"main"}:
            raise ConfigError("--balance: expected ASSET=AMOUNT; there is one account")
        setup = hummingbot.Setup(
            connector=connector,
            username=username,
            password="admin" if password_file is None else _text(password_file),
            pairs=tuple(hummingbot.PairRules(pair=name) for name in symbols_of(symbol)),
            balances=balances["main"],
            depth=msgspec.structs.replace(hummingbot.DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
        )
        switches = switches_of(switch or [], hummingbot.Switches)
        serve(
            lambda clock: HummingbotVenue(setup, clock=clock, switches=switches),
            [one.instrument() for one in setup.pairs],
            place=Place(host, port),
            market=market,
            faults=faults,
        )


@simulate_app.command("tradelocker")
def simulate_tradelocker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9103,
    host: Host = "127.0.0.1",
    replay: Replay = None,
    speed: Speed = 1.0,
    seed: Seed = 0,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Instrument, BASE-QUOTE; listed as BASEQUOTE; may be repeated.")
    ] = None,
    price: Price = 65_000.0,
    spread_bps: Spread = prices.SPREAD_BPS,
    balance: Annotated[list[str] | None, typer.Option(help="CURRENCY=AMOUNT of the account.")] = None,
    netting: Annotated[bool, typer.Option("--netting", help="One position an instrument instead of hedging.")] = False,
    email: Annotated[str, typer.Option(help="The user's.")] = "quant@example.com",
    password_file: Annotated[Path | None, typer.Option(help="File with the password; `simulated` without one.")] = None,
    server: Annotated[str, typer.Option(help="Name of the broker's server that is logged in to.")] = "SIM",
    faults: Faults = None,
    switch: Switched = None,
    latency_ms: Latency = 0.0,
    level_quantity: LevelQuantity = 5.0,
) -> None:
    """Serve TradeLocker's API over a simulated exchange, on this machine."""
    market = Market(replay or (), price, spread_bps, speed, seed)
    _check(market, level_quantity)
    with _usage():
        held = list(balances_of(balance or ["USD=100000"]).get("main", {}).items())
        if len(held) != 1:
            raise ConfigError("--balance: expected one CURRENCY=AMOUNT; a margin account has one currency")
        account = tradelocker.AccountRules(
            currency=held[0][0], balance=held[0][1], mode=PositionMode.NETTING if netting else PositionMode.HEDGING
        )
        setup = tradelocker.Setup(
            email=email,
            password="simulated" if password_file is None else _text(password_file),
            server=server,
            accounts=(account,),
            instruments=tradelocker.numbered(symbols_of(symbol or ["BTC-USD"])),
            depth=msgspec.structs.replace(tradelocker.DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
        )
        switches = switches_of(switch or [], tradelocker.Switches)
        serve(
            lambda clock: TradeLockerVenue(setup, clock=clock, switches=switches),
            [one.instrument() for one in setup.instruments],
            place=Place(host, port),
            market=market,
            faults=faults,
        )


@simulate_app.command("oanda")
def simulate_oanda(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9102,
    host: Host = "127.0.0.1",
    replay: Replay = None,
    speed: Speed = 1.0,
    seed: Seed = 0,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Instrument, BASE-QUOTE; listed as BASE_QUOTE; may be repeated.")
    ] = None,
    price: Price = 1.1,
    spread_bps: Spread = prices.SPREAD_BPS,
    balance: Annotated[list[str] | None, typer.Option(help="CURRENCY=AMOUNT of the account.")] = None,
    hedging: Annotated[bool, typer.Option("--hedging", help="Long and short side by side instead of netting.")] = False,
    account: Annotated[str, typer.Option(help="The account's id.")] = "101-004-1234567-001",
    token_file: Annotated[Path | None, typer.Option(help="File with the token; `simulated-token` without one.")] = None,
    faults: Faults = None,
    switch: Switched = None,
    latency_ms: Latency = 0.0,
    level_quantity: LevelQuantity = 1_000_000.0,
) -> None:
    """Serve OANDA's v20 API over a simulated exchange, REST and streams, on this machine."""
    market = Market(replay or (), price, spread_bps, speed, seed)
    _check(market, level_quantity)
    with _usage():
        held = list(balances_of(balance or ["USD=100000"]).get("main", {}).items())
        if len(held) != 1:
            raise ConfigError("--balance: expected one CURRENCY=AMOUNT; a margin account has one currency")
        if not oanda.is_account_id(account):
            raise ConfigError(f"--account {account}: expected an id like 101-004-1234567-001")
        rules = oanda.AccountRules(id=account, currency=held[0][0], balance=held[0][1], hedging=hedging)
        setup = oanda.Setup(
            token="simulated-token" if token_file is None else _text(token_file),
            accounts=(rules,),
            instruments=oanda.listed(symbols_of(symbol or ["EUR-USD"]), price),
            depth=msgspec.structs.replace(oanda.DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
        )
        switches = switches_of(switch or [], oanda.Switches)
        serve(
            lambda clock: OandaVenue(setup, clock=clock, switches=switches),
            [one.instrument() for one in setup.instruments],
            place=Place(host, port),
            market=market,
            faults=faults,
        )


@simulate_app.command("ripio")
def simulate_ripio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9104,
    host: Host = "127.0.0.1",
    replay: Replay = None,
    speed: Speed = 1.0,
    seed: Seed = 0,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Pair, BASE-QUOTE; listed as BASE_QUOTE; may be repeated.")
    ] = None,
    price: Price = 350_000.0,
    spread_bps: Spread = prices.SPREAD_BPS,
    balance: Annotated[
        list[str] | None, typer.Option(help="ASSET=AMOUNT, or ACCOUNT:ASSET=AMOUNT; may be repeated.")
    ] = None,
    token: Annotated[str, typer.Option(help="API token of the account main.")] = "sim-token",
    secret_file: Annotated[Path | None, typer.Option(help="File with its secret; `sim-secret` without one.")] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(help="YAML list instead: {token: ..., secret: ..., account: ..., permissions: [...]}."),
    ] = None,
    approved: Annotated[
        bool, typer.Option(help="Whether the users' documents are approved: 3.5 requests a second, else 1.")
    ] = True,
    faults: Faults = None,
    switch: Switched = None,
    latency_ms: Latency = 0.0,
    level_quantity: LevelQuantity = 0.5,
) -> None:
    """Serve Ripio Trade's API over a simulated exchange, on this machine."""
    market = Market(replay or (), price, spread_bps, speed, seed)
    _check(market, level_quantity)
    with _usage():
        secret = "sim-secret" if secret_file is None else _text(secret_file)
        given = _listed(credentials, ripio.Credential) if credentials is not None else ()
        setup = ripio.Setup(
            pairs=tuple(ripio.PairRules(name.replace("-", "_")) for name in symbols_of(symbol or ["BTC-BRL"])),
            credentials=given or (ripio.Credential(token, secret),),
            balances=balances_of(balance or ["BRL=1000000"]),
            rates=ripio.RateRules() if approved else ripio.UNAPPROVED,
            depth=msgspec.structs.replace(ripio.DEPTH, size=level_quantity),
            latency_s=latency_ms / 1000,
            seed=seed,
        )
        switches = switches_of(switch or [], ripio.Switches)
        serve(
            lambda clock: RipioVenue(setup, clock=clock, switches=switches),
            [one.instrument() for one in setup.pairs],
            place=Place(host, port),
            market=market,
            faults=faults,
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _keys(given: list[str], path: Path | None) -> tuple[ApiKey, ...]:
    found = [ApiKey(text) for text in given]
    if path is not None:
        found += _listed(path, ApiKey)
    return tuple(found) or (ApiKey("sim-key"),)


def _listed(path: Path, kind: type[_Struct]) -> tuple[_Struct, ...]:
    """Return what a YAML list holds."""
    try:
        return tuple(msgspec.convert(each, kind) for each in msgspec.convert(yaml.safe_load(_text(path)), list[object]))
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
