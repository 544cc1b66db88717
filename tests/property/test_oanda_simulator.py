"""A client does what it likes at the simulated OANDA, and the log, the lists, the exchange and the sums tell one story."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from quantd.exchange import DepthRules
from quantd.simulators.oanda.options import AccountRules, Setup
from tests.component.simulators.oanda_client import EUR_USD, ID, Client

THINGS = {"takeProfitOnFill": {"price": "1.11"}, "stopLossOnFill": {"price": "1.09"}}
PRICES = st.integers(-60, 60).map(lambda step: round(1.1 + step * 0.0005, 5))
UNITS = st.sampled_from(["100", "-100", "37", "-250", "5000", "-4000", "2000000"])
LEVEL = PRICES.map(lambda price: f"{price:.5f}")
DISTANCE = st.sampled_from(["0.001", "0.01"])
GUARDS = st.fixed_dictionaries(
    {},
    optional={
        "takeProfit": st.one_of(st.none(), LEVEL.map(lambda price: {"price": price})),
        "stopLoss": st.one_of(st.none(), LEVEL.map(lambda price: {"price": price}), DISTANCE.map(lambda one: {"distance": one})),
        "trailingStopLoss": st.one_of(st.none(), DISTANCE.map(lambda one: {"distance": one})),
    },
)  # fmt: skip
ORDERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["LIMIT", "STOP", "MARKET_IF_TOUCHED"]), "units": UNITS, "price": LEVEL, "guards": GUARDS},
    optional={"timeInForce": st.sampled_from(["GTC", "GFD"]), "priceBound": LEVEL},
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), PRICES),
        st.tuples(st.just("price"), PRICES),
        st.tuples(st.just("market"), st.tuples(UNITS, GUARDS, st.sampled_from(["FOK", "IOC"]))),
        st.tuples(st.just("order"), ORDERS),
        st.tuples(st.just("guard"), st.tuples(st.integers(0, 9), GUARDS)),
        st.tuples(st.just("close"), st.tuples(st.integers(0, 9), st.sampled_from(["ALL", "20", "100"]))),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.tuples(st.integers(0, 9), LEVEL)),
        st.tuples(st.just("position"), st.sampled_from(["ALL", "NONE", "30"])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 50_000.0])),
        st.tuples(st.just("financing"), st.just(1)),
        st.tuples(st.just("halt"), st.booleans()),
    ),
    min_size=12,
    max_size=40,
)


def place(client: Client, how: dict[str, Any]) -> None:
    rest = {key: value for key, value in how.items() if key != "guards"}
    client.order(**rest, **on_fill(how["guards"]))


def touch_trade(client: Client, what: str, how: tuple[int, Any]) -> None:
    trades = client.get("/openTrades")["trades"]
    if not trades:
        return
    path = f"/trades/{trades[how[0] % len(trades)]['id']}"
    if what == "guard":
        client.json("PUT", f"{path}/orders", how[1])
    else:
        client.json("PUT", f"{path}/close", {"units": how[1]})


def touch_order(client: Client, which: int, price: str | None) -> None:
    orders = client.get("/pendingOrders")["orders"]
    if not orders:
        return
    order = orders[which % len(orders)]
    if price is None:
        client.json("PUT", f"/orders/{order['id']}/cancel")
        return
    kept = {key: order[key] for key in ("type", "instrument", "units", "tradeID", "distance") if key in order}
    level = {} if "distance" in kept else {"price": price}
    client.json("PUT", f"/orders/{order['id']}", {"order": {**kept, **level}})


def close_position(client: Client, units: str) -> None:
    client.json("PUT", "/positions/EUR_USD/close", {"longUnits": units, "shortUnits": "NONE"})
    client.json("PUT", "/positions/EUR_USD/close", {"longUnits": "NONE", "shortUnits": units})


def halt(client: Client, halted: bool) -> None:
    client.venue.command("market", {"instrument": "EUR_USD", "status": "halted" if halted else "open"})


def finance(client: Client, days: int) -> None:
    client.venue.command("financing", {"days": days})


ACTS: dict[str, Callable[[Client, Any], None]] = {
    "price": lambda client, how: client.price(how),
    "market": lambda client, how: place(client, {"units": how[0], "guards": how[1], "timeInForce": how[2]}),
    "order": place,
    "guard": lambda client, how: touch_trade(client, "guard", how),
    "close": lambda client, how: touch_trade(client, "close", how),
    "cancel": lambda client, how: touch_order(client, how, None),
    "replace": lambda client, how: touch_order(client, *how),
    "position": close_position,
    "wait": lambda client, how: client.wait(how),
    "financing": finance,
    "halt": halt,
}
"""One step of each kind; a refusal is an answer too."""


def on_fill(guards: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}OnFill": one for name, one in guards.items() if one is not None}


def check(client: Client) -> None:
    """Hold all that is told against each other."""
    log = client.log()
    account = client.get("")["account"]
    venue = client.venue
    assert [int(one["id"]) for one in log] == list(range(1, len(log) + 1))
    assert all(int(one["batchID"]) <= int(one["id"]) for one in log)
    moved = sum(
        (Decimal(one["pl"]) - Decimal(one["commission"]) if one["type"] == "ORDER_FILL"
         else Decimal(one.get("amount", one.get("financing", "0"))))
        for one in log if one["type"] in ("ORDER_FILL", "TRANSFER_FUNDS", "DAILY_FINANCING")
    )  # fmt: skip
    assert Decimal(account["balance"]) == moved, "the log makes the balance"
    assert venue.exchange.balances(ID)[0].total == moved, "and the exchange has it too"
    check_orders_and_trades(client, log, account)


def check_orders_and_trades(client: Client, log: list[Any], account: dict[str, Any]) -> None:
    """Hold orders and trades of all lists against what the log makes of them."""
    venue = client.venue
    held: dict[str, Decimal] = {}
    realized = {"long": Decimal(0), "short": Decimal(0)}
    states: dict[str, str] = {}
    for one in log:
        if one["type"].endswith("_ORDER"):
            states[one["id"]] = "PENDING"
        elif one["type"] in ("ORDER_FILL", "ORDER_CANCEL"):
            assert states[one["orderID"]] == "PENDING", "an order ends once"
            states[one["orderID"]] = "FILLED" if one["type"] == "ORDER_FILL" else "CANCELLED"
        if one["type"] == "ORDER_FILL":
            parts = [*one.get("tradesClosed", ()), *([one["tradeReduced"]] if "tradeReduced" in one else ())]
            for part in parts:
                realized["long" if held[part["tradeID"]] > 0 else "short"] += Decimal(part["realizedPL"])
                held[part["tradeID"]] += Decimal(part["units"])
            if "tradeOpened" in one:
                held[one["tradeOpened"]["tradeID"]] = Decimal(one["tradeOpened"]["units"])
                parts.append(one["tradeOpened"])
            assert sum(Decimal(part["units"]) for part in parts) == Decimal(one["units"])
    assert {key: units for key, units in held.items() if units} == {
        one["id"]: Decimal(one["currentUnits"]) for one in account["trades"]
    }
    assert {one["id"] for one in account["orders"]} == {key for key, state in states.items() if state == "PENDING"}
    listed = client.get("/orders?state=ALL&count=500")["orders"]
    assert {one["id"]: one["state"] for one in listed} == states
    for position in client.get("/positions")["positions"]:
        for side in ("long", "short"):
            assert Decimal(position[side]["pl"]) == realized[side]
    lots = {view.lot.venue_id: view.lot.signed for view in venue.exchange.lots(ID)}
    assert sorted(lots.values()) == sorted(units for units in held.values() if units)
    working = {one.venue_order_id for one in venue.exchange.orders(ID, working=True)}
    assert working == {one.exchange_id for one in venue.accounts[ID].pending.values()}
    for trade in client.get("/openTrades")["trades"]:
        mine = {one["id"] for one in account["orders"] if one.get("tradeID") == trade["id"]}
        assert mine == {value["id"] for key, value in trade.items() if key.endswith("Order")}


@given(steps=STEPS, hedging=st.booleans(), thin=st.booleans())
def test_log_lists_exchange_and_sums_tell_one_story(steps: list[tuple[str, Any]], hedging: bool, thin: bool) -> None:
    depth = DepthRules(levels=2, size=150.0, growth=1.5, step_ticks=3) if thin else None
    rules = msgspec.structs.replace(EUR_USD, commission=Decimal("0.00001") if thin else Decimal(0))
    client = Client(Setup(accounts=(AccountRules(hedging=hedging),), instruments=(rules,), depth=depth))
    client.order(units="100", **THINGS)
    for what, how in steps:
        ACTS[what](client, how)
        check(client)
