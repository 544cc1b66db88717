"""Whatever two users do at the simulated Ripio Trade: money is kept, locks fit, lists and streams tell one story."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.exchange import DepthRules
from quantd.simulators.ripio.connection import Connection
from quantd.simulators.ripio.options import Credential
from quantd.simulators.ripio.signing import checksum
from tests.component.simulators.ripio_desk import MAIN, OTHER, Desk

D = Decimal
ZERO = D(0)
USERS = (MAIN, OTHER)
DELTA = "orderbook/level_2_delta@BTC_BRL"

prices = st.integers(2_999_000, 3_001_200).map(lambda tenths: f"{D(tenths) / 10}")
amounts = st.integers(1, 1500).map(lambda thousandths: f"{D(thousandths) / 1000}")
sides = st.sampled_from(["buy", "sell"])
users = st.sampled_from(USERS)
bodies = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("limit"), "side": sides, "amount": amounts, "price": prices},
        optional={"post_only": st.just(True)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("limit"), "side": sides, "amount": amounts, "price": prices,
         "immediate_or_cancel": st.just(True)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("limit"), "side": sides, "amount": amounts, "price": prices, "fill_or_kill": st.just(True)}
    ),
    st.fixed_dictionaries({"type": st.just("market"), "side": sides, "amount": amounts}),
    st.fixed_dictionaries({"type": st.sampled_from(["market", "ceiling"]), "side": sides,
                           "value": st.integers(10, 200_000).map(str)}),
    st.fixed_dictionaries({"type": st.just("stop_limit"), "side": sides, "amount": amounts, "price": prices,
                           "stop_price": prices}),
    st.fixed_dictionaries({"type": st.just("trailing"), "side": sides, "amount": amounts,
                           "distance": st.sampled_from(["1", "20.5", "300"])}),
    st.fixed_dictionaries({"type": st.just("iceberg"), "side": sides, "amount": st.just("1"), "price": prices,
                           "step_amount": st.sampled_from(["0.1", "0.3", "1"])}),
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("create"), users, bodies),
    st.tuples(st.just("cancel"), users, st.integers(0, 5)),
    st.tuples(st.just("cancel_all"), users, st.none()),
    st.tuples(st.just("amend"), users, st.tuples(st.integers(0, 5), amounts, prices)),
    st.tuples(st.just("quote"), users, st.tuples(st.integers(299_900, 300_100), st.integers(1, 900))),
)


class Follower:
    """Follows the book's deltas and an account's orders over the streams."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        connection = desk.venue.connect("/", lambda: None)
        assert isinstance(connection, Connection)
        self.connection = connection
        self.sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        self.statuses: dict[str, tuple[str, Decimal]] = {}
        ticket = desk.data("POST", "/ticket")["ticket"]
        connection.receive(json.dumps({"method": "subscribe", "topics": [DELTA, "order_status"], "ticket": ticket}))

    def follow(self) -> None:
        for text in self.connection.take():
            frame = json.loads(text, parse_float=Decimal)
            if "body" in frame and frame["topic"] == DELTA:
                self._book(frame["body"])
            elif "body" in frame:
                body = frame["body"]
                self.statuses[body["id"]] = (body["status"], D(body["executed_amount"]))

    def _book(self, body: dict[str, Any]) -> None:
        for side, name in zip(self.sides, ("bids", "asks"), strict=True):
            for row in body[name]:
                side[D(row["price"])] = D(row["amount"])
                if not row["amount"]:
                    del side[D(row["price"])]
        bids, asks = sorted(self.sides[0].items(), reverse=True), sorted(self.sides[1].items())
        assert body["hash"] == checksum(bids, asks)


