"""The configuration as it took effect: as plain data for the hash, and as YAML with the origin of each value.

Used by the loader and `quantd config show`. Never holds a secret: secrets are left out, or masked.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, SecretStr

from quantd.config.models import Root
from quantd.config.settings import Settings
from quantd.config.tree import Node, find
from quantd.engine.risk.limits import DayEnd, RiskSettings
from quantd.plugins.settings import StrategySettings

_MASK = "'***'"
_SENSITIVE = re.compile(r"secret|token|password|passwd|passphrase|credential|api_?key|private_?key", re.IGNORECASE)
_INTERVALS = frozenset({"bars", "max_gap"})


def effective_hash(root: Root, risk: RiskSettings) -> str:
    """Return the SHA-256 of all that decides what the daemon does, in hexadecimal."""
    data = {name: plain(getattr(root, name)) for name in Root.model_fields if name != "risk"}
    data["risk"] = plain(risk)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return `value` as JSON knows it, numbers as exact text; secrets and the files that hold them are left out."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            secret = {name for name in fields if isinstance(getattr(value, name), SecretStr)}
            skipped = secret | {f"{name}_file" for name in fields if f"{name}_file" in fields}
            return {name: plain(getattr(value, name)) for name in fields if name not in skipped}
        case msgspec.Struct():
            pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
            return {name: plain(item) for name, item in pairs if item is not None}
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case Enum():
            return plain(value.value)
        case bool() | None:
            return value
        case SecretStr():
            return None
        case _:
            return str(value)


def show(settings: Settings) -> str:
    """Return the effective configuration as YAML, each value with the place that it came from as a comment."""
    sections = {name: getattr(settings, name) for name in Root.model_fields}
    lines = [f"# hash: {settings.hash}"]
    for name, value in sections.items():
        lines += _lines(name, value, (name,), settings.tree)
    return "\n".join(lines) + "\n"


def _lines(key: str, value: Any, path: tuple[str, ...], tree: Node) -> Iterator[str]:
    """Yield `key: value` and what is under it, indented by the caller's level only."""
    children = _children(value)
    if isinstance(value, SecretStr):
        # A comment, because a secret in a file is refused: what is printed here can be loaded again.
        from_file = (*path[:-1], f"{key}_file")
        yield f"# {key}: ***{_comment(path if find(tree, path) is not None else from_file, tree)}"
        return
    if children is None:
        yield f"{_text(key)}: {_leaf(_telling(path), value)}{_comment(path, tree)}"
        return
    if not children:
        yield f"{_text(key)}: {'[]' if isinstance(value, list | tuple) else '{}'}{_comment(path, tree)}"
        return
    yield f"{_text(key)}:"
    listed = isinstance(value, list | tuple)
    for name, child in children:
        if listed and _children(child) is None:
            yield f"  - {_leaf(_telling((*path, name)), child)}{_comment((*path, name), tree)}"
        elif listed:
            inner = [
                line for each, item in _children(child) or () for line in _lines(each, item, (*path, name, each), tree)
            ]
            yield from (f"  {'- ' if index == 0 else '  '}{line}" for index, line in enumerate(inner))
        else:
            yield from (f"  {line}" for line in _lines(name, child, (*path, name), tree))


def _children(value: Any) -> list[tuple[str, Any]] | None:
    """Return what is under `value` by key, or None for a leaf; limits that are not set are left out."""
    match value:
        case DayEnd():
            return None
        case RiskSettings():
            account = {DAY: value.day_ends} | _set(value.account)
            rest = {name: getattr(value, name) for name in ("order", "strategy", "venues", "instruments", "canary")}
            return [("base_currency", value.base_currency), ("account", account), *rest.items()]
        case BaseModel():
            return [
                (name, getattr(value, name)) for name in type(value).model_fields if getattr(value, name) is not None
            ]
        case msgspec.Struct():
            return list(_set(value).items())
        case Mapping():
            return [(str(name), item) for name, item in value.items()]
        case list() | tuple():
            return [(item.id if isinstance(item, StrategySettings) else str(n), item) for n, item in enumerate(value)]
        case _:
            return None


DAY = "day_ends"


def _set(limits: msgspec.Struct) -> dict[str, Any]:
    pairs = ((name, getattr(limits, name)) for name in limits.__struct_fields__)
    return {name: value for name, value in pairs if value is not None}


def _comment(path: tuple[str, ...], tree: Node) -> str:
    node = find(tree, path)
    if node is None and path[-1] == "venue" and path[-2:-1] == ("data",):
        node = find(tree, path[:-1])
    if node is None and path[0] == "strategies" and "risk" in path:
        node = find(tree, ("risk", "strategy", *path[path.index("risk") + 1 :]))
    return f"  # {node.origin.place}" if node is not None else "  # default"


def is_sensitive(name: str) -> bool:
    """Return whether a parameter's name says that its value is a secret, though none belongs there."""
    return _SENSITIVE.search(name) is not None and not name.endswith("_file")


def _telling(path: tuple[str, ...]) -> str:
    """Return the name that says what a value is: its own, or one above it among a strategy's parameters."""
    within = path[3:-1] if path[0] == "strategies" and path[2:3] == ("params",) else ()
    return next((name for name in within if is_sensitive(name)), path[-1])


def _leaf(name: str, value: Any) -> str:
    match value:
        case DayEnd():
            return f'"{value.hour:02d}:{value.minute:02d} {value.time_zone}"'
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case int() if name in _INTERVALS:
            return f"{value}s"
        case Decimal() | int() | float():
            return str(value)
        case Path():
            return _text(str(value))
    return _MASK if is_sensitive(name) else _text(str(value))


def _text(text: str) -> str:
    """Return `text` as a YAML scalar, quoted where it has to be."""
    return (
        text if re.fullmatch(r"[A-Za-z0-9_./][\w./:@+-]*(?<!:)", text) and text not in _RESERVED else json.dumps(text)
    )


_RESERVED = frozenset({"true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL", "~"})
