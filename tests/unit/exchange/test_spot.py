"""Spot accounts: reservations, fees by schedule, the ledger, and the checks of order entry."""

import pytest

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderKind, OrderSpec, OrderState, Side
from quantd.exchange import Amended, ExchangeRules, LedgerReason, NewOrder, OrderChange, Refused
from tests.unit.exchange.scenes import (
    BTC,
    BUY,
    SECOND,
    SELL,
    D,
    book,
    exchange,
    free,
    instrument,
    place,
    quote,
    shown,
    spec,
    spot,
    total,
)  # fmt: skip

TENTH = FeeSchedule(maker=D("0.001"), taker=D("0.002"))


@pytest.mark.parametrize(
    ("asset", "side", "usd", "btc"),
    [
        ("quote", BUY, "899.8", "2"),
        ("quote", SELL, "1099.8", "0"),
        ("base", BUY, "900", "1.998"),
        ("base", SELL, "1100", "-0.002"),
        ("received", BUY, "900", "1.998"),
        ("received", SELL, "1099.8", "0"),
        ("settlement", BUY, "899.8", "2"),
    ],
)
def test_taker_fee_is_taken_in_the_asset_of_the_schedule(asset: str, side: Side, usd: str, btc: str) -> None:
    fees = FeeSchedule(maker=D("0.001"), taker=D("0.002"), asset=asset)
    start = "1.002" if (asset, side) == ("base", SELL) else "1"
    venue = exchange(spot(USD="1000", BTC=start), instruments=(instrument(fees=fees),))
    venue.handle(quote(1, 100.0, 100.0))
    place(venue, "a", spec(side, "1"), SECOND)
    venue.handle(quote(2, 100.0, 100.0))
    assert total(venue, "a", "USD") == D(usd)
    assert total(venue, "a", "BTC") - (D(start) - 1) == D(btc)


def test_maker_pays_the_maker_fee_and_the_override_replaces_the_schedule() -> None:
    for override, fee in ((None, "0.1"), (FeeSchedule(maker=D("0.01")), "1")):
        venue = exchange(spot(USD="1000"), instruments=(instrument(fees=TENTH),), rules=ExchangeRules(fees=override))
        venue.handle(quote(1, 100.0, 101.0))
        order_id = place(venue, "a", spec(BUY, "1", "100"), SECOND)
        venue.handle(quote(2, 99.0, 100.0))
        assert shown(venue, "a", order_id).fees == (("USD", D(fee)),)


def test_limit_buy_locks_price_times_quantity_and_the_larger_fee_and_frees_the_rest() -> None:
    venue = exchange(spot(USD="1000"), instruments=(instrument(fees=TENTH),))
    venue.handle(quote(1, 100.0, 101.0))
    order_id = place(venue, "a", spec(BUY, "4", "100"), SECOND)
    assert free(venue, "a", "USD") == D(1000) - D("400.8")
    venue.handle(quote(2, 99.0, 100.0, size=1.0))
    assert free(venue, "a", "USD") == D(1000) - D("100.1") - D("300.6")
    venue.cancel("a", order_id, 2 * SECOND)
    assert free(venue, "a", "USD") == total(venue, "a", "USD") == D("899.9")


