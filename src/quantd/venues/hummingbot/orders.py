"""What the server says of orders: its connector's memory, its database, and its trades, held against each other.

Used by the connector and by `search`. None of the three is trusted alone: memory forgets what ended and may go blank, the
database lacks what was not acknowledged and loses fills, and both answer 200 with nothing when something is down.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.instruments import Instrument, InstrumentId, instrument_id, symbol_of
from quantd.domain.orders import OrderRef
from quantd.domain.reports import OrderReport
from quantd.errors import Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.api import LIST_LIMIT, Api
from quantd.venues.hummingbot.classify import failure_of
from quantd.venues.hummingbot.market import MarketReader
from quantd.venues.hummingbot.translate import SECOND_NS
from quantd.venues.parsing import instant_ns

STALE_NS = 360 * SECOND_NS
"""Times in the lists may be so old: the server stamps with its last pass, five minutes apart, and we allow one more."""
_BACK_MAX = 20
"""Pages of the database that one look goes back."""
_CONCLUDED_MAX = 200
_TOLD_MAX = 1_000

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too."""


class Look(msgspec.Struct, frozen=True):
    """Both lists of orders, read one after the other."""

    active: Mapping[str, wire.OrderRow]
    recorded: Mapping[str, wire.OrderRow]
    complete: bool
    """Whether every open order is certainly in `active`."""

    def row(self, order_id: str) -> wire.OrderRow | None:
        """Return the row that counts: an end in the database, else what memory says, else the database's."""
        recorded, active = self.recorded.get(order_id), self.active.get(order_id)
        if recorded is not None and recorded.status in translate.ENDED:
            return recorded
        return active if active is not None else recorded


