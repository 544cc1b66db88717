"""`quantd check`: says everything that is wrong with a configuration and starts nothing.

Exit code 0, or 2 with all problems on standard error.
"""

import os
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from quantd.app.check import check as check_everything
from quantd.app.rehearsing import PATIENCE
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


def check(
    files: Files,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help=f"Leave out replaying each strategy twice, for which all have {PATIENCE.limit_s:g} s."
        ),
    ] = False,
) -> None:
    """Say everything that is wrong with the configuration and the strategies in it, and start nothing."""
    raise typer.Exit(run_check(files, os.environ, partial(deep_check, fast=fast)))


def deep_check(settings: Settings, *, fast: bool) -> Iterator[str]:
    """Check what only the composition root can: strategies load, their needs are met, `setup` runs, replays agree.

    Yields:
        Warnings.

    Raises:
        ConfigError: something does not fit; nothing was started.
    """
    yield from check_everything(settings, fast=fast, say=partial(typer.echo, err=True))
