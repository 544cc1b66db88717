"""docs/risk.md lists every control once, with tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "risk.md").read_text(encoding="utf-8")
ROWS = [line.split("|") for line in TEXT.splitlines() if re.match(r"\| \d+ \|", line)]
STATES = {"done", "partly", "later", "exempt"}


def test_every_control_has_its_row_and_its_state() -> None:
    assert [int(row[1]) for row in ROWS] == list(range(1, 37))
    assert {row[3].strip() for row in ROWS} <= STATES


def test_what_is_done_names_a_test_and_what_is_not_says_why_where_it_matters() -> None:
    for row in ROWS:
        if row[3].strip() in ("done", "partly"):
            assert "::" in row[4] or "boundaries" in row[4], row[2]
        if row[3].strip() in ("partly", "exempt"):
            assert re.sub(r"`[^`]*`", "", row[4]).strip(" ,;."), row[2]


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert named
    for file, test in named:
        assert (ROOT / file).is_file(), file
        if test:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert test in names, f"{file}::{test}"
