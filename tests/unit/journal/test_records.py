"""Records give back exactly what went in, equal facts give equal bytes, and every change breaks the chain."""

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantd.journal
from quantd.errors import JournalCorrupt, JournalError
from quantd.journal.memory import MemoryJournal
from quantd.journal.records import Draft, Record, RecordCodec, chain, frame, genesis, is_intact, seal


class Everything(msgspec.Struct, frozen=True, tag=True):
    at_ns: int
    amount: Decimal
    number: int
    real: float
    text: str
    raw: bytes
    maybe: Decimal | None
    pairs: tuple[tuple[str, Decimal], ...]
    named: dict[str, int]
    either: Decimal | float


class Little(msgspec.Struct, frozen=True, tag="little"):
    at_ns: int


Union = Everything | Little
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"))
MONEY = st.decimals(allow_nan=False, allow_infinity=False)
FACTS = st.one_of(
    st.builds(Little, at_ns=INT64),
    st.builds(
        Everything,
        at_ns=INT64,
        amount=MONEY,
        number=INT64,
        real=st.floats(allow_nan=False),
        text=TEXT,
        raw=st.binary(),
        maybe=st.none() | MONEY,
        pairs=st.lists(st.tuples(TEXT, MONEY)).map(tuple),
        named=st.dictionaries(TEXT, INT64),
        either=MONEY | st.floats(allow_nan=False),
    ),
)
CODEC = RecordCodec[Union](Union)


def sealed(facts: Sequence[Union]) -> list[Record]:
    journal = MemoryJournal(CODEC, encode=True)
    journal.append(facts)
    return journal.records


@given(FACTS)
def test_a_fact_comes_back_exactly(fact: Union) -> None:
    (record,) = sealed([fact])
    again = CODEC.decode(record)
    assert again == fact
    assert type(again) is type(fact)
    assert (record.seq, record.version, record.at_ns) == (1, 1, fact.at_ns)
    assert record.kind == type(fact).__struct_config__.tag
    if isinstance(fact, Everything) and isinstance(again, Everything):
        # Equal is not enough for Decimals: 1.0 and 1.00 are equal, and not the same text.
        assert str(again.amount) == str(fact.amount)
        assert type(again.either) is type(fact.either)


@pytest.mark.parametrize("real", [math.nan, math.inf, -math.inf, -0.0, 5e-324])
def test_strange_floats_come_back(real: float) -> None:
    fact = Everything(1, Decimal(1), 1, real, "", b"", None, (), {}, Decimal(0))
    again = CODEC.decode(sealed([fact])[0])
    assert isinstance(again, Everything)
    assert repr(again.real) == repr(real)


@given(st.lists(FACTS, min_size=1, max_size=6))
def test_a_chain_is_intact_as_written(facts: list[Union]) -> None:
    previous = genesis("memory")
    for record in sealed(facts):
        assert is_intact(record, previous)
        previous = record.checksum


@given(st.lists(FACTS, min_size=2, max_size=6), st.data())
def test_any_changed_field_breaks_the_chain(facts: list[Union], data: st.DataObject) -> None:
    records = sealed(facts)
    at = data.draw(st.integers(0, len(records) - 1))
    previous = records[at - 1].checksum if at else genesis("memory")
    record = records[at]
    payload = bytearray(record.payload)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    for changed in (
        record._replace(payload=bytes(payload)),
        record._replace(payload=record.payload + b"\0"),
        record._replace(seq=record.seq + 1),
        record._replace(version=2),
        record._replace(at_ns=record.at_ns ^ 1),
        record._replace(kind=record.kind + "x"),
        record._replace(kind=cast("str", None)),
        record._replace(version=cast("int", "1")),
        record._replace(checksum=record.checksum[:-1]),
    ):
        assert not is_intact(changed, previous)
    assert not is_intact(record, genesis("other"))


def test_bytes_moved_between_kind_and_payload_break_the_chain() -> None:
    assert chain(b"", 1, Draft(1, "ab", 0, b"c")) != chain(b"", 1, Draft(1, "a", 0, b"bc"))


