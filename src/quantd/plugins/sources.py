"""Which files of the strategies folder a strategy is made of: its own, and those that it imports from beside it.

Used by the strategy loader for the hash that stands in the journal and by which `quantd reload` sees a change. Reads and
parses, and runs nothing.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from quantd.plugins.importing import source_hash

Find = Callable[[str], Path | None]
"""The file of a module of the folder, by its dotted name."""


def hash_with_imports(module: str, file: Path, find: Find) -> str:
    """Return the SHA-256, in hexadecimal, of a module's file; with others of the folder that it imports, of all of them.

    Raises:
        NotLoadable: one of them cannot be read.
    """
    found: dict[str, Path] = {}
    _follow(module, file, find, found)
    own = source_hash(found.pop(module))
    if not found:
        return own
    lines = [own, *(f"{name} {source_hash(path)}" for name, path in sorted(found.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _follow(module: str, file: Path, find: Find, found: dict[str, Path]) -> None:
    waiting = [(module, file)]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        found[name] = path
        for other in _imported(name, path):
            parts = other.split(".")
            # A package runs before what lies in it.
            for depth in range(1, len(parts) + 1):
                beside = find(".".join(parts[:depth]))
                if beside is not None:
                    waiting.append((".".join(parts[:depth]), beside))


def _imported(module: str, file: Path) -> Iterator[str]:
    """Yield the dotted names, within the folder, of what a file imports relatively; some may name no module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return  # the import says what is wrong with it
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(package) + 1:
            base = package[: len(package) + 1 - node.level]
            of = [*base, *(node.module.split(".") if node.module else ())]
            if of:
                yield ".".join(of)
            yield from (".".join((*of, alias.name)) for alias in node.names if alias.name != "*")
