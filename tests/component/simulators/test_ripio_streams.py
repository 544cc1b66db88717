"""The simulated Ripio Trade's streams: subscriptions and tickets, sequences, books that can be followed, own orders."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.market import Book
from quantd.exchange import DepthRules
from quantd.simulators.ripio.connection import Connection
from quantd.simulators.ripio.signing import checksum, signature
from quantd.simulators.ripio.ws_api import ApiConnection, signed_message
from tests.component.simulators.ripio_desk import LIMIT, MAIN, OTHER, PAIR, READER, Desk, order

D = Decimal
BOOK, DELTA = "orderbook/level_2@BTC_BRL", "orderbook/level_2_delta@BTC_BRL"
Json = dict[str, Any]


def nothing() -> None:
    """Wake nobody: these tests look by themselves."""


class Client:
    """A connection to the streams."""

    def __init__(self, desk: Desk, wake: Callable[[], None] = nothing) -> None:
        self.desk = desk
        connection = desk.venue.connect("/", wake)
        assert isinstance(connection, Connection)
        self.connection = connection

    def send(self, **frame: Any) -> list[Json]:
        self.connection.receive(json.dumps(frame))
        return self.frames()

    def subscribe(self, *topics: str, **more: Any) -> list[Json]:
        return self.send(method="subscribe", topics=list(topics), **more)

    def frames(self) -> list[Json]:
        return [json.loads(text, parse_float=Decimal) for text in self.connection.take()]

    def bodies(self, topic: str) -> list[Json]:
        return [frame["body"] for frame in self.frames() if frame.get("topic") == topic]


def private(desk: Desk, **how: Any) -> Client:
    """Return a client of all private topics."""
    client = Client(desk)
    ticket = desk.data("POST", "/ticket", **how)["ticket"]
    answers = client.subscribe("order_status", "balance", "user_trades", ticket=ticket)
    assert [(answer["id"], answer["topic"], "body" in answer) for answer in answers] == [
        (-1, "order_status", False), (-1, "balance", False), (-1, "user_trades", False),
    ]  # fmt: skip
    return client


def levels(rows: list[Json]) -> list[tuple[Decimal, Decimal]]:
    return [(D(row["price"]), D(row["amount"])) for row in rows]


def test_book_begins_with_the_whole_and_is_told_when_it_changes() -> None:
    desk = Desk()
    client = Client(desk)
    ack, first = client.subscribe(BOOK)
    assert (ack["id"], ack["topic"], "body" in ack) == (-1, BOOK, False)
    assert first["topic"] == BOOK
    assert first["timestamp"] == 1_780_000_000_000
    assert first["body"]["bids"] == [{"price": 300_000, "amount": 1}]
    assert first["body"]["hash"] == checksum([(D(300_000), D(1))], [(D(300_010), D(1))])
    assert client.frames() == []
    desk.quote(300_001, 300_010)
    (second,) = client.frames()
    assert second["id"] == first["id"] + 1
    assert second["body"]["bids"] == [{"price": 300_001, "amount": 1}]
    desk.wait(29)
    assert client.frames() == []
    desk.wait(1)
    (again,) = client.frames()
    assert again["body"] == second["body"], "every half a minute all the same"


def test_deltas_lead_from_the_first_book_to_the_present_one_and_their_checksums_fit() -> None:
    desk = Desk(depth=DepthRules(levels=150))
    client = Client(desk)
    _, first = client.subscribe(DELTA)
    sides = [dict(levels(first["body"]["bids"])), dict(levels(first["body"]["asks"]))]
    assert [len(side) for side in sides] == [100, 100]
    ids = [first["id"]]
    for number in range(30):
        if number % 3 == 0:
            desk.create(price=f"{299_990 + number}", amount="0.02", external_id=f"x{number}")
        desk.quote(300_000 + number % 7 * 0.01, 300_010 + number % 5 * 0.01, size=0.5 + number % 2)
        for frame in client.frames():
            ids.append(frame["id"])
            for side, name in zip(sides, ("bids", "asks"), strict=True):
                for price, amount in levels(frame["body"][name]):
                    if amount:
                        side[price] = amount
                    else:
                        del side[price]
            bids = sorted(sides[0].items(), reverse=True)
            asks = sorted(sides[1].items())
            assert frame["body"]["hash"] == checksum(bids, asks)
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > 30
    book = desk.data("GET", "/book/orders/level-2?pair=BTC_BRL")
    assert levels(book["bids"]) == sorted(sides[0].items(), reverse=True)
    assert levels(book["asks"]) == sorted(sides[1].items())


def test_late_subscriber_s_book_and_the_next_delta_follow_on_each_other() -> None:
    desk = Desk()
    early, late = Client(desk), Client(desk)
    early.subscribe(DELTA)
    desk.quote(300_001, 300_010)
    early.frames()
    _, first = late.subscribe(DELTA)
    assert levels(first["body"]["bids"]) == [(D(300_001), D(1))]
    desk.quote(300_002, 300_010)
    (one,), (other,) = early.frames(), late.frames()
    assert one == other
    assert one["id"] == first["id"] + 1
    assert levels(one["body"]["bids"]) == [(D(300_001), D(0)), (D(300_002), D(1))]


def test_level_3_has_ids_and_ticker_and_trades_come_as_they_happen() -> None:
    desk = Desk()
    client = Client(desk)
    client.subscribe("orderbook/level_3@BTC_BRL", "ticker@BTC_BRL", "trade@BTC_BRL")
    desk.create(price="301000")
    frames = {frame["topic"]: frame["body"] for frame in client.frames()}
    assert set(frames["orderbook/level_3@BTC_BRL"]["asks"][0]) == {"id", "price", "amount"}
    assert frames["ticker@BTC_BRL"]["trades_quantity"] == 1
    trade = frames["trade@BTC_BRL"]
    assert trade == desk.data("GET", "/trades?pair=BTC_BRL")["trades"][0]


def test_order_status_follows_an_order_in_the_stream_s_own_words() -> None:
    desk = Desk()
    client = private(desk)
    shown = desk.create()
    desk.quote(299_000, 299_010, size=0.004)
    desk.data("POST", "/orders/cancel", {"id": shown["id"]})
    frames = [frame for frame in client.frames() if frame["topic"] == "order_status"]
    assert [frame["id"] for frame in frames] == [1, 2, 3]
    assert [(frame["body"]["status"], frame["body"]["executed_amount"]) for frame in frames] == [
        ("open", 0), ("executed_partially", D("0.004")), ("canceled", D("0.004")),
    ]  # fmt: skip
    last = frames[-1]["body"]
    assert last == {
        "id": shown["id"], "external_id": "one", "pair": "BTC_BRL", "side": "buy", "type": "limit",
        "status": "canceled", "price": 300_000, "amount": D("0.01"), "executed_amount": D("0.004"),
        "remaining_amount": D("0.006"), "average_execution_price": 300_000, "created_at": shown["create_date"],
        "updated_at": last["updated_at"], "user_id": last["user_id"],
    }  # fmt: skip


def test_conditional_orders_tell_their_stop_and_distance() -> None:
    desk = Desk()
    client = private(desk)
    desk.create(type="stop_limit", side="sell", stop_price="290000", price="290000")
    desk.create(type="trailing", side="sell", price=None, distance="500")
    stop, trailing = client.bodies("order_status")
    assert stop["stop_price"] == 290_000
    assert (trailing["distance"], trailing["price"]) == (500, None)


def test_balance_tells_what_changed_and_user_trades_the_fill() -> None:
    desk = Desk()
    client = private(desk)
    desk.create(price="301000")
    frames = client.frames()
    funds = [frame["body"]["balances"] for frame in frames if frame["topic"] == "balance"]
    told = {row["currency_code"]: D(row["available_amount"]) for rows in funds for row in rows}
    assert [row["currency_code"] for row in funds[0]] == ["BRL"], "what changed alone"
    assert told == {"BRL": desk.balance("BRL")[0], "BTC": desk.balance("BTC")[0]}
    (trade,) = [frame["body"]["trade"] for frame in frames if frame["topic"] == "user_trades"]
    assert trade == desk.data("GET", "/user/trades?pair=BTC_BRL")["trades"][0]


def test_amend_tells_the_balance_and_no_order_status() -> None:
    desk = Desk()
    client = private(desk)
    order_id = desk.create()["id"]
    client.frames()
    desk.data("PUT", "/orders", {"order_id": order_id, "unit_price": "299000"})
    assert [frame["topic"] for frame in client.frames()] == ["balance"]


def test_private_topics_are_their_user_s_alone() -> None:
    desk = Desk()
    mine, other = private(desk), private(desk, who=OTHER)
    desk.create()
    assert other.frames() == []
    assert mine.frames()


def test_ticket_is_good_for_one_connection_within_a_minute() -> None:
    desk = Desk()
    ticket = desk.data("POST", "/ticket", who=READER)["ticket"]
    first, second = Client(desk), Client(desk)
    assert first.subscribe("order_status", ticket=ticket)[0]["message"] == "subscribed"
    assert second.subscribe("order_status", ticket=ticket)[0]["error_code"] == 40100
    assert second.subscribe("order_status")[0]["error_code"] == 40100
    assert second.subscribe("order_status", ticket="nonsense")[0]["error_code"] == 40100
    stranger = desk.data("POST", "/ticket", who=OTHER)["ticket"]
    assert first.subscribe("balance", ticket=stranger)[0]["message"] == "the connection is another user's"
    assert first.subscribe("balance")[0]["message"] == "subscribed", "shown once, it holds for the connection"
    late = desk.data("POST", "/ticket")["ticket"]
    desk.wait(60)
    assert Client(desk).subscribe("balance", ticket=late)[0]["error_code"] == 40100


@pytest.mark.parametrize("topic", ["trade", "trade@ABC_DEF", "candles@BTC_BRL", "orderbook@BTC_BRL", ""])
def test_unknown_topic_is_told(topic: str) -> None:
    (answer,) = Client(Desk()).subscribe(topic)
    assert (answer["topic"], answer["error_code"]) == (topic, 40000)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"method":"dance"}', '{"method":"subscribe","topics":"x"}', '{"topics":[]}']
)
def test_frame_that_is_none_is_told_and_the_connection_stays(text: str) -> None:
    client = Client(Desk())
    client.connection.receive(text)
    (answer,) = client.frames()
    assert (answer["id"], answer["error_code"]) == (-1, 40000)
    assert client.connection.is_open


def test_unsubscribed_topic_falls_silent() -> None:
    desk = Desk()
    client = Client(desk)
    client.subscribe(BOOK)
    client.send(method="unsubscribe", topics=[BOOK])
    desk.quote(300_001, 300_010)
    assert client.frames() == []


def test_ping_is_answered_and_keeps_the_connection_open() -> None:
    desk = Desk()
    client = Client(desk)
    for _ in range(4):
        desk.wait(20)
        (answer,) = client.send(method="ping")
        assert client.connection.is_open
        assert (answer["id"], answer["message"], "body" in answer) == (-1, "pong", False)
    desk.wait(61)
    client.frames()
    assert not client.connection.is_open
    assert desk.venue.counters()["streams"]["connected"] == 0


def test_lost_frames_are_a_gap_in_the_sequence() -> None:
    desk = Desk()
    client = Client(desk)
    _, first = client.subscribe(DELTA)
    desk.switches.lose_frames = True
    desk.quote(300_001, 300_010)
    desk.switches.lose_frames = False
    desk.quote(300_002, 300_010)
    (after,) = client.frames()
    assert after["id"] == first["id"] + 2


def test_switches_mute_spoil_and_write_amounts_as_text() -> None:
    desk = Desk()
    client = Client(desk)
    client.subscribe(BOOK)
    desk.switches.wrong_hashes = desk.switches.text_amounts = True
    desk.quote(300_001, 300_010)
    (body,) = client.bodies(BOOK)
    assert body["hash"] != checksum(levels(body["bids"]), levels(body["asks"]))
    assert body["bids"] == [{"price": "300001", "amount": "1"}]
    desk.switches.mute_streams = True
    desk.quote(300_002, 300_010)
    assert client.send(method="ping") == []


def test_what_nobody_wants_is_not_kept() -> None:
    desk = Desk()
    client = Client(desk)
    client.subscribe(BOOK)
    client.connection.close()
    desk.quote(300_001, 300_010)
    assert desk.venue.counters()["streams"] == {"connected": 0}


def test_book_of_one_side_is_a_book() -> None:
    desk = Desk()
    client = Client(desk)
    client.subscribe(DELTA)
    desk.venue.on_market(Book(PAIR.instrument().id, (), (), 0))
    (body,) = client.bodies(DELTA)
    assert (body["hash"], len(body["bids"]), len(body["asks"])) == ("0", 1, 1)
    assert levels(body["bids"]) == [(D(300_000), D(0))]


def test_maintenance_and_unknown_paths_take_no_connection() -> None:
    desk = Desk()
    assert desk.venue.connect("/nowhere", nothing) is None
    desk.switches.maintenance = True
    assert desk.venue.connect("/", nothing) is None


# --- the WebSocket API -----------------------------------------------------------------------------------------------


class ApiClient:
    """A connection to the WebSocket API."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        connection = desk.venue.connect("/ws-api", nothing)
        assert isinstance(connection, ApiConnection)
        self.connection = connection

    def ask(self, method: str, params: Json, **changes: Any) -> Json:
        self.desk.wait(0.001)
        stamp = self.desk.clock.now_ns() // 1_000_000
        business = json.dumps(params, separators=(",", ":"))
        signed = signature(MAIN.secret, f"{stamp}{business}".encode())
        who = {"apiToken": MAIN.token, "timestamp": stamp, "signature": signed, **changes}
        return self.raw(json.dumps({"id": "req-1", "method": method, "params": {**params, **who}}))

    def raw(self, text: str) -> Json:
        self.connection.receive(text)
        (answer,) = self.connection.take()
        shown: Json = json.loads(answer, parse_float=Decimal)
        return shown


