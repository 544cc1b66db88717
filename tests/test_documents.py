"""The documents tell the truth about the tree: tests that they name exist, links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROMISES = ROOT / "docs" / "promises.md"
CONTINUITY = ROOT / "docs" / "operations" / "continuity.md"
PROMISED = 10
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def defined_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def anchors(path: Path) -> set[str]:
    found = _HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def broken(path: Path, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return False
    name, _, anchor = link.partition("#")
    target = (path.parent / name) if name else path
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in anchors(target)


@pytest.mark.parametrize("path", [PROMISES, CONTINUITY], ids=lambda path: path.stem)
def test_every_test_that_proves_a_promise_or_shows_what_a_fault_leads_to_exists(path: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", path.read_text(encoding="utf-8"))
    assert named
    missing = [f"{file}::{test}" for file, test in named if not (ROOT / file).is_file()]
    missing += [
        f"{file}::{test}" for file, test in named if (ROOT / file).is_file() and test not in defined_tests(ROOT / file)
    ]
    assert not missing, "\n".join(missing)


def test_every_promise_has_a_proof_or_says_that_it_has_none() -> None:
    parts = re.split(r"^## ", PROMISES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [part.partition(".")[0] for part in parts] == [str(number) for number in range(1, PROMISED + 1)]
    silent = [part.partition("\n")[0] for part in parts if "::test_" not in part and "Not yet proven" not in part]
    assert not silent


def test_each_fault_names_what_shows_it() -> None:
    rows = [line for line in CONTINUITY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert not [row.split("|")[1] for row in rows if "::test_" not in row]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    found = [link for link in _LINK.findall(path.read_text(encoding="utf-8")) if broken(path, link)]
    assert not found, f"{path.relative_to(ROOT)}: {found}"
