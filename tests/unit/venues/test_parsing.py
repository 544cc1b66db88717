"""How text on a venue's wire becomes values, whichever the venue."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.venues.hummingbot.wire import Rules
from quantd.venues.oanda.wire import Transaction
from quantd.venues.parsing import Finite, instant_ns, sound_decimal, time_ns
from quantd.venues.ripio.wire import TradeRow
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
        ("1969-12-31T23:59:59.999999Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2262-04-11T23:47:16.854775Z", 9_223_372_036_854_775_000),
        ("9999-12-31T23:59:59Z", None),
        ("noon", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_nanoseconds_utc_to_the_microsecond_or_none(text: str | None, expected: int | None) -> None:
    assert instant_ns(text) == expected


@pytest.mark.parametrize(
    "number", ["NaN", "sNaN", "Infinity", "-Infinity", "1e21", "1E+999999", "0E+999999999", "0E-999999999"]
)
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


@pytest.mark.parametrize("odd", [{"amount": "0"}, {"amount": "-1"}, {"price": "0"}, {"price": "-0.5"}])
def test_an_execution_of_nothing_or_at_no_price_is_refused(odd: dict[str, str]) -> None:
    told = {
        "id": "T", "pair_code": "BTC_BRL", "side": "buy", "amount": "1", "price": "2", "fee": "0", "fee_currency": "BTC",
        "taker_or_maker": "maker", "maker_order_id": "A", "taker_order_id": "B",
    }  # fmt: skip
    assert msgspec.convert(told, TradeRow).price == 2
    with pytest.raises(msgspec.ValidationError, match="above zero"):
        msgspec.convert(told | odd, TradeRow)


@pytest.mark.parametrize(
    "odd", [{"price": "0"}, {"fullVWAP": "-1"}, {"tradeOpened": {"tradeID": "7", "units": "1", "price": "-1"}}]
)
def test_a_fill_of_oanda_at_no_price_is_refused(odd: dict[str, Any]) -> None:
    told = {"id": "7", "type": "ORDER_FILL", "price": "1.1", "units": "1"}
    assert msgspec.convert(told, Transaction).number == 7
    with pytest.raises(msgspec.ValidationError, match="above zero"):
        msgspec.convert(told | odd, Transaction)


def test_an_order_of_oanda_below_zero_is_refused() -> None:
    told = {"id": "7", "type": "LIMIT_ORDER", "price": "-1.1", "units": "1"}
    with pytest.raises(msgspec.ValidationError, match="above zero"):
        msgspec.convert(told, Transaction)


@pytest.mark.parametrize("text", ["", "7a", "-7", "1" * 19])
def test_an_id_of_oanda_s_log_is_a_number(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": text}, Transaction)


def test_a_rule_of_hummingbot_may_stand_for_none_and_not_for_no_number() -> None:
    told = {"min_order_size": "1e-56", "min_price_increment": "0.01", "min_base_amount_increment": "0.001"}
    assert msgspec.convert(told | {"max_order_size": "1e56"}, Rules).max_order_size == Decimal("1e56")
    for odd in ("1E+999999", "sNaN", "Infinity"):
        with pytest.raises(msgspec.ValidationError, match="finite decimal in min_notional_size"):
            msgspec.convert(told | {"min_notional_size": odd}, Rules)


@pytest.mark.parametrize(("count", "expected"), [(None, None), (0, None), (-5, None), (2, 2_000), (2**63, None)])
def test_a_count_since_1970_is_a_time_where_a_clock_may_show_it(count: int | None, expected: int | None) -> None:
    assert time_ns(count, 1000) == expected


def test_text_becomes_a_decimal_of_a_sound_size_or_is_refused() -> None:
    assert sound_decimal("-1.50") == Decimal("-1.50")
    for text in ("1e21", "NaN", "", "1,5", "0E-999999999"):
        with pytest.raises(ValueError, match="expected a"):
            sound_decimal(text)