class OrderReader:
    """Reads orders and trades of one account and connector."""

    def __init__(self, api: Api, markets: MarketReader, alerts: Alerts, account: str, connector: str) -> None:
        self._api = api
        self._markets = markets
        self._alerts = alerts
        self._mine: dict[str, Any] = {"account_names": [account], "connector_names": [connector]}
        self._recorded_once = False
        self.filled: Mapping[str, Decimal] = {}
        """By order: what had traded of it when the lists were last read."""
        self.strays: Mapping[str, int] = {}
        """Orders that the database had for open and memory did not know when they were last read, and the monotonic time
        since when."""
        self._concluded = OrderedDict[str, None]()
        """Strays of which it is known that they have traded in full; the server repairs none before its own restart."""
        self._told = OrderedDict[str, Decimal]()
        """By ended order: what was last told that had traded of it."""
        self.on_conclusion: Callable[[str], None] | None = None
        """Given all of them as text, to be kept over a restart of ours, when one has come."""

    async def look(self, lane: Lane, *, wanted: Iterable[str] = (), since_ns: int | None = None) -> Look:
        """Read memory, then the database back to `since_ns` or until all of `wanted` are found.

        The database comes second: an order that ends in between shows there.

        Raises:
            VenueError: when a list could not be read; Unavailable when the history has shrunk to nothing.
        """
        active, complete = await self._api.listed(
            "active_orders", "/trading/orders/active", self._mine, wire.OrderRow, lane
        )
        recorded, is_whole = await self._recorded(lane, set(wanted) - set(active), since_ns)
        complete = complete and is_whole
        for one in self._concluded.keys() & recorded.keys():
            recorded[one] = msgspec.structs.replace(recorded[one], status="FILLED")
        now_ns = self._api.http.clock.monotonic_ns()
        strays = [
            one for one, row in recorded.items() if row.status in ("OPEN", "PARTIALLY_FILLED") and one not in active
        ]
        self.strays = {one: self.strays.get(one, now_ns) for one in strays}
        for one in strays:
            self._alerts.note("open_but_not_active", one)
            complete = False
        if not complete:
            self._alerts.note("list_not_complete", "active")
        look = Look(active, recorded, complete)
        self.filled = {one: translate.filled(row) for one in {*active, *recorded} if (row := look.row(one)) is not None}
        return look

    def conclude(self, order_id: str) -> None:
        """Take a stray for filled from now on, whatever the database says."""
        self._concluded[order_id] = None
        if len(self._concluded) > _CONCLUDED_MAX:
            self._concluded.popitem(last=False)
        if self.on_conclusion is not None:
            self.on_conclusion(" ".join(self._concluded))

    def restore(self, concluded: str) -> None:
        """Take over what an earlier process has concluded, as it was given to `on_conclusion`."""
        self._concluded = OrderedDict.fromkeys(concluded.split())

    async def _recorded(
        self, lane: Lane, wanted: set[str], since_ns: int | None
    ) -> tuple[dict[str, wire.OrderRow], bool]:
        """Walk back by time, for the search's cursor does not turn pages; return the rows, and whether they reach far enough."""
        rows: dict[str, wire.OrderRow] = {}
        until_ms: int | None = None
        is_whole = False
        for _ in range(_BACK_MAX):
            body = {**self._mine, "limit": LIST_LIMIT}
            if until_ms is not None:
                body["end_time"] = until_ms
            path = "/trading/orders/search"
            page = await self._api.ask("search_orders", path, body, wire.Page[wire.OrderRow], lane)
            before = len(rows)
            rows.update((row.order_id, row) for row in page.data)
            oldest_ns = min((instant_ns(row.created_at) or 0 for row in page.data), default=0)
            is_reached = wanted <= rows.keys() and (since_ns is None or oldest_ns < since_ns)
            is_whole = len(page.data) < LIST_LIMIT or is_reached
            if is_whole or len(rows) == before:
                break
            until_ms = oldest_ns // 1_000_000 + 1  # the same millisecond may hold rows that this page had no room for
        if self._recorded_once and not rows:
            self._alerts.note("history_shrank", "orders")
            raise Unavailable(self._api.venue, "search_orders", "the history of orders is gone: the database is down")
        self._recorded_once = self._recorded_once or bool(rows)
        return rows, is_whole

    async def trades(self, lane: Lane) -> dict[str, list[wire.TradeRow]]:
        """Return the newest trades by order; their own times are minutes old, so none is asked for by time.

        Raises:
            VenueError: when they could not be read.
        """
        path = "/trading/trades"
        rows, _ = await self._api.listed("trades", path, self._mine, wire.TradeRow, lane)
        found: dict[str, list[wire.TradeRow]] = {}
        for row in rows.values():
            found.setdefault(row.order_id, []).append(row)
        return found

    async def reports(self, refs: Sequence[OrderRef], lane: Lane = Lane.ACCOUNT) -> tuple[OrderReport, ...]:
        """Return what changed for orders that we believe to be working.

        Raises:
            VenueError: when the server could not be asked.
        """
        ids = [ref.venue_order_ids[-1] for ref in refs if ref.venue_order_ids]
        if not ids:
            return ()
        since_ns = min(ref.submitted_at_ns for ref in refs) - STALE_NS
        look = await self.look(lane, wanted=ids, since_ns=since_ns)
        rows = [
            (ref, row) for ref in refs if ref.venue_order_ids and (row := look.row(ref.venue_order_ids[-1])) is not None
        ]
        trades: Mapping[str, list[wire.TradeRow]] = {}
        if any(row.status in ("FILLED", "PARTIALLY_FILLED") or row.filled_amount for _, row in rows):
            trades = await self.trades(lane)
        reports = []
        for ref, row in rows:
            report = self.report(row, trades.get(row.order_id, ()), pair=symbol_of(ref.spec.instrument))
            ended = row.status in translate.ENDED
            if ended or report.filled_quantity != ref.filled_quantity:
                reports.append(report)
        return tuple(reports)

    async def late_reports(self, look: Look, known_ids: KnownIds, lane: Lane) -> tuple[OrderReport, ...]:
        """Return what had traded of orders before their end, and is told only now.

        A cancel's own answer ends an order. While the exchange's stream is mute, what it has traded before comes with the
        server's next pass, minutes later. After a start each ended order with a trade is told once more.

        Args:
            look: The lists as they were read last.
            known_ids: Which orders are ours, also those that have ended.
            lane: Of the request that this may need.

        Raises:
            VenueError: when the trades could not be read; then they are told next time.
        """
        untold = [
            row
            for one, row in look.recorded.items()
            if row.status in translate.ENDED
            and row.trading_pair in self._markets.known
            and translate.filled(row) not in (0, self._told.get(one))
        ]
        # Once for each pair: of others' orders, which stay untold, there may be hundreds.
        ours = {
            pair: frozenset(known_ids(instrument_id(self._api.venue, pair)))
            for pair in {row.trading_pair for row in untold}
        }
        late = [row for row in untold if row.order_id in ours[row.trading_pair]]
        if not late:
            return ()
        trades = await self.trades(lane)
        return tuple(self.report(row, trades.get(row.order_id, ())) for row in late)

    def report(self, row: wire.OrderRow, trades: Iterable[wire.TradeRow] = (), *, pair: str = "") -> OrderReport:
        """Return the report of an order; `pair` where a refused row does not tell it."""
        rules = self.rules(row.trading_pair if row.trading_pair in self._markets.known else pair)
        fills = translate.fills_of(trades, rules)
        now_ns = self._api.http.clock.now_ns()
        if row.status == "FAILED" and not failure_of(row.error_message or ""):
            self._alerts.note("failed_but_may_live", row.order_id, error=(row.error_message or "")[:200])
        report = translate.report(row, rules, fills, received_at_ns=now_ns)
        if sum(fill.quantity for fill in fills) != report.filled_quantity:
            self._alerts.note("fills_missing", row.order_id)
        if row.status in translate.ENDED:
            self._told[row.order_id] = translate.filled(row)
            if len(self._told) > _TOLD_MAX:
                self._told.popitem(last=False)
        return report

    def rules(self, pair: str) -> Instrument:
        """Return the rules of a pair that were read before.

        Raises:
            Unavailable: they were not.
        """
        known = self._markets.known.get(pair)
        if known is None:
            raise Unavailable(self._api.venue, "orders", f"the rules of {pair} have not been read yet")
        return known
