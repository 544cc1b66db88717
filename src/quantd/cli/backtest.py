"""`quantd backtest CONFIG...`: the configuration's strategies over history, with the same engine, gate and limits.

Exit code 0 with a result, 1 when a strategy failed on the way, 2 when the configuration or the data are unusable.
"""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from quantd.app.backtest import Options, Plan, plan_backtest
from quantd.backtest import BacktestFailed, Result, summarise
from quantd.backtest.chart import svg
from quantd.backtest.export import write_fills
from quantd.cli.check import EXIT_CONFIG, Files
from quantd.clock import SystemClock
from quantd.config import Settings, load
from quantd.domain.numbers import decimal_from_text, use_exact_arithmetic
from quantd.engine.authored import interval_s
from quantd.errors import ConfigError
from quantd.feeds.recorded import Stamp
from quantd.telemetry.logs import configure_logging
from quantd.telemetry.redaction import Redactor

EXIT_FAILED = 1
_WIDTH = 132
"""Of the tables where the output is no terminal."""


def backtest(
    files: Files,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="INSTRUMENT=FILE, or FILE where one instrument is traded; repeatable."),
    ] = None,
    days: Annotated[float, typer.Option(help="Days of synthetic data, where no files are given.", min=0.001)] = 1.0,
    bars: Annotated[str | None, typer.Option(help="Interval of all strategies' bars, such as 5m.")] = None,
    balance: Annotated[
        list[str] | None, typer.Option(help="ASSET=AMOUNT of accounts that the configuration gives none; repeatable.")
    ] = None,
    tick: Annotated[str | None, typer.Option(help="Price step of instruments that the configuration lacks.")] = None,
    lot: Annotated[str, typer.Option(help="Quantity step of instruments that the configuration lacks.")] = "0.0001",
    stamp: Annotated[
        Stamp | None, typer.Option(help="Which end of a bar its time in the files names.", show_default="open")
    ] = None,
    margin_rate: Annotated[
        str, typer.Option(help="Share of a position's worth that margin accounts hold, of such instruments.")
    ] = "0.05",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write equity, drawdown and fills to this SVG file.")] = None,
    fills: Annotated[Path | None, typer.Option(help="Write all fills to this CSV file.")] = None,
) -> None:
    """Run the strategies over recorded or synthetic history and say what came of it."""
    use_exact_arithmetic()
    try:
        for option, path in (("--fills", fills), ("--plot", plot)):
            _check_writable(option, path)
        settings = load(files, os.environ)
        _log_to_standard_error(settings)
        options = Options(
            data=_named_files(data or ()),
            days=days,
            bars_s=None if bars is None else _interval(bars),
            balances=dict(_amount(text) for text in balance or ()),
            tick=None if tick is None else _number("--tick", tick),
            lot=_number("--lot", lot),
            stamp=stamp,
            margin_rate=_number("--margin-rate", margin_rate),
        )
        plan = plan_backtest(settings, options)
        result = _run(plan, quiet=as_json)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    except BacktestFailed as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    if fills is not None:
        with fills.open("w", encoding="utf-8", newline="") as file:
            write_fills(plan.backtest.fills, file)
    if plot is not None:
        plot.write_text(svg(plan.backtest, f"{', '.join(map(str, files))}: equity in {result.base_currency}"))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
    else:
        _print(result, plan.notes)
    raise typer.Exit(EXIT_FAILED if any(one.fault for one in result.strategies) else 0)


# --- options ----------------------------------------------------------------------------------------------------------


