"""Prints, for `make ops`, which check was made with which version of which tool, and what came of it."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy import tools

_asked: dict[str, tuple[str, ...]] = {}


@pytest.fixture(autouse=True)
def _tools_of_this_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep which tools this test asked for."""
    known, tools.used = tools.used, {}
    yield
    _asked[request.node.nodeid] = tuple(f"{name} {version}".strip() for name, version in tools.used.items())
    tools.used = known


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table when `QUANTD_OPS` is set."""
    if not os.environ.get("QUANTD_OPS"):
        return
    rows = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            if outcome != "skipped" and report.when != "call":
                continue
            reason = report.longrepr[2].removeprefix("Skipped: ") if outcome == "skipped" else ""
            name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            tool = ", ".join(_asked.get(report.nodeid, ()))
            rows.append((report.nodeid, name, tool or "own", outcome + (f": {reason}" if reason else "")))
    width = max((len(name) for _, name, _, _ in rows), default=0)
    wide = max((len(tool) for _, _, tool, _ in rows), default=0)
    terminalreporter.section("checks of what operators install")
    for _, name, tool, result in sorted(rows):
        terminalreporter.write_line(f"{name:{width}}  {tool:{wide}}  {result}")
