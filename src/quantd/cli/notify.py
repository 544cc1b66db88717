"""`quantd notify`: a trial notice by every configured channel, so that the first real one is not the first at all.

Runs beside a daemon or without one; trades nothing, opens no journal, and leaves the outside monitor alone: a heartbeat by
hand would say that a daemon lives.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from quantd.app.notifications import try_channels
from quantd.clock import SystemClock
from quantd.config import ConfigProblems, load

Files = Annotated[list[Path], typer.Argument(help="The configuration files that the daemon runs with.")]


def notify(files: Files) -> None:
    """Send a trial notice by every channel of the `notify` section, and say which arrived."""
    try:
        settings = load(files, os.environ).notify
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    if settings is None or not settings.channel_names:
        typer.echo("quantd: the configuration has no channel under `notify`, expected at least one", err=True)
        raise typer.Exit(2)
    found = asyncio.run(try_channels(settings, SystemClock()))
    for channel, failure in found.items():
        typer.echo(f"{channel}: {failure or 'arrived'}", err=bool(failure))
    if any(found.values()):
        raise typer.Exit(1)
