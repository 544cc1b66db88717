"""Control 36: the self-assessment, made of test results. `python -m tests.assessment` runs every test that docs/risk.md names
and writes docs/risk-assessment.md; with `--junit FILE` it takes the results of a run that was made already
(`make test PYTEST_ARGS=--junitxml=FILE`).

A control is shown when all its tests passed and at least one ran. Ends with 1 when one that is said to be done is not shown.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.report import commit, table
from tests.unit.risk.boundaries import CASES

ROOT = Path(__file__).parent.parent
RISK = ROOT / "docs" / "risk.md"
PAGE = ROOT / "docs" / "risk-assessment.md"
BOUNDARIES = "tests/unit/risk/test_boundaries.py"
LEVELLED = ("test_new_order", "test_amendment")
SHOWN = "shown"
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (\w+) \| (.*) \|$", re.MULTILINE)
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


class Control(NamedTuple):
    """A row of docs/risk.md."""

    number: int
    name: str
    state: str
    tests: tuple[str, ...]
    """``file::test``, or a file whose tests all belong to it; boundary cases as ``file[control]``."""


class Result(NamedTuple):
    """One test of a run."""

    file: str
    test: str
    case: str
    """The parameters, empty without."""
    outcome: str
    seconds: float


class Evidence(NamedTuple):
    """What a run says of one test that a control names."""

    test: str
    passed: int
    failed: int
    skipped: int
    seconds: float


def controls(text: str) -> list[Control]:
    """Read the 36 rows of docs/risk.md."""
    found = []
    for number, name, state, words in _ROW.findall(text):
        named = [f"{file}::{test}" if test.startswith("test_") else file for file, test in _NAMED.findall(words)]
        if re.search(r"\bboundaries\b", _NAMED.sub("", words)):
            named.insert(0, f"{BOUNDARIES}[{number}]")
        found.append(Control(int(number), name, state, tuple(dict.fromkeys(named))))
    return found


@cache
def boundary_cases() -> Mapping[int, frozenset[str]]:
    """Return the names of the boundary cases by their control's number."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for case in CASES:
        number: int = case.control.number  # type: ignore[attr-defined]  # every control has it
        found[number].add(str(case))
    return {number: frozenset(cases) for number, cases in found.items()}


def read(path: Path) -> list[Result]:
    """Read a report in JUnit's form, as pytest writes it."""
    results = []
    for case in ET.parse(path).getroot().iter("testcase"):
        outcome = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = "failed"
            elif child.tag == "skipped" and outcome == "passed":
                outcome = "skipped"
        modules = [part for part in case.get("classname", "").split(".") if not part[:1].isupper()]  # without a class
        file = "/".join(modules) + ".py"
        test, _, parameters = case.get("name", "").partition("[")
        results.append(Result(file, test, parameters.removesuffix("]"), outcome, float(case.get("time", 0))))
    return results


def evidence(named: str, results: Iterable[Result]) -> Evidence:
    """Return what a run says of one named test."""
    counted: defaultdict[str, int] = defaultdict(int)
    seconds = 0.0
    for result in results:
        if _belongs(named, result):
            counted[result.outcome] += 1
            seconds += result.seconds
    return Evidence(named, counted["passed"], counted["failed"], counted["skipped"], seconds)


def _belongs(named: str, result: Result) -> bool:
    file, _, test = named.partition("::")
    if file.startswith(BOUNDARIES + "["):
        number = int(file.removeprefix(BOUNDARIES).strip("[]"))
        # The case, then its level.
        case = result.case.rpartition("-")[0] if result.test in LEVELLED else result.case
        return result.file == BOUNDARIES and case in boundary_cases().get(number, frozenset())
    return result.file == file and (not test or result.test == test)


def verdict(control: Control, found: Iterable[Evidence]) -> str:
    """Return what a run says of a control, in a word or two."""
    found = list(found)
    if not found:
        return "nothing to show"
    if any(one.failed for one in found):
        return "**failed**"
    silent = [one for one in found if not one.passed and not one.skipped]
    if silent:
        return f"**{len(silent)} not run**"
    if not any(one.passed for one in found):
        return "**all skipped**"
    return SHOWN


def page(known: Iterable[Control], results: list[Result], commit: str) -> str:
    """Return the self-assessment as Markdown."""
    told = [(control, [evidence(one, results) for one in control.tests]) for control in known]
    rows, details = [], []
    for control, found in told:
        passed, failed, skipped = (sum(getattr(one, name) for one in found) for name in ("passed", "failed", "skipped"))
        rows.append(
            (
                str(control.number),
                control.name,
                control.state,
                str(passed),
                str(failed),
                str(skipped),
                verdict(control, found),
            )
        )
        details += [
            (
                str(control.number),
                f"`{one.test}`",
                str(one.passed),
                str(one.failed),
                str(one.skipped),
                f"{one.seconds:.1f}",
            )
            for one in found
        ]
    lines = [
        "# Self-assessment of the risk controls",
        "",
        "Control 36 of [risk.md](risk.md), which says what each control does. Written by `make assessment` from the results of the",
        "tests that are named there; none of the figures is typed. A control is shown when all its tests passed and at least one",
        "ran. The yearly review of how *you* use them (limits, people, procedures) is yours; this is its technical evidence.",
        "",
        f"At commit `{commit}`: {len(results)} tests in the report, {sum(row[6] == SHOWN for row in rows)} of {len(rows)} controls shown.",
        "",
        table(("#", "control", "state", "passed", "failed", "skipped", "verdict"), rows),
        "",
        "## Evidence",
        "",
        table(("#", "tests", "passed", "failed", "skipped", "seconds"), details),
    ]
    return "\n".join(lines) + "\n"


def ran(known: Iterable[Control], report: Path) -> None:
    """Run what the controls name, with the results in `report`."""
    named = dict.fromkeys(
        one.partition("[")[0] if one.startswith(BOUNDARIES) else one for control in known for one in control.tests
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", f"--junitxml={report}", *named]
    subprocess.run(command, cwd=ROOT, check=False)  # what failed stands in the report


def main() -> int:
    """Write the page; 1 when a control that is said to be done is not shown."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--junit", type=Path, help="a report that was made already")
    chosen = options.parse_args()
    known = controls(RISK.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = chosen.junit or Path(folder) / "report.xml"
        if chosen.junit is None:
            ran(known, report)
        results = read(report)
    PAGE.write_text(page(known, results, commit()), encoding="utf-8")
    missing = [
        f"{control.number} {control.name}: {said.strip('*')}"
        for control in known
        if control.state == "done"
        and (said := verdict(control, [evidence(one, results) for one in control.tests])) != SHOWN
    ]
    print("\n".join(missing) or f"written: {PAGE.relative_to(ROOT)}; every control that is done is shown")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
