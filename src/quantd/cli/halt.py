"""`quantd halt` and `quantd resume`: the halt latch, by hand, whether the daemon runs or not.

They write the latch's file only; a running daemon follows within a second, one that starts reads it first. Of the
configuration they need the `journal` section alone.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from quantd.clock import SystemClock
from quantd.config import ConfigProblems, load_journal
from quantd.domain.events import TradingState
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
    try:
        latch.halt(Halt(scope, state, by, why, SystemClock().now_ns()))
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{scope}: {state.value} ({latch.path})")


def resume(files: Files, by: By, why: Why, scope: Scope = "all") -> None:
    """Clear a halt, in the name of a person who says why."""
    latch = _latch(files)
    try:
        latch.clear(scope, by=by, why=why, at_ns=SystemClock().now_ns())
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{scope}: active ({latch.path})")


def _latch(files: list[Path]) -> HaltLatch:
    try:
        journal = load_journal(files, dict(os.environ))
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    return HaltLatch(journal.state_dir / "halt.json")
