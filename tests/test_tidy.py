"""Style as a test: what ruff, mypy and import-linter cannot say about the tree."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import quantd

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

CODE_FOLDERS = ("src", "strategies", "benchmarks", "scripts", "tests")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".cfg", ".sh", ".sql", ".html", ".js", ".css"}
DATA_FOLDERS = ("tests/data", "tests/golden")

# Standard modules that neither look outside the process nor at a clock nor at chance.
PURE_NAMES = """
__future__ abc array base64 binascii bisect calendar cmath collections contextlib copy dataclasses datetime decimal enum
fractions functools hashlib heapq hmac inspect itertools json keyword math numbers operator re statistics string struct
textwrap traceback types typing warnings weakref zlib zoneinfo
"""
PURE = frozenset(re.split(r"\s+", PURE_NAMES.strip()))
PURE_PACKAGES = ("engine", "exchange", "surveillance", "indicators", "domain", "errors")

# Started by name from outside: the command, the root that strategies import, and the kit for authors' tests.
ENTRY_POINTS = ("quantd", "quantd.__main__", "quantd.testing")


def files(*folders: str, suffixes: frozenset[str] | set[str] = frozenset({".py"})) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)
    return sorted(path for path in found if path.is_file() and not _is_data(path))


def _is_data(path: Path) -> bool:
    relative = path.relative_to(ROOT).as_posix()
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(ROOT).parts)
    return hidden or relative.startswith(DATA_FOLDERS)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def module_name(path: Path) -> str:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int, ast.stmt]]:
    """Yield each imported dotted name with its line; `from a import b` yields `a` and `a.b`."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base, node.lineno, node
            yield from ((f"{base}.{alias.name}", node.lineno, node) for alias in node.names)


def expect_none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def project_file() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def contracts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project_file()["tool"]["importlinter"]["contracts"]
    return found


def test_modules_are_at_most_400_lines_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files(*CODE_FOLDERS)}
    expect_none([f"{place(path)} has {n} lines" for path, n in lengths.items() if n > MODULE_LINES_MAX])


def test_functions_are_at_most_70_lines_long() -> None:
    long = []
    for path in files(*CODE_FOLDERS):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{place(path, node.lineno)} {node.name} has {lines} lines")
    expect_none(long)


def test_every_module_says_what_it_is_for() -> None:
    missing = [
        place(path)
        for path in files("src", "strategies", "benchmarks", "scripts")
        if not ast.get_docstring(parsed(path))
    ]
    expect_none(missing)


def test_no_marker_of_unfinished_work_is_left() -> None:
    # Spelled so that this file does not find itself.
    marker = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K]|WI[P])\b")
    tops = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT_SUFFIXES]
    found = []
    for path in [*tops, *files(*CODE_FOLDERS, "docs", "config", "helm", "deploy", suffixes=TEXT_SUFFIXES)]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if marker.search(line):
                found.append(f"{place(path, number)} {line.strip()}")
    expect_none(found)


def test_every_silenced_check_has_its_reason_beside_it() -> None:
    silencer = re.compile(r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[\w, -]*\])?|pragma:\s*no cover)")
    bare = []
    for path in files(*CODE_FOLDERS):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            silenced = silencer.search(line)
            if silenced is None or path == Path(__file__):
                continue
            above = lines[number - 2].strip() if number > 1 else ""
            beside = silencer.sub("", line[silenced.start() :])
            if not above.startswith("#") and len(re.findall(r"\w+", beside)) < 2:
                bare.append(f"{place(path, number)} {line.strip()}")
    expect_none(bare)


def test_modules_have_names_of_the_trade() -> None:
    vague = re.compile(r"(?:^|_)(?:utils?|helpers?|commons?|managers?|misc)(?:_|$)")
    paths = [
        path
        for path in files("src", "strategies", "tests")
        if vague.search(path.stem) or vague.search(path.parent.name)
    ]
    expect_none([place(path) for path in paths])


def test_tests_are_no_packages() -> None:
    expect_none([place(path) for path in files("tests") if path.name == "__init__.py"])


