"""The account's log of transactions, read gaplessly from a known entry on: the source of truth for orders and money.

Used by the connector's parts. Ids grow by one, so that a hole is seen. What one process read up to is kept in the journal
and handed to the next one by `resume`, so that nothing which happened in between is missed.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from quantd.errors import Refused, Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.oanda import wire
from quantd.venues.oanda.api import Api
from quantd.venues.oanda.formats import instant_text
from quantd.venues.oanda.orders import Chain, OrderBook

_PAGES_MAX = 100
_HOPS_MAX = 20
_LAGS_S = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses while the log lags behind another answer; half a second is the longest lag that was ever published."""
_OUT_OF_REACH_NS = 10_000_000_000
"""How long a range must be refused before it is given up: whether one that only lags is refused too, is not documented."""
_SKEW_NS = 300_000_000_000
"""How far the venue's clock may be from ours where a time is all that we have to search by."""


class Ledger:
    """Reads the log and keeps the orders that it tells of.

    Args:
        api: Of the account.
        orders: Takes in what is read.
        alerts: Told of holes.
    """

    def __init__(self, api: Api, orders: OrderBook, alerts: Alerts) -> None:
        self._api = api
        self._orders = orders
        self.alerts = alerts
        self._lock = asyncio.Lock()
        self._hole_at = 0
        self._refused_at_ns: int | None = None
        """Monotonic time since when the range after the newest entry is refused."""
        self.began_id = 0
        """The newest entry when reading began at the present; 0 when the log goes on where the process before stopped."""
        self.last_id = 0
        """The newest entry up to which everything has been read; 0 before the first look."""
        self.covered_since_ns = 0
        """Wall time from which on nothing is missing; 0 when the log goes on where the process before stopped."""
        self.news: list[wire.Transaction] = []
        """Entries that were read and not handed out for good, oldest first."""

    def resume(self, last_id: int) -> None:
        """Go on after the entry that the process before had handed out; once the log is read, that counts for nothing."""
        self.last_id = self.last_id or last_id

    def begin(self, last_id: int) -> bool:
        """Begin at the present, unless there is a place to go on from; return whether it did."""
        if self.last_id:
            return False
        self.last_id = self.began_id = last_id
        self.covered_since_ns = self._api.http.clock.now_ns()
        return True

    async def catch_up(self, lane: Lane) -> bool:
        """Read what is new; return whether that is all that the venue has.

        Raises:
            VenueError: when a page could not be read.
        """
        async with self._lock:
            if not self.last_id or not self._orders.home:
                # Asked for before the account was read: all that ever was is not wanted, nor money in no currency.
                told = await self._summary(lane)
                self.begin(int(told.last_transaction_id))
            for _ in range(_PAGES_MAX):
                try:
                    page = await self._api.get(
                        "transactions_since",
                        "/transactions/sinceid",
                        wire.TransactionPage,
                        lane,
                        {"id": str(self.last_id)},
                    )
                except Refused as error:
                    if error.code != "range_not_available":
                        raise
                    await self._refused(lane)
                    return False
                self._refused_at_ns = None
                if not await self._take(page.transactions, lane):
                    return False
                if self.last_id >= int(page.last_transaction_id):
                    return True
                if not page.transactions:
                    return False  # it knows of entries that it does not show yet
            return False

    async def _summary(self, lane: Lane) -> wire.SummaryAnswer:
        told = await self._api.get("summary", "/summary", wire.SummaryAnswer, lane)
        self._orders.home = told.account.currency
        return told

    async def _take(self, entries: Iterable[wire.Transaction], lane: Lane) -> bool:
        """Take in a page in order; False at a hole, which is passed over only when it is met again.

        What concerns an order that is older than the log up to now is taken in once that order has been read.
        """
        for entry in sorted(entries, key=lambda one: one.number):
            if entry.number <= self.last_id:
                continue
            if entry.number != self.last_id + 1 and self._hole_at != self.last_id:
                self._hole_at = self.last_id
                self.alerts.note("log_has_a_hole", str(self.last_id), next=entry.id)
                return False
            older = self._orders.lacks(entry)
            if older:
                await self.load(older, lane)
            self._orders.apply((entry,))
            self.news.append(entry)
            self.last_id = entry.number
        return True

    async def _refused(self, lane: Lane) -> None:
        """Begin at the present once a range stays out of the venue's reach. The next snapshot shows the rest."""
        now_ns = self._api.http.clock.monotonic_ns()
        since_ns = self._refused_at_ns = now_ns if self._refused_at_ns is None else self._refused_at_ns
        if now_ns - since_ns < _OUT_OF_REACH_NS:
            return
        self._refused_at_ns = None
        self.alerts.note("log_out_of_reach", str(self.last_id))
        told = await self._summary(lane)
        self.last_id = self.began_id = int(told.last_transaction_id)
        self.covered_since_ns = self._api.http.clock.now_ns()

    async def cover(self, since_ns: int, lane: Lane) -> bool:
        """Make sure that entries from a time on have been seen, reading them by time where they have not.

        Returns whether all have been seen; a read that lags behind what is known to be there has not.

        Args:
            since_ns: Our wall time; the venue's clock may differ by five minutes.
            lane: Of the requests.

        Raises:
            VenueError: when a page could not be read.
        """
        if since_ns > self.covered_since_ns or not self.covered_since_ns:
            return True
        query = {"from": instant_text(max(since_ns - _SKEW_NS, 0)), "pageSize": "1000"}
        if not self._orders.home:
            await self._summary(lane)
        pages = await self._api.get("transactions", "/transactions", wire.TransactionPages, lane, query)
        newest = 0
        for address in pages.pages:
            asked = dict(parse_qsl(urlsplit(address).query))
            page = await self._api.get("transaction_range", "/transactions/idrange", wire.TransactionPage, lane, asked)
            self._orders.apply(page.transactions)
            newest = max((newest, *(entry.number for entry in page.transactions)))
        if newest < self.began_id:
            return False
        self.covered_since_ns = since_ns - 1
        return True

    async def load(self, order_id: str, lane: Lane) -> Chain | None:
        """Read one order that the log up to now does not tell of, with those that it replaced or that replaced it.

        Raises:
            VenueError: when the venue could not be asked.
        """
        if not self._orders.home:
            await self._summary(lane)
        ids, told = [order_id], dict[str, wire.Order]()
        for _ in range(_HOPS_MAX):
            missing = next((one for one in ids if one not in told), None)
            if missing is None:
                break
            order = await self._order(missing, lane)
            if order is None:
                return None
            told[missing] = order
            ids += [one for one in (order.replaces_order_id, order.replaced_by_order_id) if one and one not in ids]
        numbers = set(ids)
        for order in told.values():
            numbers |= {order.filling_transaction_id, order.cancelling_transaction_id} - {""}
        entries = [await self._entry(one, lane) for one in sorted(numbers, key=int)]
        self._orders.apply(entries)
        chain = self._orders.find(order_id)
        if chain is not None and chain.in_doubt:
            self._orders.settle(chain, told[max(told, key=int)])
        return chain

    async def settle(self, chain: Chain, lane: Lane) -> None:
        """Ask what became of the rest of an order that was filled in part.

        Raises:
            VenueError: when the venue could not be asked.
        """
        order = await self._order(chain.ids[-1], lane)
        if order is not None:
            self._orders.settle(chain, order)

    async def _order(self, order_id: str, lane: Lane) -> wire.Order | None:
        try:
            order = (await self._api.get("order", f"/orders/{order_id}", wire.OneOrder, lane)).order
        except Refused as error:
            if error.code not in ("no_such_order", "not_found"):
                raise
            self.alerts.note("order_not_shown", order_id)  # right after its creation a read may lag behind
            return None
        if order.id != order_id:
            raise Unavailable(self._api.venue, "order", f"asked for order {order_id}, told of {order.id}")
        return order

    async def _entry(self, number: str, lane: Lane) -> wire.Transaction:
        answer = await self._api.get("transaction", f"/transactions/{number}", wire.TransactionAnswer, lane)
        return answer.transaction

    async def reach(self, last_id: int, lane: Lane) -> None:
        """Read on until an entry that another answer has told of is there.

        Raises:
            Unavailable: it does not show within a few seconds: less than an answer says there is, is no ground to go on.
        """
        for wait_s in (0.0, *_LAGS_S):
            if self.last_id >= last_id:
                return
            await asyncio.sleep(wait_s)
            await self.catch_up(lane)
        if self.last_id < last_id:
            words = f"the log is read up to {self.last_id}, there are {last_id}"
            raise Unavailable(self._api.venue, "transactions_since", words)
