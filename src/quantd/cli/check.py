"""`quantd check`: says everything that is wrong with a configuration and starts nothing.

Mounted by the command line, which adds the checks that need strategies' code. Exit code 0, or 2 with all problems on
standard error.
"""

import os
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from quantd.config import Settings, load
from quantd.errors import ConfigError

DeepCheck = Callable[[Settings], Iterable[str]]
"""Looks deeper into a loaded configuration: yields sentences that are worth telling, raises `ConfigError` for faults."""

Files = Annotated[
    list[Path], typer.Argument(help="Configuration files; later ones over earlier ones.", metavar="FILES")
]

EXIT_CONFIG = 2
"""Exit code of an unusable configuration."""


def run_check(files: Sequence[Path], environ: MutableMapping[str, str], deep: DeepCheck | None = None) -> int:
    """Check `files` with `environ` over them, print the result, and return the exit code."""
    try:
        settings = load(files, environ)
        told = [*settings.warnings, *(deep(settings) if deep is not None else ())]
    except ConfigError as error:
        typer.echo(str(error), err=True)
        problems = len(getattr(error, "problems", (error,)))
        typer.echo(f"{problems} problem{'' if problems == 1 else 's'}; nothing was started", err=True)
        return EXIT_CONFIG
    for sentence in told:
        typer.echo(f"warning: {sentence}", err=True)
    running = sum(strategy.enabled for strategy in settings.strategies)
    typer.echo(f"ok: {len(settings.venues)} venues, {running} strategies, hash {settings.hash[:12]}")
    return 0


def check_command(deep: DeepCheck | None = None) -> Callable[[list[Path]], None]:
    """Return the command, with `deep` run after loading."""

    def check(files: Files) -> None:
        """Say everything that is wrong with the configuration, and start nothing."""
        raise typer.Exit(run_check(files, os.environ, deep))

    return check
