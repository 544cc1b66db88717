"""The venue's words to the domain's values, to the last digit, and the bodies that go out."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.commands import Submit
from quantd.domain.fills import Liquidity
from quantd.domain.instruments import FeeSchedule, InstrumentId, MarketStatus
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, OrderState, Side, TimeInForce
from quantd.venues.parsing import instant_ns
from quantd.venues.ripio import translate, wire

ROW: dict[str, Any] = {
    "id": "8de12108-d7a5-4d3f-a3c4-3a9f6a6fbb01", "external_id": "Q1-1-A", "pair": "BTC_BRL", "side": "buy", "type": "limit",
    "status": "open", "price": 42600, "requested_amount": 0.0235, "executed_amount": 0, "remaining_amount": 0.0235,
    "create_date": "2017-12-08T23:42:54.960Z", "update_date": "2017-12-13T21:48:48.817Z", "something_new": [1],
}  # fmt: skip
read_row = wire.reader(wire.OrderRow)


def row(**fields: object) -> wire.OrderRow:
    return read_row(json.dumps({**ROW, **fields}).encode())


def submit(kind: OrderKind, price: str | None = "300000.5", **terms: Any) -> Submit:
    spec = OrderSpec(
        InstrumentId("ripio:BTC_BRL"),
        Side.SELL,
        Decimal("0.0100"),
        kind,
        None if price is None else Decimal(price),
        **terms,
    )
    return Submit(ClientOrderId("qab-1-1"), 1, spec, 0, 0)


BASE = {"pair": "BTC_BRL", "side": "sell", "amount": "0.01"}
LIMIT = {**BASE, "type": "limit", "price": "300000.5"}
NS = 1_000_000_000


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (submit(OrderKind.LIMIT), LIMIT),
        (submit(OrderKind.LIMIT, post_only=True), {**LIMIT, "post_only": True}),
        (submit(OrderKind.LIMIT, time_in_force=TimeInForce.IOC), {**LIMIT, "immediate_or_cancel": True}),
        (submit(OrderKind.LIMIT, time_in_force=TimeInForce.FOK), {**LIMIT, "fill_or_kill": True}),
        (
            submit(OrderKind.LIMIT, time_in_force=TimeInForce.GTD, expires_at_ns=1_718_000_000 * NS + 999),
            {**LIMIT, "expiration": 1_718_000_000},
        ),
        (submit(OrderKind.MARKET, None), {**BASE, "type": "market"}),
        (
            submit(OrderKind.MARKET, None, time_in_force=TimeInForce.FOK),
            {**BASE, "type": "market", "fill_or_kill": True},
        ),
        (
            submit(OrderKind.STOP_LIMIT, trigger=Decimal(299000)),
            {**LIMIT, "type": "stop_limit", "stop_price": "299000"},
        ),
    ],
)
def test_a_create_carries_the_fields_of_its_variant_and_no_other(command: Submit, body: dict[str, object]) -> None:
    told = translate.new_order(command)
    assert json.loads(told) == {**body, "external_id": "qab-1-1"}
    assert b" " not in told, "what is signed is compact"
    assert translate.new_order(command) == told
    assert translate.why_not(command.spec) == ""


@pytest.mark.parametrize(
    "command",
    [
        submit(OrderKind.STOP, None, trigger=Decimal(1)),
        submit(OrderKind.LIMIT, time_in_force=TimeInForce.DAY),
        submit(OrderKind.LIMIT, post_only=True, time_in_force=TimeInForce.IOC),
        submit(OrderKind.LIMIT, post_only=True, time_in_force=TimeInForce.FOK),
        submit(OrderKind.STOP_LIMIT, trigger=Decimal(1), time_in_force=TimeInForce.IOC),
        submit(OrderKind.STOP_LIMIT, trigger=Decimal(1), post_only=True),
        submit(OrderKind.MARKET, None, time_in_force=TimeInForce.GTD),
        submit(OrderKind.MARKET, None, post_only=True),
    ],
)
def test_what_no_variant_can_say_is_not_said_differently(command: Submit) -> None:
    assert translate.why_not(command.spec)


def test_an_amendment_has_names_of_its_own_and_only_what_changes() -> None:
    assert json.loads(translate.amended_order("A", Decimal("100.0"), None)) == {"order_id": "A", "amount": "100"}
    assert json.loads(translate.amended_order("A", None, Decimal(10))) == {"order_id": "A", "unit_price": "10"}


@pytest.mark.parametrize(
    ("status", "executed", "state", "strange"),
    [
        ("open", 0, OrderState.WORKING, ""),
        ("executed_partially", 0.01, OrderState.PARTIALLY_FILLED, ""),
        ("executed_completely", 0.0235, OrderState.FILLED, ""),
        ("executed_completely", 0.02, OrderState.CANCELLED, "reply_contradicts"),
        ("executed_completely", 0, OrderState.WORKING, "reply_contradicts"),
        ("canceled", 0, OrderState.CANCELLED, ""),
        ("canceled", 0.01, OrderState.CANCELLED, ""),
        ("canceled", 0.0235, OrderState.FILLED, ""),
        ("pending_creation", 0, OrderState.WORKING, ""),
        ("waiting", 0, OrderState.WORKING, ""),
        ("rejected", 0, OrderState.WORKING, "unknown_order_status"),
        ("CANCELED", 0.01, OrderState.PARTIALLY_FILLED, "unknown_order_status"),
    ],
)
def test_the_states_of_orders(status: str, executed: float, state: OrderState, strange: str) -> None:
    assert translate.order_state(row(status=status, executed_amount=executed)) == (state, strange)


def test_a_cancelled_order_that_does_not_tell_its_amount_is_not_taken_for_filled() -> None:
    short = row(status="canceled", executed_amount=0.01, requested_amount=None)
    assert translate.order_state(short) == (OrderState.CANCELLED, "")
    whole = row(status="executed_completely", executed_amount=0.01, requested_amount=None)
    assert translate.order_state(whole) == (OrderState.FILLED, "")


def test_numbers_are_exact_whether_they_come_as_numbers_or_as_text() -> None:
    told = b'{"id":"a","pair":"P","side":"buy","status":"open","executed_amount":0.12345678901234567891,"price":"1e-8"}'
    read = read_row(told)
    assert (read.executed_amount, read.price) == (Decimal("0.12345678901234567891"), Decimal("0.00000001"))
    for word in (b'"NaN"', b'"Infinity"', b"null", b'"x"'):
        with pytest.raises((msgspec.DecodeError, ValueError)):
            read_row(told.replace(b"0.12345678901234567891", word))


def test_an_order_without_what_it_executed_is_no_order() -> None:
    short = {key: value for key, value in ROW.items() if key != "executed_amount"}
    with pytest.raises(msgspec.DecodeError, match="executed_amount"):
        read_row(json.dumps(short).encode())


def test_a_report_tells_what_the_trades_tell_and_ids_in_one_case() -> None:
    trades = [trade("T2", "0.0135", "42599", "taker", 2_000), trade("T1", "0.01", "42600", "maker", 1_000)]
    fills = translate.fills_of(trades)
    report = translate.order_report(
        "ripio", row(executed_amount=0.0235), OrderState.FILLED, fills=fills,
        client_order_id=translate.external_id(row()), received_at_ns=7,
    )  # fmt: skip
    assert [(fill.id, fill.liquidity) for fill in report.fills] == [("T1", Liquidity.MAKER), ("T2", Liquidity.TAKER)]
    assert report.filled_quantity == Decimal("0.0235")
    assert report.fees == (("BTC", Decimal("0.000084")),)
    assert report.average_price == (Decimal("0.0135") * 42599 + Decimal("0.01") * 42600) / Decimal("0.0235")
    assert (report.venue_order_id, report.client_order_id) == (ROW["id"].upper(), "q1-1-a")
    assert report.created_at_ns == 1_512_776_574_960_000_000


def trade(id_: str, amount: str, price: str, role: str, ms: int) -> wire.TradeRow:
    return wire.TradeRow(
        id=id_, pair_code="BTC_BRL", side="buy", amount=Decimal(amount), price=Decimal(price), fee=Decimal("0.000042"),
        fee_currency="BTC", taker_or_maker=role, maker_order_id="m", taker_order_id="t", timestamp=ms,
    )  # fmt: skip


def test_which_order_of_a_trade_is_ours_depends_on_the_role() -> None:
    assert trade("T", "1", "1", "maker", 0).order_id == "M"
    assert trade("T", "1", "1", "taker", 0).order_id == "T"


def test_a_time_is_read_as_it_is_written() -> None:
    ns = 1_711_546_039_853_000_000
    assert translate.instant_text(ns) == "2024-03-27T13:27:19.853Z"
    assert instant_ns(translate.instant_text(ns)) == ns


PAIR: dict[str, Any] = {
    "symbol": "BTC_BRL", "base": "BTC", "quote": "BRL", "base_name": "Bitcoin", "enabled": True, "amount_tick": 0.0001,
    "price_tick": 1, "min_amount": 0.0005, "min_value": 10, "max_price_variation": 10, "countries": ["BR"],
}  # fmt: skip


def test_the_rules_of_a_pair() -> None:
    read = wire.reader(wire.Pair)
    rules = translate.instrument("ripio", read(json.dumps(PAIR).encode()), FeeSchedule())
    assert (rules.id, rules.base, rules.quote) == ("ripio:BTC_BRL", "BTC", "BRL")
    assert (rules.lot, rules.ticks[0].tick) == (Decimal("0.0001"), Decimal(1))
    assert (rules.min_quantity, rules.min_notional, rules.price_band) == (
        Decimal("0.0005"), Decimal(10), Decimal("0.1"),
    )  # fmt: skip
    assert rules.status is MarketStatus.OPEN
    frozen = {key: value for key, value in PAIR.items() if key != "max_price_variation"} | {"enabled": False}
    rules = translate.instrument("ripio", read(json.dumps(frozen).encode()), FeeSchedule())
    assert (rules.status, rules.price_band) == (MarketStatus.HALTED, None)
    with pytest.raises(ValueError, match="above zero"):
        translate.instrument("ripio", read(json.dumps({**PAIR, "price_tick": 0}).encode()), FeeSchedule())


def test_fees_are_percent_of_what_is_received_and_the_dearer_side_counts() -> None:
    rows = wire.reader(tuple[wire.Fee, ...])(
        b'[{"side":"buy","maker":0.21,"taker":0.3},{"side":"sell","maker":0.25,"taker":0.2}]'
    )
    assert translate.fee_schedule(rows) == FeeSchedule(Decimal("0.0025"), Decimal("0.003"), "received")
    with pytest.raises(ValueError, match="percent"):
        translate.fee_schedule(())
    with pytest.raises(ValueError, match="percent"):
        translate.fee_schedule((wire.Fee("buy", Decimal(25), Decimal(50)),))


def test_balances_are_read_in_either_nesting() -> None:
    one = '{"currency_code":"BTC","available_amount":5.23,"locked_amount":0.1,"last_update":"x"}'
    for text in (f"[{one}]", f"[[{one}]]"):
        (balance,) = translate.balances(wire.balances(text.encode()))
        assert (balance.total, balance.free, balance.locked) == (Decimal("5.33"), Decimal("5.23"), Decimal("0.1"))
    with pytest.raises(msgspec.DecodeError):
        wire.balances(b'{"BTC": 1}')
