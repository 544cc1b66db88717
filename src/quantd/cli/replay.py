"""`quantd replay CONFIG --inputs FILE`: runs recorded inputs through a fresh engine and compares with the journal."""

import os
from pathlib import Path
from typing import Annotated

import typer

from quantd.app.replay import replay_inputs
from quantd.config import ConfigProblems, load
from quantd.errors import JournalError


def replay(
    files: Annotated[list[Path], typer.Argument(help="The configuration that the run was made with.")],
    inputs: Annotated[Path, typer.Option("--inputs", help="The input log (`journal.record: true` writes it).")],
) -> None:
    """Replay a recorded run and say whether it gives the same journal, byte for byte."""
    try:
        settings = load(files, os.environ)
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    try:
        result = replay_inputs(settings, inputs)
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{result.inputs} inputs, {result.records} records, {result.commands} commands")
    if result.difference:
        typer.echo(f"first difference: {result.difference}", err=True)
        raise typer.Exit(1)
    typer.echo("the same commands and journal, byte for byte")
