"""The configuration as a JSON schema, for editors that complete and check YAML.

Used by `quantd config schema`. Made from the models; secrets that may not stand in a file are not in it.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, get_args, get_origin

import msgspec
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from quantd.config.expectations import arms, bare, is_secret, model_of, options, struct_of
from quantd.config.limits import DAY_ENDS, LIMIT_TYPES, RATE_TYPES, limit_keys
from quantd.config.models import Root, ScopeOf
from quantd.config.venue_kinds import venue_types
from quantd.engine.risk.limits import Limits, RateLimit, Scope, expectation
from quantd.venues.settings import VenueSettings

DAY_ENDS_DOC = (
    "Time and time zone at which the trading day ends and daily limits start afresh; midnight UTC without it."
)
"""Meaning of the one key of `risk.account` that is no limit."""


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 7) of a configuration file."""
    builder = _Builder(venue_types())
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "quantd configuration",
        **builder.model(Root),
    }


@cache
def attribute_docs(owner: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each attribute of a struct, which does not keep them at run time."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    docs: dict[str, str] = {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for attribute, text in pairwise(body):
        match attribute, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = inspect.cleandoc(doc)
    return docs


class _Builder:
    def __init__(self, types: Mapping[str, type[VenueSettings]]) -> None:
        self._types = types

    def model(self, model: type[BaseModel]) -> dict[str, Any]:
        """Return the schema of a section."""
        properties: dict[str, Any] = {}
        required = []
        for name, field in model.model_fields.items():
            if is_secret(field.annotation):
                continue
            properties[name] = {**self._value(field.annotation, field), "description": field.description or ""}
            default = _default(field)
            if default is not None:
                properties[name]["default"] = default
            if field.is_required():
                required.append(name)
        found: dict[str, Any] = {
            "type": "object",
            "description": inspect.cleandoc(model.__doc__ or ""),
            "properties": properties,
            "additionalProperties": False,
        }
        return {**found, "required": required} if required else found

    def _value(self, annotation: Any, field: FieldInfo | None = None) -> dict[str, Any]:
        model = model_of(annotation)
        if model is VenueSettings:
            return {"anyOf": [self._venue(kind, each) for kind, each in sorted(self._types.items())]}
        if model is not None:
            short = getattr(model, "scalar_key", None)
            return {"anyOf": [{"type": "string"}, self.model(model)]} if short else self.model(model)
        inner, marks = bare(annotation)
        metadata = (*marks, *(field.metadata if field is not None else ()))
        if struct_of(annotation) is Limits:
            return self._limits(next((mark.scope for mark in metadata if isinstance(mark, ScopeOf)), "strategy"))
        members = arms(inner)
        if len(members) > 1:
            return {"anyOf": [self._value(member) for member in members]}
        origin = get_origin(inner)
        if origin is dict:
            return {"type": "object", "additionalProperties": self._value(get_args(inner)[1])}
        if origin in (list, tuple):
            return {"type": "array", "items": self._value(get_args(inner)[0])}
        return _leaf(inner, metadata)

    def _venue(self, kind: str, model: type[VenueSettings]) -> dict[str, Any]:
        found = self.model(model)
        found["properties"]["type"] = {"const": kind}
        return {**found, "required": sorted({*found.get("required", []), "type"})}

    def _limits(self, scope: Scope) -> dict[str, Any]:
        docs = {**attribute_docs(Limits), DAY_ENDS: DAY_ENDS_DOC}
        properties = {name: {**self._limit(name), "description": docs[name]} for name in limit_keys(scope)}
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def _limit(self, name: str) -> dict[str, Any]:
        if name == DAY_ENDS:
            return {"type": "string", "examples": ["17:00 America/New_York"]}
        kind = bare(LIMIT_TYPES[name])[0]
        if kind is RateLimit:
            docs = attribute_docs(RateLimit)
            properties = {key: {**_plain(each), "description": docs[key]} for key, each in RATE_TYPES.items()}
            required = ["count", "per_s"]
            return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if get_origin(kind) is tuple:
            return {"type": "array", "items": _plain(get_args(kind)[0])}
        bounds = expectation(name) or ""
        above = {"exclusiveMinimum": 0} if "above 0" in bounds else {"minimum": 0} if bounds else {}
        most = bounds.partition("at most ")[2]
        return {**_plain(kind), **above, **({"maximum": int(most)} if most else {})}


def _plain(kind: Any) -> dict[str, Any]:
    words = options(kind)
    if words:
        return {"enum": list(words)}
    return {"type": {int: "integer", bool: "boolean", str: "string"}.get(kind, "number")}


def _leaf(inner: Any, metadata: tuple[Any, ...]) -> dict[str, Any]:
    kind: Any = inner
    for mark in metadata:
        kind = Annotated[kind, mark]
    found = TypeAdapter(kind).json_schema()
    numbers = [arm for arm in found.get("anyOf", []) if arm.get("type") == "number"]
    # A Decimal may also be text for pydantic; in YAML a number is what people write.
    return numbers[0] if numbers else found


def _default(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, bool | int | float):
        return default
    return str(default) if isinstance(default, str) and not field.is_required() else None
