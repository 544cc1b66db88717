"""The rules of matching against bars, as a table and by scenario."""

from decimal import Decimal

import pytest

from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderState, Side, TimeInForce
from quantd.exchange import ExchangeRules, NewOrder, Placed
from tests.unit.exchange.scenes import (
    BUY,
    SECOND,
    SELL,
    D,
    bar,
    exchange,
    instrument,
    margin,
    place,
    shown,
    spec,
    spot,
    told,
)

FIRST = (100.0, 101.0, 99.0, 100.0)
NEXT = (102.0, 105.0, 95.0, 98.0)
MINUTE = 60 * SECOND


@pytest.mark.parametrize(
    ("terms", "next_bar", "price"),
    [
        (spec(BUY, "1"), NEXT, "102"),
        (spec(SELL, "1"), NEXT, "102"),
        (spec(BUY, "1", "97"), NEXT, "97"),
        (spec(BUY, "1", "95"), NEXT, "95"),
        (spec(BUY, "1", "94.99"), NEXT, None),
        (spec(BUY, "1", "103"), NEXT, "102"),
        (spec(BUY, "1", "99.5"), (99.0, 99.2, 98.0, 98.5), "99"),
        (spec(SELL, "1", "104"), NEXT, "104"),
        (spec(SELL, "1", "105.01"), NEXT, None),
        (spec(SELL, "1", "101"), NEXT, "102"),
        (spec(BUY, "1", trigger="104"), NEXT, "104"),
        (spec(BUY, "1", trigger="101"), NEXT, "102"),
        (spec(BUY, "1", trigger="105.01"), NEXT, None),
        (spec(SELL, "1", trigger="96"), NEXT, "96"),
        (spec(SELL, "1", trigger="99"), (97.0, 98.0, 96.0, 97.5), "97"),
        (spec(BUY, "1", "104.5", trigger="104"), NEXT, "104"),
        (spec(BUY, "1", "103.5", trigger="104"), NEXT, None),
        (spec(SELL, "1", "95.5", trigger="96"), NEXT, "96"),
        (spec(BUY, "1", "101", tif=TimeInForce.IOC), NEXT, None),
        (spec(BUY, "1", "102", tif=TimeInForce.FOK), NEXT, "102"),
    ],
)  # fmt: skip
def test_order_fills_against_the_next_bar_at_the_price_of_the_rules(
    terms: object, next_bar: tuple[float, float, float, float], price: str | None
) -> None:
    venue = exchange(spot(USD="10000", BTC="10"))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", terms, MINUTE)  # type: ignore[arg-type]  # the table holds OrderSpecs
    assert not shown(venue, "a", order_id).filled_quantity
    venue.handle(bar(1, next_bar))
    view = shown(venue, "a", order_id)
    assert view.average_price == (None if price is None else D(price))


def test_touch_does_not_fill_where_the_bar_must_trade_through() -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(touch_fills=False))
    venue.handle(bar(0, FIRST))
    touched, through = (
        place(venue, "a", spec(BUY, "1", "95"), MINUTE),
        place(venue, "a", spec(BUY, "1", "95.01"), MINUTE),
    )
    venue.handle(bar(1, NEXT))
    assert shown(venue, "a", touched).state is OrderState.WORKING
    assert shown(venue, "a", through).state is OrderState.FILLED


def test_volume_cap_fills_in_parts_over_several_bars() -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(volume_cap=0.1))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", spec(BUY, "2.5"), MINUTE)
    filled = []
    for minute in (1, 2, 3):
        venue.handle(bar(minute, FIRST, volume=10.0))
        filled.append(shown(venue, "a", order_id).filled_quantity)
    assert filled == [D(1), D(2), D("2.5")]


def test_fill_or_kill_beyond_the_volume_cap_is_cancelled_whole() -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(volume_cap=0.1))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", spec(BUY, "2.5", tif=TimeInForce.FOK), MINUTE)
    venue.handle(bar(1, FIRST, volume=10.0))
    view = shown(venue, "a", order_id)
    assert (view.state, view.filled_quantity, view.reason) == (OrderState.CANCELLED, D(0), "fok")


