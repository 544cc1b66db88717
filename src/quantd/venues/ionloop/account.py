"""Balances, open orders and the ledger of one ionloop account.

Used by the connector. Only reads.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import structlog

from quantd.domain.cash import Balance, CashFlow
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Refused, Unavailable
from quantd.ports import Clock
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.ionloop import translate, wire
from quantd.venues.ionloop.api import Api
from quantd.venues.ionloop.orders import OPEN, OrderDesk
from quantd.venues.ionloop.paging import PAGE_SIZE, read_pages
from quantd.venues.ionloop.translate import SECOND_NS
from quantd.venues.listing import once

WINDOW_NS = 24 * 3600 * SECOND_NS
"""The ledger is read a day at a time: pages of a closed window do not shift."""

Balances = tuple[tuple[Balance, ...], frozenset[str]]
"""Balances by asset, and the assets that are told in several ways."""
_log = structlog.get_logger(__name__)


class TradeTotal(msgspec.Struct, frozen=True):
    """What the ledger says of all trades in one market, for comparing totals; it ties no fill to an order."""

    trades: int
    quantity: Decimal
    fee: Decimal


class AccountReader:
    """Reads one account."""

    def __init__(self, api: Api, desk: OrderDesk, *, clock: Clock, alerts: Alerts) -> None:
        self._api = api
        self._desk = desk
        self._clock = clock
        self._alerts = alerts
        self._may_read_wallets = True

    async def portfolio(self) -> tuple[Balance, ...]:
        """Return the balances of the portfolio; of an asset that is told in several ways the first.

        Raises:
            VenueError: when they could not be read.
        """
        return (await self._portfolio())[0]

    async def _portfolio(self) -> Balances:
        answer = await self._api.read("portfolio", wire.Portfolio, lane=Lane.ACCOUNT)
        rows, contradicted = once(answer.payload.balances, _asset, self._alerts, "balance")
        return translate.balances(rows.values()), frozenset(contradicted)

    async def snapshot(self) -> AccountSnapshot:
        """Return balances and all open orders; what a spot account holds is its balances, so there are no lots.

        Raises:
            VenueError: when a part could not be read.
        """
        asked_at_ns = self._clock.now_ns()
        balances, doubtful = await self._balances()
        orders, complete = await self._open_orders()
        answered_at_ns = self._clock.now_ns()
        return AccountSnapshot(
            venue=self._api.venue,
            asked_at_ns=asked_at_ns,
            answered_at_ns=answered_at_ns,
            received_at_ns=answered_at_ns,
            balances=tuple(one for one in balances if one.asset not in doubtful),
            orders=orders,
            orders_complete=complete,
            doubtful=tuple(sorted(doubtful)),
        )

    async def _balances(self) -> Balances:
        # Whether the portfolio counts the funding wallet too is not documented. Orders can only use the spot wallet.
        portfolio = await self._portfolio()
        if not self._may_read_wallets:
            return portfolio
        try:
            answer = await self._api.read("wallets", wire.Wallets, lane=Lane.ACCOUNT, query={"type": "spot"})
        except Refused as error:
            if error.code not in ("forbidden", "not_found"):
                raise
            self._may_read_wallets = False
            _log.warning("wallets_not_readable", venue=self._api.venue, error=str(error))
            return portfolio
        spot = self._spot(answer.payload)
        if spot is None:
            return portfolio
        if not (spot[1] or portfolio[1]):
            if _totals(spot[0]) == _totals(portfolio[0]):
                return portfolio
            self._alerts.note("balances_differ", "portfolio")
        return spot

    def _spot(self, told: wire.Wallets) -> Balances | None:
        """Return what the spot wallets hold, added up by asset; None when there is no such wallet."""
        wallets, contradicted = once(told.wallets, lambda wallet: wallet.id, self._alerts, "wallet")
        spot = [wallet for wallet in wallets.values() if wallet.type == "spot"]
        if not spot:
            return None
        doubtful = {row.asset for one in told.wallets if one.id in contradicted for row in one.balances}
        each = []
        for wallet in spot:
            rows, differ = once(wallet.balances, _asset, self._alerts, f"balance in {wallet.id} of")
            each.append(tuple(rows.values()))
            doubtful |= differ.keys()
        return translate.added_up(each), frozenset(doubtful)

    async def _open_orders(self) -> tuple[tuple[OrderReport, ...], bool]:
        rows, complete = await self._desk.listed(OPEN, Lane.ACCOUNT)
        reports = []
        for row in rows.values():
            order = await self._desk.priced(row, Lane.ACCOUNT)
            if order is None:
                # Listed and yet not there: whether it stands is open, so the list is not the whole truth.
                self._alerts.note("order_vanished", row.id)
                complete = False
                continue
            report = self._desk.report(order)
            if report.state not in ENDS:
                reports.append(report)
        return tuple(reports), complete

    async def wallets(self) -> tuple[wire.Wallet, ...]:
        """Return all wallets, spot and funding.

        Raises:
            VenueError: when they could not be read.
        """
        return (await self._api.read("wallets", wire.Wallets, lane=Lane.ACCOUNT)).payload.wallets

    async def transactions(self, kind: str, from_ns: int, to_ns: int) -> tuple[wire.Transaction, ...]:
        """Return the ledger's rows between two times (nanoseconds UTC), oldest first.

        Args:
            kind: ``trade``, ``deposit``, ``withdrawal``, ``fee``, or empty for all.
            from_ns: Start; whole seconds, rounded outwards.
            to_ns: End; likewise.

        Raises:
            VenueError: when a page could not be read, or a day has more rows than can be paged through.
        """
        rows: dict[str, wire.Transaction] = {}
        while from_ns < to_ns:
            until_ns = min(from_ns + WINDOW_NS, to_ns)
            found, complete = await self._window(kind, from_ns, until_ns)
            if not complete:
                raise Unavailable(self._api.venue, "transactions", f"{len(found)} rows in a day and still not all")
            rows.update(found)
            from_ns = until_ns
        return tuple(sorted(rows.values(), key=lambda row: (row.created_at, row.id)))

    async def _window(self, kind: str, from_ns: int, to_ns: int) -> tuple[dict[str, wire.Transaction], bool]:
        query = {"from": translate.instant_text(from_ns), "to": translate.instant_text(to_ns, round_up=True)}
        if kind:
            query["type"] = kind

        async def fetch(page: int) -> tuple[Sequence[wire.Transaction], int | None]:
            asked = {**query, "page": str(page), "pageSize": str(PAGE_SIZE)}
            answer = await self._api.read("transactions", wire.TransactionPage, lane=Lane.ACCOUNT, query=asked)
            return answer.payload.items, answer.payload.page_size

        return await read_pages(fetch)

    async def cash_flows(self, from_ns: int, to_ns: int) -> tuple[CashFlow, ...]:
        """Return deposits, withdrawals and fees between two times; rows that do not say how much of what are alerted.

        Raises:
            VenueError: when the ledger could not be read.
        """
        flows = []
        for kind in ("deposit", "withdrawal", "fee"):
            for row in await self.transactions(kind, from_ns, to_ns):
                flow = translate.cash_flow(self._api.venue, row)
                if flow is None:
                    self._alerts.note("transaction_unreadable", row.id, type=row.type)
                else:
                    flows.append(flow)
        return tuple(sorted(flows, key=lambda flow: (flow.occurred_at_ns, flow.id)))

    async def trade_totals(self, from_ns: int, to_ns: int) -> dict[str, TradeTotal]:
        """Return number, quantity and fee of all trades between two times, by symbol.

        Raises:
            VenueError: when the ledger could not be read.
        """
        totals: dict[str, TradeTotal] = {}
        for row in await self.transactions("trade", from_ns, to_ns):
            before = totals.get(row.symbol, TradeTotal(0, ZERO, ZERO))
            totals[row.symbol] = TradeTotal(
                before.trades + 1, before.quantity + (row.quantity or ZERO), before.fee + (row.fee or ZERO)
            )
        return totals


def _asset(row: wire.BalanceWire) -> str:
    return row.asset


def _totals(balances: tuple[Balance, ...]) -> dict[str, tuple[Decimal, Decimal]]:
    return {balance.asset: (balance.free, balance.locked) for balance in balances if balance.total}
