"""The journal of backtests counts, keeps or seals, and its appends are done at once."""

from collections.abc import Sequence

import msgspec
import pytest

from quantd.journal.memory import MemoryJournal
from quantd.journal.records import RecordCodec


class Ticked(msgspec.Struct, frozen=True, tag=True):
    at_ns: int


FACTS = [Ticked(n) for n in range(5)]
CODEC: RecordCodec[Ticked] = RecordCodec(Ticked)


async def test_facts_are_kept_as_they_are_by_default() -> None:
    journal = MemoryJournal[Ticked]()
    await journal.append(FACTS[:2])
    await journal.append(FACTS[2:])
    await journal.snapshot(b"x")
    assert journal.facts == FACTS
    assert (journal.count, journal.snapshots, journal.records) == (5, [(5, b"x")], [])


def test_nothing_but_the_number_is_kept_on_request() -> None:
    journal = MemoryJournal[Ticked](keep=False)
    journal.append(FACTS)
    journal.snapshot(b"x")
    assert (journal.count, journal.facts, journal.records, journal.snapshots) == (5, [], [], [])


def test_sealed_records_do_not_depend_on_how_the_facts_were_batched() -> None:
    one, two, bare = (MemoryJournal(CODEC, encode=True, keep=keep) for keep in (True, True, False))
    one.append(FACTS)
    for fact in FACTS:
        two.append([fact])
        bare.append([fact])
    assert list(one.dump()) == list(two.dump())
    assert one.checksum == two.checksum == bare.checksum
    assert [record.seq for record in one.records] == [1, 2, 3, 4, 5]
    assert bare.records == []
    assert one.facts == []


def test_the_checksum_tells_journals_apart() -> None:
    def checksum(facts: Sequence[Ticked], journal_id: str = "memory") -> bytes:
        journal = MemoryJournal(CODEC, encode=True, journal_id=journal_id)
        journal.append(facts)
        return journal.checksum

    assert len({checksum(FACTS), checksum(FACTS[::-1]), checksum(FACTS[:4]), checksum(FACTS, "k7")}) == 4


def test_encoding_needs_a_codec() -> None:
    with pytest.raises(ValueError, match="needs a codec"):
        MemoryJournal[Ticked](encode=True)
