"""Margin accounts: netting and hedging lots, profit and conversion, exits, close-out, financing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.cash import CashFlow, CashFlowKind, PositionMode
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import Effect, OrderState, Role, Side, TimeInForce
from quantd.exchange import (
    AccountSetup,
    Exchange,
    LotView,
    MarginView,
    NewOrder,
    Placed,
    ProtectionSet,
    Refused,
)  # fmt: skip
from tests.unit.exchange.scenes import (
    BTC,
    BUY,
    EUR,
    SECOND,
    SELL,
    D,
    book,
    exchange,
    instrument,
    margin,
    place,
    quote,
    shown,
    spec,
    total,
)  # fmt: skip

HEDGING: dict[str, Any] = {"mode": PositionMode.HEDGING}
YEN = InstrumentId("paper:USD-JPY")


def leveraged(setup: AccountSetup, rate: str = "0.1") -> Exchange:
    """Return a venue with one margin account and one instrument, quoted 100 / 100."""
    venue = exchange(setup, instruments=(instrument(margin_rate=rate),))
    venue.handle(quote(1, 100.0, 100.0))
    return venue


def trade(venue: Exchange, side: Side, quantity: str, price: float, **flags: Any) -> str:
    """Place a market order and have it filled at a price."""
    order_id = place(venue, "a", spec(side, quantity, **flags), SECOND)
    venue.handle(quote(2, price, price))
    return order_id


def sums(venue: Exchange) -> MarginView:
    """Return the account's sums."""
    view = venue.margin("a")
    assert view is not None
    return view


def lots(venue: Exchange) -> list[tuple[str, str, str]]:
    """Return (id, signed quantity, open price) of the open lots."""
    return [(v.lot.venue_id, str(v.lot.signed), str(v.lot.open_price.normalize())) for v in venue.lots("a")]


def test_netting_account_has_one_lot_with_the_average_price_and_flips_at_the_flip_price() -> None:
    venue = leveraged(margin())
    trade(venue, BUY, "1", 100.0)
    trade(venue, BUY, "1", 110.0)
    assert lots(venue) == [("BTC-USD", "2", "105")]
    assert sums(venue).unrealised == D(10)
    trade(venue, SELL, "3", 120.0)
    assert lots(venue) == [("BTC-USD", "-1", "1.2E+2")]
    assert (sums(venue).realised, sums(venue).balance) == (D(30), D(1030))
    changes = [(change.kind, change.quantity, change.profit) for change in venue.trades("a")[-1].lots]
    assert changes == [("closed", D(2), D(30)), ("opened", D(1), D(0))]


def test_netting_account_with_lots_by_trade_reduces_the_oldest_first() -> None:
    venue = leveraged(margin(lot_per_trade=True))
    for price in (100.0, 110.0):
        trade(venue, BUY, "1", price)
    trade(venue, SELL, "1.5", 120.0)
    assert lots(venue) == [("l2", "0.5", "1.1E+2")]
    assert [(change.lot, change.profit) for change in venue.trades("a")[-1].lots] == [("l1", D(20)), ("l2", D(5))]


def test_hedging_account_opens_opposite_lots_and_closes_by_lot() -> None:
    venue = leveraged(margin(**HEDGING))
    trade(venue, BUY, "1", 100.0)
    trade(venue, SELL, "2", 100.0)
    assert lots(venue) == [("l1", "1", "1E+2"), ("l2", "-2", "1E+2")]
    assert sums(venue).used == D(20), "the larger side counts"
    answer = venue.close_lot("a", "l2", D("0.5"), 2 * SECOND)
    assert isinstance(answer, Placed)
    venue.handle(quote(3, 90.0, 90.0))
    assert lots(venue) == [("l1", "1", "1E+2"), ("l2", "-1.5", "1E+2")]
    assert sums(venue).realised == D(5)
    assert shown(venue, "a", answer.venue_order_id).role is Role.CLOSE
    trade(venue, SELL, "1", 90.0, reduce_only=True)
    assert lots(venue) == [("l2", "-1.5", "1E+2")]