def test_every_module_is_imported_by_another() -> None:
    """A module that nothing reaches is dead; names in strings count, since registries load by name."""
    used: set[str] = set()
    for path in files("src"):
        own = module_name(path)
        used.update(name for name, _, _ in imports(path) if name != own)
        texts = (node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant))
        used.update(text.partition(":")[0] for text in texts if isinstance(text, str) and text.startswith("quantd."))
    for script in project_file()["project"]["scripts"].values():
        used.add(script.partition(":")[0])
    modules = {module_name(path): path for path in files("src")}
    reached = {name for name in modules if name in used or any(other.startswith(f"{name}.") for other in used)}
    entry_points = {name for name in modules if name in ENTRY_POINTS or name.startswith("quantd.testing.")}
    expect_none([place(modules[name]) for name in sorted(modules.keys() - reached - entry_points)])


def test_the_core_imports_only_msgspec_and_pure_standard_modules() -> None:
    """import-linter forbids the modules that come to mind; this allows only those that were thought about."""
    foreign = []
    for package in PURE_PACKAGES:
        for path in files(f"src/quantd/{package}") or [SOURCE / "quantd" / f"{package}.py"]:
            for name, line, _ in imports(path):
                top = name.partition(".")[0]
                if top not in PURE | {"msgspec", "quantd"}:
                    foreign.append(f"{place(path, line)} imports {name}")
    expect_none(foreign)


def test_strategies_import_quantd_itself_and_pure_standard_modules() -> None:
    """Strategies are plain files and no package, so import-linter does not see them.

    Only names that `quantd` itself offers are public to authors; asyncio, clocks, chance and the network are not theirs.
    """
    foreign = []
    for path in files("strategies"):
        for name, line, node in imports(path):
            member = isinstance(node, ast.ImportFrom) and name != "." * node.level + (node.module or "")
            if not member and name != "quantd" and name.partition(".")[0] not in PURE:
                foreign.append(f"{place(path, line)} imports {name}")
    expect_none(foreign)


def test_strategies_use_only_exported_names_of_quantd() -> None:
    exported = set(getattr(quantd, "__all__", dir(quantd)))
    unknown = []
    for path in files("strategies"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "quantd":
                unknown += [f"{place(path, node.lineno)} {a.name}" for a in node.names if a.name not in exported]
    expect_none(unknown)


def test_structlog_is_configured_in_telemetry_only() -> None:
    found = []
    for path in files("src"):
        if "telemetry" in path.parts:
            continue
        for name, line, _ in imports(path):
            if re.fullmatch(r"structlog\.(?:configure\w*|reset_defaults|processors.*|stdlib.*|dev.*)", name):
                found.append(f"{place(path, line)} imports {name}")
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id == "structlog" and re.fullmatch(r"configure\w*|reset_defaults", node.attr):
                found.append(f"{place(path, node.lineno)} structlog.{node.attr}")
    expect_none(found)


def test_every_venue_stands_in_the_contract_of_independence() -> None:
    listed = {
        name for contract in contracts() if contract.get("type") == "independence" for name in contract["modules"]
    }
    venues = {
        module_name(path.parent / "__init__.py") for path in files("src/quantd/venues") if path.name == "connector.py"
    }
    expect_none(sorted(venues - listed))


def test_an_import_that_a_contract_ignores_is_for_types_only() -> None:
    found = []
    for edge in (edge for contract in contracts() for edge in contract.get("ignore_imports", ())):
        importer, imported = edge.split(" -> ")
        path = SOURCE / Path(*importer.split(".")).with_suffix(".py")
        guarded = {
            statement
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            for statement in node.body
        }
        bare = [line for name, line, node in imports(path) if name == imported and node not in guarded]
        found += [f"{place(path, line)} imports {imported} at run time" for line in bare]
    expect_none(found)


def test_what_the_benchmarks_import_of_quantd_is_there() -> None:
    """They run beside peers that no test installs: nothing else would notice a name that has moved."""
    found = []
    for path in files("benchmarks"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("quantd"):
                continue
            module = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                if not hasattr(module, name) and find_spec(f"{node.module}.{name}") is None:
                    found.append(f"{place(path, node.lineno)} imports {name} of {node.module}")
    expect_none(found)


def test_the_version_is_the_same_in_the_project_file() -> None:
    assert quantd.__version__ == project_file()["project"]["version"]