def act(desk: Desk, step: tuple[str, Credential, Any]) -> None:
    """Do one step; whatever is refused must be refused with one of the documented numbers."""
    kind, who, what = step
    if kind == "quote":
        bid, size = what
        desk.quote(bid, bid + 10, size=size / 100)
        return
    if kind == "create":
        status, tree = desk.ask("POST", "/orders", {"pair": "BTC_BRL", **what}, who=who)
    elif kind == "cancel_all":
        status, tree = desk.ask("DELETE", "/orders/all", who=who)
    else:
        orders = desk.venue.desk.by_account.get(who.account, [])
        chosen = what if kind == "cancel" else what[0]
        if chosen >= len(orders):
            return
        order_id = orders[-1 - chosen].id
        if kind == "cancel":
            status, tree = desk.ask("POST", "/orders/cancel", {"id": order_id}, who=who)
        else:
            body = {"order_id": order_id, "amount": what[1], "unit_price": what[2]}
            status, tree = desk.ask("PUT", "/orders", body, who=who)
    assert status == 200 or tree["error_code"] in (40000, 40010, 40011, 40020, 40021, 40090), tree


def check_money(desk: Desk) -> None:
    """Each balance is what it was at first and what every fill moved; what is locked is what open orders may cost."""
    state = desk.venue.state()
    for account, assets in state["balances"].items():
        mine = [order for order in state["orders"] if order["account"] == account]
        for asset in ("BRL", "BTC"):
            moved = D(state["opening_balances"][account].get(asset, "0"))
            for order in mine:
                sign = 1 if order["side"] == "buy" else -1
                moved += sign * (D(order["executed"]) if asset == "BTC" else -D(order["cost"]))
                moved -= D(order["fees"].get(asset, "0"))
            held = assets.get(asset, {"total": "0", "locked": "0", "free": "0"})
            assert D(held["total"]) == moved
            assert D(held["free"]) >= 0
            working = [order for order in mine if order["status"] in ("open", "executed_partially")]
            if all(order["type"] != "trailing" for order in working):
                assert D(held["locked"]) == sum((_lock(order, asset) for order in working), ZERO)


def _lock(order: dict[str, Any], asset: str) -> Decimal:
    left = D(order["amount"]) - D(order["executed"])
    if order["side"] == "sell":
        return left if asset == "BTC" else ZERO
    return left * D(order["price"]) if asset == "BRL" else ZERO


def check_stories(desk: Desk, follower: Follower) -> None:
    """Lists, look-ups, trades and streams agree with each other and with the exchange."""
    orders = {one["id"]: one for one in desk.data("GET", "/orders?pair=BTC_BRL&page_size=1000")["orders"]}
    open_ids = {one["id"] for one in desk.data("GET", "/orders/open?page_size=1000")["orders"]}
    working = {order.venue_order_id for order in desk.venue.exchange.orders("main", working=True)}
    assert len(working) == len(open_ids)
    assert open_ids == {key for key, one in orders.items() if one["status"] in ("open", "executed_partially")}
    traded: dict[str, Decimal] = {}
    for trade in desk.data("GET", "/user/trades?pair=BTC_BRL&page_size=1000")["trades"]:
        own = trade["maker_order_id"] if trade["taker_or_maker"] == "maker" else trade["taker_order_id"]
        traded[own] = traded.get(own, ZERO) + D(trade["amount"])
    for key, one in orders.items():
        assert traded.get(key, ZERO) == one["executed_amount"]
        assert follower.statuses[key] == (one["status"], D(one["executed_amount"]))
        assert (one["status"] == "executed_completely") == (one["executed_amount"] == one["requested_amount"])
    book = desk.data("GET", "/book/orders/level-2?pair=BTC_BRL")
    for side, name in zip(follower.sides, ("bids", "asks"), strict=True):
        assert side == {D(row["price"]): D(row["amount"]) for row in book[name]}


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=10, max_size=40))
def test_money_is_kept_and_every_list_and_stream_tells_one_story(done: list[tuple[str, Credential, Any]]) -> None:
    balances = {"main": {"BRL": D(400_000), "BTC": D(2)}, "other": {"BRL": D(400_000), "BTC": D(2)}}
    desk = Desk(balances=balances, depth=DepthRules(levels=5, size=0.3))
    follower = Follower(desk)
    for step in done:
        act(desk, step)
        follower.follow()
        check_money(desk)
    follower.follow()
    check_stories(desk, follower)
