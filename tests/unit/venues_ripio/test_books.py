"""Books kept from deltas: the checksum's vectors, the sequence, and nothing that is not whole."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.venues.ripio import wire
from quantd.venues.ripio.books import OutOfStep, StreamBook
from quantd.venues.ripio.checksum import checksum

RULES = Instrument(
    InstrumentId("ripio:BTC_BRL"), "BTC", "BRL", (TickTier(Decimal(0), Decimal("0.01")),), Decimal("0.0001")
)
Side = list[tuple[str, str]]


def exact(side: Side) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(amount)) for price, amount in side]


def frame(id_: int, bids: Side, asks: Side, hash_: str, ms: int = 1_700_000_000_000) -> wire.Frame:
    body: dict[str, Any] = {
        name: [{"price": price, "amount": amount} for price, amount in side]
        for name, side in (("bids", bids), ("asks", asks))
    }
    text = msgspec.json.encode({"id": id_, "topic": "t", "timestamp": ms, "body": {**body, "hash": hash_}})
    return wire.reader(wire.Frame)(text)


BIDS: Side = [("15977.45", "0.00620606"), ("15977.44", "0.1"), ("15977.4", "0.35")]
ASKS: Side = [("16015.39", "0.15"), ("16015.4", "1.73639097"), ("16015.56", "2")]
HASH = "2863372953"


@pytest.mark.parametrize(
    ("bids", "asks", "told"),
    [([("0.99", "1")], [("1.01", "2")], "2111165642"), (BIDS, ASKS, HASH), ([], [], "0")],
)
def test_the_checksum_of_the_venue_s_vectors(bids: Side, asks: Side, told: str) -> None:
    assert checksum(exact(bids), exact(asks)) == told


def test_only_ten_levels_a_side_and_no_trailing_zero_count() -> None:
    many: Side = [(str(100 - number), "1.50") for number in range(12)]
    assert checksum(exact(many), []) == checksum(exact([(price, "1.5") for price, _ in many[:10]]), [])


def test_a_snapshot_and_deltas_make_the_book() -> None:
    book = StreamBook()
    book.apply(frame(7, BIDS, ASKS, HASH), 1_000)
    bids = [("15977.44", "0.2"), ("15977.4", "0.35")]
    changed = checksum(exact(bids), exact([("16000", "1"), *ASKS]))
    book.apply(
        frame(8, [("15977.45", "0"), ("15977.44", "0.2")], [("16000", "1")], changed, ms=1_700_000_000_500), 2_000
    )
    quote = book.quote(RULES)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (15977.44, 16000.0, 0.2, 1.0)
    assert (quote.received_at_ns, quote.occurred_at_ns) == (2_000, 1_700_000_000_500_000_000)
    depth = book.book(RULES, 2)
    assert depth is not None
    assert depth.bids == ((15977.44, 0.2), (15977.4, 0.35))
    assert depth.asks == ((16000.0, 1.0), (16015.39, 0.15))
    assert depth.sequence == 8


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (frame(9, [], [], HASH), "stream_gap"),
        (frame(8, [], [("16000", "1")], HASH), "checksum_differs"),
        (frame(8, [("x", "1")], [], HASH), "stream_unreadable"),
        (wire.Frame(8, "t", 0, msgspec.Raw(b'{"bids":[]}')), "stream_unreadable"),
    ],
)
def test_what_does_not_fit_takes_the_book_away_until_the_next_snapshot(second: wire.Frame, kind: str) -> None:
    book = StreamBook()
    book.apply(frame(7, BIDS, ASKS, HASH), 1_000)
    with pytest.raises(OutOfStep) as caught:
        book.apply(second, 2_000)
    assert caught.value.kind == kind
    assert book.quote(RULES) is None
    assert book.book(RULES, 1) is None
    book.apply(frame(40, BIDS, ASKS, HASH), 3_000)
    assert book.quote(RULES) is not None


def test_a_delta_that_is_taken_for_a_snapshot_is_found_out() -> None:
    book = StreamBook()
    with pytest.raises(OutOfStep, match="checksum_differs"):
        book.apply(frame(8, [], [("16000", "1")], HASH), 1_000)
    assert not book.is_whole


def test_a_frame_that_comes_twice_changes_nothing() -> None:
    book = StreamBook()
    book.apply(frame(7, BIDS, ASKS, HASH), 1_000)
    book.apply(frame(7, [("1", "1")], [], "0"), 2_000)
    quote = book.quote(RULES)
    assert quote is not None
    assert quote.bid == 15977.45


def test_a_book_whose_sides_cross_gives_no_quote() -> None:
    book = StreamBook()
    crossed: Side = [("16016", "1")]
    book.apply(frame(1, crossed, ASKS, checksum(exact(crossed), exact(ASKS))), 1_000)
    assert book.quote(RULES) is None


prices = st.integers(1, 60)
change = st.tuples(prices, st.integers(0, 3))


@given(st.lists(st.lists(change, max_size=5), min_size=1, max_size=15))
def test_deltas_lead_to_the_book_that_they_were_made_from(steps: list[list[tuple[int, int]]]) -> None:
    truth: dict[Decimal, Decimal] = {}
    book = StreamBook()
    for number, changes in enumerate(steps):
        for price, amount in changes:
            truth[Decimal(price)] = Decimal(amount)
            if not amount:
                del truth[Decimal(price)]
        best = sorted(truth.items(), reverse=True)
        side = [(str(price), str(amount)) for price, amount in changes]
        book.apply(frame(number + 1, side, [], checksum(best, [])), number)
    shown = book.book(RULES, 100)
    assert shown is not None
    assert shown.bids == tuple((float(price), float(amount)) for price, amount in sorted(truth.items(), reverse=True))
