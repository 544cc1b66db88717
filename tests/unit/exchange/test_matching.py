"""Matching against quotes, books and other accounts' resting orders."""

import pytest

from quantd.domain.fills import Liquidity
from quantd.domain.instruments import MarketStatus
from quantd.domain.market import StatusChanged
from quantd.domain.orders import OrderState, Side, TimeInForce
from quantd.exchange import Amended, Cancelled, DepthRules, ExchangeRules, NewOrder, OrderChange, Refused, SelfTrade
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
    told,
    total,
)  # fmt: skip


def test_order_never_fills_on_the_event_that_caused_it() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1", "150"), SECOND)
    assert shown(venue, "a", order_id).state is OrderState.WORKING
    assert told(venue.handle(quote(2, 99.0, 101.0))) == [(order_id, "filled")]
    assert shown(venue, "a", order_id).average_price == D(101)


def test_requote_is_the_next_event_for_a_venue_that_answers_with_the_fill() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0, size=3.0))
    first, second = (place(venue, "a", spec(BUY, "2"), 2 * SECOND) for _ in range(2))
    venue.requote(BTC, 2 * SECOND)
    assert [shown(venue, "a", order_id).filled_quantity for order_id in (first, second)] == [D(2), D(1)]
    venue.requote(BTC, 3 * SECOND)
    assert shown(venue, "a", second).filled_quantity == D(1), "what was taken from the quote stays taken"


@pytest.mark.parametrize(
    ("terms", "then", "price", "liquidity"),
    [
        (spec(BUY, "1"), (102.0, 103.0), "103", Liquidity.TAKER),
        (spec(SELL, "1"), (102.0, 103.0), "102", Liquidity.TAKER),
        (spec(BUY, "1", "99.5"), (98.0, 99.0), "99.5", Liquidity.MAKER),
        (spec(BUY, "1", "99.5"), (98.0, 99.5), "99.5", Liquidity.MAKER),
        (spec(BUY, "1", "99.5"), (98.0, 99.51), None, None),
        (spec(BUY, "1", "100"), (98.0, 99.0), "99", Liquidity.TAKER),
        (spec(SELL, "1", "101"), (101.5, 102.0), "101", Liquidity.MAKER),
        (spec(BUY, "1", trigger="101"), (100.5, 101.0), "101", Liquidity.TAKER),
        (spec(BUY, "1", trigger="101"), (100.5, 100.9), None, None),
        (spec(SELL, "1", trigger="98"), (98.0, 98.5), "98", Liquidity.TAKER),
        (spec(BUY, "1", "101.5", trigger="101"), (101.0, 102.0), None, None),
        (spec(BUY, "1", "102", trigger="101"), (101.0, 102.0), "102", Liquidity.TAKER),
    ],
)
def test_order_against_the_next_quote(
    terms: object, then: tuple[float, float], price: str | None, liquidity: Liquidity | None
) -> None:
    venue = exchange(spot(USD="1000", BTC="5"))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", terms, SECOND)  # type: ignore[arg-type]  # the table holds OrderSpecs
    venue.handle(quote(2, *then))
    view = shown(venue, "a", order_id)
    assert view.average_price == (None if price is None else D(price))
    assert [fill.liquidity for fill in view.fills] == ([] if liquidity is None else [liquidity])


def test_taker_walks_the_book_and_the_rest_of_a_limit_rests() -> None:
    venue = exchange(spot(USD="10000"))
    levels = book(1, [(99.0, 1.0)], [(100.0, 1.0), (101.0, 2.0), (102.0, 5.0)])
    venue.handle(levels)
    order_id = place(venue, "a", spec(BUY, "5", "101"), SECOND)
    venue.requote(BTC, SECOND)
    view = shown(venue, "a", order_id)
    assert [(fill.price, fill.quantity) for fill in view.fills] == [(D(100), D(1)), (D(101), D(2))]
    shown_book = venue.book(BTC, 5)
    assert shown_book.bids == ((101.0, 2.0), (99.0, 1.0))
    assert shown_book.asks == ((102.0, 5.0),)


