"""The self-assessment follows from test results: what is not shown is not said to be, and the committed page is complete."""

import re
from pathlib import Path

import pytest

from tests.assessment import PAGE, RISK, Control, Result, boundary_cases, controls, evidence, page, read, verdict

ONE = Control(2, "Max order size", "done", ("tests/unit/a.py::test_x", "tests/unit/b.py"))
REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.unit.a" name="test_x[below]" time="0.5"/>
<testcase classname="tests.unit.a" name="test_x[above]" time="0.25"><failure message="no">why</failure></testcase>
<testcase classname="tests.unit.a" name="test_xy" time="1"><error message="no">why</error></testcase>
<testcase classname="tests.unit.b" name="test_y" time="1"><skipped message="no tool"/></testcase>
<testcase classname="tests.unit.b.TestMachine" name="test_z" time="2"/>
</testsuite></testsuites>
"""


def results(*outcomes: tuple[str, str, str]) -> list[Result]:
    return [Result(file, test, "", outcome, 0.1) for file, test, outcome in outcomes]


A, B = ("tests/unit/a.py", "test_x"), ("tests/unit/b.py", "test_y")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ([(*A, "passed"), (*B, "passed")], "shown"),
        ([(*A, "passed"), (*B, "skipped")], "shown"),
        ([(*A, "passed"), (*B, "failed")], "**failed**"),
        ([(*A, "passed")], "**1 not run**"),
        ([], "**2 not run**"),
        ([(*A, "skipped"), (*B, "skipped")], "**all skipped**"),
        ([("tests/unit/a.py", "test_other", "passed"), (*B, "passed")], "**1 not run**"),
    ],
)
def test_a_control_of_which_a_test_failed_was_not_run_or_only_skipped_is_not_shown(
    run: list[tuple[str, str, str]], expected: str
) -> None:
    found = results(*run)
    assert verdict(ONE, [evidence(one, found) for one in ONE.tests]) == expected
    assert re.search(
        rf"^\| 2 \| Max order size \| done \| .*\| {re.escape(expected)} \|$", page([ONE], found, "abc"), re.MULTILINE
    )


def test_a_control_that_names_no_test_has_nothing_to_show() -> None:
    assert verdict(Control(32, "Continuity", "later", ()), []) == "nothing to show"


def test_a_report_is_read_with_failures_errors_and_skips(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    found = read(path)
    assert [(one.file, one.test, one.case, one.outcome) for one in found] == [
        ("tests/unit/a.py", "test_x", "below", "passed"),
        ("tests/unit/a.py", "test_x", "above", "failed"),
        ("tests/unit/a.py", "test_xy", "", "failed"),
        ("tests/unit/b.py", "test_y", "", "skipped"),
        ("tests/unit/b.py", "test_z", "", "passed"),
    ]
    assert evidence("tests/unit/a.py::test_x", found)[1:] == (1, 1, 0, 0.75)
    assert evidence("tests/unit/b.py", found)[1:] == (1, 0, 1, 3.0)


def test_boundary_cases_count_for_the_control_that_they_are_about() -> None:
    case = min(boundary_cases()[2])
    file = "tests/unit/risk/test_boundaries.py"
    found = [
        Result(file, "test_new_order", f"{case}-above", "passed", 0.1),
        Result(file, "test_a_disabled_control_is_noticed_at_a_new_order", case, "passed", 0.1),
        Result(file, "test_new_order", "position-buy-above", "passed", 0.1),
    ]
    assert evidence(f"{file}[2]", found).passed == 2
    assert all(cases for cases in boundary_cases().values())


def test_every_control_and_every_test_of_the_list_is_in_the_page() -> None:
    """If this fails, run `make assessment` and read the difference."""
    known = controls(RISK.read_text(encoding="utf-8"))
    assert [one.number for one in known] == list(range(1, 37))
    told = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (.+?) \|$", told, re.MULTILINE)
    assert [(int(row[0]), row[1], row[2]) for row in rows] == [one[:3] for one in known]
    named = re.findall(r"^\| (\d+) \| `(.+?)` \|", told, re.MULTILINE)
    assert [(int(number), test) for number, test in named] == [
        (one.number, test) for one in known for test in one.tests
    ]
    assert [row[1] for row in rows if row[2] == "done" and row[6] != "shown"] == []
    assert [row[1] for row in rows if row[4] != "0"] == [], "a test of these failed"
    assert re.search(r"At commit `[0-9a-f]{7,}`", told) or re.search(r"At commit `\S+-g[0-9a-f]+`", told)