def test_of_a_bar_that_began_before_the_order_only_the_close_counts() -> None:
    venue = exchange(spot(USD="10000"))
    venue.handle(bar(0, FIRST))
    market = place(venue, "a", spec(BUY, "1"), MINUTE + 30 * SECOND)
    limit = place(venue, "a", spec(BUY, "1", "96"), MINUTE + 30 * SECOND)
    venue.handle(bar(1, NEXT))
    assert shown(venue, "a", market).average_price == D(98)
    assert not shown(venue, "a", limit).filled_quantity


def test_slippage_moves_market_orders_against_them_onto_a_tick() -> None:
    venue = exchange(spot(USD="10000", BTC="1"), rules=ExchangeRules(slippage_bps=1.0))
    venue.handle(bar(0, FIRST))
    bought, sold = place(venue, "a", spec(BUY, "1"), MINUTE), place(venue, "a", spec(SELL, "1"), MINUTE)
    venue.handle(bar(1, NEXT))
    assert shown(venue, "a", bought).average_price == D("102.02")
    assert shown(venue, "a", sold).average_price == D("101.98")


def test_half_the_spread_is_paid_by_what_takes_from_a_bar_and_never_beyond_a_limit() -> None:
    venue = exchange(spot(USD="10000", BTC="5"), rules=ExchangeRules(spread_bps=100.0))
    venue.handle(bar(0, FIRST))
    terms = (
        (spec(BUY, "1"), "102.51"),
        (spec(SELL, "1"), "101.49"),
        (spec(SELL, "1", trigger="96"), "95.52"),
        (spec(BUY, "1", "103"), "102.51"),
        (spec(BUY, "1", "102.20"), "102.20"),
        (spec(BUY, "1", "97"), "97"),
    )
    sent = [(place(venue, "a", one, MINUTE), price) for one, price in terms]
    venue.handle(bar(1, NEXT))
    assert [shown(venue, "a", order_id).average_price for order_id, _ in sent] == [D(price) for _, price in sent]


def test_latency_holds_an_order_until_an_event_at_or_after_its_arrival() -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(latency_ns=61 * SECOND))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", spec(BUY, "1"), MINUTE)
    assert not venue.handle(bar(1, FIRST))
    venue.handle(bar(2, FIRST))
    assert shown(venue, "a", order_id).state is OrderState.FILLED


@pytest.mark.parametrize(("latency_s", "price"), [(0, "102"), (2, "102"), (30, "98"), (60, "98")])
def test_order_whose_way_takes_it_into_a_bar_meets_that_bars_close(latency_s: int, price: str) -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(latency_ns=latency_s * SECOND))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", spec(BUY, "1"), MINUTE)
    venue.handle(bar(1, NEXT))
    assert shown(venue, "a", order_id).average_price == D(price)


@pytest.mark.parametrize(
    ("terms", "sent_s", "state"),
    [
        (spec(BUY, "1", "97", tif=TimeInForce.GTD, expires_at_ns=65 * SECOND), 60, OrderState.EXPIRED),
        (spec(BUY, "1", "97", tif=TimeInForce.GTD, expires_at_ns=119 * SECOND), 60, OrderState.EXPIRED),
        (spec(BUY, "1", "97", tif=TimeInForce.GTD, expires_at_ns=120 * SECOND), 60, OrderState.FILLED),
        (spec(BUY, "1", "103", tif=TimeInForce.GTD, expires_at_ns=65 * SECOND), 60, OrderState.FILLED),
        (spec(BUY, "1", trigger="104", tif=TimeInForce.GTD, expires_at_ns=65 * SECOND), 60, OrderState.EXPIRED),
        (spec(BUY, "1", trigger="101", tif=TimeInForce.GTD, expires_at_ns=65 * SECOND), 60, OrderState.FILLED),
        (spec(BUY, "1", "103", tif=TimeInForce.GTD, expires_at_ns=95 * SECOND), 90, OrderState.EXPIRED),
        (spec(BUY, "1", tif=TimeInForce.GTD, expires_at_ns=95 * SECOND), 90, OrderState.EXPIRED),
        (spec(BUY, "1", "103", tif=TimeInForce.GTD, expires_at_ns=120 * SECOND), 90, OrderState.FILLED),
    ],
)
def test_order_that_expires_inside_a_bar_meets_its_open_alone(terms: object, sent_s: int, state: OrderState) -> None:
    venue = exchange(spot(USD="10000"))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", terms, sent_s * SECOND)  # type: ignore[arg-type]  # the table holds OrderSpecs
    venue.handle(bar(1, NEXT))
    assert shown(venue, "a", order_id).state is state


