"""`quantd stress CONFIG --inputs FILE`: the busiest stretch of recorded runs at twice its pace, with a table and a verdict.

A capacity test on the machine that trades, or one like it: it needs the recordings (`journal.record: true`), their journal and
the same configuration. Sends nothing anywhere.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quantd.app.stress import Load, Peak, find_peak, stress
from quantd.cli.run import loop_factory, quiet_collector
from quantd.config import ConfigProblems, load
from quantd.errors import JournalError

_FEW = 1_000
"""A peak of fewer inputs says little about the machine."""
_HEAD = (
    "pace", "inputs/s", "busiest second", "commands", "denials", "latches", "p50 ms", "p99 ms", "max ms", "most waiting",
    "CPU", "decisions", "verdict",
)  # fmt: skip


def stress_command(
    files: Annotated[list[Path], typer.Argument(help="The configuration that the runs were made with.")],
    inputs: Annotated[list[Path], typer.Option("--inputs", help="Input logs; the busiest stretch of all is taken.")],
    factor: Annotated[
        list[float], typer.Option("--factor", min=0.1, max=1_000, help="Paces, as multiples of the recorded one.")
    ] = [1.0, 2.0],  # noqa: B006 -- typer copies it
    window_s: Annotated[float, typer.Option("--window-s", min=1, max=86_400, help="Length of the stretch.")] = 60.0,
    p99_ms: Annotated[float, typer.Option("--p99-ms", min=0.1, help="Latency that 99 of 100 inputs must keep.")] = 50.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each pace.")] = False,
) -> None:
    """Replay the peak of recorded runs at twice the load. Exit code 1 where a decision differs or inputs wait too long."""
    try:
        settings = load(files, os.environ)
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    loads = []
    try:
        peak = find_peak(inputs, window_s)
        _introduce(peak)
        for pace in factor:
            quiet_collector()
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                loads.append(runner.run(stress(settings, peak, pace)))
    except JournalError as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(1) from None
    for line in _json(loads, p99_ms) if as_json else _table(loads, p99_ms):
        typer.echo(line)
    for one in loads:
        if one.difference:
            typer.echo(f"at {one.factor:g}x, first difference: {one.difference}", err=True)
    if not all(_is_borne(one, p99_ms) for one in loads):
        raise typer.Exit(1)


def _introduce(peak: Peak) -> None:
    typer.echo(
        f"peak: {peak.size} inputs in {peak.length_s:.1f} s, {peak.busiest_s} in the busiest second, from input "
        f"{peak.first + 1} of {peak.inputs}",
        err=True,
    )
    if peak.size < _FEW:
        typer.echo(f"note: fewer than {_FEW} inputs say little about what this machine bears", err=True)


def _is_borne(one: Load, p99_ms: float) -> bool:
    return not one.difference and one.latency_ms(0.99) <= p99_ms


def _row(one: Load, p99_ms: float) -> tuple[str, ...]:
    return (
        f"{one.factor:g}x",
        f"{one.peak.size / one.took_s:.0f}",
        f"{one.peak.busiest_s * one.factor:.0f}",
        str(one.commands),
        str(one.denials),
        str(one.latches),
        *(f"{one.latency_ms(share):.2f}" for share in (0.5, 0.99, 1.0)),
        str(one.waiting_max),
        f"{one.cpu_share:.0%}",
        "differ" if one.difference else "the same",
        "borne" if _is_borne(one, p99_ms) else "NOT BORNE",
    )


def _table(loads: list[Load], p99_ms: float) -> list[str]:
    """Return the table in Markdown, to be pasted where results are kept."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(one, p99_ms) for one in loads)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _json(loads: list[Load], p99_ms: float) -> list[str]:
    return [
        msgspec.json.encode(
            {
                "factor": one.factor,
                "inputs": one.peak.size,
                "took_s": round(one.took_s, 3),
                "busiest_second": one.peak.busiest_s * one.factor,
                "commands": one.commands,
                "denials": one.denials,
                "latches": one.latches,
                "p50_ms": round(one.latency_ms(0.5), 3),
                "p99_ms": round(one.latency_ms(0.99), 3),
                "max_ms": round(one.latency_ms(1.0), 3),
                "waiting_max": one.waiting_max,
                "cpu_share": round(one.cpu_share, 3),
                "difference": one.difference,
                "is_borne": _is_borne(one, p99_ms),
            }
        ).decode()
        for one in loads
    ]
