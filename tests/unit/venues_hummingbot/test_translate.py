"""Rows of the server's lists as the domain's values: floats on their lots, stand-ins for none, states that are no ends."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.fills import Quality
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderKind, OrderSpec, OrderState, Side
from quantd.domain.reports import OrderReport
from quantd.venues.hummingbot import translate, wire

FEES = FeeSchedule(Decimal("0.001"), Decimal("0.001"))
RULES = translate.instrument(
    "hb",
    "BTC-USDT",
    msgspec.json.decode(
        b'{"min_order_size":1e-05,"max_order_size":1e+56,"min_price_increment":0.01,"min_base_amount_increment":1e-05,'
        b'"min_quote_amount_increment":1e-56,"min_notional_size":5.0,"min_order_value":0.0,"new_field":[1]}',
        type=wire.Rules,
    ),
    FEES,
)


def row(**terms: object) -> wire.OrderRow:
    told: dict[str, object] = {
        "order_id": "x-1", "trading_pair": "BTC-USDT", "trade_type": "BUY", "order_type": "LIMIT", "amount": 0.01,
        "status": "OPEN", "filled_amount": 0.0, "price": 52000.12, "created_at": "2026-11-20T10:00:00.000001+00:00",
        **terms,
    }  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(told), type=wire.OrderRow)


def report(order: wire.OrderRow, trades: tuple[wire.TradeRow, ...] = ()) -> OrderReport:
    return translate.report(order, RULES, translate.fills_of(trades, RULES), received_at_ns=1)


def test_rules_keep_their_digits_and_stand_ins_become_none() -> None:
    assert (RULES.lot, RULES.ticks[0].tick) == (Decimal("0.00001"), Decimal("0.01"))
    assert (RULES.min_quantity, RULES.max_quantity, RULES.min_notional) == (Decimal("0.00001"), None, Decimal(5))


def test_a_step_that_means_none_is_the_finest_that_the_database_keeps() -> None:
    told = msgspec.structs.replace(
        wire.Rules(Decimal("1e-56"), Decimal("1e-56"), Decimal("1e-56")), max_order_size=Decimal(0)
    )
    rules = translate.instrument("hb", "A-B", told, FEES)
    assert (rules.lot, rules.ticks[0].tick) == (Decimal("1e-18"), Decimal("1e-18"))
    assert (rules.min_quantity, rules.max_quantity) == (None, None)


def test_a_float_amount_is_the_lot_that_it_means() -> None:
    told = report(row(amount=0.30000000000000004, filled_amount=0.1 + 0.2, status="FILLED"))
    assert (told.quantity, told.filled_quantity) == (Decimal("0.3"), Decimal("0.3"))
    assert told.price == Decimal("52000.12")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("SUBMITTED", OrderState.WORKING),
        ("OPEN", OrderState.WORKING),
        ("PENDING_CANCEL", OrderState.WORKING),
        ("FILLED", OrderState.FILLED),
        ("CANCELLED", OrderState.CANCELLED),
        ("SOMETHING_NEW", OrderState.WORKING),
    ],
)
def test_each_word_has_its_state_and_a_new_word_keeps_the_order_alive(status: str, state: OrderState) -> None:
    assert report(row(status=status)).state is state


def test_filled_means_whole_though_the_database_lost_the_fill() -> None:
    told = report(row(status="FILLED", filled_amount=0.0))
    assert (told.state, told.filled_quantity, told.fills) == (OrderState.FILLED, Decimal("0.01"), ())


def test_a_failed_order_ends_only_by_a_proof() -> None:
    refused = row(
        status="FAILED", trading_pair="UNKNOWN", trade_type="UNKNOWN", order_type="UNKNOWN", amount=0.0, price=None,
        error_message="Error executing request POST x. HTTP status is 400. Error: no",
    )  # fmt: skip
    assert (report(refused).state, report(refused).side, report(refused).quantity) == (OrderState.REJECTED, None, None)
    for error in ("Server disconnected", None, "Order failed: MarketOrderFailureEvent"):
        lost = row(status="FAILED", error_message=error)
        assert report(lost).state is OrderState.WORKING


def test_trades_become_fills_and_an_untold_fee_is_estimated() -> None:
    rows = (
        wire.TradeRow("x-1_t1", "x-1", Decimal("0.004"), Decimal(52000), Decimal("0.208"), "USDT"),
        wire.TradeRow("x-1_t2", "x-1", Decimal("0.006"), Decimal(52000), Decimal(0), None),
    )
    told = report(row(status="PARTIALLY_FILLED", filled_amount=0.004), rows)
    assert told.filled_quantity == Decimal("0.010"), "trades know more than the row"
    first, second = told.fills
    assert (first.fees, first.fees_estimated) == ((("USDT", Decimal("0.208")),), False)
    assert (second.fees, second.fees_estimated) == ((("USDT", Decimal("0.312")),), True)
    assert {fill.quality for fill in told.fills} == {Quality.CONFIRMED}


def trade(number: int, amount: str, price: int = 52000, *, fee: str = "0.1") -> wire.TradeRow:
    return wire.TradeRow(
        f"x-1_t{number}", "x-1", Decimal(amount), Decimal(price), Decimal(fee), "USDT", f"2026-11-20T1{number}"
    )


def test_a_trade_of_less_than_half_a_lot_is_told_with_the_next_one() -> None:
    dust, rest = trade(1, "0.000004", 52000), trade(2, "0.000016", 53000, fee="0.4")
    assert translate.fills_of((dust,), RULES) == (), "a fill of nothing is none"
    (fill,) = translate.fills_of((rest, dust), RULES)
    assert (fill.id, fill.quantity, fill.price) == ("x-1_t2", Decimal("0.00002"), Decimal(52800))
    assert fill.fees == (("USDT", Decimal("0.5")),)


def test_what_was_told_of_trades_stays_as_it_was_when_more_come() -> None:
    rows = tuple(trade(number, "0.000014") for number in range(1, 9))
    told = translate.fills_of(rows, RULES)
    for count in range(len(rows)):
        fewer = translate.fills_of(reversed(rows[:count]), RULES)
        assert fewer == told[: len(fewer)]
        assert sum(fill.quantity for fill in fewer) == translate.nearest(count * Decimal("0.000014"), RULES)


@pytest.mark.parametrize(
    ("spec", "kind", "price"),
    [
        (OrderSpec(RULES.id, Side.BUY, Decimal("0.010"), OrderKind.LIMIT, Decimal("100.50")), "LIMIT", "100.5"),
        (OrderSpec(RULES.id, Side.SELL, Decimal("0.01"), OrderKind.MARKET), "MARKET", None),
        (
            OrderSpec(RULES.id, Side.BUY, Decimal("0.01"), OrderKind.LIMIT, Decimal("4.9E+4"), post_only=True),
            "LIMIT_MAKER",
            "49000",
        ),
    ],
)
def test_a_placement_is_text_in_the_venue_s_words(spec: OrderSpec, kind: str, price: str | None) -> None:
    body = msgspec.to_builtins(translate.new_order("master_account", "binance", spec))
    assert body == {
        "account_name": "master_account", "connector_name": "binance", "trading_pair": "BTC-USDT",
        "trade_type": spec.side.name, "amount": "0.01", "order_type": kind, "price": price, "position_action": "OPEN",
    }  # fmt: skip


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="finite"):
        msgspec.json.decode(msgspec.json.encode({**msgspec.to_builtins(row()), "amount": "NaN"}), type=wire.OrderRow)
