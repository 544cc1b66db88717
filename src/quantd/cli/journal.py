"""`quantd journal verify | show | archive | backup | restore | rebuild`: what an operator does with a journal.

Mounted by the command line as a group of its own. Works on journals in use and at rest; only `archive`, `restore` and
`rebuild` write one, and take its lock for it. Exit code 0, or 1 with the reason on standard error.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.domain.facts import Fact
from quantd.errors import JournalError
from quantd.journal import backup as copies
from quantd.journal import layout
from quantd.journal.archive import folder_of
from quantd.journal.layout import naming
from quantd.journal.locks import FileLock, lock_journal
from quantd.journal.projections import projections
from quantd.journal.records import Record, RecordCodec
from quantd.journal.retention import DAY_NS, move_all
from quantd.journal.retention import compact as shrink
from quantd.journal.store import JournalStore
from quantd.journal.verify import verify as walk
from quantd.journal.verify import verify_tables
from quantd.telemetry.terminal import visible

EXIT_FAILED = 1
"""Exit code when the journal is damaged, missing, or in the way."""

app = typer.Typer(name="journal", help="Verify, read, back up and restore a journal.", no_args_is_help=True)

JournalPath = Annotated[Path, typer.Argument(help="File of the journal.", metavar="PATH")]


@app.command()
def verify(
    path: JournalPath,
    archive: Annotated[bool, typer.Option(help="Whether to read the archive's files, too.")] = True,
    tables: Annotated[
        bool, typer.Option(help="Whether to build the tables of orders, fills and lots anew aside and compare them.")
    ] = True,
) -> None:
    """Check every record, snapshot and table of a journal, in use or not, and its archive: the two are one chain."""
    with _told(), closing(_open(path)) as store:
        with _progress() as bar:
            task = bar.add_task("records", total=store.head.seq)
            found = walk(store, lambda done, _: bar.update(task, completed=done), archived=archive)
            if tables and not found.problems and (archive or not store.archive.anchor().seq):
                task = bar.add_task("tables", total=store.head.seq)
                different = verify_tables(store, lambda done, _: bar.update(task, completed=done))
                found = found._replace(problems=different)
        if store.lost_log:
            typer.echo(
                f"{path}: warning: it was in use, and its write-ahead log is not beside it: what came after record"
                f" {store.head.seq} is missing, unless another program has folded it in",
                err=True,
            )
        for problem in found.problems:
            typer.echo(f"{path}: {problem}", err=True)
        if found.problems:
            many = len(found.problems)
            typer.echo(f"damaged: {many} problem{'' if many == 1 else 's'} in {found.records} records", err=True)
            raise typer.Exit(EXIT_FAILED)
        meta = store.meta
        typer.echo(
            f"ok: {found.records} records{_archived(store, found.archived)}, {found.snapshots} snapshots,"
            f" journal {meta.journal_id}, epoch {meta.epoch}"
        )


@app.command()
def show(
    path: JournalPath,
    tail: Annotated[int, typer.Option(min=1, help="How many records, the newest.")] = 20,
    kind: Annotated[list[str] | None, typer.Option(help="Only facts of this kind; may be repeated.")] = None,
    about: Annotated[str, typer.Option(help="Only records that hold this text, such as an order's id.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each record.")] = False,
) -> None:
    """Print the newest records of a journal, oldest first."""
    with _told(), closing(_open(path)) as store:
        _known_kinds(store.codec, kind or [])
        records = _newest(store, tail, frozenset(kind or ()), about.encode())
        if as_json:
            for record in records:
                typer.echo(msgspec.json.encode(_row(store.codec, record)))
            return
        table = Table("record", "time (UTC)", "fact", "what", box=None, pad_edge=False)
        for record in records:
            row = _row(store.codec, record)
            what = " ".join(f"{key}={_short(value)}" for key, value in row["fact"].items())
            table.add_row(str(record.seq), row["at"], record.kind, escape(visible(what, one_line=True)))
        Console().print(table)


@app.command()
def backup(
    path: JournalPath,
    destination: Annotated[Path, typer.Argument(help="File to write; nothing may be there.")],
) -> None:
    """Copy a journal, in use or not, to a new file, and verify the copy."""
    with _told():
        count = copies.backup(path, destination, codec())
        with closing(_open(destination)) as copy:
            anchor = copy.archive.anchor()
        beside = f", those up to {anchor.seq} in {folder_of(path)}: copy that folder, too" if anchor.seq else ""
        typer.echo(f"ok: {count} records in {destination}{beside}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="File that `quantd journal backup` wrote.", metavar="BACKUP")],
    path: JournalPath,
    replace: Annotated[bool, typer.Option(help="Move a journal that is there aside.")] = False,
) -> None:
    """Put a verified copy of a backup in place, with a new epoch so that no order id is used twice."""
    now_ns = SystemClock().now_ns()
    with _told():
        layout.connect(source, read_only=True).close()  # a wrong path leaves nothing behind where the journal goes
    with _told(), lock_journal(path, what="quantd journal restore", started_at_ns=now_ns):
        meta = copies.restore(source, path, codec(), now_ns=now_ns, replace=replace)
        typer.echo(f"ok: journal {meta.journal_id} restored to {path}, epoch {meta.epoch}")
        with closing(_open(path)) as restored:
            missing = restored.archive.missing()
        if missing:
            typer.echo(
                f"{len(missing)} files of the archive are missing, from {missing[0]} on: copy them from the backup; what asks for"
                " older records, such as a start after an upgrade, is refused without them",
                err=True,
            )


@app.command()
def archive(
    path: JournalPath,
    keep_days: Annotated[int, typer.Option(min=0, help="Days whose records stay in the journal.")],
    compact: Annotated[
        bool, typer.Option(help="Give the room back to the system; needs as much room again meanwhile.")
    ] = False,
) -> None:
    """Move old records of a journal that is not in use into compressed files beside it; `keep_days` does so in use."""
    now_ns = SystemClock().now_ns()
    with _told(), _locked(path, "quantd journal archive", now_ns):
        before = _bytes(path)
        with closing(JournalStore[Fact].open(path, codec(), projections=projections())) as store:
            with _progress() as bar:
                task = bar.add_task("records", total=store.head.seq - store.archive.anchor().seq)
                before_ns = now_ns - keep_days * DAY_NS
                done = move_all(store, before_ns, told=lambda moved: bar.update(task, completed=moved.records))
            anchor, head = store.archive.anchor().seq, store.head.seq
            if compact:
                shrink(store)
        typer.echo(
            f"ok: {done.records} records moved into {done.segments} files of {done.bytes} bytes in {folder_of(path)};"
            f" the journal holds {head - anchor} of {head} records, {_bytes(path)} bytes, {before} before"
        )


@app.command()
def rebuild(path: JournalPath) -> None:
    """Build the tables of orders, fills and lots of a journal that is not in use anew from its records."""
    now_ns = SystemClock().now_ns()
    with _told(), _locked(path, "quantd journal rebuild", now_ns):
        with closing(JournalStore[Fact].open(path, codec(), projections=projections())) as store, _progress() as bar:
            task = bar.add_task("records", total=store.head.seq)
            store.rebuild_projections(lambda done, _: bar.update(task, completed=done))
            head = store.head.seq
        typer.echo(f"ok: tables built from {head} records")


def _locked(path: Path, what: str, now_ns: int) -> FileLock:
    """Lock a journal that must be there: a wrong path leaves neither folder nor lock behind."""
    with naming(path):
        if not path.exists():
            raise JournalError(f"{path}: there is no journal here")
    return lock_journal(path, what=what, started_at_ns=now_ns)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _archived(store: JournalStore[Fact], records: int) -> str:
    if records:
        return f", {records} of them in {len(store.archive.segments())} archive files"
    anchor = store.archive.anchor().seq
    return f" behind record {anchor}, the archive not read" if anchor else ""


def _bytes(path: Path) -> int:
    with naming(path):
        return path.stat().st_size


def _open(path: Path) -> JournalStore[Fact]:
    return JournalStore[Fact].open(path, codec(), read_only=True, projections=projections())


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except JournalError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None


def _known_kinds(known: RecordCodec[Fact], kinds: list[str]) -> None:
    for kind in kinds:
        if kind not in known.kinds:
            raise typer.BadParameter(f"no fact is called {kind!r}; there are {', '.join(sorted(known.kinds))}")


def _newest(store: JournalStore[Fact], count: int, kinds: frozenset[str], about: bytes) -> list[Record]:
    """Return the newest records of some kinds that hold some bytes; looks further back until there are enough of them."""
    reach = count
    while True:
        records = [one for one in store.tail(reach) if (not kinds or one.kind in kinds) and about in one.payload]
        if len(records) >= count or reach >= store.head.seq:
            return records[-count:]
        reach *= 4


def _row(known: RecordCodec[Fact], record: Record) -> dict[str, Any]:
    fact = msgspec.to_builtins(known.decode(record))
    fact.pop("type", None)
    fact.pop("at_ns", None)
    seconds, nanoseconds = divmod(record.at_ns, 1_000_000_000)
    at = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{nanoseconds:09d}"
    return {"record": record.seq, "at": at, "kind": record.kind, "fact": fact}


def _short(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, separators=(",", ":"))
