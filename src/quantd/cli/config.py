"""`quantd config schema | show | docs`: the configuration as editors, operators and readers want it.

Mounted by the command line as a group of its own. Prints to standard output; secrets are masked.
"""

import json
import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import typer

from quantd.cli.check import EXIT_CONFIG, Files
from quantd.config import load
from quantd.config.effective import show
from quantd.config.reference import reference
from quantd.config.schema import schema
from quantd.errors import ConfigError

config_app = typer.Typer(
    help="The configuration: its schema, its reference, and what takes effect.", no_args_is_help=True
)


def run_show(files: Sequence[Path], environ: MutableMapping[str, str]) -> int:
    """Print what takes effect of `files` and `environ`, and return the exit code."""
    try:
        settings = load(files, environ)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        return EXIT_CONFIG
    typer.echo(show(settings), nl=False)
    return 0


@config_app.command("schema")
def print_schema() -> None:
    """Print the JSON schema of a configuration file, for editors."""
    typer.echo(json.dumps(schema(), indent=2))


@config_app.command("show")
def print_effective(files: Files) -> None:
    """Print what takes effect, with the place that each value comes from; secrets are masked."""
    raise typer.Exit(run_show(files, os.environ))


@config_app.command("docs")
def print_reference() -> None:
    """Print the reference of every key as Markdown."""
    typer.echo(reference(), nl=False)
