"""`quantd halt` and `quantd resume`: the halt latch, by hand, whether the daemon runs or not.

They write the latch's file only; a running daemon follows within a second, one that starts reads it first. Of the
configuration they need the `journal` section alone, and the names of what is to be halted.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from quantd.clock import SystemClock
from quantd.config import ConfigProblems, load_journal, load_names
from quantd.domain.events import ALL, TradingState
from quantd.errors import JournalError
from quantd.journal.latch import Halt, HaltLatch

Files = Annotated[list[Path], typer.Argument(help="The configuration files that the daemon runs with.")]
Scope = Annotated[str, typer.Option(help="all, venue:NAME, strategy:ID or instrument:VENUE:SYMBOL.")]
By = Annotated[str, typer.Option("--by", help="Who decides: a person's name.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


def halt(
    files: Files,
    by: By,
    why: Why,
    scope: Scope = "all",
    reduce: Annotated[bool, typer.Option("--reduce", help="Only exits, instead of nothing but cancels.")] = False,
) -> None:
    """Halt trading; stays halted over restarts until `resume`."""
    state = TradingState.REDUCING if reduce else TradingState.HALTED
    latch = _latch(files)
    _must_name_something(scope, files)
    try:
        latch.halt(Halt(scope, state, by, why, SystemClock().now_ns()))
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{scope}: {state.value} ({latch.path.resolve()})")


def resume(files: Files, by: By, why: Why, scope: Scope = "all") -> None:
    """Clear a halt, in the name of a person who says why."""
    latch = _latch(files)
    try:
        latch.clear(scope, by=by, why=why, at_ns=SystemClock().now_ns())
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{scope}: active ({latch.path.resolve()})")


def _latch(files: list[Path]) -> HaltLatch:
    try:
        journal = load_journal(files, dict(os.environ))
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    if not journal.path.exists():  # relative paths count from here: this may be another folder than the daemon's
        where = f"there is no journal {journal.path.resolve()}"
        typer.echo(
            f"warning: {where}: no daemon has run here yet, and one that runs elsewhere sees nothing of this", err=True
        )
    return HaltLatch(journal.state_dir / "halt.json")


def _must_name_something(scope: str, files: list[Path]) -> None:
    """Refuse a scope that names nothing in these files: a halt with a misspelt name would halt nothing at all."""
    if scope == ALL:
        return
    names = load_names(files)
    kind, _, name = scope.partition(":")
    venue, _, symbol = name.partition(":")
    known = {"venue": names.venues, "strategy": names.strategies, "instrument": names.venues}.get(kind)
    if known is None or not name or (kind == "instrument" and not symbol):
        wanted = "all, venue:NAME, strategy:ID or instrument:VENUE:SYMBOL"
    elif (venue if kind == "instrument" else name) in known:
        return
    else:
        what = "strategies" if kind == "strategy" else "venues"
        wanted = f"one of the {what} of these files ({', '.join(known) or 'none'}), or all"
    typer.echo(f"--scope: found {scope!r}, expected {wanted}; nothing was halted", err=True)
    raise typer.Exit(2)
