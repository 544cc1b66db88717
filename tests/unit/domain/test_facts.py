"""Facts and events are written as JSON and read back as they were: every kind, with values from everywhere."""

import types
import typing
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.domain.events import Event
from quantd.domain.facts import Fact

READ_FACT = msgspec.json.Decoder(Fact)
READ_EVENT = msgspec.json.Decoder(Event)

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=12)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: DECIMALS,
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(-(2**62), 2**62),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of an annotated type."""
    hint = getattr(hint, "__supertype__", hint)
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(one) for one in arguments])
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert isinstance(hint, type)
    assert issubclass(hint, msgspec.Struct), f"no values known for {hint}"
    return structs(hint)


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return values of a struct."""
    hints = typing.get_type_hints(kind)
    fields = {name: values(hints[name]) for name in kind.__struct_fields__}
    return st.fixed_dictionaries(fields).map(lambda filled: kind(**filled))


def name(kind: type) -> str:
    return kind.__name__


@pytest.mark.parametrize("kind", typing.get_args(Fact), ids=name)
@settings(max_examples=15)
@given(data=st.data())
def test_every_fact_is_read_back_as_it_was_written(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    fact = data.draw(structs(kind))
    assert READ_FACT.decode(msgspec.json.encode(fact)) == fact


@pytest.mark.parametrize("kind", typing.get_args(Event), ids=name)
@settings(max_examples=15)
@given(data=st.data())
def test_every_event_is_read_back_as_it_was_written(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    event = data.draw(structs(kind))
    assert READ_EVENT.decode(msgspec.json.encode(event)) == event