def test_worked_vector_of_the_websocket_api() -> None:
    params = {
        "pair": b'"BTC_BRL"', "side": b'"buy"', "type": b'"limit"', "amount": b"0.001", "price": b"100000",
        "external_id": b'"test-limit-1761758744255"',
    }  # fmt: skip
    message = signed_message("1634567890000", {**params, "apiToken": b'"t"', "timestamp": b"1", "signature": b'"s"'})
    assert signature("test-secret-abcdef0123456789", message) == "cpafY7frDkda3lk6nLRfTpgBq1KU9Y8srPW+933Z9Zk="


def test_orders_are_created_updated_and_cancelled_over_the_websocket_api() -> None:
    desk = Desk()
    client = ApiClient(desk)
    created = client.ask("order.create", order())
    assert (created["id"], created["status"], "error" in created) == ("req-1", 200, False)
    order_id = created["result"]["id"]
    assert client.ask("order.update", {"id": order_id, "price": "299000"})["result"] is None
    assert desk.get(order_id)["price"] == 299_000
    assert client.ask("order.cancel", {"external_id": "one"})["result"]["status"] == "canceled"
    other = client.ask("order.create", order())["result"]["id"]
    assert client.ask("order.cancel", {"id": other})["result"]["id"] == other


def test_refusals_of_the_websocket_api_have_numbers() -> None:
    desk = Desk()
    client = ApiClient(desk)
    poor = client.ask("order.create", order(amount="9"))
    assert poor == {
        "id": "req-1", "status": 400, "result": None, "error": {"error_code": 40011, "message": "Funds insufficient"},
    }  # fmt: skip
    assert client.ask("order.create", LIMIT, signature="x")["error"]["error_code"] == 40100
    assert client.ask("order.create", LIMIT, apiToken="nobody")["status"] == 401
    assert client.ask("order.create", LIMIT, timestamp=1)["error"]["error_code"] == 40100
    stamp = desk.clock.now_ns() // 1_000_000
    signed = signature(READER.secret, f"{stamp}{{}}".encode())
    reader = client.ask("order.cancel", {}, apiToken=READER.token, timestamp=stamp, signature=signed)
    assert (reader["status"], reader["error"]["error_code"]) == (403, 40300)
    assert client.ask("order.dance", {})["error"]["error_code"] == 40000
    assert client.ask("order.cancel", {"id": "nobody"})["error"]["error_code"] == 40400
    assert client.raw("{")["error"]["error_code"] == 40000
    desk.wait(61)
    client.connection.take()
    assert not client.connection.is_open
