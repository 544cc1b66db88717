"""The configuration as it was written: nodes that know where each key and value stands.

Made by the YAML reader and by environment overrides, merged, then read by the checks. Numbers stay text here, so that
no digit is lost; only `true`, `false` and nothing are something else. Knows nothing of what the keys mean.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

Path = tuple[str, ...]
"""Keys from the root; an item of `strategies` goes by its id, of another list by its number."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a place in a file, or an environment variable."""

    source: str
    """The file as it was named on the command line, or the variable's name."""
    line: int | None = None
    """Line from 1; None for a variable."""
    column: int | None = None
    """Column from 1; None for a variable."""

    @property
    def is_variable(self) -> bool:
        """Whether the value came from the environment."""
        return self.line is None and self.source.startswith("QUANTD__")

    @property
    def place(self) -> str:
        """``file:line``, or the variable's name."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def __str__(self) -> str:
        return self.place if self.column is None else f"{self.place}:{self.column}"


@dataclass(slots=True)
class Node:
    """A value with its place. `repr` leaves the value out: it may be a secret."""

    value: "str | bool | SecretStr | dict[str, Node] | list[Node] | None" = field(repr=False)
    """Text, true or false, nothing, a mapping, or a list; a secret only from the environment."""
    origin: Origin
    """Where the value begins."""
    key_origin: Origin | None = None
    """Where its key stands, in a mapping."""

    @property
    def named_at(self) -> Origin:
        """Where a person looks for it: at its key, or at the value in a list."""
        return self.key_origin or self.origin

    @property
    def mapping(self) -> "dict[str, Node]":
        """The children by key; empty where this is no mapping."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "list[Node]":
        """The children in order; empty where this is no list."""
        return self.value if isinstance(self.value, list) else []

    def plain(self) -> object:
        """Return the value without places: text, bool, None, dict and list."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def kind(self) -> str:
        """Return what was found where more than a word belongs, without the word: a secret may stand in its section's place."""
        return "text" if isinstance(self.value, str) else self.describe()

    def describe(self) -> str:
        """Return what was found, in words and short, with anything that looks like a login masked."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true" if self.value else "false"
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case str():
                return shortened(self.value)
            case SecretStr():
                return "a secret"


def shortened(text: str) -> str:
    """Return `text` in quotes, cut to 60 characters; of an address the host alone: login, path and query may be secret."""
    masked = re.sub(r"//[^/@]*@", "//***@", text)
    masked = re.sub(r"(//[^/?#\s]+[/?#])\S+", r"\1***", masked)
    return f"'{masked}'" if len(masked) <= 60 else f"'{masked[:57]}...'"


def identity(item: Node) -> str | None:
    """Return the `id` of a list's item, or None where it has none."""
    child = item.mapping.get("id")
    return child.value if child is not None and isinstance(child.value, str) else None


def find(root: Node, path: Sequence[str]) -> Node | None:
    """Return the node at `path`, or None where nothing was written there."""
    node, depth = deepest(root, path)
    return node if depth == len(path) else None


def deepest(root: Node, path: Sequence[str]) -> tuple[Node, int]:
    """Return the last node on the way along `path` that was written, and how many keys lead to it."""
    node = root
    for depth, key in enumerate(path):
        child = node.mapping.get(key)
        if child is None:
            child = next((item for item in node.items if identity(item) == key), None)
        if child is None and key.isdecimal() and int(key) < len(node.items):
            child = node.items[int(key)]
        if child is None:
            return node, depth
        node = child
    return node, len(path)
