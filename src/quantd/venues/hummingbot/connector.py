"""The Hummingbot API server as a `Connector`: a spot exchange's orders, told by the server's lists.

201 means that a task was scheduled: the outcome is `Scheduled`, and what became of it is asked for. A cancel's 200 means
the same, so that the order's end is looked at before the cancel counts as done.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantd.domain.cash import Account, AccountKind, Balance, PositionMode
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.instruments import instrument_id
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderKind, OrderRef, TimeInForce
from quantd.domain.outcomes import Accepted, NotExecuted, NotFound, Outcome, Rejected, Resolution, StillUnknown, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import AuthFailed, VenueError
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.http import VenueHttp
from quantd.venues.hummingbot import translate
from quantd.venues.hummingbot.alerts import KINDS
from quantd.venues.hummingbot.api import Api, cancel_path
from quantd.venues.hummingbot.classify import CANCEL_REQUESTED, NOT_TRACKED
from quantd.venues.hummingbot.holdings import Holdings
from quantd.venues.hummingbot.market import MarketReader
from quantd.venues.hummingbot.options import HummingbotOptions, capabilities
from quantd.venues.hummingbot.orders import KnownIds, OrderReader
from quantd.venues.hummingbot.readings import Readings
from quantd.venues.hummingbot.search import Search
from quantd.venues.hummingbot.strays import Doubtful, Strays
from quantd.venues.hummingbot.translate import SECOND_NS
from quantd.venues.market_reads import MarketReads

_LOOKS = (0.1, 0.3, 0.6, 1.0, 1.0)
"""Seconds before each look at what a cancel has done."""
_CONCLUDED = "concluded"
_CANCEL_FOR_S = 10.0
"""How long a cancel may wait for the budget."""


class HummingbotConnector(MarketReads):
    """One account's keys for one spot exchange.

    Args:
        http: Budget, transport, timing.
        options: Credentials, account, connector, fees.
        observer: Counts anomalies.
        known_venue_ids: Venue ids of all orders of an instrument that the engine has, ended ones too.
        auth_failed: Called when a write shows that the credentials are not accepted: trading there must stop.
        doubtful: Called when what became of an order is for a person to find out: its instrument must stop.
    """

    _markets: MarketReader

    def __init__(  # noqa: PLR0913 - the parts that an account has; grouping them would only rename the list
        self,
        http: VenueHttp,
        options: HummingbotOptions,
        *,
        observer: Observer,
        known_venue_ids: KnownIds,
        auth_failed: Callable[[str], None] | None = None,
        doubtful: Doubtful = lambda instrument, why: None,
    ) -> None:
        self.venue = http.venue
        self.capabilities = capabilities()
        self.account = Account(
            http.venue,
            f"{options.account}/{options.connector}",
            AccountKind.SPOT,
            PositionMode.NETTING,
            home_currency="USDT",
        )
        self._options = options
        self._known_ids = known_venue_ids
        self._http = http
        self._clock = http.clock
        self._api = Api(http, options.username, options.password, auth_failed=auth_failed)
        self._alerts = Alerts(http.venue, observer, KINDS)
        self._markets = MarketReader(self._api, options.connector, options.fees, self._alerts)
        self._orders = OrderReader(self._api, self._markets, self._alerts, options.account, options.connector)
        self._readings = Readings(self.account.id)
        self._holdings = Holdings(self._api, self._orders, options, self._readings, self._alerts)
        self._strays = Strays(self._orders, self._holdings, self._clock, doubtful)
        self._search = Search(self._orders, self._holdings, self._markets, clock=self._clock, known_ids=known_venue_ids)

    async def start(self) -> None:
        """Check the credentials, and that the server has the account and its keys for the exchange.

        Raises:
            AuthFailed: the credentials are not accepted, or the account or its keys are not there.
            VenueError: the server could not be asked.
        """
        account, connector = self._options.account, self._options.connector
        accounts = await self._api.get("accounts", "/accounts/", tuple[str, ...], Lane.ACCOUNT)
        if account not in accounts:
            raise AuthFailed(self.venue, "accounts", f"no account {account!r}; there are {', '.join(accounts)}")
        path = f"/accounts/{account}/credentials"
        keys = await self._api.get("credentials", path, tuple[str, ...], Lane.ACCOUNT)
        if connector not in keys:
            found = ", ".join(keys) or "none"
            raise AuthFailed(self.venue, "credentials", f"{account} has no keys for {connector!r}; there are: {found}")
        body = {"connector_name": connector, "account_name": account}
        for pair in self._markets.known:
            await self._api.ask(
                "add_pair", "/market-data/trading-pair/add", {**body, "trading_pair": pair}, Any, Lane.ACCOUNT
            )

    def restore(self, notes: Mapping[str, str]) -> None:
        """Take over what an earlier process has noted, by part: balances as they were read, and strays that had traded."""
        self._orders.restore(notes.get(_CONCLUDED, ""))
        self._readings.restore({part: text for part, text in notes.items() if part != _CONCLUDED})

    def follow(self, write: Callable[[str, str], None]) -> None:
        """Have what a restart will need written, part by part."""
        self._readings.follow(write)
        self._orders.on_conclusion = lambda text: write(_CONCLUDED, text)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    # --- writes ---

    async def submit(self, command: Submit) -> Outcome:
        """Place an order; the server answers before the exchange has seen it."""
        spec = command.spec
        kinds = (OrderKind.MARKET, OrderKind.LIMIT)
        if spec.kind not in kinds or spec.time_in_force not in (TimeInForce.GTC,):
            return Rejected("unsupported", f"{spec.kind.value} {spec.time_in_force.value}")
        self._readings.keep(command.client_order_id)
        return await self._api.write(
            "place_order",
            "/trading/orders",
            translate.new_order(self._options.account, self._options.connector, spec),
            lane=Lane.FLATTEN if command.exit else Lane.SUBMIT,
            deadline_at_ns=command.deadline_at_ns,
        )

    async def amend(self, command: Amend) -> Outcome:
        """Refuse: the server cannot amend, the engine cancels and places anew."""
        return Rejected("unsupported", "no amend route")

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Refuse: a spot account has no lots."""
        return Rejected("unsupported", "no lots")

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Refuse: the server holds no protection for plain orders, the engine does."""
        return Rejected("unsupported", "no protection")

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order and look for its end; what has none yet is Unknown, and is looked at again."""
        order_id = command.venue_order_id
        if not order_id:
            return NotExecuted("no_venue_order_id")
        outcome = await self._cancel(order_id)
        if not _is_looked_at(outcome):
            return outcome
        sent_at_ns = self._clock.now_ns()
        for wait_s in _LOOKS:
            await asyncio.sleep(wait_s)
            found = await self._search.step(command, sent_at_ns)
            if not isinstance(found, StillUnknown) and hasattr(found, "report"):
                return Accepted((found.report,))
        return outcome

    async def _cancel(self, order_id: str) -> Outcome:
        """Send a cancel and count it where it may have reached the exchange: it takes few of them without an effect."""
        if not self._search.may_cancel(order_id):
            return Unknown("cancels_without_effect")
        outcome = await self._api.write(
            "cancel_order",
            cancel_path(self._options.account, self._options.connector, order_id),
            {},
            lane=Lane.CANCEL,
            deadline_at_ns=self._clock.now_ns() + round(_CANCEL_FOR_S * SECOND_NS),
        )
        if isinstance(outcome, Unknown) and outcome != Unknown(NOT_TRACKED):
            self._search.count_cancel(order_id)
        return outcome

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all our open orders one by one; the server has no route for it, and holds others' orders too."""
        try:
            look = await self._orders.look(Lane.CANCEL)
        except VenueError as error:
            return NotExecuted(f"list_unread: {type(error).__name__}")
        failed = 0
        for pair in sorted({row.trading_pair for row in look.active.values()}):
            instrument = instrument_id(self.venue, pair)
            if command.instrument not in (None, instrument):
                continue
            ours = frozenset(self._known_ids(instrument))
            for order_id in [row.order_id for row in look.active.values() if row.trading_pair == pair]:
                failed += order_id in ours and not _is_looked_at(await self._cancel(order_id))
        return Unknown(f"{failed}_cancels_failed") if failed or not look.complete else Accepted()

    # --- truth ---

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Find out by evidence what became of a write; see `search`. What the engine does for us never left."""
        if isinstance(command, Submit) or (isinstance(command, Cancel) and command.venue_order_id):
            return await self._search.step(command, sent_at_ns)
        return NotFound()

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed for our orders; see `OrderReader.reports`, and `strays` for those that it cannot tell."""
        await self._strays.settle(working)
        return await self._orders.reports(working)

    async def snapshot(self) -> AccountSnapshot:
        """Return balances, asked afresh from the exchange, all open orders, and ended ones of which more had traded."""
        asked_at_ns = self._clock.now_ns()
        held, look = await self._holdings.with_orders(Lane.ACCOUNT)
        answered_at_ns = self._clock.now_ns()
        balances = tuple(
            Balance(row.token, row.units, row.available_units, max(row.units - row.available_units, ZERO))
            for row in held.rows.values()
            if row.token not in held.contradicted
        )
        unread = sorted({row.trading_pair for row in look.active.values()} - self._markets.known.keys())
        if unread:
            await self._markets.instruments(unread)
        late = await self._orders.late_reports(look, self._known_ids, Lane.ACCOUNT)
        return AccountSnapshot(
            self.venue,
            asked_at_ns,
            answered_at_ns,
            answered_at_ns,
            balances,
            orders=(*map(self._orders.report, look.active.values()), *late),
            orders_complete=look.complete,
            doubtful=tuple(sorted(held.contradicted)),
        )


def _is_looked_at(outcome: Outcome) -> bool:
    """Whether a cancel is done as far as its answer can tell: what it did shows in the lists."""
    return outcome in (Unknown(CANCEL_REQUESTED), Unknown(NOT_TRACKED))