def _named_files(texts: Iterable[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in texts:
        name, path = _named_file(text)
        if name in files:
            raise ConfigError(f"--data {text}: found a second file for one instrument, expected one file for each")
        files[name] = path
    return files


def _named_file(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if separator and ":" in name:
        return name, _existing(Path(path))
    if separator and not Path(text).exists() and Path(path).exists():
        raise ConfigError(f"--data {text}: found {name}, expected an instrument with its venue, such as paper:{name}")
    return "", _existing(Path(text))


def _check_writable(option: str, path: Path | None) -> None:
    """Refuse a file that could not be written when the run is over."""
    if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
        raise ConfigError(f"{option} {path}: cannot be written: expected a file in a folder that is there")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"--data {path}: there is no such file")
    return path


def _interval(text: str) -> int:
    try:
        return interval_s(text)
    except ValueError as error:
        raise ConfigError(f"--bars: found {text!r}, expected {error}") from None


def _amount(text: str) -> tuple[str, Decimal]:
    asset, separator, amount = text.partition("=")
    if not separator or not asset:
        raise ConfigError(f"--balance: found {text!r}, expected ASSET=AMOUNT such as USDT=10000")
    return asset, _number("--balance", amount)


def _number(option: str, text: str) -> Decimal:
    try:
        value = decimal_from_text(text)
    except ValueError:
        value = Decimal(0)
    if value <= 0:
        raise ConfigError(f"{option}: found {text!r}, expected a number above 0")
    return value


def _log_to_standard_error(settings: Settings) -> None:
    """Let strategies and loaders log, without a word between the tables or the JSON on standard output."""
    redactor = Redactor()
    redactor.register_all(*settings.venues.values())
    configure_logging(settings.logging, redactor, clock=SystemClock(), stream=sys.stderr)


# --- the run ----------------------------------------------------------------------------------------------------------


def _run(plan: Plan, *, quiet: bool) -> Result:
    """Run with a progress bar on standard error, where that is a terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[seen]:,} events"),
        TextColumn("{task.fields[rate]:,.0f}/s"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("backtest", total=plan.expected, seen=0, rate=0.0)
        seen = 0

        def advance(count: int, now_ns: int) -> None:
            nonlocal seen
            seen += count
            rate = progress.tasks[0].speed or 0.0
            progress.update(task, advance=count, seen=seen, rate=rate, description=_day(now_ns))

        plan.backtest.run(None if quiet else advance)
    return summarise(plan.backtest)


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def _print(result: Result, notes: Iterable[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    for note in notes:
        console.print(f"[dim]{note}[/dim]")
    total = Table(title=f"{_day(result.started_at_ns)} to {_day(result.ended_at_ns)} UTC", show_header=False)
    total.add_column()
    total.add_column(justify="right")
    for name, value in _totals(result):
        total.add_row(name, value)
    console.print(total)
    table = Table()
    table.add_column("strategy", no_wrap=True)
    for name in ("profit", "of equity", "fills", "trades", "won", "fees", "turnover", "exposure"):
        table.add_column(name, justify="right")
    table.add_column("denials")
    for one in result.strategies:
        table.add_row(
            one.strategy,
            f"{one.profit:,.2f}",
            f"{one.contribution:+.2%}",
            f"{one.fills:,}",
            f"{one.trades:,}",
            "-" if one.won is None else f"{one.won:.1%}",
            f"{one.fees:,.2f}",
            f"{one.turnover:,.0f}",
            f"{one.exposure:.1%}",
            _counts(one.denials),
        )
    console.print(table)
    for colour, text in _cautions(result):
        console.print(f"[{colour}]{escape(text)}[/{colour}]")


def _cautions(result: Result) -> Iterable[tuple[str, str]]:
    """Yield what is to be known about the figures, each with its colour."""
    if result.unpriced:
        missing = f"no price brings {', '.join(result.unpriced)} to {result.base_currency}: "
        missing += "what is held, paid and traded in it is in none of these figures; "
        yield "red", missing + "give data of an instrument that does, or another base_currency"
    for latch in result.latched:
        yield "yellow", f"not trading at the end: {latch}"
    for one in result.strategies:
        for gap in one.gaps:
            yield "yellow", f"strategy {one.strategy}: {gap}"
        if one.fault:
            yield "red", f"strategy {one.strategy} was stopped: {one.fault}"


def _totals(result: Result) -> Iterable[tuple[str, str]]:
    currency = result.base_currency
    yield "events", f"{result.events:,}"
    yield "equity", f"{result.opening_equity:,.2f} to {result.closing_equity:,.2f} {currency}"
    yield "return", f"{result.total_return:+.3%}"
    yield "largest drawdown", f"{result.drawdown:.3%}"
    yield "Sharpe ratio", "none: too short a run, or nothing moved" if result.sharpe is None else f"{result.sharpe:.2f}"
    yield "time in the market", f"{result.exposure:.1%}"
    yield "fills", f"{result.fills:,}"
    yield "round trips", f"{result.trades:,}"
    yield "fees", f"{result.fees:,.2f} {currency}"
    yield "turnover", f"{result.turnover:,.0f} {currency}"
    yield "denials", _counts(result.denials)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{code} {count}" for code, count in counts.items()) or "none"
