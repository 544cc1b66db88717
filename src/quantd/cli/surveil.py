"""`quantd surveil CONFIG`: looks through a journal for patterns of market abuse in our own flow.

The same detectors that watch the running daemon, over all that it ever did, restarts included. Reads the journal, in use or
at rest, and changes nothing.
"""

import os
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantd.app.storage import codec
from quantd.app.surveillance import described, marketplaces
from quantd.config import ConfigProblems, Settings, load
from quantd.domain.facts import Fact
from quantd.errors import JournalError
from quantd.journal.store import JournalStore
from quantd.surveillance.findings import Finding
from quantd.surveillance.watch import Surveillance
from quantd.telemetry.terminal import visible

_ORDERS_SHOWN = 6
_FOREVER_NS = 2**63


def surveil(
    files: Annotated[
        list[Path], typer.Argument(help="The configuration: names the journal, the venues and the thresholds.")
    ],
    since: Annotated[datetime | None, typer.Option(help="Only what was flagged from then on, UTC.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each finding.")] = False,
) -> None:
    """Flag patterns of market abuse in a journal. Exit code 0: none, 1: some, or the journal cannot be read."""
    try:
        settings = load(files, os.environ)
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    since_ns = 0 if since is None else round(since.replace(tzinfo=since.tzinfo or UTC).timestamp() * 1e9)
    try:
        records, found = _searched(settings)
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    found = [one for one in found if one.at_ns >= since_ns]
    if as_json:
        for one in found:
            typer.echo(msgspec.json.encode(described(one)))
    elif found:
        Console(width=None if os.isatty(1) else 160).print(_table(found))
    typer.echo(f"{len(found)} patterns flagged in {records} records", err=as_json)
    if found:
        raise typer.Exit(1)


def _searched(settings: Settings) -> tuple[int, list[Finding]]:
    """Return the number of records and what was found in them.

    Raises:
        JournalError: the journal cannot be read.
    """
    surveillance = Surveillance(settings.surveillance.thresholds(), marketplaces(settings))
    store: JournalStore[Fact] = JournalStore.open(settings.journal.path, codec(), read_only=True)
    records, found = 0, []
    with closing(store):
        for record in store.records():
            records += 1
            found += surveillance.facts([store.codec.decode(record)])
    return records, [*found, *surveillance.over(_FOREVER_NS)]


def _table(found: Iterable[Finding]) -> Table:
    table = Table("time (UTC)", "pattern", "market", "strategies", "orders", "last seen", box=None, pad_edge=False)
    for one in found:
        at = datetime.fromtimestamp(one.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        told = described(one)
        more = len(one.orders) - _ORDERS_SHOWN
        orders = " ".join(one.orders[:_ORDERS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        strategies = " ".join(map(str, told["strategies"])) if isinstance(told["strategies"], list) else ""
        table.add_row(
            at, one.pattern.value, one.market, escape(strategies), escape(visible(orders)), escape(visible(one.detail))
        )
    return table