def test_mappings_and_sets_have_one_encoding_under_every_hash_seed() -> None:
    program = (
        "import msgspec\n"
        "from quantd.journal.records import RecordCodec\n"
        "class F(msgspec.Struct, frozen=True, tag=True):\n"
        "    at_ns: int\n    names: frozenset[str]\n    counts: dict[str, int]\n"
        "names = ['one', 'two', 'three', 'four', 'five']\n"
        "fact = F(1, frozenset(names), {name: 1 for name in set(names)})\n"
        "print(RecordCodec(F).encode(fact).payload.hex())\n"
    )
    source = str(Path(quantd.journal.__file__).parents[2])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_what_is_no_fact_is_refused() -> None:
    class Stranger(msgspec.Struct, frozen=True, tag=True):
        at_ns: int

    with pytest.raises(JournalError, match="a Stranger is not a fact of the journal"):
        CODEC.encode(cast("Little", Stranger(1)))


def test_a_fact_that_holds_what_has_no_encoding_is_refused_by_name() -> None:
    with pytest.raises(JournalError, match="fact Everything cannot be encoded"):
        CODEC.encode(Everything(1, cast("Decimal", object()), 1, 1.0, "", b"", None, (), {}, Decimal(0)))
    with pytest.raises(JournalError, match="fact Everything cannot be encoded"):
        CODEC.encode(Everything(1, Decimal(1), 2**70, 1.0, "", b"", None, (), {}, Decimal(0)))


def test_facts_need_tags_of_their_own() -> None:
    class Untagged(msgspec.Struct, frozen=True):
        at_ns: int

    class Double(msgspec.Struct, frozen=True, tag="little"):
        at_ns: int

    with pytest.raises(TypeError, match="has no text tag"):
        RecordCodec(Untagged)
    with pytest.raises(TypeError, match="the same tag"):
        RecordCodec(Little | Double)
    with pytest.raises(TypeError, match="cannot be a fact"):
        RecordCodec(Little | int)


def test_a_payload_of_another_kind_than_the_record_says_is_named() -> None:
    draft = CODEC.encode(Little(1))
    with pytest.raises(JournalCorrupt, match=r"record 4 \(Everything\): the payload is of kind little"):
        CODEC.decode(seal(b"", 4, draft._replace(kind="Everything")))


def test_a_payload_that_cannot_be_read_is_named() -> None:
    with pytest.raises(JournalCorrupt, match=r"record 4 \(little\): the payload cannot be read"):
        CODEC.decode(Record(4, 1, "little", 0, b"\xc1", b""))


def test_migrations_lead_step_by_step_to_the_present_version() -> None:
    class Grown(msgspec.Struct, frozen=True, tag=True):
        at_ns: int
        amount: Decimal
        raw: bytes

    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {"type": "Grown", "at_ns": content["at_ns"], "amount": "1.50"}

    def filled(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "raw": b"x"}

    old = seal(b"", 1, CODEC.encode(Little(7)))
    codec: RecordCodec[Grown] = RecordCodec(Grown, version=3, migrations={1: renamed, 2: filled})
    assert codec.decode(old) == Grown(7, Decimal("1.50"), b"x")
    with pytest.raises(JournalError, match=r"record 1 \(little\): no migration leads from schema version 2 to 3"):
        RecordCodec(Grown, version=3, migrations={1: renamed}).decode(old)
    with pytest.raises(JournalCorrupt, match="the payload cannot be read"):
        RecordCodec(Grown, version=2, migrations={1: lambda content: content}).decode(old)


def test_a_newer_record_is_refused_with_what_to_do() -> None:
    new = seal(b"", 9, RecordCodec[Little](Little, version=4).encode(Little(7)))
    with pytest.raises(
        JournalError, match=r"record 9 \(little\) has schema version 4, this quantd reads up to 1: start"
    ):
        CODEC.decode(new)


def test_frames_differ_for_every_field() -> None:
    record = sealed([Little(1)])[0]
    assert len({frame(record), frame(record._replace(seq=2)), frame(record._replace(payload=b""))}) == 3


def test_the_codec_tells_its_kinds() -> None:
    assert CODEC.kinds == {"Everything", "little"}