@pytest.mark.parametrize(
    ("prices", "profit"),
    [
        ((100.0, 111.0, 94.0, 100.0), "-5"),  # both exits in the range: the stop is taken to come first
        ((111.0, 112.0, 94.0, 100.0), "11"),  # the open is certain: the target goes before
        ((94.0, 112.0, 93.0, 100.0), "-6"),  # the open is beyond the stop
        ((100.0, 109.0, 96.0, 100.0), None),
    ],
)
def test_worse_exit_of_a_lot_comes_first_where_the_bar_leaves_it_open(
    prices: tuple[float, float, float, float], profit: str | None
) -> None:
    venue = exchange(margin())
    venue.handle(bar(0, FIRST))
    wish = NewOrder("e", spec(BUY, "1"), LotProtection(stop=D(95), take=D(110)))
    assert isinstance(venue.submit("a", wish, MINUTE), Placed)
    venue.handle(bar(1, FIRST))
    venue.handle(bar(2, prices))
    sums = venue.margin("a")
    assert sums is not None
    assert sums.realised == (D(0) if profit is None else D(profit))
    assert len(venue.orders("a", working=True)) == (2 if profit is None else 0)


@pytest.mark.parametrize(
    ("exits", "prices", "closed_at"),
    [
        (LotProtection(stop=D(95), take=D(110)), (100.0, 111.0, 94.0, 111.0), "95"),
        (LotProtection(stop=D(95), take=D(110)), (100.0, 111.0, 96.0, 105.0), None),
        (LotProtection(take=D(110)), (100.0, 126.0, 99.0, 125.0), "110"),  # when the target was passed is not known
        (LotProtection(stop=D(99)), (98.0, 98.5, 97.0, 98.0), "98"),  # the lot opened beyond its stop: at once
        (LotProtection(take=D(101)), (103.0, 104.0, 102.0, 103.0), "103"),  # and beyond its target
        (LotProtection(trail=D(3)), (100.0, 110.0, 96.0, 108.0), "97"),  # it begins at 100, not at the close
        (LotProtection(trail=D(3)), (100.0, 110.0, 98.0, 99.0), None),
    ],
)
def test_bar_that_opens_a_lot_closes_it_at_no_price_that_its_exits_could_not_know(
    exits: LotProtection, prices: tuple[float, float, float, float], closed_at: str | None
) -> None:
    venue = exchange(margin())
    venue.handle(bar(0, FIRST))
    venue.submit("a", NewOrder("e", spec(BUY, "1"), exits), MINUTE)
    venue.handle(bar(1, prices))
    assert [trade.price for trade in venue.trades("a")][1:] == ([] if closed_at is None else [D(closed_at)])


def test_trailing_stop_moves_by_the_close_of_the_bar_that_opened_its_lot_and_by_the_extreme_of_later_ones() -> None:
    venue = exchange(margin())
    venue.handle(bar(0, (110.0, 110.0, 110.0, 110.0)))
    venue.submit("a", NewOrder("e", spec(BUY, "1", "100"), LotProtection(trail=D(3))), MINUTE)
    triggers = []
    for minute, prices in ((1, (110.0, 110.0, 100.0, 101.0)), (2, (101.0, 108.0, 101.0, 107.0))):
        venue.handle(bar(minute, prices))  # the high of 110 came before the limit was met
        triggers += [view.spec.trigger for view in venue.orders("a", working=True)]
    assert triggers == [D(98), D(105)]


def test_trailing_stop_keeps_its_way_while_its_entry_goes_on_filling() -> None:
    venue = exchange(margin(), rules=ExchangeRules(volume_cap=0.1))
    venue.handle(bar(0, FIRST))
    venue.submit("a", NewOrder("e", spec(BUY, "2"), LotProtection(trail=D(5))), MINUTE)
    triggers = []
    for minute, prices in (
        (1, (100.0, 102.0, 99.0, 102.0)),
        (2, (102.0, 112.0, 102.0, 112.0)),
        (3, (112.0, 112.0, 108.0, 108.5)),
    ):
        venue.handle(bar(minute, prices, volume=7.0))
        exits = [view for view in venue.orders("a", working=True) if view.origin == "protection"]
        triggers += [(view.spec.trigger, view.spec.quantity) for view in exits]
    assert triggers == [(D(97), D("0.7")), (D(107), D("1.4")), (D(107), D(2))]