def test_first_in_first_out_account_closes_equal_lots_oldest_first() -> None:
    venue = leveraged(margin(**HEDGING, first_in_first_out=True))
    for quantity in ("1", "1", "2"):
        trade(venue, BUY, quantity, 100.0)
    answer = venue.close_lot("a", "l2", None, SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "fifo_violation"
    assert isinstance(venue.close_lot("a", "l3", None, SECOND), Placed)
    assert isinstance(venue.close_lot("a", "l1", None, SECOND), Placed)


@pytest.mark.parametrize(
    ("lot", "quantity", "code"),
    [("l9", None, "no_such_lot"), ("l1", D(2), "bad_quantity"), ("l1", D("0.0001"), "bad_quantity")],
)
def test_lot_that_cannot_be_closed_is_refused(lot: str, quantity: object, code: str) -> None:
    venue = leveraged(margin(**HEDGING))
    trade(venue, BUY, "1", 100.0)
    answer = venue.close_lot("a", lot, quantity, SECOND)  # type: ignore[arg-type]  # the table holds Decimals
    assert isinstance(answer, Refused)
    assert answer.code == code


def test_reduce_only_shrinks_to_the_position_and_is_refused_without_one() -> None:
    venue = leveraged(margin())
    wish = NewOrder("", spec(SELL, "2", reduce_only=True))
    answer = venue.submit("a", wish, SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "would_not_reduce"
    trade(venue, BUY, "1", 100.0)
    order_id = trade(venue, SELL, "2", 101.0, reduce_only=True)
    view = shown(venue, "a", order_id)
    assert (view.filled_quantity, view.state, view.reason) == (D(1), OrderState.CANCELLED, "reduce_only")
    assert not venue.lots("a")


def test_exposure_beyond_the_margin_is_refused_at_entry_and_cancelled_at_the_fill() -> None:
    venue = leveraged(margin("100"))
    answer = venue.submit("a", NewOrder("", spec(BUY, "10.001")), SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "insufficient_margin"
    order_id = place(venue, "a", spec(BUY, "10"), SECOND)
    venue.handle(quote(2, 101.0, 101.0))
    assert shown(venue, "a", order_id).reason == "insufficient_margin"
    trade(venue, BUY, "9", 100.0)
    assert sums(venue).available == D(10)
    closing = trade(venue, SELL, "9", 95.0)
    assert shown(venue, "a", closing).state is OrderState.FILLED, "what reduces is always allowed"


def test_stricter_of_the_account_and_instrument_margin_rate_holds() -> None:
    venue = leveraged(margin(margin_rate=D("0.5")))
    trade(venue, BUY, "1", 100.0)
    assert sums(venue).used == D(50)


def test_profit_margin_and_fees_are_converted_into_the_home_currency_at_mid() -> None:
    fees = FeeSchedule(taker=D("0.001"))
    eur_jpy = instrument(InstrumentId("paper:EUR-JPY"), margin_rate="0.05", fees=fees)
    venue = exchange(margin(), instruments=(eur_jpy, instrument(YEN)))
    venue.handle(quote(1, 150.0, 150.0, symbol=eur_jpy.id))
    answer = venue.submit("a", NewOrder("", spec(BUY, "100", symbol=eur_jpy.id)), SECOND)
    assert isinstance(answer, Refused)
    assert answer.code == "no_rate"
    venue.handle(quote(1, 100.0, 100.0, symbol=YEN))
    order_id = place(venue, "a", spec(BUY, "100", symbol=eur_jpy.id), SECOND)
    venue.handle(quote(2, 150.0, 150.0, symbol=eur_jpy.id))
    assert shown(venue, "a", order_id).fees == (("USD", D("0.15")),)
    venue.handle(quote(3, 151.0, 153.0, symbol=eur_jpy.id))
    view = sums(venue)
    assert (view.unrealised, view.used) == (D(1), D("7.6")), "longs are marked at the bid, margin at the mid"
    venue.handle(quote(4, 200.0, 200.0, symbol=YEN))
    assert sums(venue).unrealised == D("0.5")
    place(venue, "a", spec(SELL, "100", symbol=eur_jpy.id), SECOND)
    venue.handle(quote(5, 151.0, 153.0, symbol=eur_jpy.id))
    assert sums(venue).realised == D("0.5")
    assert total(venue, "a", "USD") == D(1000) - D("0.15") + D("0.5") - D("0.0755")


def test_inverse_contract_settles_in_its_base() -> None:
    perpetual = instrument(margin_rate="0.1", inverse=True)
    setup = AccountSetup(kind=margin().kind, home_currency="BTC", balances={"BTC": D(1)})
    venue = exchange(setup, instruments=(perpetual,))
    venue.handle(quote(1, 100.0, 100.0))
    trade(venue, BUY, "100", 100.0)
    venue.handle(quote(3, 125.0, 125.0))
    assert sums(venue).unrealised == D("0.2")
    trade(venue, SELL, "100", 125.0)
    assert sums(venue).balance == D("1.2")


def protected(setup: AccountSetup) -> tuple[Exchange, LotView]:
    """Return a venue with a lot of 2 at 100, stop 90 and take 120."""
    venue = leveraged(setup)
    wish = NewOrder("e", spec(BUY, "2"), LotProtection(stop=D(90), take=D(120)), tag="mine")
    assert isinstance(venue.submit("a", wish, SECOND), Placed)
    venue.handle(quote(2, 100.0, 100.0))
    (lot,) = venue.lots("a")
    return venue, lot


@pytest.mark.parametrize(("price", "role", "profit"), [(89.0, Role.STOP, "-22"), (121.0, Role.TARGET, "40")])
def test_exit_of_a_lot_closes_it_and_takes_the_other_with_it(price: float, role: Role, profit: str) -> None:
    venue, lot = protected(margin(**HEDGING))
    assert lot.lot.tag == "mine"
    assert lot.lot.protection == LotProtection(stop=D(90), take=D(120))
    venue.handle(quote(3, price, price))
    assert sums(venue).realised == D(profit)
    exits = {order.role: order for order in venue.orders("a", working=False) if order.origin == "protection"}
    assert exits[role].state is OrderState.FILLED
    (other,) = [order for other, order in exits.items() if other is not role]
    assert (other.state, other.reason) == (OrderState.CANCELLED, "lot_closed")
    assert not venue.lots("a")


def test_exits_follow_the_quantity_of_their_lot() -> None:
    venue, lot = protected(margin(**HEDGING))
    venue.close_lot("a", lot.lot.venue_id, D("0.5"), 2 * SECOND)
    venue.handle(quote(3, 100.0, 100.0))
    assert {order.spec.quantity for order in venue.orders("a", working=True)} == {D("1.5")}
    netting, _ = protected(margin())
    trade(netting, BUY, "1", 100.0)
    assert {order.spec.quantity for order in netting.orders("a", working=True)} == {D(3)}


def test_protection_is_changed_under_the_same_ids_and_removed_by_none() -> None:
    venue, lot = protected(margin(**HEDGING))
    answer = venue.set_protection("a", lot.lot.venue_id, LotProtection(stop=D(95)), 3 * SECOND)
    assert isinstance(answer, ProtectionSet)
    (changed,) = venue.lots("a")
    assert (changed.stop_order, changed.take_order) == (lot.stop_order, "")
    assert shown(venue, "a", lot.stop_order).spec.trigger == D(95)
    venue.cancel("a", lot.stop_order, 3 * SECOND)
    (bare,) = venue.lots("a")
    assert bare.lot.protection == LotProtection()
    refused = venue.set_protection("a", lot.lot.venue_id, LotProtection(stop=D("95.001")), SECOND)
    assert isinstance(refused, Refused)
    assert refused.code == "bad_trigger"


def test_trailing_stop_follows_the_best_price_and_never_goes_back() -> None:
    venue = leveraged(margin(**HEDGING))
    venue.submit("a", NewOrder("e", spec(SELL, "1"), LotProtection(trail=D(5))), SECOND)
    triggers = []
    for price in (100.0, 96.0, 98.0, 93.0, 97.5):
        venue.handle(quote(2, price, price))
        (lot,) = venue.lots("a")
        triggers.append(shown(venue, "a", lot.trail_order).spec.trigger)
    assert triggers == [D(105), D(101), D(101), D(98), D(98)]
    venue.handle(quote(3, 98.5, 98.5))
    assert sums(venue).realised == D("1.5")


def test_a_trailing_stop_whose_distance_stays_trails_on_when_other_exits_change() -> None:
    venue = leveraged(margin(**HEDGING))
    venue.submit("a", NewOrder("e", spec(BUY, "1"), LotProtection(trail=D(5))), SECOND)
    for price in (100.0, 120.0, 116.0):
        venue.handle(quote(2, price, price))
    (before,) = venue.lots("a")
    triggers = []
    for wanted in (LotProtection(stop=D(101), trail=D(5)), LotProtection(trail=D(5)), LotProtection(trail=D(6))):
        venue.set_protection("a", before.lot.venue_id, wanted, 3 * SECOND)
        (lot,) = venue.lots("a")
        assert lot.trail_order == before.trail_order
        triggers.append(shown(venue, "a", lot.trail_order).spec.trigger)
    assert triggers == [D(115), D(115), D(110)], "with another distance it begins at the present price"


def test_account_is_closed_out_when_equity_falls_to_its_level() -> None:
    venue = leveraged(margin("100", close_out_level=D("0.5")))
    trade(venue, BUY, "5", 100.0)  # used 50; at 85 equity is 25 and used 42.5, at 83 it is 15 and 41.5
    for price in (95.0, 90.0, 85.0):
        assert not venue.handle(quote(3, price, price))
    reports = venue.handle(quote(4, 83.0, 83.0))
    (order,) = [order for order in venue.orders("a") if order.origin == "margin_call"]
    assert [report.report.venue_order_id for report in reports] == [order.venue_order_id]
    assert not venue.lots("a")
    assert sums(venue).balance == D(15)


@given(
    st.lists(st.floats(60, 140).map(lambda price: round(price, 2)), min_size=1, max_size=20),
    st.sampled_from([BUY, SELL]),
)
def test_close_out_comes_at_the_first_price_at_its_level_however_prices_move(prices: list[float], side: Side) -> None:
    venue = leveraged(margin("100"))
    trade(venue, side, "5", 100.0)
    for price in prices:
        move = D(str(price)) - 100
        equity = 100 + 5 * (move if side is BUY else -move)
        used = 5 * D(str(price)) * D("0.1")
        venue.handle(quote(3, price, price))
        called = equity <= used / 2
        assert bool(venue.lots("a")) is not called
        if called:
            return


@given(
    st.lists(st.tuples(st.booleans(), st.integers(60, 140)), min_size=1, max_size=25),
    st.sampled_from([BUY, SELL]),
)
def test_close_out_counts_all_positions_of_the_account(moves: list[tuple[bool, int]], side: Side) -> None:
    venue = exchange(margin("100"), instruments=(instrument(margin_rate="0.1"), instrument(EUR, margin_rate="0.1")))
    now = {BTC: 100, EUR: 100}
    for symbol, direction in ((BTC, BUY), (EUR, side)):
        venue.handle(quote(1, 100.0, 100.0, symbol=symbol))
        place(venue, "a", spec(direction, "3", symbol=symbol), SECOND)
        venue.handle(quote(2, 100.0, 100.0, symbol=symbol))
    for is_btc, price in moves:
        symbol = BTC if is_btc else EUR
        now[symbol] = price
        venue.handle(quote(3, float(price), float(price), symbol=symbol))
        profit = 3 * (now[BTC] - 100) + (3 if side is BUY else -3) * (now[EUR] - 100)
        called = 100 + profit <= D(3 * (now[BTC] + now[EUR])) / 20
        assert bool([order for order in venue.orders("a") if order.origin == "margin_call"]) is called
        if called:
            return


def test_financing_is_charged_on_the_worth_at_mid_and_told_as_cash_flows() -> None:
    venue = leveraged(margin())
    trade(venue, BUY, "2", 100.0)
    ((account, flow),) = venue.accrue_financing({BTC: (D("-0.365"), D("0.1"))}, D(3), 9 * SECOND)
    assert (account, flow.kind, flow.amount) == ("a", CashFlowKind.FINANCING, D("-0.6"))
    assert venue.lots("a")[0].financing == D("-0.6")
    assert venue.ledger("a")[-1].kind == "financing"
    assert sums(venue).balance == D("999.4")


def test_withdrawal_takes_no_margin_that_is_used() -> None:
    venue = leveraged(margin("100"))
    trade(venue, BUY, "5", 100.0)

    def flow(amount: str) -> CashFlow:
        return CashFlow("paper", "w", CashFlowKind.WITHDRAWAL, "USD", D(amount), SECOND)

    assert isinstance(venue.move_cash("a", flow("-50.01")), Refused)
    assert venue.move_cash("a", flow("-50")) == flow("-50")


@pytest.mark.parametrize(("tif", "filled"), [(TimeInForce.FOK, D(0)), (TimeInForce.IOC, D(1)), (TimeInForce.GTC, D(1))])
def test_flip_without_margin_reduces_only_and_fill_or_kill_does_nothing(tif: TimeInForce, filled: object) -> None:
    venue = leveraged(margin("100"))
    trade(venue, BUY, "1", 100.0)
    order_id = place(venue, "a", spec(SELL, "11", "1", tif=tif), SECOND)
    venue.handle(book(3, [(97.0, 1.0), (97.0, 20.0)], [(103.0, 1.0)]))
    assert shown(venue, "a", order_id).filled_quantity == filled


def test_closing_effect_never_opens_and_margin_accounts_never_trade_with_themselves() -> None:
    venue = leveraged(margin())
    trade(venue, BUY, "1", 100.0)
    resting = place(venue, "a", spec(SELL, "1", "101"), SECOND)
    taker = place(venue, "a", spec(BUY, "1", "105"), SECOND)
    venue.handle(book(3, [(99.0, 1.0)], [(110.0, 1.0)]))
    assert shown(venue, "a", taker).reason == "self_trade"
    assert shown(venue, "a", resting).state is OrderState.WORKING
    closing = place(venue, "a", spec(SELL, "5", effect=Effect.CLOSE), SECOND)
    venue.handle(quote(4, 100.0, 100.0))
    assert shown(venue, "a", closing).filled_quantity == D(1)


def test_snapshot_shows_lots_orders_and_margin() -> None:
    venue, _ = protected(margin(**HEDGING))
    snapshot = venue.snapshot("a", "paper", 5 * SECOND)
    assert (snapshot.margin_used, snapshot.margin_available) == (D(20), D(980))
    assert len(snapshot.orders) == 2
    assert [lot.venue_id for lot in snapshot.lots] == ["l1"]


@given(
    st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 5), st.integers(90, 110)), max_size=25),
    st.sampled_from([margin("100000"), margin("100000", lot_per_trade=True), margin("100000", **HEDGING)]),
)
def test_profit_of_every_mode_equals_the_naive_sum_of_cash_and_worth(
    steps: list[tuple[Side, int, int]], setup: AccountSetup
) -> None:
    venue = leveraged(setup)
    cash, held = D(0), D(0)
    for side, quantity, price in steps:
        trade(venue, side, str(quantity), float(price))
        signed = quantity if side is BUY else -quantity
        cash -= signed * price
        held += signed
    venue.handle(quote(9, 101.0, 101.0))
    view = sums(venue)
    assert abs(view.realised + view.unrealised - (cash + held * 101)) < D("1e-20")
    assert sum(lot.lot.signed for lot in venue.lots("a")) == held
