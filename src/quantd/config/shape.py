"""Holds the written tree against the models: every key known, every value of its type, every problem with its place.

Used by the loader. Models are validated from the leaves up, so that one wrong value hides no other.
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from quantd.config.expectations import arms, bare, expected, is_secret, model_of, options, readable, struct_of
from quantd.config.limits import read_limits
from quantd.config.models import ScopeOf
from quantd.config.problems import Problem, choice, nearest
from quantd.config.secrets import Warned, inline_problem, read_secret
from quantd.config.tree import Node, Origin, Path, identity, shortened
from quantd.engine.risk.limits import Limits, Scope
from quantd.venues.settings import VenueSettings

FAILED = object()
"""Stands for a value that was reported and cannot be used."""

_LEAF_CONFIG = ConfigDict(allow_inf_nan=False)


class Shape:
    """Reads nodes as models. Collects `problems` and `warnings` as it goes."""

    def __init__(self, venue_types: Mapping[str, type[VenueSettings]]) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Warned] = []
        self._venue_types = venue_types

    def read(self, node: Node, annotation: Any, path: Path, field: FieldInfo | None = None) -> Any:
        """Return `node` as a value of `annotation`, or FAILED after reporting why not."""
        model = model_of(annotation)
        if model is VenueSettings:
            model = self._venue_model(node, path)
            return FAILED if model is None else self._read_model(node, model, path)
        if model is not None:
            return self._read_model(node, model, path)
        if struct_of(annotation) is Limits:
            marks = (*bare(annotation)[1], *(field.metadata if field is not None else ()))
            scope: Scope = next((mark.scope for mark in marks if isinstance(mark, ScopeOf)), "strategy")
            before = len(self.problems)
            limits = read_limits(node, scope, path, self.problems)
            return limits if len(self.problems) == before else FAILED
        inner = bare(annotation)[0]
        for arm in arms(inner):
            origin = get_origin(arm)
            if isinstance(node.value, dict) and origin is dict:
                return self._read_mapping(node, arm, path, field)
            if isinstance(node.value, list) and origin in (list, tuple):
                return self._read_list(node, arm, path, field)
        if inner is Any:
            return node.plain()
        return self._read_leaf(node, annotation, path, field)

    def _venue_model(self, node: Node, path: Path) -> type[VenueSettings] | None:
        if not isinstance(node.value, dict):
            self._report(node, path, node.kind(), "a mapping with a type, such as {type: paper, ...}")
            return None
        kind = node.value.get("type")
        known = choice(sorted(self._venue_types))
        if kind is None or not isinstance(kind.value, str):
            self._report(kind or node, (*path, "type"), kind.describe() if kind else "nothing", known)
            return None
        model = self._venue_types.get(kind.value)
        if model is None:
            near = nearest(kind.value, tuple(self._venue_types))
            self._report(kind, (*path, "type"), shortened(kind.value), known, near)
        return model

    def _read_model(self, node: Node, model: type[BaseModel], path: Path) -> Any:
        short = getattr(model, "scalar_key", None)
        if short is not None and isinstance(node.value, str):
            node = Node({short: Node(node.value, node.origin, node.key_origin)}, node.origin, node.key_origin)
        if node.value is None:
            node = Node({}, node.origin, node.key_origin)
        if not isinstance(node.value, dict):
            self._report(node, path, node.kind(), f"a mapping with keys such as {', '.join(_keys(model)[:3])}")
            return FAILED
        before = len(self.problems)
        values: dict[str, Any] = {}
        for name, child in node.value.items():
            self._read_key(model, name, child, path, values)
        for name, field in model.model_fields.items():
            if is_secret(field.annotation):
                self._read_secret(node, name, path, values)
        self._report_missing(node, model, path)
        if len(self.problems) > before:
            return FAILED
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self._report_invalid(error, node, path)
            return FAILED

    def read_sections(self, node: Node, model: type[BaseModel]) -> dict[str, Any]:
        """Return the valid sections of the root `model` by name; of mappings and lists, the valid entries."""
        sections: dict[str, Any] = {}
        for name, child in node.mapping.items():
            field = model.model_fields.get(name)
            origin = get_origin(field.annotation) if field is not None else None
            if field is not None and origin is dict and child.mapping:
                kind = get_args(field.annotation)[1]
                read = {key: self.read(each, kind, (name, key)) for key, each in child.mapping.items()}
                sections[name] = {key: value for key, value in read.items() if value is not FAILED}
            elif field is not None and origin is list and isinstance(child.value, list):
                kind = get_args(field.annotation)[0]
                places = [(name, identity(item) or str(index)) for index, item in enumerate(child.items)]
                listed = [self.read(item, kind, place) for item, place in zip(child.items, places, strict=True)]
                sections[name] = [value for value in listed if value is not FAILED]
            else:
                self._read_key(model, name, child, (), sections)
        self._report_missing(node, model, ())
        return sections

    def _report_missing(self, node: Node, model: type[BaseModel], path: Path) -> None:
        for name, field in model.model_fields.items():
            if field.is_required() and (name not in node.mapping or node.mapping[name].value is None):
                self._report(node.mapping.get(name, node), (*path, name), "nothing", expected(field.annotation, field))

    def _read_key(self, model: type[BaseModel], name: str, child: Node, path: Path, values: dict[str, Any]) -> None:
        field = model.model_fields.get(name)
        if field is None:
            keys = _keys(model)
            near = nearest(name, keys) or _elsewhere(model, name)
            self._report(child, (*path, name), "an unknown key", choice(keys), near)
        elif is_secret(field.annotation):
            return
        elif child.value is not None:
            value = self.read(child, field.annotation, (*path, name), field)
            if value is not FAILED:
                values[name] = value

    def _read_secret(self, node: Node, name: str, path: Path, values: dict[str, Any]) -> None:
        direct, filed = node.mapping.get(name), node.mapping.get(f"{name}_file")
        if direct is not None and not direct.origin.is_variable:
            self.problems.append(inline_problem(direct, (*path, name)))
            return
        if direct is not None:
            if filed is not None and filed.origin.is_variable:
                self._report(filed, (*path, f"{name}_file"), f"this beside {direct.origin}", "one of the two variables")
            if not isinstance(direct.value, SecretStr):
                self._report(direct, (*path, name), "a secret among other keys", "a variable of its own for it")
                return
            if not direct.value.get_secret_value().strip():
                self._report(direct, (*path, name), "nothing", "a secret")
                return
            values[name] = direct.value
        elif filed is not None and filed.value is not None:
            secret = read_secret(filed, (*path, f"{name}_file"), self.problems, self.warnings)
            if secret is not None:
                values[name] = secret

    def _read_mapping(self, node: Node, annotation: Any, path: Path, field: FieldInfo | None) -> Any:
        names, kind = options(get_args(annotation)[0]), get_args(annotation)[1]
        for key, child in node.mapping.items():
            if names and key not in names:
                self._report(child, (*path, key), "an unknown key", choice(names), nearest(key, names))
        if not node.mapping and field is not None and any(getattr(mark, "min_length", 0) for mark in field.metadata):
            self._report(node, path, "an empty mapping", "at least one entry")
            return FAILED
        read = {key: self.read(child, kind, (*path, key)) for key, child in node.mapping.items()}
        return FAILED if any(value is FAILED for value in read.values()) else read

    def _read_list(self, node: Node, annotation: Any, path: Path, field: FieldInfo | None) -> Any:
        kind = get_args(annotation)[0]
        if not node.items and field is not None and any(getattr(mark, "min_length", 0) for mark in field.metadata):
            self._report(node, path, "an empty list", "at least one entry")
            return FAILED
        read = [self.read(item, kind, (*path, identity(item) or str(index))) for index, item in enumerate(node.items)]
        return FAILED if any(value is FAILED for value in read) else read

    def _read_leaf(self, node: Node, annotation: Any, path: Path, field: FieldInfo | None) -> Any:
        inner, marks = bare(annotation)
        wanted = expected(annotation, field)
        words = options(annotation)
        if isinstance(node.value, dict | list | None) or isinstance(node.value, bool) != (inner is bool):
            self._report(node, path, node.describe(), wanted, at_value=True)
            return FAILED
        metadata = (*marks, *(field.metadata if field is not None else ()))
        try:
            return _adapter(inner, metadata).validate_python(node.value)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            if detail["type"] == "value_error":
                wanted = readable(detail["msg"])
            near = nearest(node.value, words) if words and isinstance(node.value, str) else None
            is_nested = all(get_origin(arm) in (dict, list, tuple) for arm in arms(inner))
            self._report(node, path, node.kind() if is_nested else node.describe(), wanted, near, at_value=True)
            return FAILED

    def _report_invalid(self, error: ValidationError, node: Node, path: Path) -> None:
        """Report what a model found out about its fields together."""
        for detail in error.errors(include_url=False, include_input=False):
            at, key = node, path
            for step in detail["loc"]:
                child = at.mapping.get(str(step))
                if child is None:
                    break
                at, key = child, (*key, str(step))
            found = at.describe() if key != path else "a mapping that does not fit together"
            self._report(at, key, found, readable(detail["msg"]))

    def _report(  # noqa: PLR0913 - a problem has these parts
        self, node: Node, path: Path, found: str, wanted: str, near: str | None = None, *, at_value: bool = False
    ) -> None:
        where: Origin = node.origin if at_value else node.named_at
        self.problems.append(Problem(where, path, found, wanted, near))


def _adapter(inner: Any, metadata: tuple[Any, ...]) -> TypeAdapter[Any]:
    kind: Any = inner
    for mark in metadata:
        kind = Annotated[kind, mark]
    return TypeAdapter(kind, config=_LEAF_CONFIG)


def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a file may have: no secrets."""
    return tuple(name for name, field in model.model_fields.items() if not is_secret(field.annotation))


def _elsewhere(model: type[BaseModel], name: str) -> str | None:
    """Return where a key belongs that was written one level too high."""
    for section, field in model.model_fields.items():
        inner = model_of(field.annotation)
        if inner is not None and name in inner.model_fields:
            return f"{section}.{name}"
        marks = field.metadata
        if name == "day_ends" and any(isinstance(mark, ScopeOf) and mark.scope == "account" for mark in marks):
            return f"{section}.{name}"
    return None
