"""Reads a YAML file into nodes that know their line and column, and keeps every number as it was written.

Used by the loader, and for lists and mappings in environment variables. A subset of YAML 1.2: `true` and `false` are
the only booleans, `yes` and `on` are text, and what makes a configuration hard to follow is refused: keys that are
written twice, anchors, aliases, merge keys and tags. Messages never quote the text, which may hold a secret.
"""

from pathlib import Path
from typing import Any

import yaml

from quantd.config.problems import ConfigProblems, Problem
from quantd.config.tree import Node, Origin
from quantd.config.tree import Path as KeyPath

_SIZE_MAX = 1_048_576
_DEPTH_MAX = 24
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class _Composer(yaml.SafeLoader):
    """Composes without resolving: every plain scalar stays text, and shared nodes are refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class declares it as an instance's

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases", problem_mark=event.start_mark)
        if getattr(event, "tag", None) not in (None, "!"):
            raise yaml.MarkedYAMLError(problem="a tag", problem_mark=event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def read_file(path: Path) -> Node:
    """Return the mapping that the file at `path` holds.

    Raises:
        ConfigProblems: when it cannot be read, is no YAML, or holds anything but one mapping.
    """
    whole = Origin(str(path))
    try:
        with path.open("rb") as stream:
            raw = stream.read(_SIZE_MAX + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigProblems([Problem(whole, (), reason, "a YAML file that can be read")]) from None
    if len(raw) > _SIZE_MAX:
        raise ConfigProblems([Problem(whole, (), "more than 1 MiB", "a configuration file")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigProblems(
            [Problem(Origin(str(path), line), (), f"byte 0x{raw[error.start]:02x}", "UTF-8 text")]
        ) from None
    root = read_text(text, str(path))
    if root.value is None:
        return Node({}, Origin(str(path), 1, 1))
    if not isinstance(root.value, dict):
        raise ConfigProblems([Problem(root.origin, (), root.describe(), "sections such as journal: and venues:")])
    return root


def read_text(text: str, source: str) -> Node:
    """Return the nodes of the YAML `text`, placed in the file `source`.

    Raises:
        ConfigProblems: when it is no YAML, or uses what is refused here.
    """
    try:
        composed = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = Origin(source, mark.line + 1, mark.column + 1) if mark is not None else Origin(source)
        raise ConfigProblems([_refused(origin, error)]) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        found = f"the character U+{ord(text[error.position]):04X}" if error.position < len(text) else "a bad character"
        raise ConfigProblems([Problem(Origin(source, line), (), found, "printable text")]) from None
    except RecursionError:
        raise ConfigProblems([Problem(Origin(source), (), "endless nesting", "YAML of a few levels")]) from None
    if composed is None:
        return Node(None, Origin(source, 1, 1))
    problems: list[Problem] = []
    node = _convert(composed, source, (), problems)
    if problems:
        raise ConfigProblems(problems)
    return node


def _refused(origin: Origin, error: yaml.MarkedYAMLError) -> Problem:
    if error.problem == "anchors and aliases":
        return Problem(origin, (), error.problem, "every value written out where it counts")
    if error.problem == "a tag":
        return Problem(origin, (), error.problem, "plain values: types follow from the keys")
    if isinstance(error, yaml.composer.ComposerError):
        return Problem(origin, (), "a second document", "one document in a file")
    # Of the parser's messages, those about tags quote a word of the file, which may be a secret.
    reason = error.problem or "no YAML"
    if "tag" in reason:
        reason = "a tag"
    context = f" {error.context}" if error.context else ""
    found = reason.removeprefix("found ")
    return Problem(origin, (), f"{found}{context}", "YAML: key: value, lists in brackets or with dashes, no tabs")


def _convert(node: yaml.Node, source: str, path: KeyPath, problems: list[Problem]) -> Node:
    origin = Origin(source, node.start_mark.line + 1, node.start_mark.column + 1)
    if len(path) > _DEPTH_MAX:
        problems.append(Problem(origin, (), "endless nesting", "YAML of a few levels"))
        return Node(None, origin)
    if isinstance(node, yaml.ScalarNode):
        return Node(scalar(node.value) if node.style is None else node.value, origin)
    if isinstance(node, yaml.SequenceNode):
        return Node(
            [_convert(item, source, (*path, str(index)), problems) for index, item in enumerate(node.value)], origin
        )
    children: dict[str, Node] = {}
    for key_node, value_node in node.value:
        key_origin = Origin(source, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(Problem(key_origin, path, "a list or mapping as a key", "a name"))
            continue
        key: str = key_node.value
        if key == "<<" and key_node.style is None:
            problems.append(Problem(key_origin, path, "a merge key", "every value written out where it counts"))
            continue
        first = children.get(key)
        if first is not None:
            line = first.named_at.line
            problems.append(
                Problem(key_origin, (*path, key), f"the key twice, first in line {line}", "each key once in a mapping")
            )
            continue
        child = _convert(value_node, source, (*path, key), problems)
        child.key_origin = key_origin
        children[key] = child
    return Node(children, origin)


def scalar(text: str) -> str | bool | None:
    """Return what an unquoted scalar means: true, false, nothing, or the text as it stands."""
    if text in _NOTHING:
        return None
    return _BOOLEANS.get(text, text)
