"""How text on a venue's wire becomes values, whichever the venue."""

from decimal import Decimal

import msgspec
import pytest

from quantd.venues.parsing import Finite, instant_ns
from quantd.venues.tradelocker.wire import InstrumentWire

NOON_NS = 1_778_760_000_000_000_000  # 2026-05-14


class Row(Finite, frozen=True):
    """What a venue may send."""

    price: Decimal
    fee: Decimal | None = None
    words: str = ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-14T12:00:00Z", NOON_NS),
        ("2026-05-14T12:00:00.853Z", NOON_NS + 853_000_000),
        ("2026-05-14T12:00:00.000123+00:00", NOON_NS + 123_000),
        ("2026-05-14T14:00:00+02:00", NOON_NS),
        ("2026-05-14T12:00:00", NOON_NS),
        ("2026-05-14 12:00:00.433", NOON_NS + 433_000_000),
        ("1969-12-31T23:59:59.999999Z", -1_000),
        ("noon", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_nanoseconds_utc_to_the_microsecond_or_none(text: str | None, expected: int | None) -> None:
    assert instant_ns(text) == expected


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["price", "fee"])
def test_a_decimal_that_is_no_number_is_refused_by_the_name_of_its_field(field: str, number: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"finite decimal in {field}"):
        msgspec.convert({"price": "1", field: number}, Row)


def test_only_decimals_are_looked_at() -> None:
    assert msgspec.convert({"price": "1.50", "words": "NaN"}, Row) == Row(Decimal("1.50"), None, "NaN")


def test_a_step_of_tradelocker_that_is_no_number_is_refused() -> None:
    told = {"quotingCurrency": "USD", "lotSize": 1, "lotStep": "NaN", "tickSize": [{"tickSize": "0.1"}]}
    with pytest.raises(msgspec.ValidationError, match="finite decimal in lot_step"):
        msgspec.convert(told, InstrumentWire)
