"""From the venue's bytes to the domain's values: the document's own samples, strange words, exact money."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.cash import CashFlowKind
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId, MarketStatus
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, OrderState, Side
from quantd.venues.ionloop import translate, wire

ORDER = {
    "id": "ord_9x82k1", "symbol": "BTC-USDT", "side": "buy", "type": "limit", "status": "open", "quantity": "0.01",
    "filledQuantity": "0", "price": "65000.00", "createdAt": "2026-05-14T12:00:00Z",
}  # fmt: skip
NOON_NS = 1_778_760_000_000_000_000


def decoded(**changes: object) -> wire.OrderWire:
    return wire.decode(wire.OrderWire, json.dumps({**ORDER, **changes}).encode())


def test_the_sample_order_becomes_a_report() -> None:
    report = translate.order_report("ionloop", decoded(), received_at_ns=7)
    assert report.instrument == "ionloop:BTC-USDT"
    assert (report.venue_order_id, report.state, report.side) == ("ord_9x82k1", OrderState.WORKING, Side.BUY)
    assert (report.quantity, report.filled_quantity, report.price) == (Decimal("0.01"), Decimal(0), Decimal(65000))
    assert (report.created_at_ns, report.received_at_ns, report.occurred_at_ns) == (NOON_NS, 7, None)


@pytest.mark.parametrize(
    ("status", "filled", "state", "strange"),
    [
        ("open", "0", OrderState.WORKING, ""),
        ("open", "0.004", OrderState.PARTIALLY_FILLED, ""),
        ("filled", "0.01", OrderState.FILLED, ""),
        ("filled", "0.004", OrderState.PARTIALLY_FILLED, "filled_but_not_whole"),
        ("cancelled", "0", OrderState.CANCELLED, ""),
        ("cancelled", "0.004", OrderState.CANCELLED, ""),
        ("canceled", "0", OrderState.WORKING, "unknown_order_status"),
        ("rejected", "0", OrderState.WORKING, "unknown_order_status"),
        ("expired", "0.004", OrderState.PARTIALLY_FILLED, "unknown_order_status"),
        ("", "0", OrderState.WORKING, "unknown_order_status"),
    ],
)
def test_only_two_words_end_an_order(status: str, filled: str, state: OrderState, strange: str) -> None:
    assert translate.order_state(decoded(status=status, filledQuantity=filled)) == (state, strange)


def test_unknown_fields_and_words_and_times_do_not_break_an_order() -> None:
    order = decoded(new={"deep": [1]}, side="sideways", type="iceberg", createdAt="yesterday")
    report = translate.order_report("ionloop", order, received_at_ns=0)
    assert report.side is None
    assert report.created_at_ns is None


@pytest.mark.parametrize("field", ["id", "symbol", "status", "quantity", "filledQuantity"])
def test_an_order_without_what_we_need_is_unreadable(field: str) -> None:
    body = {name: value for name, value in ORDER.items() if name != field}
    with pytest.raises(msgspec.ValidationError):
        wire.decode(wire.OrderWire, json.dumps(body).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "", "1,5", "ten", None])
def test_what_is_no_number_is_unreadable(number: str | None) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(filledQuantity=number)


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=18))
def test_money_survives_the_wire_to_the_last_digit(amount: Decimal) -> None:
    assert decoded(quantity=f"{amount:f}").quantity == amount
    body = json.loads(translate.new_order_body(command(quantity=amount, price=amount)))
    assert Decimal(body["quantity"]) == amount
    assert "E" not in body["price"].upper()


def command(**terms: Decimal) -> Submit:
    spec = OrderSpec(InstrumentId("ionloop:BTC-USDT"), Side.SELL, terms["quantity"], OrderKind.LIMIT, terms["price"])
    return Submit(ClientOrderId("qab-1-7"), 3, spec, 0, 0)


def test_equal_terms_give_equal_bytes_and_one_write_has_one_key() -> None:
    one = command(quantity=Decimal("0.0100"), price=Decimal("6.5E+4"))
    other = command(quantity=Decimal("0.01"), price=Decimal("65000.00"))
    assert translate.new_order_body(one) == translate.new_order_body(other)
    assert translate.idempotency_key(one) == "qab-1-7-3"


def test_the_envelope_reads_good_and_bad_and_nothing_else() -> None:
    good = wire.envelope(b'{"success":true,"data":{"a":1},"meta":{"requestId":"r","timestamp":"t"},"x":1}')
    assert good is not None
    assert bytes(good.data) == b'{"a":1}'
    bad = wire.envelope(b'{"success":false,"error":{"code":"X","message":"m","more":1},"meta":{}}')
    assert bad is not None
    assert bad.error == wire.ErrorBody("X", "m")
    for body in (b"", b"null", b"[]", b"<html>", b'{"data":1}', b'{"success":"yes"}', b"\xff"):
        assert wire.envelope(body) is None


def test_times_are_written_in_whole_seconds_outwards() -> None:
    assert translate.instant_text(NOON_NS + 1) == "2026-05-14T12:00:00Z"
    assert translate.instant_text(NOON_NS + 1, round_up=True) == "2026-05-14T12:00:01Z"


def test_rules_without_steps_are_no_instrument() -> None:
    item = wire.MarketItem("BTC-USDT", "online", "BTC", "USDT")
    rules = wire.MarketRules("BTC-USDT", "online", Decimal(0), Decimal("0.1"))
    with pytest.raises(ValueError, match="steps above zero"):
        translate.instrument("ionloop", item, rules, FeeSchedule())


def test_a_book_is_best_first_whatever_the_order_it_comes_in() -> None:
    rules = wire.MarketRules("BTC-USDT", "online", Decimal("0.01"), Decimal("0.1"))
    item = wire.MarketItem("BTC-USDT", "online", "BTC", "USDT")
    instrument = translate.instrument("ionloop", item, rules, FeeSchedule())
    depth = wire.decode(
        wire.OrderBook,
        b'{"symbol":"BTC-USDT","bids":[["1","5"],["2","6"]],"asks":[["4","7"],[3.5,8]],"sequence":9}',
    )
    book = translate.book(instrument, depth, wire.Meta(timestamp="2026-05-14T12:00:00Z"), 1)
    assert book.bids == ((2.0, 6.0), (1.0, 5.0))
    assert book.asks == ((3.5, 8.0), (4.0, 7.0))
    assert (book.sequence, book.occurred_at_ns) == (9, NOON_NS)


def test_words_for_markets_that_nobody_knows_do_not_trade() -> None:
    assert translate.market_status("online") is MarketStatus.OPEN
    assert translate.market_status("Online") is MarketStatus.HALTED
    assert not translate.is_known_status("auction")


@pytest.mark.parametrize(
    ("type_", "kind", "amount"),
    [
        ("deposit", CashFlowKind.DEPOSIT, "12.5"),
        ("withdrawal", CashFlowKind.WITHDRAWAL, "-12.5"),
        ("fee", CashFlowKind.FEE, "-12.5"),
    ],
)
@pytest.mark.parametrize("told", ["12.5", "-12.5"])
def test_the_type_decides_the_sign_of_a_cash_flow(type_: str, kind: CashFlowKind, amount: str, told: str) -> None:
    row = wire.Transaction("txn_1", type_, "2026-05-14T12:00:00Z", asset="USDT", amount=Decimal(told))
    flow = translate.cash_flow("ionloop", row)
    assert flow is not None
    assert (flow.kind, flow.amount, flow.occurred_at_ns) == (kind, Decimal(amount), NOON_NS)


def test_a_trade_is_no_cash_flow() -> None:
    row = wire.Transaction("txn_1", "trade", "2026-05-14T12:00:00Z", symbol="BTC-USDT", quantity=Decimal(1))
    assert translate.cash_flow("ionloop", row) is None


def test_what_several_wallets_hold_is_added_up() -> None:
    one, other = wire.BalanceWire("USDT", Decimal(1), Decimal(2)), wire.BalanceWire("USDT", Decimal(10), Decimal(20))
    (balance,) = translate.added_up([[one], [other]])
    assert (balance.free, balance.locked, balance.total) == (Decimal(11), Decimal(22), Decimal(33))
    assert translate.added_up([]) == ()
