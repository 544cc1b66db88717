"""Parameters of a strategy class: declared with `param`, filled from the configuration's text.

Used by `Strategy` and by the plugin loader, which turns what is raised here into a located configuration error.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, get_type_hints

import msgspec

_MISSING: Any = object()


class Param(msgspec.Struct, frozen=True):
    """What `param` declared."""

    default: Any
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    choices: tuple[Any, ...] = ()
    doc: str = ""


def param(  # noqa: PLR0913 -- bounds are keywords
    default: Any = _MISSING,
    *,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    choices: tuple[Any, ...] = (),
    doc: str = "",
) -> Any:
    """Declare a parameter: ``fast: int = param(10, ge=1, doc="bars")``.

    The annotation is the type: int, float, Decimal, bool or str. Without a default the configuration must give it.

    Args:
        default: Value where the configuration says nothing.
        ge: Smallest value.
        gt: A value it must be above.
        le: Largest value.
        lt: A value it must be below.
        choices: The only values allowed.
        doc: What it means, with its unit.
    """
    return Param(default, ge, gt, le, lt, choices, doc)


def declared(cls: type) -> dict[str, tuple[type, Param]]:
    """Return the parameters of a class by name, with their types, base classes first.

    Raises:
        TypeError: a parameter without a type, or of one that no text can be converted to.
    """
    found: dict[str, tuple[type, Param]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Param):
                known = found[name][0] if name in found else None
                found[name] = (_annotation(base, name, known), value)
    return found


def check_declared(cls: type) -> None:
    """Hold the defaults of a class's parameters against their types and bounds, as what the configuration gives is held.

    Raises:
        TypeError: see `declared`.
        ValueError: a default that does not fit.
    """
    for name, (kind, parameter) in declared(cls).items():
        try:
            _default(name, kind, parameter)
        except ValueError as error:
            _, found, expected = error.args
            raise ValueError(f"default of {name}: found {found!r}, expected {expected}") from None


def _annotation(cls: type, name: str, known: type | None) -> type:
    """Return the type of one attribute; only its own annotation is looked at, for others may need names not here."""
    told = vars(cls).get("__annotations__", {}).get(name, known)
    if told is None:
        raise TypeError(f"found {name} = param(...) without a type, expected {name}: int = param(...), or {_KINDS}")
    lone = type(cls.__name__, (), {"__annotations__": {name: told}, "__module__": cls.__module__})
    kind: type = get_type_hints(lone)[name]
    if kind not in _NAMES:
        raise TypeError(f"found {name} of type {getattr(kind, '__name__', kind)}, expected int, or {_KINDS}")
    return kind


def fill(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter's value, converted from text and checked.

    Raises:
        KeyError: an unknown name, or a missing parameter; the argument is the name.
        ValueError: ``(name, found, expected)`` for a value that does not fit.
    """
    parameters = declared(cls)
    for name in values:
        if name not in parameters:
            raise KeyError(name)
    filled: dict[str, Any] = {}
    for name, (kind, parameter) in parameters.items():
        if name in values:
            filled[name] = _checked(name, kind, parameter, _converted(name, kind, values[name]))
        elif parameter.default is _MISSING:
            raise KeyError(name)
        else:
            filled[name] = _default(name, kind, parameter)
    return filled


def _default(name: str, kind: type, parameter: Param) -> Any:
    """Return a default as a value of its type; what is missing, or None, stays so."""
    value = parameter.default
    return (
        value if value is _MISSING or value is None else _checked(name, kind, parameter, _converted(name, kind, value))
    )


def _converted(name: str, kind: type, value: Any) -> Any:
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    text = str(value)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            number = float(text)
            if number - number:
                raise ValueError
            return number
        if kind is Decimal:
            exact = Decimal(text)
            if not exact.is_finite():
                raise ValueError
            return exact
        return kind(text)
    except (ValueError, KeyError, InvalidOperation):
        raise ValueError(name, value, _NAMES.get(kind, kind.__name__)) from None


_NAMES = {int: "a whole number", float: "a number", Decimal: "a decimal number", bool: "true or false", str: "text"}
_KINDS = "float, Decimal, bool or str"


def _checked(name: str, kind: type, parameter: Param, value: Any) -> Any:
    bounds = (
        (parameter.ge is not None and value < parameter.ge, "at least", parameter.ge),
        (parameter.gt is not None and value <= parameter.gt, "above", parameter.gt),
        (parameter.le is not None and value > parameter.le, "at most", parameter.le),
        (parameter.lt is not None and value >= parameter.lt, "below", parameter.lt),
    )
    for broken, words, bound in bounds:
        if broken:
            raise ValueError(name, value, f"{_NAMES.get(kind, kind.__name__)} {words} {bound}")
    if parameter.choices and value not in parameter.choices:
        raise ValueError(name, value, "one of " + ", ".join(map(str, parameter.choices)))
    return value
