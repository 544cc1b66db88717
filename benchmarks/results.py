"""From measurements to RESULTS.md and back: the tables are written here, and read here by the test that checks them.

Used by `run.py`. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

BACKTEST_GOALS = {"backtesting.py": (2.0, 3.0), "basana": (4.0, 6.0), "nautilus_trader": (30.0, 30.0)}
"""Peer -> how many times its speed we must reach, and the goal."""
LINEAR_LIMIT = 11.0
"""A million bars may take at most this many times as long as a hundred thousand."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table; None is an empty cell."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        lines.append(f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |")
    return lines


def read_tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the tables of a page by the heading above them, each row by column.

    Raises:
        ValueError: when a row has another number of cells than its table has columns.
    """
    tables: dict[str, list[dict[str, str]]] = {}
    heading = ""
    columns: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            heading, columns = line.lstrip("# "), []
        elif not line.startswith("|"):
            columns = []
        else:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not columns:
                columns = cells
                tables[heading] = []
            elif set(line) - set("|- "):
                if len(cells) != len(columns):
                    raise ValueError(f"{heading}: expected {len(columns)} cells, found {len(cells)}: {line}")
                tables[heading].append(dict(zip(columns, cells, strict=True)))
    return tables


def verdict(holds: bool | None) -> str | None:
    """Return how a limit was met, in a word."""
    return None if holds is None else "yes" if holds else "**no**"


def page(found: dict[str, Any]) -> str:
    """Return the whole page of a run's findings."""
    about = found["about"]
    lines = [
        "# Measurements",
        "",
        f"Written by `make bench` on {about['date']} from commit {about['commit']}, CPython {about['python']} on",
        f"{about['machine']}, {about['cpus']} CPUs, load {about['load']:.1f} at the start. Ratios within one table are the",
        "finding: its rows were run in turn and are medians; absolute times are this machine's. A peer that does not install",
        "is listed, not left out.",
        "",
        f"Versions: {', '.join(f'{name} {version}' for name, version in about['versions'].items())}.",
        "",
    ]
    for section in (_backtest, _linear, _place, _clients, _tick, _throttle):
        lines += section(found)
    return "\n".join(lines).rstrip() + "\n"


def _backtest(found: dict[str, Any]) -> list[str]:
    rows = found.get("backtest")
    if rows is None:
        return []
    ours = next(row for row in rows if row["name"] == "quantd")
    lines = [
        "## Backtest, 100,000 bars",
        "",
        f"Moving-average cross with an order on 3.8 % of the bars, each process on one core, {found['rounds']} rounds.",
        "On for quantd: the engine of live trading, the risk gate (reference age and collar, order and gross notional,",
        "open orders, position, long only, self-match, free balance), the in-memory journal of all facts, the equity",
        "curve. Not in the time: reading the file, the statistics at the end (in backtesting.py they are in it).",
        "",
    ]
    cells: list[tuple[object, ...]] = []
    for row in rows:
        if "missing" in row:
            cells.append((row["name"], "does not run here", None, None, None, None, None, None))
            continue
        times = row["run_s"] / ours["run_s"]
        least, goal = BACKTEST_GOALS.get(row["name"], (None, None))
        speed = f"{row['bars'] / row['run_s']:,.0f}"
        cells.append(
            (
                row["name"],
                f"{row['run_s']:.3f}",
                speed,
                f"{times:.2f}",
                None if least is None else f"{least:g} (goal {goal:g})",
                verdict(None if least is None else times >= least),
                f"{row['fills']:,}",
                f"{row['equity']:,.2f}",
            )
        )
    columns = ("engine", "run s", "bars/s", "our speed over it", "wanted", "met", "fills", "equity")
    return [*lines, *table(columns, cells), ""]


def _linear(found: dict[str, Any]) -> list[str]:
    row = found.get("linear")
    if row is None:
        return []
    cells = [
        (
            f"{row['small_s']:.3f}",
            f"{row['large_s']:.3f}",
            f"{row['ratio']:.2f}",
            f"{LINEAR_LIMIT:g}",
            verdict(row["ratio"] <= LINEAR_LIMIT),
            f"{row['rss_mb']:.0f}",
        )
    ]
    columns = ("100,000 bars s", "1,000,000 bars s", "ratio", "at most", "met", "RSS MB")
    return ["## quantd's backtest, ten times the bars", "", *table(columns, cells), ""]


def _place(found: dict[str, Any]) -> list[str]:
    rows = found.get("place")
    if rows is None:
        return []
    cells = [
        (
            row["callers"],
            row["name"],
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
            f"{row['per_s']:,.0f}",
            f"{row['cpu_us']:.0f}",
            f"{row['ratio']:.2f}",
            verdict(row.get("holds")),
        )
        for row in rows
    ]
    lines = [
        "## Placing an order",
        "",
        "`connector.submit()` to its typed outcome through the ionloop connector (rate budget, key, classification,",
        "metrics on; journal off) beside a bare aiohttp session that posts the same bytes. Wanted: p50 at one caller",
        "at most 1.25 times the bare session's.",
        "",
    ]
    columns = ("callers", "client", "p50 us", "p99 us", "orders/s", "CPU us", "p50 over bare", "met")
    return [*lines, *table(columns, cells), ""]


def _clients(found: dict[str, Any]) -> list[str]:
    rows = found.get("clients")
    if rows is None:
        return []
    cells = [
        (row["venue"], None, row["name"], row["missing"], *[None] * 7)
        if "missing" in row
        else (
            row["venue"],
            row["callers"],
            row["name"],
            f"{row['p50_us']:.0f}",
            f"{row['per_s']:,.0f}",
            f"{row['cpu_us']:.0f}",
            _spread(row.get("p50_us_ratio")),
            _spread(row.get("per_s_ratio")),
            _spread(row.get("cpu_us_ratio")),
            f"{row['venue_us']:.0f}",
            f"{row['venue_busy']:.0%}{' (bound)' if row['venue_bound'] else ''}",
        )
        for row in rows
    ]
    lines = [
        "## Placing an order, beside the venues' own clients",
        "",
        "The same resting limit order against the same simulator (`quantd simulate`'s, limits off, a core of its own), in",
        "turn: `connector.submit()` to its typed outcome with rate budget, classification and metrics, and the venue's own",
        "client to its decoded answer. `v20` blocks: its callers are threads with a session each. Ratios are ours over",
        "theirs, the median of the rounds and in brackets their range: below 1 is better for time and CPU, above 1 for",
        "orders/s. Simulator: its CPU for an order, and its share of the time. `bound`: at 20 callers the simulator needs",
        "longer for an order than the client does, so time and orders/s are its own and fall short of what the client can",
        "do; only CPU, which is the client's alone, compares the clients there.",
        "",
    ]
    columns = (
        "venue", "callers", "client", "p50 us", "orders/s", "CPU us", "p50 ratio", "orders/s ratio", "CPU ratio",
        "simulator us", "simulator busy",
    )  # fmt: skip
    return [*lines, *table(columns, cells), ""]


def _spread(ratio: Sequence[float] | None) -> str | None:
    """Return a median with its range."""
    return None if ratio is None else "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


def _tick(found: dict[str, Any]) -> list[str]:
    rows = found.get("tick")
    if rows is None:
        return []
    cells = [
        (row["name"], row["p50_us"], row["p99_us"], row["ratio"], row.get("syncs_more"), verdict(row.get("holds")))
        for row in rows
    ]
    lines = [
        "## Tick to order",
        "",
        "Tick in by WebSocket, through inbox, engine, strategy, gate, journal (written before sent) and connector to",
        "the venue's stub. Wanted: unsynced at most 1.3 times the bare script, synced at most two fdatasync more.",
        "",
    ]
    columns = ("path", "p50 us", "p99 us", "over bare", "fdatasync more", "met")
    return [*lines, *table(columns, cells), ""]


def _throttle(found: dict[str, Any]) -> list[str]:
    rows = found.get("throttle")
    if rows is None:
        return []
    cells = [
        (row["limit"], row["name"], "does not run here", None, None, None, None, None)
        if "missing" in row
        else (
            row["limit"],
            row["name"],
            f"{row['use']:.1%}",
            row["refused_429"],
            f"{row['burst_ms']:.1f}",
            f"{row['cpu']:.1%}",
            row["cancel_wait_max_ms"],
            verdict(row.get("holds")),
        )
        for row in rows
    ]
    lines = [
        "## Rate budgets",
        "",
        "60 eager callers, 20 ms of jitter, limits of 20 a second that the server enforces. Ours with transport,",
        "classification and metrics; the peers around a bare aiohttp session.",
        "",
    ]
    columns = ("server", "client", "use", "429", "burst of 5 ms", "CPU", "longest cancel ms", "met")
    return [*lines, *table(columns, cells), ""]
