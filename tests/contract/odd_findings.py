"""What must not be found in a session with odd answers: numbers that cannot be reckoned with, an error, books that differ."""

import traceback
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

_INT64: Final = 2**63
_LARGEST, _FINEST = 45, -320
"""Exponents of ten beyond which a Decimal can only do harm: sums and products of it leave the range of the journal's readers."""


def where() -> str:
    """Return the error that is being handled, and the two places in quantd that it came through last."""
    lines = traceback.format_exc().strip().splitlines()
    places = [line.strip().split("src/quantd/")[-1] for line in lines if "src/quantd/" in line][-2:]
    return f"{lines[-1][:160]} <- {' <- '.join(places[::-1])}"


def unsound(value: Any) -> Iterator[str]:
    """Yield every number in a value that must not be in the engine or its journal."""
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > _LARGEST or int(value.as_tuple().exponent) < _FINEST:
            yield f"{value!s:.60}"
    elif isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            yield f"{value}"
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from (f"{name} {flaw}" for flaw in unsound(getattr(value, name)))
    elif isinstance(value, Mapping):
        yield from unsound(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from unsound(one)


def booked(image: bytes) -> Any:
    """Return an image without books, and nets of them, that were only looked at."""
    tree = msgspec.json.decode(image)
    for part in ("books", "nets"):
        tree[part] = [one for one in tree[part] if one["quantity"] != "0" or one["realised"] != "0"]
    return tree
