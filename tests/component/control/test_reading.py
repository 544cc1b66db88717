"""What the control API shows: the engine's state, pages of the journal, and the chain behind an order."""

from decimal import Decimal
from typing import Any

from quantd.domain.events import HaltOrdered, StrategyInterrupted, TradingState
from quantd.domain.orders import Limit, Market
from quantd.journal import retention
from quantd.journal.store import TakeSnapshot
from quantd.testing.builders import BTC
from tests.component.control.house import House

D = Decimal


async def get(house: House, path: str) -> Any:
    status, answer = await house.ask("GET", path, by="reader")
    assert status == 200, answer
    return answer


def bid(house: House, price: Decimal) -> Any:
    """Have a puppet bid for one."""
    return house.rig.do(lambda s: s.buy(BTC, 1, Limit(price)))


def buy(house: House, quantity: int, why: str) -> Any:
    """Have the other puppet buy at market."""
    return house.rig.do(lambda s: s.buy(BTC, quantity, Market(), why=why), "s2")


async def test_status_tells_venues_strategies_latches_budgets_and_feeds(house: House) -> None:
    house.rig.hold(2)
    house.rig.handle(HaltOrdered("strategy:s2", TradingState.REDUCING, "bob", "drill", 1, house.rig.now_ns))
    house.reasons = ["venue paper: planted-venue-key refused"]
    told = await get(house, "/v1/status")
    assert told["ready"] is False
    assert told["reasons"] == ["venue paper: [redacted] refused"]
    assert [(one["name"], one["ready"], one["trading_state"]) for one in told["venues"]] == [("paper", True, "active")]
    assert {one["id"]: one["state"] for one in told["strategies"]} == {"s1": "active", "s2": "reducing"}
    assert [(one["scope"], one["by"], one["why"]) for one in told["latches"]] == [("strategy:s2", "bob", "drill")]
    assert told["budgets"] == [{"venue": "paper", "limit": "orders", "left": 0.5}]
    assert told["feeds"] == [{"instrument": BTC, "market": "open", "last": 100.0, "age_s": 0.0}]
    assert D(told["equity"]) == house.rig.state.equity("paper")


async def test_a_secret_that_json_writes_otherwise_is_masked(house: House) -> None:
    house.redactor.register('w\u00f6rd-"quoted"-1')
    house.reasons = [
        "s1: ValueError: a text of lines\nBearer an-unregistered-planted-1",
        'venue paper: w\u00f6rd-"quoted"-1 refused',
        "venue paper: 'w\\u00f6rd-\\\"quoted\\\"-1' refused",
    ]
    told = await get(house, "/v1/status")
    assert told["reasons"] == [
        "s1: ValueError: a text of lines\nBearer [redacted]",
        "venue paper: [redacted] refused",
        "venue paper: '[redacted]' refused",
    ]


async def test_open_orders_come_from_the_engine_and_all_of_them_by_page_from_the_journal(house: House) -> None:
    placed = [bid(house, D(at)) for at in range(90, 95)]
    for order in placed:
        house.rig.accept(order)
    house.rig.fill(placed[0])
    house.step()
    working = await get(house, "/v1/orders")
    assert {one["client_order_id"] for one in working["orders"]} == {order.id for order in placed[1:]}
    seen, before = [], ""
    while True:
        page = await get(house, f"/v1/orders?all=true&limit=2&before={before}")
        seen += [one["client_order_id"] for one in page["orders"]]
        before = page["next"]
        if not before:
            break
    assert sorted(seen) == sorted(order.id for order in placed), "each order on one page"
    assert (await get(house, "/v1/orders?strategy=s2"))["orders"] == []
    first = (await get(house, f"/v1/orders?all=true&instrument={BTC}&limit=500"))["orders"][-1]
    assert (first["state"], D(first["filled"]), first["why"]) == ("filled", D(1), "")


async def test_an_open_order_reads_the_same_from_engine_and_journal(house: House) -> None:
    order = house.rig.do(lambda s: s.buy(BTC, 1, Limit(D(90)), why="cheap"))
    house.rig.accept(order)
    house.step()
    assert await get(house, "/v1/orders") == {**await get(house, "/v1/orders?all=true"), "next": ""}


async def test_fills_come_by_page_newest_first(house: House) -> None:
    order = house.rig.do(lambda s: s.buy(BTC, 3, Limit(D(100))))
    house.rig.accept(order)
    for _ in range(3):
        house.rig.now_ns += 1
        house.rig.fill(order, 1)
    house.step()
    page = await get(house, "/v1/fills?limit=2")
    rest = await get(house, f"/v1/fills?limit=2&before={page['next']}")
    fills = page["fills"] + rest["fills"]
    assert len({one["fill_id"] for one in fills}) == 3
    assert [one["seq"] for one in fills] == sorted((one["seq"] for one in fills), reverse=True)
    assert rest["next"] == ""


async def test_positions_balances_and_limits_show_what_is_held_and_used(house: House) -> None:
    house.rig.hold(2)
    house.rig.quote(110)
    (book,) = (await get(house, "/v1/positions"))["positions"]
    assert (book["strategy"], D(book["quantity"]), D(book["average_price"])) == ("s1", D(2), D(100))
    assert (D(book["unrealised"]), D(book["value"]), book["currency"]) == (D(20), D(220), "USD")
    balances = {one["asset"]: one for one in (await get(house, "/v1/balances"))["balances"]}
    assert D(balances["BTC"]["total"]) == 1002
    told = await get(house, "/v1/limits")
    assert told["base_currency"] == "USD"
    assert ("order", "self_match", "deny", None) in [tuple(one.values()) for one in told["limits"]]


