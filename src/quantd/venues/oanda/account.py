"""What the account is and holds: balance, margin, open trades as lots, pending orders, and news since the snapshot before.

Used by the connector. Only reads. One answer shows all of it as of one entry of the log; the log is then read at least up
to that entry, so that what closed a trade is told together with the trade's absence.
"""

import asyncio
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quantd.domain.cash import Account, PositionMode
from quantd.domain.instruments import instrument_id
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ClientOrderId, OrderState
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.domain.soundness import flaw_of_snapshot, vouch
from quantd.venues.budget import Lane
from quantd.venues.listing import lots_of
from quantd.venues.oanda import translate, wire
from quantd.venues.oanda.api import Api
from quantd.venues.oanda.formats import instant_ns, side_of
from quantd.venues.oanda.ledger import Ledger
from quantd.venues.oanda.market import MarketReader
from quantd.venues.oanda.orders import CREATES, OrderBook
from quantd.venues.oanda.search import Search

_FLAT = [ZERO, ZERO]


class AccountReader:
    """Reads one account."""

    def __init__(self, api: Api, ledger: Ledger, orders: OrderBook, markets: MarketReader, search: Search) -> None:
        self._api = api
        self._clock = api.http.clock
        self._ledger = ledger
        self._orders = orders
        self._markets = markets
        self._search = search
        self._shown_id = 0
        """The newest entry whose news the last snapshot held."""
        self.handed_out_id = 0
        """The newest entry whose news a snapshot before the last one held: the caller has taken it in."""
        self.exits: dict[str, LotProtection] = {}
        """What hangs on each open trade, as it was last shown."""
        self.unsure: dict[str, frozenset[str]] = {}
        """By trade, what a write since may have changed or not; see `requests.dependents`."""
        self._taken: set[str] = set()
        """Trades whose exits were set since the snapshot under way was asked for: it may show those of before."""
        self._turn = asyncio.Lock()
        """One snapshot after the other, as each forgets the news of the one before."""

    def took(self, trade: str, exits: LotProtection) -> None:
        """Note that the venue took exits for a trade."""
        self.exits[trade] = exits
        self.unsure.pop(trade, None)
        self._taken.add(trade)

    async def summary(self) -> wire.Summary:
        """Return what the account is.

        Raises:
            VenueError: when it could not be read.
        """
        answer = await self._api.get("summary", "/summary", wire.SummaryAnswer, Lane.ACCOUNT)
        if self._ledger.begin(int(answer.last_transaction_id)):
            self._shown_id = self.handed_out_id = self._ledger.last_id  # what was before is nobody's news
        return answer.account

    def described(self, told: wire.Summary, before: Account) -> Account:
        """Return what the account is by the venue's word; its margin rate and currency hold for the next rules that are read."""
        self._markets.account_rate = told.margin_rate
        self._markets.home = self._orders.home = told.currency
        mode = PositionMode.HEDGING if told.hedging_enabled else PositionMode.NETTING
        return msgspec.structs.replace(before, mode=mode, home_currency=told.currency)

    async def snapshot(self) -> tuple[AccountSnapshot, wire.Details]:
        """Return the account as of one moment, with all that was executed since the snapshot before.

        Raises:
            VenueError: when a part could not be read.
        """
        async with self._turn:
            return await self._snapshot()

    async def _snapshot(self) -> tuple[AccountSnapshot, wire.Details]:
        self._handed_out()
        asked_at_ns, shown_by_it = self._clock.now_ns(), self.unsure.copy()
        self._taken.clear()
        answer = await self._api.get("account", "", wire.DetailsAnswer, Lane.ACCOUNT)
        listed = lots_of(self._api.venue, "account", answer.account.trades, lambda trade: trade.id, self._ledger.alerts)
        shown = msgspec.structs.replace(answer.account, trades=tuple(listed.values()))
        newest = max(int(answer.last_transaction_id), int(shown.last_transaction_id or 0))
        self._ledger.begin(newest)
        await self._ledger.reach(newest, Lane.ACCOUNT)
        answered_at_ns = self._clock.now_ns()
        trades = {trade.id: trade for trade in shown.trades}
        self.unsure = {trade: keys for trade, keys in self.unsure.items() if shown_by_it.get(trade) != keys}
        newer = {trade: self.exits[trade] for trade in self._taken if trade in trades}
        self.exits = {trade: LotProtection() for trade in trades} | translate.exits_by_trade(shown.orders) | newer
        news = tuple(self._ledger.news)
        reports = [
            *self._news(news),
            *(self._open(order, trades, asked_at_ns) for order in shown.orders if self._is_current(order, trades)),
        ]
        flows = tuple(flow for entry in news for flow in translate.flows_of(self._api.venue, entry, shown.currency))
        snapshot = AccountSnapshot(
            self._api.venue,
            asked_at_ns,
            answered_at_ns,
            answered_at_ns,
            (translate.balance(shown),),
            lots=tuple(
                translate.lot(self._api.venue, trade, self.exits[trade.id])
                for trade in shown.trades
                if trade.current_units
            ),
            orders=tuple(reports),
            lots_complete=self._add_up(shown),
            margin_used=shown.margin_used,
            margin_available=shown.margin_available,
            equity=shown.nav,
            margin_closeout=shown.margin_closeout_percent,
            flows=flows,
        )
        vouch(self._api.venue, "account", (snapshot,), flaw_of_snapshot)
        self._shown_id = self._ledger.last_id
        return snapshot, shown

    def _add_up(self, shown: wire.Details) -> bool:
        """Whether the trades are all that the account's positions are made of."""
        sums: dict[str, list[Decimal]] = {}
        for trade in shown.trades:
            sides = sums.setdefault(trade.instrument, [ZERO, ZERO])
            sides[trade.current_units < 0] += trade.current_units
        told = {one.instrument: [one.long.units, one.short.units] for one in shown.positions}
        wrong = [name for name in sums.keys() | told.keys() if sums.get(name, _FLAT) != told.get(name, _FLAT)]
        for name in wrong:
            self._ledger.alerts.note(
                "trades_are_not_the_position", name, trades=str(sums.get(name)), position=str(told.get(name))
            )
        return not wrong

    def _handed_out(self) -> None:
        """Forget the news of the last snapshot: whoever asks for the next one has taken it in.

        What took from a trade of which a close is unknown is told again: whether it was that close is still open.
        """
        closing = self._search.closing
        kept = [
            entry
            for entry in self._ledger.news
            if entry.number > self._shown_id
            or (entry.type == "ORDER_FILL" and any(one.trade_id in closing for one in translate.changes_of(entry)))
        ]
        self.handed_out_id = min([self._shown_id, *(entry.number - 1 for entry in kept[:1])])
        self._ledger.news = kept

    def _news(self, entries: Iterable[wire.Transaction]) -> Iterable[OrderReport]:
        """Yield what was executed, ours by order, others' by the trade that they took from."""
        now_ns = self._clock.now_ns()
        for entry in entries:
            if entry.type != "ORDER_FILL":
                continue
            chain = self._orders.find(entry.order_id)
            if chain is not None and self._is_ours(chain.ids, entry):
                yield self._orders.report(chain, now_ns)
            else:
                yield from translate.exits_of(self._api.venue, entry, self._orders.home, now_ns)

    def _is_ours(self, ids: Iterable[str], entry: wire.Transaction) -> bool:
        """Whether the engine knows the order: the close of a trade has no id of ours, and a foreign order may have one."""
        chain = self._orders.find(entry.order_id)
        if chain is not None and self._orders.is_expected(chain):
            return True
        known = set(self._search.known_ids(instrument_id(self._api.venue, entry.instrument)))
        return not known.isdisjoint(ids)

    def _is_current(self, order: wire.Order, trades: dict[str, wire.Trade]) -> bool:
        """Whether an order says what it is for, units of its own or a trade that is open, and the log knows no end of it.

        The log is read up to the account's entry at least, so that of the two it is never the older one.
        """
        if order.trade_id:
            return order.trade_id in trades
        chain = self._orders.find(order.id)
        return bool(order.instrument) and (chain is None or (chain.is_open and chain.ids[-1] == order.id))

    def _open(self, order: wire.Order, trades: dict[str, wire.Trade], asked_at_ns: int) -> OrderReport:
        """Return a pending order; that it is shown is evidence of the moment of asking."""
        now_ns = self._clock.now_ns()
        if order.trade_id:
            return translate.dependent_report(self._api.venue, order, trades[order.trade_id], now_ns)
        chain = self._orders.find(order.id)
        if chain is not None:
            return msgspec.structs.replace(self._orders.report(chain, now_ns), occurred_at_ns=asked_at_ns)
        kind = CREATES.get(f"{order.type}_ORDER")
        units = order.units or ZERO
        ours = order.client_extensions.id if order.client_extensions is not None else ""
        stop = order.type == "STOP"
        return OrderReport(
            instrument_id(self._api.venue, order.instrument),
            order.id,
            OrderState.WORKING,
            ZERO,
            now_ns,
            client_order_id=ClientOrderId(ours) if ours else None,
            side=side_of(units) if units else None,
            quantity=abs(units),
            price=None if stop else order.price,
            occurred_at_ns=asked_at_ns,
            created_at_ns=instant_ns(order.create_time),
            kind=kind,
            trigger=order.price if stop else None,
        )
