"""The stream on a socket in memory: books that are whole or not used, orders told as they happen, connections renewed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from quantd.domain.events import Event
from quantd.domain.orders import OrderState
from quantd.domain.reports import OrderReport
from quantd.simulators.faults import Action
from quantd.venues.ripio.checksum import checksum
from quantd.venues.ripio.socket import SocketLost
from quantd.venues.ripio.stream import FRESH_S, SILENCE_MAX_S
from tests.component.ripio.bench import ASK, BID, Bench, on_bench

BOOK = "orderbook/level_2_delta@BTC_BRL"


class Line:
    """One connection: what we said, and what the venue says."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.closed = False
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ids: dict[str, int] = {}

    async def send(self, text: bytes) -> None:
        if self.closed:
            raise SocketLost("closed")
        self.said.append(json.loads(text))

    async def receive(self, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                frame = await self._frames.get()
        except TimeoutError as error:
            raise SocketLost("silent") from error
        if frame is None:
            raise SocketLost("closed by the venue")
        return frame

    async def close(self) -> None:
        self.closed = True

    def tell(self, topic: str, body: Any, *, skip: int = 0) -> None:
        """Say something on a topic, numbered in sequence; `skip` frames are lost before it."""
        self._ids[topic] = self._ids.get(topic, 6) + 1 + skip
        frame = {"id": self._ids[topic], "topic": topic, "timestamp": 1_600_000_000_000, "body": body}
        self._frames.put_nowait(json.dumps(frame).encode())

    def put(self, text: bytes | None) -> None:
        """Put raw bytes on the line, or break it."""
        self._frames.put_nowait(text)

    def subscriptions(self, method: str = "subscribe") -> list[list[str]]:
        """Return the topics of each request with a method."""
        return [one["topics"] for one in self.said if one["method"] == method]


def book(bid: str = "349000", ask: str = "349100", *, wrong: bool = False) -> dict[str, Any]:
    """Return a body of one level a side, whole in itself."""
    bids, asks = [(Decimal(bid), Decimal("0.5"))], [(Decimal(ask), Decimal("0.25"))]
    told = checksum(bids, asks)
    return {
        "bids": [{"price": bid, "amount": 0.5}], "asks": [{"price": ask, "amount": "0.25"}],
        "hash": "1" if wrong else told,
    }  # fmt: skip


class Lines:
    """Opens connections, and says which."""

    def __init__(self) -> None:
        self.opened: list[Line] = []
        self.refuse = 0

    async def __call__(self) -> Line:
        if self.refuse:
            self.refuse -= 1
            raise SocketLost("refused")
        self.opened.append(Line())
        return self.opened[-1]


@asynccontextmanager
async def streaming(bench: Bench) -> AsyncIterator[tuple[Lines, list[Event]]]:
    """Run the stream of a bench beside the block."""
    lines, events = Lines(), list[Event]()
    bench.connector = bench.connect(lines)
    await bench.connector.start()
    stream = bench.connector.stream
    assert stream is not None
    task = asyncio.get_running_loop().create_task(stream.run(["BTC_BRL"], events.append))
    await asyncio.sleep(1)
    try:
        yield lines, events
    finally:
        task.cancel()
        await asyncio.wait([task])


def status(command: Any, order_id: str, **fields: Any) -> dict[str, Any]:
    """Return an order as the stream tells it."""
    return {
        "id": order_id.lower(), "external_id": command.client_order_id, "pair": "BTC_BRL", "side": "buy", "type": "limit",
        "status": "open", "price": 340000, "amount": "0.002", "executed_amount": "0", "remaining_amount": 0.002,
        "created_at": "2020-09-13T12:26:40.000Z", "user_id": 7, **fields,
    }  # fmt: skip


def test_it_subscribes_books_and_with_a_ticket_what_is_ours() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, _):
            (line,) = lines.opened
            assert line.subscriptions() == [[BOOK], ["order_status", "user_trades"]]
            assert "ticket" not in line.said[0]
            assert line.said[1]["ticket"]
            await asyncio.sleep(25)
            assert {"method": "ping"} in line.said

    on_bench(act)