@pytest.mark.parametrize(("tif", "filled", "reason"), [(TimeInForce.IOC, "3", "ioc"), (TimeInForce.FOK, "0", "fok")])
def test_what_cannot_fill_at_once_is_cancelled(tif: TimeInForce, filled: str, reason: str) -> None:
    venue = exchange(spot(USD="10000"))
    levels = book(1, [(99.0, 1.0)], [(100.0, 1.0), (101.0, 2.0)])
    venue.handle(levels)
    order_id = place(venue, "a", spec(BUY, "5", "101", tif=tif), SECOND)
    venue.handle(levels)
    view = shown(venue, "a", order_id)
    assert (view.state, view.filled_quantity, view.reason) == (OrderState.CANCELLED, D(filled), reason)
    assert free(venue, "a", "USD") == total(venue, "a", "USD")


def test_market_order_waits_for_more_where_the_book_is_empty() -> None:
    venue = exchange(spot(USD="10000"))
    venue.handle(book(1, [(99.0, 1.0)], [(100.0, 1.0)]))
    order_id = place(venue, "a", spec(BUY, "2"), SECOND)
    venue.handle(book(2, [(99.0, 1.0)], [(100.0, 1.0)]))
    assert shown(venue, "a", order_id).state is OrderState.PARTIALLY_FILLED
    venue.handle(book(3, [(99.0, 1.0)], [(101.0, 1.0)]))
    assert shown(venue, "a", order_id).state is OrderState.FILLED


def test_accounts_trade_with_each_other_by_price_then_time() -> None:
    venue = exchange(spot(BTC="9"), spot(BTC="9"), spot(USD="1000"))
    now = quote(1, 90.0, 110.0)
    venue.handle(now)
    late_but_better = [
        place(venue, "b", spec(SELL, "1", "100"), SECOND),
        place(venue, "a", spec(SELL, "1", "100"), SECOND),
    ]
    worse = place(venue, "a", spec(SELL, "1", "101"), SECOND)
    best = place(venue, "b", spec(SELL, "1", "99.5"), SECOND)
    taker = place(venue, "c", spec(BUY, "2.5", "105"), SECOND)
    venue.handle(now)
    trades = venue.trades("c")
    assert [(trade.against, trade.price, trade.quantity) for trade in trades] == [
        (best, D("99.5"), D(1)), (late_but_better[0], D(100), D(1)), (late_but_better[1], D(100), D("0.5")),
    ]  # fmt: skip
    assert not shown(venue, "a", worse).filled_quantity
    assert shown(venue, "c", taker).state is OrderState.FILLED
    assert venue.trades("b")[0].against == taker


def test_market_level_goes_before_a_resting_order_at_its_price() -> None:
    venue = exchange(spot(BTC="9"), spot(USD="1000"))
    venue.handle(book(1, [(90.0, 1.0)], [(100.0, 1.0)]))
    place(venue, "a", spec(SELL, "1", "100"), SECOND)
    place(venue, "b", spec(BUY, "1.5"), SECOND)
    venue.handle(book(2, [(90.0, 1.0)], [(100.0, 1.0)]))
    assert [trade.against for trade in venue.trades("b")] == ["", "o1"]


def test_amendment_keeps_the_place_in_time_only_where_it_shrinks() -> None:
    venue = exchange(spot(BTC="9"), spot(BTC="9"), spot(USD="1000"))
    venue.handle(quote(1, 90.0, 110.0))
    first = place(venue, "a", spec(SELL, "2", "100"), SECOND)
    second = place(venue, "b", spec(SELL, "2", "100"), SECOND)
    assert isinstance(venue.amend("a", first, OrderChange(quantity=D(1)), SECOND), Amended)
    place(venue, "c", spec(BUY, "0.5", "100"), SECOND)
    venue.handle(quote(2, 90.0, 110.0))
    assert venue.trades("c")[-1].against == first
    assert isinstance(venue.amend("a", first, OrderChange(quantity=D(3)), SECOND), Amended)
    place(venue, "c", spec(BUY, "0.5", "100"), 2 * SECOND)
    venue.handle(quote(3, 90.0, 110.0))
    assert venue.trades("c")[-1].against == second