@pytest.mark.parametrize(
    ("terms", "prices", "price"),
    [
        (spec(SELL, "1", "110"), (100.0, 126.0, 99.0, 125.0), "110"),
        (spec(BUY, "1", "90"), (100.0, 101.0, 60.0, 65.0), "90"),
        (spec(BUY, "1", "103"), (102.0, 105.0, 95.0, 98.0), "98"),  # it could trade all the while
        (spec(BUY, "1", "103", tif=TimeInForce.IOC), (104.0, 105.0, 95.0, 98.0), None),
    ],
)
@pytest.mark.parametrize("latency_ns", [0, 5 * SECOND])
def test_limit_that_comes_in_the_middle_of_a_bar_fills_at_its_own_price_unless_open_and_close_cross_it(
    terms: object, prices: tuple[float, float, float, float], price: str | None, latency_ns: int
) -> None:
    venue = exchange(spot(USD="10000", BTC="10"), rules=ExchangeRules(latency_ns=latency_ns))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", terms, MINUTE + 30 * SECOND)  # type: ignore[arg-type]  # the table holds OrderSpecs
    venue.handle(bar(1, prices))
    assert shown(venue, "a", order_id).average_price == (None if price is None else D(price))


def test_market_orders_of_a_long_run_forget_ended_orders_where_history_is_off() -> None:
    venue = exchange(spot(USD="100000"), rules=ExchangeRules(keep_history=False, ended_max=10))
    venue.handle(bar(0, FIRST))
    for minute in range(1, 60):
        place(venue, "a", spec(BUY, "0.1"), minute * MINUTE, name=f"c{minute}")
        reports = venue.handle(bar(minute, FIRST))
        assert [report.report.filled_quantity for report in reports] == [Decimal("0.1")]
    assert len(venue.orders("a")) == 10
    assert not venue.trades("a")
    assert not venue.ledger("a")
    assert venue.order_by_client_id("a", "c1") is None


def test_entry_is_told_before_the_exits_that_its_fill_places_and_a_close_before_those_that_it_ends() -> None:
    venue = exchange(margin())
    venue.handle(bar(0, FIRST))
    venue.submit("a", NewOrder("e", spec(BUY, "1"), LotProtection(stop=D(90), take=D(110))), MINUTE)
    assert told(venue.handle(bar(1, FIRST))) == [("o1", "filled"), ("o2", "working"), ("o3", "working")]
    place(venue, "a", spec(SELL, "1"), 2 * MINUTE)
    assert told(venue.handle(bar(2, FIRST))) == [("o4", "filled"), ("o2", "cancelled"), ("o3", "cancelled")]


@pytest.mark.parametrize(
    ("side", "prices", "price"),
    [
        (BUY, (100.0, 101.0, 50.0, 100.0), "92.30"),  # 1000 - 100 * 7.7 is half of 5 % of 100 * 92.3
        (BUY, (100.0, 150.0, 92.31, 100.0), None),
        (BUY, (85.0, 101.0, 50.0, 100.0), "85"),
        (SELL, (100.0, 150.0, 50.0, 100.0), "107.32"),
        (SELL, (120.0, 150.0, 50.0, 100.0), "120"),
    ],
)
def test_bar_closes_an_account_out_at_the_price_where_it_came_to_its_level(
    side: Side, prices: tuple[float, float, float, float], price: str | None
) -> None:
    venue = exchange(margin("1000"), instruments=(instrument(margin_rate="0.05"),))
    venue.handle(bar(0, (100.0,) * 4))
    place(venue, "a", spec(side, "100"), MINUTE)
    venue.handle(bar(1, (100.0,) * 4))
    venue.handle(bar(2, prices))
    assert [trade.price for trade in venue.trades("a")][1:] == ([] if price is None else [D(price)])