def test_market_buy_locks_the_ask_and_a_margin_and_buys_what_can_be_paid() -> None:
    venue = exchange(spot(USD="101"))
    venue.handle(quote(1, 100.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1"), SECOND)
    assert free(venue, "a", "USD") == 0
    venue.handle(quote(2, 110.0, 110.0))
    view = shown(venue, "a", order_id)
    assert (view.filled_quantity, view.state, view.reason) == (D("0.918"), OrderState.CANCELLED, "insufficient_balance")
    assert free(venue, "a", "USD") == D(101) - D("0.918") * 110 >= 0


def test_market_buy_over_several_events_never_takes_more_than_there_is() -> None:
    venue = exchange(spot(USD="202"))
    venue.handle(quote(1, 100.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "2"), SECOND)
    for second in range(2, 6):
        venue.handle(book(second, [(100.0, 1.0)], [(110.0, 0.5)]))
        assert free(venue, "a", "USD") >= 0
    assert shown(venue, "a", order_id).filled_quantity == D("1.836")


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (spec(BUY, "11", "100"), "insufficient_balance"),
        (spec(SELL, "2", "100"), "insufficient_balance"),
        (spec(BUY, "10"), "insufficient_balance"),
        (spec(BUY, "0"), "bad_quantity"),
        (spec(BUY, "0.0005"), "bad_quantity"),
        (spec(BUY, "0.001", "100"), "below_minimum"),
        (spec(BUY, "51", "1"), "above_maximum"),
        (spec(BUY, "0.05", "60"), "below_min_notional"),
        (spec(BUY, "1", "100.005"), "bad_price"),
        (spec(BUY, "1", "-1"), "bad_price"),
        (spec(BUY, "1", trigger="100.005"), "bad_trigger"),
        (spec(BUY, "1", "40"), "price_band"),
        (spec(BUY, "1", reduce_only=True), "would_not_reduce"),
        (spec(BUY, "1", "90", expires_at_ns=1), "bad_expiry"),
        (OrderSpec(BTC, BUY, D(1), OrderKind.LIMIT), "bad_price"),
        (OrderSpec(BTC, BUY, D(1), OrderKind.STOP), "bad_trigger"),
    ],
)
def test_order_outside_the_rules_is_refused_and_changes_nothing(terms: OrderSpec, code: str) -> None:
    rules = instrument(
        min_quantity=D("0.01"), max_quantity=D(50), min_notional=D(5), price_band=D("0.5")
    )  # fmt: skip
    venue = exchange(spot(USD="1000", BTC="1"), instruments=(rules,))
    venue.handle(quote(1, 100.0, 100.0))
    before = venue.balances("a")
    answer = venue.submit("a", NewOrder("", terms), SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert venue.balances("a") == before
    assert not venue.orders("a")


def test_client_order_id_is_taken_once() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 100.0, 101.0))
    place(venue, "a", spec(BUY, "1", "100"), SECOND, name="mine")
    answer = venue.submit("a", NewOrder("mine", spec(BUY, "1", "99")), SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "duplicate_client_order_id"
    found = venue.order_by_client_id("a", "mine")
    assert found is not None
    assert found.venue_order_id == "o1"


def test_amendment_reserves_anew_and_a_refused_one_changes_nothing() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 100.0, 101.0))
    order_id = place(venue, "a", spec(BUY, "4", "100"), SECOND)
    before = shown(venue, "a", order_id), venue.balances("a")
    answer = venue.amend("a", order_id, OrderChange(quantity=D(11)), 2 * SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "insufficient_balance"
    assert (shown(venue, "a", order_id), venue.balances("a")) == before
    assert isinstance(venue.amend("a", order_id, OrderChange(quantity=D(5), price=D(99)), 2 * SECOND), Amended)
    assert free(venue, "a", "USD") == D(505)
    venue.handle(quote(3, 98.0, 99.0))
    assert shown(venue, "a", order_id).average_price == D(99)


def test_ledger_tells_every_change_and_adds_up_to_the_balances() -> None:
    venue = exchange(spot(USD="1000"), instruments=(instrument(fees=TENTH),))
    venue.handle(quote(1, 100.0, 100.0))
    place(venue, "a", spec(BUY, "1"), SECOND)
    venue.handle(quote(2, 100.0, 100.0))
    flow = CashFlow("paper", "w1", CashFlowKind.WITHDRAWAL, "USD", D(-100), 3 * SECOND)
    assert venue.move_cash("a", flow) == flow
    reasons = [(entry.reason, entry.asset, entry.amount) for entry in venue.ledger("a")]
    assert reasons == [
        (LedgerReason.OPENING, "USD", D(1000)), (LedgerReason.TRADE, "USD", D(-100)),
        (LedgerReason.TRADE, "BTC", D(1)), (LedgerReason.FEE, "USD", D("-0.2")), (LedgerReason.CASH, "USD", D(-100)),
    ]  # fmt: skip
    for asset in ("USD", "BTC"):
        assert sum(entry.amount for entry in venue.ledger("a") if entry.asset == asset) == total(venue, "a", asset)
    too_much = CashFlow("paper", "w2", CashFlowKind.WITHDRAWAL, "USD", D(-1000), 3 * SECOND)
    assert isinstance(venue.move_cash("a", too_much), Refused)


def test_fee_is_rounded_down_only_where_the_asset_has_a_settlement_precision() -> None:
    fees = FeeSchedule(taker=D("0.0019"))
    rules = ExchangeRules(asset_steps={"USD": D("0.01")})
    for given, fee in ((None, "0.19019"), (rules, "0.19")):
        venue = exchange(spot(USD="1000"), instruments=(instrument(fees=fees),), rules=given)
        venue.handle(quote(1, 100.0, 100.1))
        order_id = place(venue, "a", spec(BUY, "1"), SECOND)
        venue.handle(quote(2, 100.0, 100.1))
        assert shown(venue, "a", order_id).fees == (("USD", D(fee)),)


def test_commission_by_quantity_is_locked_and_charged_in_the_currency_that_it_has() -> None:
    fees = FeeSchedule(per_unit=D("0.5"), per_unit_asset="EUR")
    venue = exchange(spot(USD="200", EUR="1"), instruments=(instrument(fees=fees),))
    venue.handle(quote(1, 99.0, 100.0))
    place(venue, "a", spec(BUY, "2", "100"), SECOND)
    assert free(venue, "a", "USD") == free(venue, "a", "EUR") == 0
    venue.handle(quote(2, 99.0, 100.0))
    assert total(venue, "a", "USD") == total(venue, "a", "EUR") == 0
    assert venue.trades("a")[0].fees == (("EUR", D(1)),)


def test_commission_by_quantity_is_locked_and_charged_in_the_settlement_currency() -> None:
    fees = FeeSchedule(per_unit=D("0.5"))
    venue = exchange(spot(USD="201"), instruments=(instrument(fees=fees),))
    venue.handle(quote(1, 99.0, 100.0))
    place(venue, "a", spec(BUY, "2", "100"), SECOND)
    assert free(venue, "a", "USD") == 0
    venue.handle(quote(2, 99.0, 100.0))
    assert total(venue, "a", "USD") == 0
    assert venue.trades("a")[0].fees == (("USD", D(1)),)
