"""What the venue says of orders: lists, single orders, and the trades that tell their fills and fees.

Used by the connector and by `search`. Of an order nothing is told but what its trades show, since only they tell ids,
prices and fees; while they are late the order counts as working, so that it is asked for again. Never writes.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId, instrument_id
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, ClientOrderId, OrderState
from quantd.domain.reports import OrderReport
from quantd.errors import Refused, Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.ripio import translate, wire
from quantd.venues.ripio.api import Api, part
from quantd.venues.ripio.paging import PAGE_SIZE, read_pages
from quantd.venues.ripio.translate import SECOND_NS

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too."""

TRADES_PATIENCE_S = 30.0
"""How long trades may be missing before an order is told by its own figures; the documents speak of no lag."""
IDS_MAX = 10
"""Documented: ids in one question for orders."""
_REMEMBERED = 20_000

_ORDER = wire.reader(wire.OrderRow)
_ORDERS = wire.reader(wire.OrderPage)
_TRADES = wire.reader(wire.TradePage)


class OrderReader:
    """Reads orders and makes reports of them.

    Args:
        api: The account's requests.
        alerts: Told of contradictions.
        known_ids: What the engine has, by instrument: tells ours from others' under the same external id.
    """

    def __init__(self, api: Api, alerts: Alerts, known_ids: KnownIds) -> None:
        self._api = api
        self._alerts = alerts
        self._clock = api.http.clock
        self._known_ids = known_ids
        self._fills: OrderedDict[str, tuple[Fill, ...]] = OrderedDict()
        """Executions by order, as far as they were read."""
        self._owners: OrderedDict[ClientOrderId, str] = OrderedDict()
        """The venue's id of the order that an external id stands for."""
        self._late_since: OrderedDict[str, int] = OrderedDict()
        """Monotonic time since which an order's trades are missing."""

    # --- reading ---

    async def get(self, order_id: str, lane: Lane) -> wire.OrderRow | None:
        """Return one order, None when the venue does not know it.

        Raises:
            VenueError: when it could not be read.
        """
        row = await self._one("get_order", f"/orders/{part(order_id)}", lane)
        if row is not None and row.id.upper() != order_id.upper():
            raise Unavailable(self._api.venue, "get_order", f"asked for order {order_id}, told of {row.id}")
        return row

    async def by_external_id(self, external_id: str, lane: Lane) -> wire.OrderRow | None:
        """Return an order under a client's id, None when there is none; of several the venue shows any.

        Raises:
            VenueError: when it could not be read.
        """
        return await self._one("get_by_external_id", f"/orders/by-external-id/{part(external_id)}", lane)

    async def _one(self, operation: str, path: str, lane: Lane) -> wire.OrderRow | None:
        try:
            return (await self._api.read(operation, _ORDER, path, lane=lane)).payload
        except Refused as error:
            if error.code == "not_found":
                return None
            raise

    async def open_orders(self, lane: Lane, *, pair: str = "") -> tuple[dict[str, wire.OrderRow], bool]:
        """Return all open orders by id, of one pair or of all, and whether all pages were read.

        Raises:
            VenueError: when a page could not be read.
        """
        return await self._listed("open_orders", "/orders/open", {"pair": pair} if pair else {}, lane)

    async def orders(self, pair: str, lane: Lane, *, since_ns: int) -> tuple[dict[str, wire.OrderRow], bool]:
        """Return the orders of a pair created since a time, in whatever state, and whether they are all.

        No end is asked for: by a clock that is not the venue's it may lie in its future, or before the newest order.

        Raises:
            VenueError: when a page could not be read.
        """
        query = {
            "pair": pair,
            "status": translate.ANY,
            "start_date": translate.instant_text(since_ns),
        }
        return await self._listed("list_orders", "/orders", query, lane)

    async def by_ids(self, pair: str, ids: Sequence[str], lane: Lane, *, since_ns: int) -> dict[str, wire.OrderRow]:
        """Return orders of a pair by the venue's ids, ten for each request.

        Raises:
            VenueError: when they could not be read.
        """
        found: dict[str, wire.OrderRow] = {}
        for start in range(0, len(ids), IDS_MAX):
            query = {
                "pair": pair,
                "status": translate.ANY,
                "ids": ",".join(ids[start : start + IDS_MAX]),
                "start_date": translate.instant_text(since_ns),
            }
            found |= (await self._listed("list_orders", "/orders", query, lane))[0]
        return found

    async def _listed(
        self, operation: str, path: str, query: Mapping[str, str], lane: Lane
    ) -> tuple[dict[str, wire.OrderRow], bool]:
        async def fetch(following: dict[str, str]) -> tuple[Sequence[wire.OrderRow], dict[str, str] | None]:
            asked = {**query, "page_size": str(PAGE_SIZE), **following}
            page = (await self._api.read(operation, _ORDERS, path, lane=lane, query=asked)).payload
            return page.orders, next_page(page)

        rows, complete = await read_pages(fetch)
        if not complete:
            self._alerts.note("list_not_complete", operation, rows=len(rows))
        return rows, complete

    async def _trades(self, order_id: str, lane: Lane) -> tuple[Fill, ...]:
        """Read the executions of one order."""

        async def fetch(following: dict[str, str]) -> tuple[Sequence[wire.TradeRow], dict[str, str] | None]:
            asked = {"order_id": order_id, "page_size": str(PAGE_SIZE), **following}
            page = (await self._api.read("order_trades", _TRADES, "/orders/trades", lane=lane, query=asked)).payload
            # When both orders of a trade are ours it may come twice under one id, once for each.
            own = [row for row in page.trades if row.order_id == order_id]
            if len(own) < len(page.trades):
                self._alerts.note("trade_of_another_order", order_id)
            return own, {"c": page.nc} if page.nc else None

        rows, _ = await read_pages(fetch)
        fills = translate.fills_of(rows.values())
        _keep(self._fills, order_id, fills)
        return fills

    def learn_trade(self, row: wire.TradeRow) -> None:
        """Take in one execution that the stream told."""
        order_id = row.order_id
        known = self._fills.get(order_id, ())
        if all(fill.id != row.id for fill in known):
            _keep(self._fills, order_id, (*known, *translate.fills_of([row])))

    # --- reports ---

    def told(self, order_id: str) -> Decimal:
        """Return how much of an order its trades have shown so far."""
        return sum((fill.quantity for fill in self._fills.get(order_id, ())), ZERO)

    async def report(self, row: wire.OrderRow, lane: Lane, *, ended: OrderState | None = None) -> OrderReport:
        """Return the report of an order with its fills.

        Args:
            row: The order as a list or a single read shows it, `pair` and `status` in it.
            lane: For the question for its trades, which is put only when they are not known.
            ended: The end that is concluded from more than the order's own word.

        Raises:
            VenueError: when its trades could not be read.
        """
        order_id = row.id.upper()
        fills, executed = self._fills.get(order_id, ()), translate.executed(row)
        if self.told(order_id) != executed:
            fills = await self._trades(order_id, lane)
        state, strange = translate.order_state(row)
        if strange:
            self._alerts.note(strange, order_id, status=row.status[:32])
        state = ended if ended is not None and state not in ENDS else state
        told = sum((fill.quantity for fill in fills), ZERO)
        if executed > row.executed_amount and told >= executed:
            state = OrderState.FILLED
        if told > executed:
            # The order was read before its trades; what they say is newer.
            whole = row.requested_amount is not None and told >= row.requested_amount
            alive = OrderState.FILLED if whole else OrderState.PARTIALLY_FILLED
            state = state if state in ENDS else alive
        elif told < executed:
            if not self._overdue(order_id):
                state = OrderState.PARTIALLY_FILLED if told else OrderState.WORKING
            elif told < row.executed_amount or not told:
                return self._by_own_figures(row, state)
        else:
            self._late_since.pop(order_id, None)
        return translate.order_report(
            self._api.venue,
            row,
            state,
            fills=fills,
            client_order_id=self.owner_of(row),
            received_at_ns=self._clock.now_ns(),
        )

    def _overdue(self, order_id: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        if order_id not in self._late_since:
            _keep(self._late_since, order_id, now_ns)
        return now_ns - self._late_since[order_id] >= TRADES_PATIENCE_S * SECOND_NS

    def _by_own_figures(self, row: wire.OrderRow, state: OrderState) -> OrderReport:
        """Return the report of an order whose trades do not come: quantity and average are its own, fees are not told."""
        self._alerts.note("trades_missing", row.id.upper(), executed=str(row.executed_amount))
        report = translate.order_report(
            self._api.venue,
            row,
            state,
            fills=(),
            client_order_id=self.owner_of(row),
            received_at_ns=self._clock.now_ns(),
        )
        return msgspec.structs.replace(
            report, filled_quantity=row.executed_amount, average_price=row.average_execution_price
        )

    # --- identity ---

    def owner_of(self, row: wire.OrderRow) -> ClientOrderId | None:
        """Return our id of an order, None for a second order under the same id: the venue does not keep ids apart."""
        external = translate.external_id(row)
        if external is None:
            return None
        order_id = row.id.upper()
        owner = self._owners.get(external)
        if owner == order_id:
            return external
        if owner is not None:
            known = self._known(row.pair)
            if order_id not in known or owner in known:
                self._alerts.note("external_id_twice", order_id, external_id=external, other=owner)
                return None
        _keep(self._owners, external, order_id)
        return external

    def learn_owners(self, rows: Iterable[wire.OrderRow]) -> None:
        """Settle whose an external id is from a whole list, before its orders are told: those that we know come first."""
        known: dict[str, frozenset[str]] = {}
        for row in rows:
            external = translate.external_id(row)
            if external is None or self._owners.get(external) == row.id.upper():
                continue
            if row.pair not in known:
                known[row.pair] = self._known(row.pair)
            if row.id.upper() in known[row.pair]:
                _keep(self._owners, external, row.id.upper())

    def _known(self, pair: str) -> frozenset[str]:
        return frozenset(self._known_ids(instrument_id(self._api.venue, pair)))

    def is_ours(self, row: wire.OrderRow) -> bool:
        """Tell whether an order is known to be one that we placed."""
        external = translate.external_id(row)
        return external is not None and self._owners.get(external) == row.id.upper()

    def own(self, client_order_id: ClientOrderId, order_id: str) -> None:
        """Remember which order the venue made of ours."""
        _keep(self._owners, client_order_id, order_id.upper())


def next_page(page: wire.OrderPage) -> dict[str, str] | None:
    """Return what to ask for the next page: by the cursor, or by number where there is none."""
    if page.nc:
        return {"c": page.nc}
    numbers = page.pagination
    if numbers is None or numbers.current_page >= numbers.total_pages or not page.orders:
        return None
    return {"current_page": str(numbers.current_page + 1)}


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _keep(store: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    store[key] = value
    store.move_to_end(key)
    if len(store) > _REMEMBERED:
        store.popitem(last=False)