def test_a_whole_and_fresh_book_spares_the_poll_and_any_other_does_not() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, _):
            bench.sent.clear()
            lines.opened[0].tell(BOOK, book())
            await asyncio.sleep(0.1)
            (quote,) = await bench.connector.quotes([bench.instrument])
            assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (349_000, 349_100, 0.5, 0.25)
            depth = await bench.connector.book(bench.instrument, 5)
            assert (depth.bids, depth.asks) == (((349_000, 0.5),), ((349_100, 0.25),))
            assert not bench.sent
            await asyncio.sleep(FRESH_S + 1)
            (quote,) = await bench.connector.quotes([bench.instrument])
            assert (quote.bid, quote.ask) == (float(BID), float(ASK)), "no news for so long: the venue is asked"

    on_bench(act)


def test_a_book_that_does_not_fit_is_not_used_and_subscribed_anew_ever_more_slowly() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, _):
            (line,) = lines.opened
            line.tell(BOOK, book())
            line.tell(BOOK, book("349050"), skip=1)
            await asyncio.sleep(0.1)
            (quote,) = await bench.connector.quotes([bench.instrument])
            assert quote.bid == float(BID)
            assert bench.anomalies("stream_gap") == 1
            assert line.subscriptions("unsubscribe") == [[BOOK]]
            line.tell(BOOK, book())  # still of the old subscription: it must not be taken for the snapshot
            await asyncio.sleep(1)
            assert line.subscriptions()[2:] == [[BOOK]]
            assert bench.connector.stream is not None
            assert bench.connector.stream.quote(bench.instrument) is None
            for _ in range(5):
                line.tell(BOOK, book(wrong=True))
                await asyncio.sleep(1)
            assert bench.anomalies("checksum_differs") in (2, 3), "a checksum that never fits is no storm"
            await asyncio.sleep(30)
            line.tell(BOOK, book())
            await asyncio.sleep(0.1)
            (quote,) = await bench.connector.quotes([bench.instrument])
            assert quote.bid == 349_000

    on_bench(act)


def test_a_fill_is_told_with_its_trade_and_its_fee_before_any_poll() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, events):
            command = bench.submit()
            report = await bench.place(command)
            bench.sent.clear()
            trade = {
                "id": "T-1", "pair_code": "BTC_BRL", "side": "buy", "amount": 0.002, "price": 340000, "fee": "0.000005",
                "fee_currency": "BTC", "taker_or_maker": "maker", "maker_order_id": report.venue_order_id.lower(),
                "taker_order_id": "OTHER", "timestamp": 1_600_000_000_500,
            }  # fmt: skip
            filled = {"status": "executed_completely", "executed_amount": 0.002}
            lines.opened[0].tell("order_status", status(command, report.venue_order_id, **filled))
            await asyncio.sleep(0.1)
            lines.opened[0].tell("user_trades", {"user_id": 7, "trade": trade})
            await asyncio.sleep(0.5)
            (told,) = events
            assert isinstance(told, OrderReport)
            assert (told.venue_order_id, told.client_order_id) == (report.venue_order_id, command.client_order_id)
            assert told.state is OrderState.FILLED
            assert told.fees == (("BTC", Decimal("0.000005")),)
            assert told.fills[0].id == "T-1"
            assert not bench.sent, "nothing was asked for"

    on_bench(act)


