"""Rules, fills with what they settled, exits of the venue's own, cash flows: exact and to the last digit."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import CashFlowKind
from quantd.domain.instruments import QuantityUnit
from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderKind, OrderState, Side
from quantd.errors import Unavailable
from quantd.venues.oanda import translate, wire
from tests.unit.venues_oanda.entries import entry, fill

D = Decimal
TOLD: dict[str, Any] = {
    "name": "EUR_USD", "type": "CURRENCY", "displayName": "EUR/USD", "pipLocation": -4, "displayPrecision": 5,
    "tradeUnitsPrecision": 0, "minimumTradeSize": "1", "maximumTrailingStopDistance": "1.00000",
    "minimumTrailingStopDistance": "0.00050", "maximumPositionSize": "0", "maximumOrderUnits": "100000000",
    "marginRate": "0.0333", "commission": {"commission": "5", "unitsTraded": "100000"}, "tags": [], "new": 1,
}  # fmt: skip


def rules(**more: Any) -> wire.Rules:
    return msgspec.json.decode(msgspec.json.encode(TOLD | more), type=wire.Rules)


def test_rules_are_read_to_the_last_digit() -> None:
    one = translate.instrument("oanda", rules(), None, "JPY")
    assert (one.id, one.base, one.quote, one.quantity_unit) == ("oanda:EUR_USD", "EUR", "USD", QuantityUnit.UNITS)
    assert (one.ticks[0].tick, one.lot, one.min_quantity) == (D("0.00001"), D(1), D(1))
    assert (one.min_trail, one.max_trail, one.max_quantity) == (D("0.00050"), D("1.00000"), D(100_000_000))
    assert one.max_position is None, "its 0 is no cap"
    assert (one.fees.per_unit, one.commission_currency) == (D("0.00005"), "JPY"), "the account's, whatever the pair"


def test_units_may_have_decimals() -> None:
    assert translate.instrument("oanda", rules(tradeUnitsPrecision=1, minimumTradeSize="0.1"), None, "USD").lot == D(
        "0.1"
    )


@pytest.mark.parametrize(("own", "counts"), [(None, "0.0333"), ("0.02", "0.0333"), ("0.05", "0.05")])
def test_the_stricter_margin_rate_counts(own: str | None, counts: str) -> None:
    assert translate.instrument("oanda", rules(), None if own is None else D(own), "USD").margin_rate == D(counts)


def test_a_name_without_two_currencies_is_said_to_be_one() -> None:
    with pytest.raises(Unavailable, match="BASE_QUOTE, found 'EURUSD'"):
        translate.instrument("oanda", rules(name="EURUSD"), None, "USD")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "", "one"])
def test_what_is_no_number_is_no_rule(number: str) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        rules(marginRate=number)


FLIP = {
    "tradesClosed": [
        {"tradeID": "3", "units": "-60", "price": "1.1", "realizedPL": "1.2345", "financing": "-0.0100"},
        {"tradeID": "5", "units": "-40", "price": "1.2", "realizedPL": "-0.5000", "financing": "0.0000"},
    ],
    "tradeOpened": {"tradeID": "9", "units": "-50", "price": "1.3"},
}


def test_a_fill_that_turns_a_position_is_one_execution_for_each_trade() -> None:
    told = fill(9, 8, "-150", trades=FLIP, commission="0.7000", guaranteedExecutionFee="0.1", financing="-0.0100")
    fills = translate.fills_of(told, "EUR")
    assert [(one.id, one.lot, one.quantity, one.price) for one in fills] == [
        ("9/3", "3", D(60), D("1.1")), ("9/5", "5", D(40), D("1.2")), ("9/9", "9", D(50), D("1.3")),
    ]  # fmt: skip
    assert [one.settled for one in fills] == [("EUR", D("1.2345")), ("EUR", D("-0.5000")), ("EUR", D(0))]
    assert [one.fees for one in fills] == [(("EUR", D("0.8000")),), (), ()], "costs once, in the home currency"


def test_profit_fees_and_financing_of_a_fill_are_what_moved_the_balance() -> None:
    told = fill(9, 8, "-100", trades={"tradesClosed": FLIP["tradesClosed"]}, commission="0.7", financing="-0.0100")
    fills, flows = translate.fills_of(told, "EUR"), translate.flows_of("oanda", told, "EUR")
    settled = sum((one.settled[1] for one in fills if one.settled), D(0))
    fees = sum((amount for one in fills for _, amount in one.fees), D(0))
    assert settled - fees + sum((flow.amount for flow in flows), D(0)) == D("0.7345") - D("0.7") - D("0.01")
    assert [(flow.id, flow.kind) for flow in flows] == [("9/financing", CashFlowKind.FINANCING)]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("STOP_LOSS_ORDER", OrderKind.STOP),
        ("GUARANTEED_STOP_LOSS_ORDER", OrderKind.STOP),
        ("TAKE_PROFIT_ORDER", OrderKind.LIMIT),
        ("TRAILING_STOP_LOSS_ORDER", None),
        ("MARKET_ORDER_MARGIN_CLOSEOUT", OrderKind.MARKET),
        ("MARKET_ORDER_TRADE_CLOSE", OrderKind.MARKET),
        ("A_REASON_FROM_TOMORROW", OrderKind.MARKET),
    ],
)
def test_an_exit_of_the_venues_names_its_trade(reason: str, kind: OrderKind | None) -> None:
    told = fill(9, 8, "-60", trades={"tradesClosed": FLIP["tradesClosed"][:1]}, reason=reason)  # type: ignore[index]  # a literal of ours
    (one,) = translate.exits_of("oanda", told, "USD", 5)
    assert (one.lot, one.kind, one.side, one.filled_quantity) == ("3", kind, Side.SELL, D(60))
    assert (one.venue_order_id, one.state) == ("8", OrderState.FILLED)


def test_an_exit_of_several_trades_is_one_report_for_each_and_what_it_opened_is_none() -> None:
    told = fill(9, 8, "-150", trades=FLIP, reason="MARKET_ORDER")
    reports = translate.exits_of("oanda", told, "USD", 5)
    assert [(one.venue_order_id, one.lot, one.quantity) for one in reports] == [
        ("8.3", "3", D(60)),
        ("8.5", "5", D(40)),
    ]
    assert all(len(one.fills) == 1 and one.fills[0].lot == one.lot for one in reports)


@pytest.mark.parametrize(
    ("type", "fields", "kind", "amount"),
    [
        ("TRANSFER_FUNDS", {"amount": "100.0000", "fundingReason": "CLIENT_FUNDING"}, CashFlowKind.DEPOSIT, "100"),
        ("TRANSFER_FUNDS", {"amount": "-7", "fundingReason": "CLIENT_FUNDING"}, CashFlowKind.WITHDRAWAL, "-7"),
        ("TRANSFER_FUNDS", {"amount": "-7", "fundingReason": "ACCOUNT_TRANSFER"}, CashFlowKind.TRANSFER, "-7"),
        ("TRANSFER_FUNDS", {"amount": "3", "fundingReason": "OF_TOMORROW"}, CashFlowKind.ADJUSTMENT, "3"),
        ("DAILY_FINANCING", {"financing": "-1.5"}, CashFlowKind.FINANCING, "-1.5"),
        ("DIVIDEND_ADJUSTMENT", {"dividendAdjustment": "2", "instrument": "SPX500_USD"}, CashFlowKind.DIVIDEND, "2"),
    ],
)
def test_money_that_moves_without_a_trade_is_told_by_kind(
    type: str, fields: dict[str, Any], kind: CashFlowKind, amount: str
) -> None:
    (flow,) = translate.flows_of("oanda", entry(12, type, **fields), "USD")
    assert (flow.kind, flow.amount, flow.asset, flow.id) == (kind, D(amount), "USD", "12")


def test_a_days_financing_whose_parts_are_rounded_is_told_by_instrument_all_the_same() -> None:
    """Of no instrument it was nobody's loss, and for the tenth of a cent no loss limit saw the day's swaps."""
    parts = [{"instrument": "EUR_USD", "financing": "-10.0003"}, {"instrument": "USD_JPY", "financing": "-0.5"}]
    flows = translate.flows_of(
        "oanda", entry(12, "DAILY_FINANCING", financing="-10.5", positionFinancings=parts), "USD"
    )
    assert [(one.instrument, one.amount) for one in flows] == [
        ("oanda:EUR_USD", D("-10.0003")), ("oanda:USD_JPY", D("-0.5")), ("", D("0.0003")),
    ]  # fmt: skip
    assert len({one.id for one in flows}) == 3


def test_a_days_financing_is_told_by_instrument_when_its_parts_add_up() -> None:
    parts = [{"instrument": "EUR_USD", "financing": "-1"}, {"instrument": "USD_JPY", "financing": "-0.5"}]
    flows = translate.flows_of("oanda", entry(12, "DAILY_FINANCING", financing="-1.5", positionFinancings=parts), "USD")
    assert [(one.instrument, one.amount) for one in flows] == [("oanda:EUR_USD", D(-1)), ("oanda:USD_JPY", D("-0.5"))]
    (whole,) = translate.flows_of(
        "oanda", entry(12, "DAILY_FINANCING", financing="-2", positionFinancings=parts), "USD"
    )
    assert whole.amount == D(-2), "the venue's total counts where its parts do not"


def test_what_moves_no_money_is_no_flow() -> None:
    for type in ("ORDER_CANCEL", "LIMIT_ORDER", "CLIENT_CONFIGURE", "RESET_RESETTABLE_PL", "A_TYPE_FROM_TOMORROW"):
        assert translate.flows_of("oanda", entry(12, type), "USD") == ()


def test_what_hangs_on_a_trade_is_joined_from_the_pending_orders() -> None:
    orders = [
        wire.Order("4", "TAKE_PROFIT", trade_id="3", price=D("1.2")),
        wire.Order("5", "STOP_LOSS", trade_id="3", price=D("1.0")),
        wire.Order("6", "TRAILING_STOP_LOSS", trade_id="7", distance=D("0.01")),
        wire.Order("8", "LIMIT", instrument="EUR_USD", units=D(5), price=D("1.1")),
    ]
    assert translate.exits_by_trade(orders) == {
        "3": LotProtection(stop=D("1.0"), take=D("1.2")), "7": LotProtection(trail=D("0.01")),
    }  # fmt: skip


def test_a_short_trade_is_a_lot_that_was_sold_and_bears_our_tag() -> None:
    trade = wire.Trade("3", "EUR_USD", D("1.1"), D(-600), client_extensions=wire.Extensions(tag="q1"))
    lot = translate.lot("oanda", trade, LotProtection())
    assert (lot.side, lot.quantity, lot.signed, lot.tag) == (Side.SELL, D(600), D(-600), "q1")
