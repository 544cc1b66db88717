"""The inbox: everything for the engine, in the order of arrival, with market data merged under load.

Made by the composition root; feeds, connectors and operators put, the runner alone gets. It belongs to one event loop:
another thread hands its events over with `loop.call_soon_threadsafe(inbox.put, event)`. It never drops a report, a
fill, an operator's command, a bar or a status; it never waits on `put`.
"""

import asyncio

from quantd.domain.events import Event, OperationSent, OperatorActed
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Book, Quote
from quantd.ports import Observer

BATCH_MAX = 16
"""Events that one batch has at most, unless more than eight times as many wait: about 4 ms of the engine's work."""
_SHARE = 8
_TOMBSTONES_MIN = 1_024


class Inbox:
    """A queue that holds at most `conflate_above` quotes and books, plus one of each kind for each instrument.

    Above that, a new quote takes the place of the waiting one of its instrument, and moves to the end; books likewise.
    """

    def __init__(self, conflate_above: int = 256, observer: Observer | None = None) -> None:
        """Start empty.

        Raises:
            ValueError: when `conflate_above` is below 1.
        """
        if conflate_above < 1:
            raise ValueError(f"expected conflate_above >= 1, found {conflate_above}")
        self.conflated = 0
        """Quotes and books that were replaced before the runner saw them."""
        self._limit = conflate_above
        self._observer = observer
        self._reported = 0
        self._items: list[Event | None] = []
        self._quotes: dict[InstrumentId, int] = {}
        self._books: dict[InstrumentId, int] = {}
        self._market_data = 0
        self._replaced = 0
        self._waiter: asyncio.Future[None] | None = None
        self._left = False
        """Whether the last batch was not all that waited."""

    def __len__(self) -> int:
        """Return the number of waiting events."""
        return len(self._items) - self._replaced

    def put(self, event: Event) -> None:
        """Add an event; an `Emit`."""
        items = self._items
        kind = type(event)
        if kind is Quote or kind is Book:
            latest = self._quotes if kind is Quote else self._books
            # mypy does not narrow by `kind`, and isinstance would cost half of a put.
            instrument: InstrumentId = event.instrument  # type: ignore[union-attr,assignment]
            if self._market_data >= self._limit and instrument in latest:
                items[latest[instrument]] = None
                self._replaced += 1
                self.conflated += 1
                if self._replaced > _TOMBSTONES_MIN and self._replaced * 2 > len(items):
                    self._compact()
                    items = self._items
            else:
                self._market_data += 1
            latest[instrument] = len(items)
        items.append(event)
        if self._waiter is not None:
            if kind is OperationSent:
                # Put while a request is being made: its bytes go before what is noted of them. Handled at once, the
                # note held each order up, for the HTTP client may write in a task of its own.
                self._waiter.get_loop().call_soon(self._wake)
            else:
                self._wake()

    def take(self) -> list[Event]:
        """Return all waiting events, oldest first, and forget them; empty when there are none."""
        items = self._items
        batch = [item for item in items if item is not None]
        self._items = []
        self._quotes.clear()
        self._books.clear()
        self._market_data = 0
        self._replaced = 0
        if self._observer is not None:
            self._observer.gauge("quantd_inbox_depth", len(batch))
            if self.conflated > self._reported:
                self._observer.count("quantd_inbox_conflated_total", self.conflated - self._reported)
                self._reported = self.conflated
        return batch

    async def get_batch(self) -> list[Event]:
        """Wait for at least one event; return the oldest, `BATCH_MAX` or an eighth of what waits. One caller at a time.

        Between two batches the loop gets its turn, however many wait: to handle hundreds at once would stop it for long.
        What an operator asked for stays with the event that carries it out: whoever waits for it is told of one batch.

        Raises:
            RuntimeError: when somebody else is waiting already.
        """
        if self._left:
            self._left = False
            await asyncio.sleep(0)
        if not self._items:
            if self._waiter is not None:
                raise RuntimeError("the inbox has one consumer: another one is waiting already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        batch = self.take()
        if len(batch) > BATCH_MAX:
            self._put_back(batch, max(BATCH_MAX, len(batch) // _SHARE))
        return batch

    def _put_back(self, batch: list[Event], first: int) -> None:
        """Let all but the first events wait on; nothing was put in since they were taken."""
        while type(batch[first - 1]) is OperatorActed and first < len(batch):
            first += 1
        self._left = first < len(batch)
        self._items = list(batch[first:])
        del batch[first:]
        self._compact()
        self._market_data = sum(type(item) is Quote or type(item) is Book for item in self._items)

    def _wake(self) -> None:
        waiter = self._waiter
        # A wake-up that comes a turn later may find that the consumer has taken all and waits again.
        if waiter is not None and self._items and not waiter.done():
            waiter.set_result(None)

    def _compact(self) -> None:
        """Remove the replaced ones; rare enough that its cost is spread over thousands of puts."""
        self._items = [item for item in self._items if item is not None]
        self._replaced = 0
        self._quotes.clear()
        self._books.clear()
        for position, item in enumerate(self._items):
            if type(item) is Quote:
                self._quotes[item.instrument] = position
            elif type(item) is Book:
                self._books[item.instrument] = position
