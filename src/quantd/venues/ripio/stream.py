"""The venue's stream beside the polls: books, and our own orders and trades, told as they happen.

Run by the venue's keeper for ever. It hastens what the polls would see and replaces none of them: a connection that is
lost, a gap or a checksum that differs costs time and no truth. Never writes but for a ticket, which admits one connection
to the private topics.
"""

import asyncio
from collections.abc import Iterable

import structlog

from quantd.domain.instruments import Instrument
from quantd.domain.market import Book, Quote
from quantd.domain.outcomes import Accepted
from quantd.errors import Unavailable, VenueError, first_of
from quantd.ports import Emit, Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.parsing import CANNOT_READ
from quantd.venues.ripio import wire
from quantd.venues.ripio.api import Api, Message
from quantd.venues.ripio.books import OutOfStep, StreamBook
from quantd.venues.ripio.orders import OrderReader
from quantd.venues.ripio.socket import Connect, Socket, SocketLost
from quantd.venues.ripio.translate import SECOND_NS

PING_EVERY_S = 20.0
SILENCE_MAX_S = 50.0
"""Without any frame for so long, answers to pings included, the connection counts as lost."""
FRESH_S = 5.0
"""A book of which nothing was heard for so long is asked for by the poller: no news and no more news look alike."""
TRADE_WAIT_S = 0.2
"""How long an order's news waits for those of its trade before the trade is asked for."""
RESYNC_FIRST_S = 0.5
"""Pause before a book that did not fit is subscribed anew, doubled for each time in a row: what is still on its way of the
old subscription has come by then, and a checksum that never fits must not become a storm."""
RESYNC_MAX_S = 120.0
_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 60.0
_TICKET_PATIENCE_S = 10.0

BOOKS = "orderbook/level_2_delta@"
ORDERS = "order_status"
TRADES = "user_trades"

_log = structlog.get_logger(__name__)
_FRAME = wire.reader(wire.Frame)
_ORDER = wire.reader(wire.StreamedOrder)
_TRADE = wire.reader(wire.StreamedTrade)
_TICKET = wire.reader(wire.Ticket)


