"""Balances and open orders of one Ripio account.

Used by the connector. Only reads. What a spot account holds is its balances, so there are no lots.
"""

import asyncio

from quantd.domain.cash import Balance
from quantd.domain.orders import ENDS
from quantd.domain.reports import AccountSnapshot
from quantd.ports import Clock
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.listing import once
from quantd.venues.ripio import translate, wire
from quantd.venues.ripio.api import Api
from quantd.venues.ripio.orders import OrderReader


class AccountReader:
    """Reads one account."""

    def __init__(self, api: Api, orders: OrderReader, clock: Clock, alerts: Alerts) -> None:
        self._alerts = alerts
        self._api = api
        self._orders = orders
        self._clock = clock

    async def balances(self) -> tuple[tuple[Balance, ...], tuple[str, ...]]:
        """Return all balances but those that are told in several ways, and the assets of these.

        Raises:
            VenueError: when they could not be read.
        """
        answer = await self._api.read("balances", wire.balances, "/user/balances", lane=Lane.ACCOUNT)
        rows, contradicted = once(answer.payload, lambda row: row.currency_code, self._alerts, "balance")
        sure = (row for asset, row in rows.items() if asset not in contradicted)
        return translate.balances(sure), tuple(sorted(contradicted))

    async def snapshot(self) -> AccountSnapshot:
        """Return balances and all open orders with their fills.

        Raises:
            VenueError: when a part could not be read.
        """
        asked_at_ns = self._clock.now_ns()
        balances, doubtful = await self.balances()
        rows, complete = await self._orders.open_orders(Lane.ACCOUNT)
        self._orders.learn_owners(rows.values())
        reports = []
        for row in rows.values():
            reports.append(await self._orders.report(row, Lane.ACCOUNT))
            await asyncio.sleep(0)  # hundreds of orders must not hold up the loop
        answered_at_ns = self._clock.now_ns()
        return AccountSnapshot(
            venue=self._api.venue,
            asked_at_ns=asked_at_ns,
            answered_at_ns=answered_at_ns,
            received_at_ns=answered_at_ns,
            balances=balances,
            orders=tuple(report for report in reports if report.state not in ENDS),
            orders_complete=complete,
            doubtful=doubtful,
        )
