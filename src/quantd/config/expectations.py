"""Says in words what a key takes, and takes types apart for the checks, the environment and the reference.

Used by the rest of the configuration package. Reads types only, never values.
"""

import re
import types
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from quantd.config.problems import choice

_NOUNS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    SecretStr: "a secret",
}


def arms(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union without None, or the annotation itself; Annotated members keep their marks."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(arm for arm in get_args(annotation) if arm is not type(None))
    return (annotation,)


def bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the annotation without None and Annotated, and the marks that Annotated carried."""
    marks: tuple[Any, ...] = ()
    while True:
        members = arms(annotation)
        if len(members) == 1 and members[0] is not annotation:
            annotation = members[0]
        elif get_origin(annotation) is Annotated:
            annotation, *found = get_args(annotation)
            marks = (*marks, *found)
        else:
            return annotation, marks


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model that `annotation` stands for, or None."""
    inner = bare(annotation)[0]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def struct_of(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the msgspec Struct that `annotation` stands for, or None."""
    inner = bare(annotation)[0]
    return inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None


def is_secret(annotation: Any) -> bool:
    """Return whether a key of this type may never stand in a file."""
    return bare(annotation)[0] is SecretStr


def options(annotation: Any) -> tuple[str, ...]:
    """Return the words that a key of this type may be, or none where it takes more than words."""
    inner = bare(annotation)[0]
    if get_origin(inner) is Literal:
        return tuple(str(option) for option in get_args(inner))
    if isinstance(inner, type) and issubclass(inner, Enum):
        return tuple(str(member.value) for member in inner)
    return ()


def expected(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return in words what a key of this type takes, ranges included."""
    inner, marks = bare(annotation)
    metadata = (*marks, *(field.metadata if field is not None else ()))
    words = options(annotation)
    if words:
        return choice(words)
    members = arms(inner)
    if len(members) > 1:
        return " or ".join(expected(member) for member in members)
    examples = _examples(metadata, field)
    if inner is not str and examples and inner in _NOUNS:
        return f"text such as {' or '.join(examples[:2])}"
    if examples:
        pattern = next((mark.pattern for mark in metadata if getattr(mark, "pattern", None)), None)
        return f"text such as {examples[0]}" + (f" (pattern {pattern})" if pattern else "")
    origin = get_origin(inner)
    if inner is Any:
        return "a value"
    if origin is dict:
        return "a mapping (key: value)"
    if origin in (list, tuple):
        return "a list"
    if model_of(inner) is not None or struct_of(inner) is not None:
        return "a mapping (key: value)"
    return _NOUNS.get(inner, "text") + _range(metadata)


def _examples(metadata: tuple[Any, ...], field: FieldInfo | None) -> list[str]:
    if field is not None and field.examples:
        return [str(example) for example in field.examples]
    for mark in metadata:
        schema = getattr(mark, "json_schema", None)
        if isinstance(schema, dict) and schema.get("examples"):
            return [str(example) for example in schema["examples"]]
    return []


def _range(metadata: tuple[Any, ...]) -> str:
    """Return the bounds in words, or nothing."""
    bounds = {}
    for mark in metadata:
        for name in ("gt", "ge", "lt", "le"):
            if getattr(mark, name, None) is not None:
                bounds[name] = getattr(mark, name)
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    names = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
    parts = [text.format(bounds[name]) for name, text in names.items() if name in bounds]
    if any(getattr(mark, "min_length", None) for mark in metadata):
        parts.append("not empty")
    return f", {' and '.join(parts)}" if parts else ""


def readable(message: str) -> str:
    """Return a validation library's sentence as an expectation, for the cases that have no words of their own."""
    return re.sub(r"^(Value error, |Input should be |Expected )", "", message)