async def test_denials_and_their_arithmetic_come_newest_first(house: House) -> None:
    house.rig.handle(HaltOrdered("strategy:s2", TradingState.HALTED, "bob", "drill", 1, house.rig.now_ns))
    for quantity in (1, 2, 3):
        assert not buy(house, quantity, f"try {quantity}")
    house.step()
    page = await get(house, "/v1/denials?limit=2")
    assert [one["why"] for one in page["denials"]] == ["try 3", "try 2"]
    assert (page["denials"][0]["code"], page["denials"][0]["observed"]) == ("trading_state", "halted")
    rest = await get(house, f"/v1/denials?limit=2&before={page['next']}")
    assert [one["why"] for one in rest["denials"]] == ["try 1"]
    assert (await get(house, "/v1/denials?strategy=s1"))["denials"] == []


async def test_the_chain_of_an_order_goes_from_its_target_to_its_fill(house: House) -> None:
    house.rig.do(lambda s: s.target(BTC, 2, Limit(D(100)), why="trend up"))
    order = next(iter(house.rig.state.orders.open_orders()))
    other = house.rig.do(lambda s: s.buy(BTC, 1, Limit(D(90))), "s2")
    house.rig.accept(other)
    house.rig.accept(order)
    house.rig.fill(order)
    house.step()
    chain = await get(house, f"/v1/why/order/{order.client_order_id}")
    kinds = [step["kind"] for step in chain["steps"]]
    assert kinds[:2] == ["TargetSet", "OrderIntended"]
    assert "OperationSettled" in kinds
    assert "FillRecorded" in kinds
    assert "trend up" in chain["steps"][1]["summary"]
    assert other.id not in str(chain), "another's orders are no part of it"
    assert (chain["run"]["version"], chain["run"]["strategy_sources"]) == ("1.0", {"s1": "5eed"})
    short = await get(house, f"/v1/why/order/{order.client_order_id}?limit=1")
    assert (len(short["steps"]), short["truncated"]) == (1, True)


async def test_records_that_were_moved_into_the_archive_are_said_to_be_missing_from_a_chain(house: House) -> None:
    old = bid(house, D(50))
    house.rig.handle(HaltOrdered("strategy:s2", TradingState.HALTED, "bob", "drill", 1, house.rig.now_ns))
    assert not buy(house, 1, "old")
    house.rig.now_ns += 1
    house.step()
    before = await get(house, f"/v1/why/order/{old.id}")
    size = house.store.head.seq
    house.store.write([TakeSnapshot(b"")])
    house.rig.now_ns += 1
    between = bid(house, D(52))
    house.rig.now_ns += 1
    new = bid(house, D(51))
    house.step()
    assert retention.move_all(house.store, 2**62, size=size).records == size
    chain = await get(house, f"/v1/why/order/{old.id}")
    assert (before["archived"], chain["archived"], chain["steps"]) == (0, size, [])
    assert chain["run"] == before["run"] is not None
    chain = await get(house, f"/v1/why/order/{new.id}")
    assert (chain["archived"], chain["steps"][0]["kind"]) == (0, "OrderIntended")
    assert chain["run"] == before["run"]
    denials = await get(house, "/v1/denials")
    assert (denials["denials"], denials["archived"]) == ([], size)
    assert {one["client_order_id"] for one in (await get(house, "/v1/orders?all=true"))["orders"]} == {
        old.id, between.id, new.id,
    }  # fmt: skip


async def test_an_id_that_begins_like_another_has_a_chain_of_its_own(house: House) -> None:
    placed = [bid(house, D(50 + n)) for n in range(40)]
    house.step()
    first = placed[0].id
    assert any(order.id != first and order.id.startswith(first) for order in placed)
    chain = await get(house, f"/v1/why/order/{first}")
    assert {step["fact"]["client_order_id"] for step in chain["steps"]} == {first}


async def test_the_chain_of_a_strategy_tells_what_was_not_sent_and_what_is_in_its_way(house: House) -> None:
    assert (await get(house, "/v1/why/strategy/s1"))["blockers"] == []
    house.rig.handle(StrategyInterrupted("s1", "deadline of 250 ms", house.rig.now_ns))
    house.rig.handle(HaltOrdered(f"instrument:{BTC}", TradingState.HALTED, "bob", "odd prices", 1, house.rig.now_ns))
    assert not house.rig.do(lambda s: s.buy(BTC, 1, Market(), why="dip"), "s2")
    house.step()
    first = await get(house, "/v1/why/strategy/s1")
    assert first["state"] == "quarantined"
    assert any("deadline of 250 ms" in one for one in first["blockers"])
    second = await get(house, "/v1/why/strategy/s2")
    assert second["state"] == "halted"
    assert second["blockers"] == [f"instrument:{BTC} is halted, by bob: odd prices"]
    assert second["steps"][-1]["kind"] == "RequestDenied"
    assert "because: dip" in second["steps"][-1]["summary"]


async def test_what_does_not_exist_is_not_found(house: House) -> None:
    assert (await house.ask("GET", "/v1/why/order/q0-1"))[0] == 404
    assert (await house.ask("GET", "/v1/why/strategy/nobody"))[0] == 404


async def test_a_journal_that_cannot_be_read_is_a_problem_and_no_fault(house: House) -> None:
    house.path.rename(house.path.with_suffix(".gone"))
    status, problem = await house.ask("GET", "/v1/fills")
    assert (status, problem["code"]) == (503, "journal_failing")
    assert (await house.ask("GET", "/v1/status"))[0] == 200