def test_an_order_whose_trade_the_stream_has_lost_is_told_by_what_the_venue_is_asked_for() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, events):
            command = bench.submit(str(ASK), quantity="0.003")
            report = await bench.place(command)
            assert report.state is OrderState.FILLED
            resting = bench.submit()
            rests = await bench.place(resting)
            bench.move(Decimal(339_990), Decimal(340_000))
            filled = {"status": "executed_completely", "executed_amount": 0.002}
            lines.opened[0].tell("order_status", status(resting, rests.venue_order_id, **filled))
            await asyncio.sleep(2)
            (told,) = events
            assert isinstance(told, OrderReport)
            assert (told.state, told.filled_quantity) == (OrderState.FILLED, Decimal("0.002"))
            assert told.fees

    on_bench(act)


def test_what_others_do_in_the_account_is_left_to_the_snapshots() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, events):
            command = bench.submit()
            report = await bench.place(command)
            other = status(command, "0F4A8504-21FB-4BE6-9771-25DCF5F68F87")
            lines.opened[0].tell("order_status", {**other, "external_id": "theirs"})
            lines.opened[0].tell("order_status", other)  # under our very id, and yet another order
            lines.opened[0].tell("order_status", status(command, report.venue_order_id), skip=2)
            await asyncio.sleep(1)
            assert [one.venue_order_id for one in events if isinstance(one, OrderReport)] == [report.venue_order_id]
            assert bench.anomalies("stream_gap") == 1

    on_bench(act)


def test_frames_that_cannot_be_read_are_counted_and_harm_nothing() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, events):
            (line,) = lines.opened
            for text in (
                b"",
                b"{",
                b"[1]",
                b'{"id": "x"}',
                b'{"id":-1,"topic":"t"}',
                b'{"id":3,"topic":"unheard","body":{}}',
            ):
                line.put(text)
            line.tell("order_status", {"id": "A", "status": "open"})
            line.tell("user_trades", None)
            line.tell(BOOK, book())
            await asyncio.sleep(0.5)
            assert not line.closed
            assert not events
            assert bench.anomalies("stream_unreadable") == 5
            assert (await bench.connector.quotes([bench.instrument]))[0].bid == 349_000

    on_bench(act)


def test_a_line_that_is_lost_is_renewed_with_a_new_ticket_and_its_books_are_gone_at_once() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, _):
            lines.opened[0].tell(BOOK, book())
            await asyncio.sleep(0.1)
            lines.refuse = 2
            lines.opened[0].put(None)
            await asyncio.sleep(0.1)
            assert lines.opened[0].closed
            assert (await bench.connector.quotes([bench.instrument]))[0].bid == float(BID)
            await asyncio.sleep(20)
            assert len(lines.opened) == 2
            assert bench.observer.counted("quantd_stream_connections_total", endpoint="stream") == 4
            assert bench.observer.counted("quantd_stream_losses_total", endpoint="stream") == 1
            assert lines.opened[1].said[1]["ticket"] != lines.opened[0].said[1]["ticket"]
            lines.opened[1].tell(BOOK, book())
            await asyncio.sleep(0.1)
            assert (await bench.connector.quotes([bench.instrument]))[0].bid == 349_000

    on_bench(act)


def test_a_silent_line_is_given_up() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, _):
            await asyncio.sleep(SILENCE_MAX_S + 5)
            assert lines.opened[0].closed
            assert len(lines.opened) == 2

    on_bench(act)


def test_without_a_ticket_the_polls_go_on_and_it_is_tried_again() -> None:
    async def act(bench: Bench) -> None:
        for _ in range(2):
            bench.fault(Action.ERROR, "ticket", status=503)
        async with streaming(bench) as (lines, _):
            assert not lines.opened
            assert (await bench.connector.quotes([bench.instrument]))[0].bid == float(BID)
            await asyncio.sleep(20)
            assert len(lines.opened) == 1

    on_bench(act)


def test_the_ticket_is_asked_for_with_a_signed_post_without_a_body() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench):
            (request,) = [one for one in bench.sent if one.path == "/trade/ticket"]
            assert (request.method, request.body) == ("POST", b"")
            assert "Content-Type" not in request.headers

    on_bench(act)
