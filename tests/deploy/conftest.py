"""The Docker engine of this run; and which check was made with which version of which tool, and what came of it.

`QUANTD_OPS` names the Markdown page for that table; it is printed too.
"""

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from tests.deploy import tools
from tests.deploy.engine import Engine, engine_with_image

_HEAD = """# Results of `make ops`

Written by the run itself (`make ops REPORT=docs/operations/checks-results.md`), {when} on {where}, {seconds:.0f} s of checks
without the fetching. [Checks](checks.md) says what each is for. "own" needs no tool.
"""
_asked: dict[str, dict[str, str]] = {}


class Row(NamedTuple):
    """One test that ran or skipped."""

    area: str
    check: str
    tools: str
    result: str
    seconds: float


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that has built the image; one for the run, since both take their time.

    Its layers are removed after the last test, whose time that is not: a busy disk takes a minute for them.
    """
    folder = TemporaryDirectory(prefix="quantd-engine-")
    request.config.add_cleanup(folder.cleanup)
    with engine_with_image(Path(folder.name)) as made:
        yield made


@pytest.fixture(autouse=True)
def _tools_of_this_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep which tools this test asked for."""
    known, tools.used = tools.used, {}
    yield
    _asked[request.node.nodeid] = tools.used
    tools.used = known


def _rows(stats: dict[str, list[Any]]) -> list[Row]:
    rows = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in stats.get(outcome, ()):
            if outcome == "passed" and report.when != "call":
                continue
            reason = report.longrepr[2].removeprefix("Skipped: ") if outcome == "skipped" else ""
            file, _, name = report.nodeid.rpartition("::")
            area = Path(file.partition("::")[0]).stem.removeprefix("test_").replace("_", " ")
            asked = ", ".join(f"{tool} {version}".strip() for tool, version in _asked.get(report.nodeid, {}).items())
            check = name.removeprefix("test_").replace("_", " ")
            result = f"{outcome}: {reason}" if reason else outcome
            rows.append(Row(area, check, asked or "own", result, report.duration))
    return sorted(rows)


def _page(rows: list[Row]) -> str:
    """The Markdown page: one table of areas, the figures, then every check."""
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [_HEAD.format(when=when, where=where, seconds=sum(row.seconds for row in rows))]
    lines += ["| area | passed | failed | skipped | tools |", "|---|---|---|---|---|"]
    for area in dict.fromkeys(row.area for row in rows):
        here = [row for row in rows if row.area == area]
        counts = [
            sum(row.result.startswith(word) for row in here) for word in ("passed", ("failed", "error"), "skipped")
        ]
        used = sorted({tool for row in here for tool in row.tools.split(", ")} - {"own"}) or ["own"]
        lines.append(f"| {area} | {' | '.join(map(str, counts))} | {', '.join(used)} |")
    lines += ["", "Figures that the checks took:", "", *(f"- {figure}" for figure in tools.figures)]
    lines += ["", "| area | check | tools | result |", "|---|---|---|---|"]
    escaped = ((row.area, row.check.replace("|", "\\|"), row.tools, row.result) for row in rows)
    lines += [f"| {' | '.join(cells)} |" for cells in escaped]
    return "\n".join(lines) + "\n"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table and write the page when `QUANTD_OPS` names one."""
    page = os.environ.get("QUANTD_OPS")
    if not page:
        return
    rows = _rows(terminalreporter.stats)
    terminalreporter.section("checks of what operators install")
    width = max((len(row.check) for row in rows), default=0)
    wide = max((len(row.tools) for row in rows), default=0)
    for row in rows:
        terminalreporter.write_line(f"{row.check:{width}}  {row.tools:{wide}}  {row.result}")
    for figure in tools.figures:
        terminalreporter.write_line(figure)
    Path(page).write_text(_page(rows), encoding="utf-8")
    terminalreporter.write_line(f"written to {page}")
