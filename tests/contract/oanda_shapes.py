"""Holds answers against what OANDA's OpenAPI document says of them: names of members, their types, their words.

`oanda_v20_shapes.txt` beside it has the document's facts. The document knows no required members and no polymorphism, so
orders and transactions are held against the shape that their own ``type`` names; a member that it does not know is a
finding, and so is a word that it does not list.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("oanda_v20_shapes.txt")
_TYPES = {"s": str, "i": int, "b": bool, "o": dict}


def _sections() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line in ("# words", "# shapes", "# answers"):
            section = found.setdefault(line[2:], {})
        elif line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            if section is found.get("answers"):
                status, _, rest = rest.partition(" ")
                name = f"{name} {status}"
            section[name] = rest
    return found


_ALL = _sections()
WORDS: Mapping[str, frozenset[str]] = {name: frozenset(text.split()) for name, text in _ALL["words"].items()}


def _members(text: str) -> dict[str, str]:
    return dict(part.split(":", 1) for part in text.split())


SHAPES: Mapping[str, Mapping[str, str]] = {name: _members(text) for name, text in _ALL["shapes"].items()}
ANSWERS: Mapping[str, Mapping[str, str]] = {name: _members(text) for name, text in _ALL["answers"].items()}
"""By operation and status, as ``getTrade 200``."""


def _shape(name: str, value: Mapping[str, Any]) -> str:
    """Return the shape that counts: of an order or a transaction the one that its type names."""
    if name not in ("Order", "Transaction"):
        return name
    spelt = "".join(part.capitalize() for part in str(value.get("type", "")).split("_"))
    spelt = spelt.replace("ResetResettablePl", "ResetResettablePL")
    return spelt + name


def findings(value: Any, kind: str, where: str) -> Iterator[str]:
    """Yield what is wrong with a value."""
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{where}: expected a list, found {value!r}"
            return
        for number, one in enumerate(value):
            yield from findings(one, kind[1:-1], f"{where}[{number}]")
    elif kind.startswith("{"):
        words = WORDS.get(kind[1:-1]) or frozenset(kind[1:-1].split("|"))
        if value not in words:
            yield f"{where}: {value!r} is none of the words of {kind[:60]}"
    elif kind.startswith("@"):
        if not isinstance(value, dict):
            yield f"{where}: expected an object, found {value!r}"
            return
        name = _shape(kind[1:], value)
        if name not in SHAPES:
            yield f"{where}: there is no shape {name}"
            return
        yield from object_findings(value, SHAPES[name], f"{where}<{name}>")
    elif not isinstance(value, _TYPES[kind]) or (kind == "i" and isinstance(value, bool)):
        yield f"{where}: expected {kind}, found {value!r}"


def object_findings(value: Mapping[str, Any], members: Mapping[str, str], where: str) -> Iterator[str]:
    """Yield what is wrong with an object of these members."""
    for name, one in value.items():
        if name not in members:
            yield f"{where}.{name}: not in the document"
        else:
            yield from findings(one, members[name], f"{where}.{name}")