def test_order_on_its_way_comes_after_those_that_rest_even_at_a_better_price() -> None:
    """An amendment to a price that could trade makes the order arrive anew, after the event's prices."""
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 90.0, 91.0))
    amended = place(venue, "a", spec(BUY, "1", "90"), SECOND)
    rests = place(venue, "a", spec(BUY, "1", "90"), SECOND)
    assert isinstance(venue.amend("a", amended, OrderChange(price=D(91)), SECOND), Amended)
    venue.handle(quote(2, 89.0, 90.0, size=1.5))
    first, second = venue.trades("a")
    assert (first.venue_order_id, first.liquidity, first.quantity) == (rests, Liquidity.MAKER, D(1))
    assert (second.venue_order_id, second.liquidity, second.price) == (amended, Liquidity.TAKER, D(90))
    venue.handle(quote(3, 89.0, 91.0, size=1.0))
    assert venue.trades("a")[-1].price == D(91), "what was left of it rests at its own price"


def test_amendment_that_shrinks_keeps_the_place_among_those_on_their_way() -> None:
    venue = exchange(spot(USD="1000"), spot(USD="1000"))
    venue.handle(quote(1, 90.0, 91.0))
    first = place(venue, "a", spec(BUY, "2", "91"), SECOND)
    place(venue, "b", spec(BUY, "2", "91"), SECOND)
    assert isinstance(venue.amend("a", first, OrderChange(quantity=D(1)), SECOND), Amended)
    venue.handle(quote(2, 90.0, 91.0, size=1.0))
    assert shown(venue, "a", first).state is OrderState.FILLED


def test_post_only_is_refused_when_it_would_cross_and_cancelled_when_it_arrives_crossing() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    assert venue.submit("a", NewOrder("", spec(BUY, "1", "100", post_only=True)), SECOND) == Refused("would_cross", BTC)
    slow = exchange(spot(USD="1000"), rules=ExchangeRules(latency_ns=5))
    slow.handle(quote(1, 99.0, 100.0))
    order_id = place(slow, "a", spec(BUY, "1", "99.5", post_only=True), SECOND)
    slow.handle(quote(2, 99.0, 99.5))
    assert shown(slow, "a", order_id).reason == "post_only"


