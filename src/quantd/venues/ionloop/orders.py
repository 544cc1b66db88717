"""What the venue says of orders: lists, single orders, and what is remembered of both.

Used by the connector and by `search`. The list of orders shows neither price nor time of creation, so the terms of
every order seen are remembered; they never change. Prices of fills come by webhook only and are remembered until the
order is reported. Never writes to the venue.
"""

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from quantd.domain.orders import ENDS, ClientOrderId
from quantd.domain.reports import OrderReport
from quantd.errors import Refused, Unavailable
from quantd.ports import Clock
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.ionloop import translate, wire
from quantd.venues.ionloop.api import Api
from quantd.venues.ionloop.paging import PAGE_SIZE, PAGES_MAX, read_pages

OPEN = "open"
ANY = "open,filled,cancelled"
"""Values of the list's filter by state."""

_TERMS_KEPT = PAGE_SIZE * PAGES_MAX
"""Orders whose terms are kept for lists and notices that do not tell them: all of the longest list. With fewer, each look
for a lost order would ask for all the others again, one by one, ahead of every submit."""
_REMEMBERED = 1_000
"""Orders whose averages and ends are kept."""
_WORSE = {"buy": 1, "sell": -1}
"""Direction in which a price is worse, by side."""


class Terms(msgspec.Struct, frozen=True):
    """What of an order never changes."""

    quantity: Decimal
    price: Decimal | None
    type: str
    created_at: str | None
    side: str


class OrderDesk:
    """Reads orders and makes reports of them."""

    def __init__(self, api: Api, *, clock: Clock, alerts: Alerts) -> None:
        self._api = api
        self._clock = clock
        self.alerts = alerts
        self._terms: OrderedDict[str, Terms] = OrderedDict()
        self._averages: OrderedDict[str, tuple[Decimal, Decimal]] = OrderedDict()
        """(filled quantity, average price) by order, as webhooks told them."""
        self._ended: OrderedDict[str, wire.OrderWire] = OrderedDict()

    @property
    def venue(self) -> str:
        """The venue's key in the configuration."""
        return self._api.venue

    async def listed(self, states: str, lane: Lane, *, symbol: str = "") -> tuple[dict[str, wire.OrderWire], bool]:
        """Return the orders in `states` by id, of one symbol or of all, and whether all pages were read.

        Raises:
            VenueError: when a page could not be read.
        """
        query = {"symbol": symbol} if symbol else {}

        async def fetch(page: int) -> tuple[Sequence[wire.OrderWire], int | None]:
            asked = {**query, "status": states, "page": str(page), "pageSize": str(PAGE_SIZE)}
            answer = await self._api.read("list_orders", wire.OrderPage, lane=lane, query=asked)
            return answer.payload.items, answer.payload.page_size

        rows, complete = await read_pages(fetch)
        if not complete:
            self.alerts.note("list_not_complete", "orders", rows=len(rows))
        return {id_: self._completed(row) for id_, row in rows.items()}, complete

    async def get(self, order_id: str, lane: Lane) -> wire.OrderWire | None:
        """Return one order, None when the venue does not know it.

        Raises:
            VenueError: when it could not be read.
        """
        try:
            answer = await self._api.read("get_order", wire.OrderWire, lane=lane, parts={"id": order_id})
        except Refused as error:
            if error.code == "not_found":
                return None
            raise
        if answer.payload.id != order_id:
            raise Unavailable(self._api.venue, "get_order", f"asked for order {order_id}, told of {answer.payload.id}")
        self.learn(answer.payload)
        return answer.payload

    async def priced(self, row: wire.OrderWire, lane: Lane) -> wire.OrderWire | None:
        """Return `row` of a list with its price and time; asks the venue when they are not remembered.

        Raises:
            VenueError: when it could not be read.
        """
        return row if row.id in self._terms else await self.get(row.id, lane)

    def learn(self, order: wire.OrderWire) -> None:
        """Remember a whole order, as create and get answer it."""
        if order.price is not None or order.created_at is not None:
            terms = Terms(order.quantity, order.price, order.type, order.created_at, order.side)
            _keep(self._terms, order.id, terms, _TERMS_KEPT)
        state, strange = translate.order_state(order)
        if strange:
            self.alerts.note(strange, order.id, status=order.status[:32], venue_order_id=order.id)
        if state in ENDS:
            _keep(self._ended, order.id, order)

    def report(self, order: wire.OrderWire, client_order_id: ClientOrderId | None = None) -> OrderReport:
        """Return the report of an order, with the average price where one was told for just this filled quantity."""
        told = self._averages.get(order.id)
        average = told[1] if told is not None and told[0] == order.filled_quantity else None
        limit = order.price
        if average is not None and limit is not None and (average - limit) * _WORSE.get(order.side, 0) > 0:
            # The venue's own samples show it; in earnest a limit order does not trade beyond its limit.
            self.alerts.note("average_beyond_limit", order.id, average=str(average), price=str(limit))
        return translate.order_report(
            self.venue,
            order,
            received_at_ns=self._clock.now_ns(),
            client_order_id=client_order_id,
            average_price=average,
        )

    def noticed(self, notice: wire.WebhookOrder) -> OrderReport | None:
        """Return what a webhook tells of an order, None when it tells nothing of its fills.

        It proves a filled quantity and its average price. It ends an order only if that was seen in full: whether a
        part is also announced as filled is not documented, and notices may arrive late and out of order.
        """
        filled, average = notice.filled_quantity, notice.average_price
        if filled is None or filled <= 0:
            return None
        told = self._averages.get(notice.order_id)
        if average is not None and average > 0 and (told is None or told[0] <= filled):
            _keep(self._averages, notice.order_id, (filled, average))
        ended, terms = self._ended.get(notice.order_id), self._terms.get(notice.order_id)
        if ended is not None:
            return self.report(ended)
        whole = terms is not None and filled >= terms.quantity
        order = wire.OrderWire(
            id=notice.order_id,
            symbol=notice.symbol,
            side=terms.side if terms is not None else "",
            status="filled" if whole else "open",
            quantity=terms.quantity if terms is not None else filled,
            filled_quantity=filled,
            price=terms.price if terms is not None else None,
            created_at=terms.created_at if terms is not None else None,
        )
        report = self.report(order)
        return report if terms is not None else msgspec.structs.replace(report, quantity=None)

    def _completed(self, row: wire.OrderWire) -> wire.OrderWire:
        terms = self._terms.get(row.id)
        if terms is None or row.price is not None:
            return row
        return msgspec.structs.replace(row, price=terms.price, type=terms.type, created_at=terms.created_at)


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _keep(store: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int = _REMEMBERED) -> None:
    store[key] = value
    store.move_to_end(key)
    if len(store) > most:
        store.popitem(last=False)
