"""Orders as the log tells of them: replaced, filled in parts, cancelled at once, told twice, under ids that are not unique."""

from decimal import Decimal
from itertools import permutations

import msgspec
import pytest

from quantd.domain.orders import OrderKind, OrderState, Side
from quantd.domain.reports import OrderReport
from quantd.venues.oanda import wire
from quantd.venues.oanda.orders import OrderBook
from tests.unit.venues_oanda.entries import entry, fill, limit

D = Decimal


def book(*entries: wire.Transaction) -> OrderBook:
    made = OrderBook("oanda", "USD")
    made.home = "USD"
    made.apply(entries)
    return made


def report(of: OrderBook, number: int | str) -> OrderReport:
    chain = of.find(str(number))
    assert chain is not None
    return of.report(chain, 5)


def test_a_resting_limit_is_told_with_its_own_terms() -> None:
    told = report(book(limit(7)), 7)
    assert (told.state, told.side, told.quantity, told.price) == (OrderState.WORKING, Side.BUY, D(1000), D("1.10000"))
    assert (told.client_order_id, told.kind, told.instrument) == ("q1", OrderKind.LIMIT, "oanda:EUR_USD")


def test_a_sell_stop_has_a_trigger_and_no_price() -> None:
    stop = entry(7, "STOP_ORDER", instrument="EUR_USD", units="-10", price="1.05", timeInForce="GTC")
    told = report(book(stop), 7)
    assert (told.side, told.quantity, told.trigger, told.price) == (Side.SELL, D(10), D("1.05"), None)


def test_created_and_cancelled_at_once_is_an_end_with_its_reason() -> None:
    market = entry(7, "MARKET_ORDER", instrument="EUR_USD", units="10", timeInForce="FOK")
    cancel = entry(8, "ORDER_CANCEL", orderID="7", reason="MARKET_HALTED")
    told = report(book(market, cancel), 7)
    assert (told.state, told.reason, told.filled_quantity) == (OrderState.CANCELLED, "market_halted", D(0))


@pytest.mark.parametrize(("in_force", "state"), [("GTD", OrderState.EXPIRED), ("IOC", OrderState.CANCELLED)])
def test_time_that_runs_out_is_an_expiry_unless_it_was_none(in_force: str, state: OrderState) -> None:
    terms = {"instrument": "EUR_USD", "units": "10", "price": "1", "timeInForce": in_force}
    order = entry(7, "LIMIT_ORDER", **terms)
    cancel = entry(8, "ORDER_CANCEL", orderID="7", reason="TIME_IN_FORCE_EXPIRED")
    assert report(book(order, cancel), 7).state is state


REPLACED = (
    limit(7),
    entry(8, "ORDER_CANCEL", orderID="7", reason="CLIENT_REQUEST_REPLACED", replacedByOrderID="9"),
    limit(9, "2000", price="1.20000", replacesOrderID="7", cancellingTransactionID="8"),
)


def test_a_replacement_is_the_same_order_under_a_new_number() -> None:
    orders = book(*REPLACED)
    assert orders.find("7") is orders.find("9")
    told = report(orders, 7)
    assert (told.venue_order_id, told.state, told.quantity, told.price) == ("9", OrderState.WORKING, D(2000), D("1.2"))
    assert len(orders.by_client_id("q1")) == 1, "no second order under our id"


def test_a_replacement_that_is_cancelled_at_once_ends_the_order() -> None:
    gone = entry(10, "ORDER_CANCEL", orderID="9", reason="INSUFFICIENT_MARGIN")
    assert report(book(*REPLACED, gone), 7).state is OrderState.CANCELLED


def test_a_replaced_order_is_no_end_while_its_successor_is_not_told() -> None:
    assert report(book(*REPLACED[:2]), 7).state is OrderState.WORKING


def test_what_the_log_says_again_is_not_counted_again() -> None:
    story = (*REPLACED, fill(10, 9, "2000"))
    once, twice = book(*story), book(*story, *story)
    assert report(once, 9) == report(twice, 9)
    assert report(twice, 9).filled_quantity == D(2000)
    assert report(twice, 9).state is OrderState.FILLED