def test_stop_above_the_close_out_level_saves_the_account_and_a_limit_beyond_it_does_not_rescue_it() -> None:
    saved, lost = (exchange(margin("1000"), instruments=(instrument(margin_rate="0.05"),)) for _ in range(2))
    for venue, exits in ((saved, LotProtection(stop=D(95))), (lost, LotProtection(take=D(110)))):
        venue.handle(bar(0, (100.0,) * 4))
        venue.submit("a", NewOrder("e", spec(BUY, "100"), exits), MINUTE)
        venue.handle(bar(1, (100.0,) * 4))
        venue.handle(bar(2, (100.0, 111.0, 50.0, 100.0)))
    assert [trade.price for trade in saved.trades("a")] == [D(100), D(95)]
    assert [trade.price for trade in lost.trades("a")] == [D(100), D("92.30")]


def test_lot_that_opens_at_the_close_is_not_closed_out_by_the_low_before_it() -> None:
    venue = exchange(margin("1000"), instruments=(instrument(margin_rate="0.05"),))
    venue.handle(bar(0, (100.0,) * 4))
    place(venue, "a", spec(BUY, "100"), MINUTE + 30 * SECOND)
    venue.handle(bar(1, (100.0, 101.0, 50.0, 100.0)))
    assert [trade.price for trade in venue.trades("a")] == [D(100)]


def test_close_out_takes_no_more_of_a_bars_volume_than_all_orders_may() -> None:
    venue = exchange(margin("1000"), rules=ExchangeRules(volume_cap=0.5), instruments=(instrument(margin_rate="0.05"),))
    venue.handle(bar(0, (100.0,) * 4))
    place(venue, "a", spec(BUY, "100"), MINUTE)
    venue.handle(bar(1, (100.0,) * 4, volume=200.0))
    for minute in (2, 3):
        venue.handle(bar(minute, (90.0,) * 4, volume=120.0))
    assert [(trade.quantity, trade.price) for trade in venue.trades("a")][1:] == [(D(60), D(90)), (D(40), D(90))]


def test_stop_that_a_further_entry_moves_counts_the_whole_range_of_that_bar() -> None:
    venue = exchange(margin())
    venue.handle(bar(0, FIRST))
    for minute, stop in ((1, "80"), (2, "96")):
        venue.submit("a", NewOrder(f"e{minute}", spec(BUY, "1"), LotProtection(stop=D(stop))), minute * MINUTE)
        venue.handle(bar(minute, (100.0, 101.0, 94.0, 100.0)))
    assert [(trade.quantity, trade.price) for trade in venue.trades("a")] == [
        (D(1), D(100)),
        (D(1), D(100)),
        (D(2), D(96)),
    ]


def test_exits_of_a_new_lot_take_what_its_entry_left_of_the_bars_volume() -> None:
    venue = exchange(margin(), rules=ExchangeRules(volume_cap=0.1))
    venue.handle(bar(0, FIRST))
    venue.submit("a", NewOrder("e", spec(BUY, "1"), LotProtection(stop=D(99))), MINUTE)
    venue.handle(bar(1, (98.0, 98.0, 97.0, 98.0), volume=15.0))
    assert [(trade.quantity, trade.price) for trade in venue.trades("a")] == [(D(1), D(98)), (D("0.5"), D(98))]


def test_limit_that_takes_pays_no_slippage_of_market_orders() -> None:
    venue = exchange(spot(USD="10000"), rules=ExchangeRules(slippage_bps=10.0))
    venue.handle(bar(0, FIRST))
    order_id = place(venue, "a", spec(BUY, "1", "103"), MINUTE)
    venue.handle(bar(1, (101.57, 105.0, 95.0, 98.0)))
    assert shown(venue, "a", order_id).average_price == D("101.57")


def test_stop_that_a_new_target_leaves_where_it_is_goes_on_counting_the_whole_bar() -> None:
    venue = exchange(margin())
    venue.handle(bar(0, FIRST))
    venue.submit("a", NewOrder("e", spec(BUY, "1"), LotProtection(stop=D(95), take=D(110))), MINUTE)
    venue.handle(bar(1, FIRST))
    (lot,) = venue.lots("a")
    venue.set_protection("a", lot.lot.venue_id, LotProtection(stop=D(95), take=D(120)), 2 * MINUTE + 30 * SECOND)
    venue.handle(bar(2, (100.0, 101.0, 94.0, 100.0)))
    assert [trade.price for trade in venue.trades("a")] == [D(100), D(95)]