def test_self_trade_is_refused_where_the_rules_say_so() -> None:
    venue = exchange(spot(USD="1000", BTC="1"), rules=ExchangeRules(self_trade=SelfTrade.REFUSE))
    venue.handle(quote(1, 90.0, 110.0))
    place(venue, "a", spec(SELL, "1", "100"), SECOND)
    answer = venue.submit("a", NewOrder("", spec(BUY, "1", "100")), SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "self_trade"
    place(venue, "a", spec(BUY, "1", "99.99"), SECOND)
    stop = place(venue, "a", spec(BUY, "1", trigger="111"), SECOND)
    venue.handle(book(2, [(90.0, 1.0)], [(111.0, 1.0)]))
    assert shown(venue, "a", stop).reason == "self_trade"


def test_good_till_date_expires_by_time_and_frees_its_reservation() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    terms = spec(BUY, "1", "50", tif=TimeInForce.GTD, expires_at_ns=5 * SECOND)
    order_id = place(venue, "a", terms, SECOND)
    assert not venue.advance(4 * SECOND)
    assert told(venue.advance(5 * SECOND)) == [(order_id, "expired")]
    again = place(venue, "a", terms, SECOND)
    assert told(venue.handle(quote(6, 10.0, 11.0))) == [(again, "expired")]
    assert free(venue, "a", "USD") == D(1000)


def test_closed_market_refuses_new_orders_and_holds_the_standing_ones() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1", "98"), SECOND)
    venue.handle(StatusChanged(BTC, MarketStatus.HALTED, 2 * SECOND))
    assert not venue.handle(quote(3, 90.0, 91.0))
    answer = venue.submit("a", NewOrder("", spec(BUY, "1")), 3 * SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "market_halted"
    venue.handle(StatusChanged(BTC, MarketStatus.OPEN, 4 * SECOND))
    assert told(venue.handle(quote(5, 90.0, 91.0))) == [(order_id, "filled")]


def test_delisting_cancels_what_stands() -> None:
    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1", "98"), SECOND)
    reports = venue.handle(StatusChanged(BTC, MarketStatus.DELISTED, 2 * SECOND))
    assert told(reports) == [(order_id, "cancelled")]
    assert free(venue, "a", "USD") == D(1000)


@pytest.mark.parametrize(
    ("status", "terms", "code"),
    [
        (MarketStatus.POST_ONLY, spec(BUY, "1", "90"), "post_only_market"),
        (MarketStatus.POST_ONLY, spec(BUY, "1", "90", post_only=True), ""),
        (MarketStatus.REDUCE_ONLY, spec(BUY, "1"), "reduce_only_market"),
        (MarketStatus.REDUCE_ONLY, spec(SELL, "1"), ""),
        (MarketStatus.CLOSED, spec(SELL, "1", "200"), "market_closed"),
    ],
)
def test_restricted_market_takes_only_what_its_status_allows(status: MarketStatus, terms: object, code: str) -> None:
    venue = exchange(spot(USD="1000", BTC="1"))
    venue.handle(quote(1, 99.0, 100.0))
    venue.handle(StatusChanged(BTC, status, SECOND))
    answer = venue.submit("a", NewOrder("", terms), SECOND)  # type: ignore[arg-type]  # the table holds OrderSpecs
    assert (answer.code if isinstance(answer, Refused) else "") == code


def test_synthetic_depth_is_the_same_for_the_same_seed_and_walked_by_takers() -> None:
    def venue(seed: int) -> object:
        made = exchange(spot(USD="100000"), rules=ExchangeRules(depth=DepthRules(levels=5), seed=seed))
        made.handle(quote(1, 99.0, 100.0))
        return made.book(BTC, 10)

    assert venue(1) == venue(1)
    assert venue(1) != venue(2)
    made = exchange(spot(USD="100000"), rules=ExchangeRules(depth=DepthRules(levels=5)))
    made.handle(quote(1, 99.0, 100.0))
    first = made.book(BTC, 10)
    assert [price for price, _ in first.asks] == [100.0, 100.01, 100.02, 100.03, 100.04]
    place(made, "a", spec(BUY, "2.5"), SECOND)
    made.requote(BTC, SECOND)
    assert sum(size for _, size in made.book(BTC, 10).asks) == pytest.approx(sum(size for _, size in first.asks) - 2.5)


def test_bars_are_passed_over_once_quotes_came() -> None:
    from tests.unit.exchange.scenes import bar

    venue = exchange(spot(USD="1000"))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1"), SECOND)
    assert not venue.handle(bar(1, (50.0, 50.0, 50.0, 50.0)))
    assert shown(venue, "a", order_id).state is OrderState.WORKING


def test_cancel_answers_with_the_final_state_and_ended_orders_say_so() -> None:
    venue = exchange(spot(USD="1000"), instruments=(instrument(),))
    venue.handle(quote(1, 99.0, 100.0))
    order_id = place(venue, "a", spec(BUY, "1", "98"), SECOND)
    answer = venue.cancel("a", order_id, SECOND)
    assert isinstance(answer, Cancelled)
    assert answer.report.state is OrderState.CANCELLED
    again, unknown = venue.cancel("a", order_id, SECOND), venue.cancel("a", "o99", SECOND)
    assert isinstance(again, Refused)
    assert isinstance(unknown, Refused)
    assert (again.code, unknown.code) == ("order_ended", "no_such_order")
    assert not venue.handle(quote(2, 1.0, 2.0))


@pytest.mark.parametrize(("side", "prices"), [(BUY, ("98", "99", "97")), (SELL, ("102", "101", "103"))])
def test_market_that_comes_to_resting_orders_fills_the_best_price_first(side: Side, prices: tuple[str, ...]) -> None:
    venue = exchange(spot(USD="1000", BTC="9"))
    venue.handle(quote(1, 99.5, 100.5))
    orders = [place(venue, "a", spec(side, "1", price), SECOND) for price in prices]
    venue.handle(quote(2, 97.0, 97.0, size=1.5) if side is BUY else quote(2, 103.0, 103.0, size=1.5))
    assert [shown(venue, "a", order_id).filled_quantity for order_id in orders] == [D("0.5"), D(1), D(0)]
