"""Rows of the server's lists as the domain's values: what a row does not tell is none, and which of its orders closed what."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.commands import Amend, Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId, MarketStatus
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, OrderState, Side
from quantd.venues.tradelocker import translate, wire
from quantd.venues.tradelocker.api import decode, encode
from quantd.venues.tradelocker.closings import closing_orders
from quantd.venues.tradelocker.translate import ExecutionRow, OrderRow

D = Decimal
BTC = InstrumentId("tl:BTCUSD")
NAMES = [
    "id",
    "tradableInstrumentId",
    "routeId",
    "qty",
    "side",
    "type",
    "status",
    "filledQty",
    "avgPrice",
    "price",
    "stopPrice",
    "validity",
    "expireDate",
    "createdDate",
    "lastModified",
    "isOpen",
    "positionId",
    "stopLoss",
    "stopLossType",
    "takeProfit",
    "takeProfitType",
    "strategyId",
]
LIMIT = [
    "7277816997907673698", "206", "1152263", "100.0", "sell", "limit", "New", None, None, "91011.74", None, "GTC", None,
    "1767886346666", "1767886346000", "true", None, None, None, None, None, None,
]  # fmt: skip
MARKET = [
    "7277816997907785466", "206", "1152263", "10.00", "sell", "market", "Filled", "10", "90263", "90300.67", "0", "IOC",
    None, "1767951991995", "1767951992000", "false", "7277816997846856994", None, None, None, None, "",
]  # fmt: skip
"""The two rows of the public reference."""


def row(cells: list[Any], *, final: bool = False, **changes: str) -> OrderRow:
    told = {name: cell for name, cell in zip(NAMES, cells, strict=True) if cell}
    return translate.order_row({**told, **changes}, final=final)


def submit(kind: OrderKind = OrderKind.LIMIT, protection: LotProtection | None = None, **terms: Any) -> Submit:
    spec = OrderSpec(BTC, Side.BUY, D("0.10"), kind, **terms)
    return Submit(ClientOrderId("q1-1-1"), 1, spec, 0, 0, protection)


def test_the_rows_of_the_reference_are_read_whole() -> None:
    resting, filled = row(LIMIT), row(MARKET, final=True)
    assert (resting.quantity, resting.price, resting.trigger, resting.filled) == (D(100), D("91011.74"), None, D(0))
    assert (resting.created_ns, resting.modified_ns) == (1767886346666 * 10**6, 1767886346000 * 10**6)
    assert translate.order_state(resting) == (OrderState.WORKING, "")
    assert (filled.trigger, filled.tag, filled.position) == (None, "", "7277816997846856994")
    report = translate.order_report(BTC, filled, (), 5)
    assert (report.state, report.filled_quantity, report.average_price) == (OrderState.FILLED, D(10), D(90263))
    assert report.price is None, "the price at submission is no limit"


@pytest.mark.parametrize(
    ("status", "filled", "final", "state", "strange"),
    [
        ("New", "", False, OrderState.WORKING, ""),
        ("NEW", "", False, OrderState.WORKING, ""),
        ("None", "", False, OrderState.WORKING, ""),
        ("New", "4", False, OrderState.PARTIALLY_FILLED, ""),
        ("Filled", "10", True, OrderState.FILLED, ""),
        ("FILLED", "10.0", True, OrderState.FILLED, ""),
        ("Filled", "4", True, OrderState.CANCELLED, "filled_but_not_whole"),
        ("Filled", "4", False, OrderState.PARTIALLY_FILLED, "filled_but_not_whole"),
        ("Filled", "", True, OrderState.WORKING, "filled_but_not_whole"),
        ("Cancelled", "", True, OrderState.CANCELLED, ""),
        ("Cancelled", "4", True, OrderState.CANCELLED, ""),
        ("Unplaced", "", True, OrderState.CANCELLED, ""),
        ("Removed", "", True, OrderState.CANCELLED, ""),
        ("Refused", "", True, OrderState.REJECTED, ""),
        ("Rejected", "", True, OrderState.REJECTED, ""),
        ("Refused", "4", True, OrderState.CANCELLED, ""),
        ("Sleeping", "", False, OrderState.WORKING, "unknown_order_status"),
        ("New", "", True, OrderState.WORKING, "unknown_order_status"),
    ],
)
def test_the_state_of_an_order(status: str, filled: str, final: bool, state: OrderState, strange: str) -> None:
    told = row(MARKET, final=final, status=status, filledQty=filled or "0")
    assert translate.order_state(told) == (state, strange)


@pytest.mark.parametrize("name", ["id", "tradableInstrumentId", "qty"])
def test_a_row_without_what_it_needs_is_refused(name: str) -> None:
    told = {one: cell for one, cell in zip(NAMES, MARKET, strict=True) if cell}
    del told[name]
    with pytest.raises(ValueError, match=name):
        translate.order_row(told, final=True)


# --- fills ------------------------------------------------------------------------------------------------------------


def execution(number: int, quantity: str, price: str, order: str = str(MARKET[0])) -> ExecutionRow:
    return ExecutionRow(f"e{number}", order, D(quantity), D(price), number, "7")


def test_fills_are_the_session_s_where_they_add_up_and_the_row_s_average_where_not() -> None:
    filled = row(MARKET, final=True)
    parts = [execution(1, "4", "90260"), execution(2, "6", "90265"), execution(3, "1", "1", "another")]
    told = translate.fills_of(filled, parts, ("USD", D(2)), known=D(0))
    assert [(fill.id, fill.quantity, fill.price, fill.lot) for fill in told] == [
        ("e1", D(4), D(90260), "7"), ("e2", D(6), D(90265), "7"),
    ]  # fmt: skip
    assert [fill.fees for fill in told] == [(("USD", D(8)),), (("USD", D(12)),)]
    assert all(fill.fees_estimated for fill in told)
    (whole,) = translate.fills_of(filled, parts[:1], ("", D(0)), known=D(0))
    assert (whole.id, whole.quantity, whole.price) == (f"{filled.id}/10", D(10), D(90263))
    assert (whole.lot, whole.fees) == ("7277816997846856994", ())
    assert translate.fills_of(filled, parts[:1], ("", D(0)), known=D(4)) == ()
    (part,) = translate.fills_of(row(LIMIT, filledQty="4", avgPrice="1", positionId="9"), (), ("", D(0)), known=D(0))
    assert (part.quantity, part.price, part.lot) == (D(4), D(1), "9")


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_numbers_leave_with_their_own_digits_and_no_exponent() -> None:
    body = encode(translate.new_order(submit(price=D("1E+2")), "206", "9912"))
    assert b'"price":100,' in body
    assert b'"qty":0.1,' in body
    assert msgspec.json.decode(body) == {
        "tradableInstrumentId": 206, "routeId": 9912, "side": "buy", "type": "limit", "validity": "GTC", "qty": 0.1,
        "price": 100, "strategyId": "q1-1-1",
    }  # fmt: skip


def test_exits_carry_their_type_without_which_the_server_ignores_them() -> None:
    exits = LotProtection(stop=D("90.5"), take=D(110))
    body = translate.new_order(submit(OrderKind.MARKET, exits), "206", "9912")
    assert (body["stopLoss"], body["stopLossType"]) == (D("90.5"), "absolute")
    assert (body["takeProfit"], body["takeProfitType"]) == (110, "absolute")
    assert (body["validity"], body["price"]) == ("IOC", 0)


def test_a_stop_names_its_trigger_and_what_has_none_cannot_be_told() -> None:
    assert translate.new_order(submit(OrderKind.STOP, trigger=D(70_000)), "206", "9912")["stopPrice"] == 70_000
    for wrong in (submit(OrderKind.STOP), submit(), submit(OrderKind.STOP_LIMIT, price=D(1), trigger=D(1))):
        with pytest.raises(ValueError, match=r"stop|limit"):
            translate.new_order(wrong, "206", "9912")


def test_a_change_says_only_what_changes_and_exits_say_what_goes() -> None:
    change = Amend(ClientOrderId("q"), 2, BTC, "1", submit(price=D(1)).spec, 0, 0, quantity=D("0.20"))
    assert encode(translate.changes(change)) == b'{"qty":0.2}'
    assert encode(translate.exits_body(LotProtection(take=D(7)))) == b'{"stopLoss":null,"takeProfit":7}'
    assert encode(translate.close_body(None)) == b'{"qty":0}'
    assert encode(translate.close_body(D("0.050"))) == b'{"qty":0.05}'


# --- instruments ------------------------------------------------------------------------------------------------------

DETAILS = {
    "baseCurrency": "BTC", "leverage": "3.00", "lotSize": 1, "lotStep": 0.01, "maxLot": None, "minLot": 0.01,
    "quotingCurrency": "USD", "symbolStatus": "FULLY_OPEN", "tickSize": [{"leftRangeLimit": None, "tickSize": 0.01}],
    "tradeSessionId": 1547, "tradeSessionStatusId": 20, "isin": "",
}  # fmt: skip


def details(**changes: Any) -> wire.InstrumentWire:
    return decode(wire.InstrumentWire, msgspec.json.encode({**DETAILS, **changes}))


def test_rules_are_exact_though_they_come_as_json_numbers() -> None:
    rules = translate.instrument("tl", "BTCUSD", details(), FeeSchedule())
    assert (rules.lot, rules.ticks[0].tick, rules.min_quantity, rules.max_quantity) == (
        D("0.01"), D("0.01"), D("0.01"), None,
    )  # fmt: skip
    assert rules.margin_rate == 1 / D("3.00")


def test_tiers_of_steps_begin_at_zero_whatever_their_first_limit() -> None:
    tiers = [{"leftRangeLimit": 10, "tickSize": 0.1}, {"leftRangeLimit": 5, "tickSize": 0.01}]
    rules = translate.instrument("tl", "X", details(tickSize=tiers), FeeSchedule())
    assert [(tier.from_price, tier.tick) for tier in rules.ticks] == [(D(0), D("0.01")), (D(10), D("0.1"))]


def test_an_instrument_without_leverage_must_be_paid_in_full() -> None:
    assert translate.instrument("tl", "X", details(leverage=None), FeeSchedule()).margin_rate == 1


@pytest.mark.parametrize("changes", [{"lotStep": 0}, {"lotSize": 0}, {"tickSize": []}, {"leverage": "-1"}])
def test_rules_without_steps_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        translate.instrument("tl", "X", details(**changes), FeeSchedule())


def test_an_unknown_status_does_not_trade() -> None:
    assert translate.market_status("FULLY_OPEN") is MarketStatus.OPEN
    assert translate.market_status("ASLEEP") is MarketStatus.HALTED


# --- what closed what -------------------------------------------------------------------------------------------------


def order(number: int, side: str, position: str = "9", filled: str = "10", at: int = 0, **more: str) -> OrderRow:
    at_ms = str(1_767_951_991_000 + at * 1000)
    changes = {"id": str(number), "side": side, "positionId": position, "filledQty": filled, "lastModified": at_ms}
    return row(MARKET, final=True, **changes, **more)


def ids(rows: list[OrderRow]) -> list[str]:
    return [one.id for one in rows]


def test_what_trades_against_an_open_position_closes_it() -> None:
    rows = [order(1, "buy"), order(2, "sell", at=1), order(3, "buy", at=2), order(4, "sell", "8")]
    assert ids(closing_orders(rows, {"9": Side.BUY, "8": Side.SELL})) == ["2"]


def test_of_a_position_that_is_gone_the_newest_order_s_side_has_closed_it() -> None:
    rows = [order(3, "sell", at=2), order(1, "buy"), order(2, "sell", at=1)]
    assert sorted(ids(closing_orders(rows, {}))) == ["2", "3"]
    assert ids(closing_orders([order(5, "sell")], {})) == ["5"], "its opening lies before what is read"


def test_an_order_of_ours_alone_has_opened_a_position_that_is_younger_than_the_list() -> None:
    entry = order(1, "buy", strategyId="q1")
    assert closing_orders([entry], {}) == []
    assert ids(closing_orders([entry, order(2, "sell")], {})) == ["2"]
    assert ids(closing_orders([entry, order(2, "sell", at=1, strategyId="q2")], {})) == ["2"], "on a netting account"


def test_an_exit_that_was_cancelled_closed_nothing() -> None:
    rows = [order(1, "buy"), order(2, "sell", filled="0", at=3, status="Cancelled"), order(3, "sell", at=2)]
    assert ids(closing_orders(rows, {})) == ["3"]
    assert sorted(ids(closing_orders(rows, {}, unfilled=True))) == ["2", "3"]
    assert closing_orders([row(LIMIT)], {}) == [], "an order that names no position"