def test_an_answer_may_come_before_or_after_the_log() -> None:
    story = (limit(7), fill(8, 7, "1000"))
    reports = set()
    for order in permutations((story, story[1:], story)):
        orders = OrderBook("oanda", "USD")
        for part in order:
            orders.apply(part)
        reports.add(msgspec.json.encode(report(orders, 7)))
    assert len(reports) == 1


def test_a_fill_of_a_part_leaves_a_doubt_that_the_venue_settles() -> None:
    orders = book(limit(7), fill(8, 7, "400"))
    chain = orders.find("7")
    assert chain is not None
    assert chain.in_doubt
    assert report(orders, 7).state is OrderState.PARTIALLY_FILLED
    orders.settle(chain, wire.Order("7", "LIMIT", state="PENDING"))
    assert report(orders, 7).state is OrderState.PARTIALLY_FILLED
    orders.settle(chain, wire.Order("7", "LIMIT", state="FILLED"))
    assert (report(orders, 7).state, report(orders, 7).filled_quantity) == (OrderState.CANCELLED, D(400))


def test_the_rest_of_a_part_goes_on_under_a_new_number_and_counts_as_one() -> None:
    orders = book(limit(7), fill(8, 7, "400"), limit(9, "600", replacesOrderID="7", reason="REPLACEMENT"))
    assert report(orders, 7).state is OrderState.PARTIALLY_FILLED
    orders.apply([fill(10, 9, "600")])
    told = report(orders, 7)
    assert (told.venue_order_id, told.quantity, told.filled_quantity) == ("9", D(1000), D(1000))
    assert told.state is OrderState.FILLED
    assert [one.id for one in told.fills] == ["8/8", "10/10"]


def test_two_orders_under_one_id_of_ours_stay_two() -> None:
    assert len(book(limit(7), limit(8)).by_client_id("q1")) == 2


def test_a_reject_is_found_under_our_id() -> None:
    refused = entry(7, "LIMIT_ORDER_REJECT", clientExtensions={"id": "q1"}, rejectReason="UNITS_LIMIT_EXCEEDED")
    (chain,) = book(refused).by_client_id("q1")
    assert (chain.state, chain.reason) == (OrderState.REJECTED, "units_limit_exceeded")


def test_a_refused_replacement_is_no_second_order_and_leaves_the_first() -> None:
    named = {"clientExtensions": {"id": "q1"}, "rejectReason": "PRICE_INVALID", "intendedReplacesOrderID": "7"}
    orders = book(limit(7), entry(8, "LIMIT_ORDER_REJECT", **named))
    assert len(orders.by_client_id("q1")) == 1
    assert report(orders, 7).state is OrderState.WORKING


def test_a_rest_that_could_not_go_on_ends_the_order() -> None:
    named = {"clientExtensions": {"id": "q1"}, "rejectReason": "INSUFFICIENT_MARGIN", "intendedReplacesOrderID": "7"}
    told = report(book(limit(7), fill(8, 7, "400"), entry(9, "LIMIT_ORDER_REJECT", **named)), 7)
    assert (told.state, told.filled_quantity, told.reason) == (OrderState.CANCELLED, D(400), "insufficient_margin")


def test_the_close_of_a_trade_is_found_by_the_trade_and_named_by_us() -> None:
    close = entry(
        9,
        "MARKET_ORDER",
        instrument="EUR_USD",
        units="-1000",
        reason="TRADE_CLOSE",
        tradeClose={"tradeID": "8", "units": "ALL"},
    )
    orders = book(limit(7), fill(8, 7, "1000"), close)
    (chain,) = orders.closes_of("8")
    orders.bind("9", "q2")
    assert orders.by_client_id("q2") == [chain]
    assert orders.is_expected(chain)


def test_exits_that_hang_on_a_trade_are_no_orders_of_their_own() -> None:
    assert book(entry(9, "STOP_LOSS_ORDER", tradeID="8", price="1.05")).find("9") is None
