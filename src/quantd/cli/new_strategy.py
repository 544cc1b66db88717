"""`quantd new-strategy NAME`: a working strategy and its test, to be changed into what the author means.

Writes two files and prints what to put into the configuration. Exit code 0, or 1 with the reason on standard error.
"""

from pathlib import Path
from typing import Annotated

import typer

from quantd.plugins.scaffold import draft

Name = Annotated[str, typer.Argument(help="Its name: trend_follower or TrendFollower.")]
Folder = Annotated[Path, typer.Option("--strategies", help="The strategies folder.")]
Tests = Annotated[Path, typer.Option("--tests", help="The folder of tests, beside the strategies folder.")]


def new_strategy(name: Name, folder: Folder = Path("strategies"), tests: Tests = Path("tests")) -> None:
    """Write a new strategy with its test."""
    try:
        written = draft(name, folder, tests)
    except FileExistsError as error:
        typer.echo(f"quantd: {error} is there already: nothing was written", err=True)
        raise typer.Exit(1) from None
    except (ValueError, OSError) as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"wrote {written.strategy} and {written.test}; try: {_test_command()}{written.test}")
    typer.echo(f"an entry for the configuration, under strategies:\n{written.config}", nl=False)


def _test_command() -> str:
    """Return what runs a test here, up to its path: in a checkout make, which installs pytest first."""
    makefile = Path("Makefile")
    if makefile.is_file() and "PYTEST_ARGS" in makefile.read_text(encoding="utf-8", errors="replace"):
        return "make test PYTEST_ARGS="
    return "pytest "