class Stream:
    """One connection, renewed as often as it takes.

    Args:
        api: Asks for tickets.
        orders: Makes reports; learns trades.
        connect: Opens a connection.
        alerts: Told of gaps and contradictions.
        observer: Counts connections.
    """

    def __init__(self, api: Api, orders: OrderReader, connect: Connect, *, alerts: Alerts, observer: Observer) -> None:
        self._api = api
        self._orders = orders
        self._connect = connect
        self._alerts = alerts
        self._observer = observer
        self._clock = api.http.clock
        self._books: dict[str, StreamBook] = {}
        self._resyncing: set[str] = set()
        self._misfits: dict[str, tuple[int, int]] = {}
        """By pair: how often its book did not fit in short succession, and when it did not last (monotonic)."""
        self._sequences: dict[str, int] = {}
        """Last id by private topic."""
        self.is_live = False

    # --- what is known ---

    def quote(self, instrument: Instrument) -> Quote | None:
        """Return a fresh top of book, None where the poller must ask."""
        book = self._fresh(instrument)
        return book.quote(instrument) if book is not None else None

    def book(self, instrument: Instrument, depth: int) -> Book | None:
        """Return a fresh book, None where the poller must ask."""
        book = self._fresh(instrument)
        return book.book(instrument, depth) if book is not None else None

    def _fresh(self, instrument: Instrument) -> StreamBook | None:
        book = self._books.get(instrument.symbol)
        if book is None or not self.is_live:
            return None
        age_ns = self._clock.now_ns() - book.heard_at_ns
        return book if book.is_whole and 0 <= age_ns <= FRESH_S * SECOND_NS else None

    # --- the connection ---

    async def run(self, pairs: Iterable[str], emit: Emit) -> None:
        """Keep a connection for the books of `pairs` and for our own orders; for ever, until cancelled."""
        self._books = {pair: StreamBook() for pair in sorted(set(pairs))}
        wait_s = _BACKOFF_FIRST_S
        told = False
        labels = {"venue": self._api.venue, "endpoint": "stream"}
        self._observer.count("quantd_stream_losses_total", 0, **labels)
        while True:
            self._observer.count("quantd_stream_connections_total", 1, **labels)
            try:
                await self._attend(emit)
            except (SocketLost, VenueError) as error:
                self._observer.count("quantd_stream_losses_total", int(self.is_live), **labels)
                # One that had come up begins anew with short pauses, and is worth a line each time.
                if self.is_live or not told:
                    _log.warning("stream_lost", venue=self._api.venue, error=str(error))
                told = True
                wait_s = _BACKOFF_FIRST_S if self.is_live else min(wait_s * 2, _BACKOFF_MAX_S)
            finally:
                self.is_live = False
                for book in self._books.values():
                    book.reset()
            await asyncio.sleep(wait_s)

    async def _attend(self, emit: Emit) -> None:
        """Serve one connection until it is lost."""
        ticket = await self._ticket()
        socket = await self._connect()
        try:
            self._sequences.clear()
            self._resyncing.clear()
            topics = [BOOKS + pair for pair in self._books]
            await socket.send(wire.encode({"method": "subscribe", "topics": topics}))
            await socket.send(wire.encode({"method": "subscribe", "topics": [ORDERS, TRADES], "ticket": ticket}))
            # A group that ends by an error forgets that it was cancelled too, and may leave its task marked as cancelled
            # (Python before 3.13): in a task of its own it does neither to ours.
            serving = asyncio.create_task(self._serve(socket, emit), name="stream connection")  # noqa: TID251 - awaited here
            await serving
        except* (SocketLost, VenueError) as group:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from group
            raise first_of(group) from group
        finally:
            await socket.close()

    async def _serve(self, socket: Socket, emit: Emit) -> None:
        news: asyncio.Queue[wire.OrderRow] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ping(socket), name="stream ping")
            tasks.create_task(self._tell(news, emit), name="stream orders")
            tasks.create_task(self._listen(socket, news, tasks), name="stream frames")

    async def _ticket(self) -> str:
        deadline_at_ns = self._clock.now_ns() + round(_TICKET_PATIENCE_S * SECOND_NS)
        outcome, ticket = await self._api.write(
            "ticket", _TICKET, Message("POST", "/ticket"), lane=Lane.ACCOUNT, deadline_at_ns=deadline_at_ns
        )
        if not isinstance(outcome, Accepted) or ticket is None:
            raise Unavailable(self._api.venue, "ticket", f"no ticket: {outcome}")
        return ticket.ticket

    async def _ping(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            await socket.send(b'{"method":"ping"}')

    async def _listen(self, socket: Socket, news: "asyncio.Queue[wire.OrderRow]", tasks: asyncio.TaskGroup) -> None:
        while True:
            text = await socket.receive(SILENCE_MAX_S)
            try:
                frame = _FRAME(text)
            except CANNOT_READ:
                self._alerts.note("stream_unreadable", "frame")
                continue
            if not frame.body or bytes(frame.body) == b"null" or frame.id < 0:
                continue
            if not self.is_live:
                self.is_live = True
                _log.info("stream_live", venue=self._api.venue)
            if frame.topic.startswith(BOOKS):
                pair = frame.topic.removeprefix(BOOKS)
                if self._fits(pair, frame):
                    continue
                self._resyncing.add(pair)
                tasks.create_task(self._resync(socket, pair), name=f"stream resync {pair}")
            elif frame.topic in (ORDERS, TRADES):
                self._private_frame(frame, news)

    def _fits(self, pair: str, frame: wire.Frame) -> bool:
        """Take in a frame of a book and tell whether the book is whole, or not ours to keep now."""
        book = self._books.get(pair)
        if book is None or pair in self._resyncing:
            return True
        try:
            book.apply(frame, self._clock.now_ns())
        except OutOfStep as error:
            self._alerts.note(error.kind, frame.topic, id=frame.id)
            return False
        return True

    async def _resync(self, socket: Socket, pair: str) -> None:
        """Subscribe a book anew, so that its next frame is a snapshot."""
        now_ns = self._clock.monotonic_ns()
        misfits, last_ns = self._misfits.get(pair, (0, 0))
        misfits = misfits + 1 if now_ns - last_ns < 2 * RESYNC_MAX_S * SECOND_NS else 1
        self._misfits[pair] = (misfits, now_ns)
        topics = [BOOKS + pair]
        await socket.send(wire.encode({"method": "unsubscribe", "topics": topics}))
        await asyncio.sleep(min(RESYNC_FIRST_S * 2.0 ** min(misfits - 1, 16), RESYNC_MAX_S))
        self._books[pair].reset()
        self._resyncing.discard(pair)
        await socket.send(wire.encode({"method": "subscribe", "topics": topics}))

    def _private_frame(self, frame: wire.Frame, news: "asyncio.Queue[wire.OrderRow]") -> None:
        last = self._sequences.get(frame.topic)
        if last is not None and frame.id != last + 1:
            self._alerts.note("stream_gap", frame.topic, id=frame.id, last=last)  # the poller sees what was missed
        self._sequences[frame.topic] = frame.id
        try:
            if frame.topic == TRADES:
                self._orders.learn_trade(_TRADE(frame.body).trade)
            else:
                row = _ORDER(frame.body).row()
                if self._orders.is_ours(row):  # what others do shows in the snapshots
                    news.put_nowait(row)
        except CANNOT_READ:
            self._alerts.note("stream_unreadable", frame.topic)

    async def _tell(self, news: "asyncio.Queue[wire.OrderRow]", emit: Emit) -> None:
        """Report what happened to our orders, with their trades."""
        while True:
            row = await news.get()
            if row.executed_amount != self._orders.told(row.id.upper()):
                await asyncio.sleep(TRADE_WAIT_S)
            try:
                emit(await self._orders.report(row, Lane.ACCOUNT))
            except VenueError as error:
                _log.warning("stream_order_unread", venue=self._api.venue, error=str(error))  # the poller will
