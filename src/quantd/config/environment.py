"""Lays `QUANTD__SECTION__KEY` variables over the files, and takes the secrets out of the environment.

Used by the loader. Names are not case-sensitive; a part matches a key, a name or an id with `-`, `:` and the like
as `_`. A variable that matches nothing is a problem, never ignored. Reads and changes only the mapping that it is
handed.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, get_args, get_origin

from pydantic import SecretStr

from quantd.config.expectations import arms, bare, is_secret, model_of, struct_of
from quantd.config.limits import DAY_ENDS, LIMIT_TYPES, RATE_TYPES
from quantd.config.models import Root
from quantd.config.problems import ConfigProblems, Problem, choice, nearest
from quantd.config.secrets import inline_problem
from quantd.config.tree import Node, Origin, Path, identity
from quantd.config.yaml_source import read_text, scalar
from quantd.engine.risk.limits import Limits, RateLimit
from quantd.venues.settings import VenueSettings

PREFIX = "QUANTD__"
"""Every variable that is ours begins so."""


class Environment:
    """Applies the variables of one environment to one tree."""

    def __init__(self, environ: MutableMapping[str, str], venue_types: Mapping[str, type[VenueSettings]]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ
        self._venue_types = venue_types

    def apply(self, root: Node) -> None:
        """Change `root` by every variable of ours, and remove the secret ones from the environment."""
        ours = [name for name in self._environ if name.upper().startswith(PREFIX)]
        # A venue's type decides what its other keys are, so it is set first.
        for name in sorted(ours, key=lambda name: (not name.upper().endswith("__TYPE"), name)):
            parts = name[len(PREFIX) :].split("__")
            if not all(parts):
                self._report(name, (), "a variable with an empty part", f"{PREFIX}SECTION__KEY")
                continue
            self._descend(name, parts, root, Root, ())

    def _report(self, variable: str, path: Path, found: str, wanted: str, near: str | None = None) -> None:
        self.problems.append(Problem(Origin(variable.upper()), path, found, wanted, near))

    def _descend(self, variable: str, parts: list[str], node: Node, annotation: Any, path: Path) -> None:
        """Go one part of the name deeper, making mappings on the way."""
        part, rest = parts[0], parts[1:]
        if get_origin(bare(annotation)[0]) is list:
            self._descend_list(variable, parts, node, annotation, path)
            return
        self._make_mapping(node, annotation)
        key, inner = self._child(part, node, annotation)
        if key is None:
            known = self._known(node, annotation)
            near = nearest(part, known)
            prefix = "__".join((*variable.upper().split("__")[: 1 + len(path)], ""))
            self._report(
                variable,
                (*path, part.lower()),
                "a variable for an unknown key",
                choice(known) if known else "no part beyond this one",
                f"{prefix}{_folded(near).upper()}" if near else None,
            )
            return
        place = (*path, key)
        if not rest:
            self._set(variable, key, node, inner, place)
            return
        child = node.mapping.get(key)
        if child is None:
            child = Node({}, Origin(variable.upper()), Origin(variable.upper()))
            node.mapping[key] = child
        self._descend(variable, rest, child, inner, place)

    def _descend_list(self, variable: str, parts: list[str], node: Node, annotation: Any, path: Path) -> None:
        items = {name: item for item in node.items if (name := identity(item)) is not None}
        if path != ("strategies",):
            self._report(variable, path, "a variable for an item of a list", "the whole list, such as [a, b]")
            return
        matches = [name for name in items if _folded(name) == _folded(parts[0])]
        if len(matches) != 1:
            found = "a variable for an unknown strategy" if not matches else "a variable for more than one strategy"
            known = choice(sorted(items)) if items else "a strategy of the files"
            self._report(variable, (*path, parts[0].lower()), found, known, nearest(parts[0], items))
            return
        item = items[matches[0]]
        if len(parts) == 1:
            self._report(variable, (*path, matches[0]), "a variable for a whole strategy", f"{variable.upper()}__KEY")
            return
        self._descend(variable, parts[1:], item, get_args(bare(annotation)[0])[0], (*path, matches[0]))

    def _make_mapping(self, node: Node, annotation: Any) -> None:
        """Turn nothing, or a section's short form, into a mapping, so that a key of it can be set."""
        if isinstance(node.value, dict):
            return
        short = getattr(model_of(annotation), "scalar_key", None)
        node.value = {short: Node(node.value, node.origin, node.key_origin)} if short and node.value is not None else {}

    def _child(self, part: str, node: Node, annotation: Any) -> tuple[str | None, Any]:
        """Return the key that `part` names and its type; None where nothing of that name can stand."""
        types = self._types(node, annotation)
        if types is not None:
            key = next((name for name in types if _folded(name) == _folded(part)), None)
            return key, types.get(key) if key is not None else None
        inner = bare(annotation)[0]
        kind = next((get_args(arm)[1] for arm in arms(inner) if get_origin(arm) is dict), None)
        if kind is None and inner is not Any:
            return None, None
        existing = next((name for name in node.mapping if _folded(name) == _folded(part)), None)
        free = inner is Any or kind is Any
        if existing is None and not free and (model_of(kind) is VenueSettings or struct_of(kind) is Limits):
            return None, None
        return existing or (part.lower() if free else part), Any if kind is None else kind

    def _types(self, node: Node, annotation: Any) -> dict[str, Any] | None:
        """Return the types of a section's fixed keys, or None where its keys are free or there are none."""
        struct = struct_of(annotation)
        if struct is Limits:
            return {**LIMIT_TYPES, DAY_ENDS: str}
        if struct is RateLimit:
            return RATE_TYPES
        model = model_of(annotation)
        if model is VenueSettings:
            kind = node.mapping.get("type")
            named = kind.value if kind is not None and isinstance(kind.value, str) else ""
            model = self._venue_types.get(named, VenueSettings)
        if model is None:
            return None
        return {name: field.annotation for name, field in model.model_fields.items()}

    def _known(self, node: Node, annotation: Any) -> tuple[str, ...]:
        types = self._types(node, annotation)
        return tuple(types) if types is not None else tuple(node.mapping)

    def _set(self, variable: str, key: str, node: Node, annotation: Any, path: Path) -> None:
        origin = Origin(variable.upper())
        if is_secret(annotation):
            written = node.mapping.get(key)
            if written is not None and not written.origin.is_variable:
                self.problems.append(inline_problem(written, path))
            node.mapping[key] = Node(SecretStr(self._environ.pop(variable)), origin, origin)
            return
        text = self._environ[variable]
        if text.lstrip()[:1] in ("[", "{") and text[:1]:
            try:
                value = read_text(text, variable.upper()).value
            except ConfigProblems as error:
                self.problems.extend(Problem(origin, path, each.found, each.expected) for each in error.problems)
                return
            node.mapping[key] = _moved(Node(value, origin, origin), origin)
            return
        node.mapping[key] = Node(scalar(text), origin, origin)


def _moved(node: Node, origin: Origin) -> Node:
    """Return `node` with everything in it placed at `origin`: a column within a variable helps nobody."""
    if isinstance(node.value, dict):
        return Node({key: _moved(child, origin) for key, child in node.value.items()}, origin, origin)
    if isinstance(node.value, list):
        return Node([_moved(child, origin) for child in node.value], origin, origin)
    return Node(node.value, origin, origin)


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.casefold())
