"""The TradeLocker connector: one margin account behind the daemon's `Connector` port.

Used by the executor, the pollers and the reconciler. The server's own configuration, read at each start, says what the columns
of its lists mean and how often each route may be asked. Every order carries our id as its strategy id, by which a lost one is
found; a close names no order and is found by its position. Never repeats a write by itself, save after a 401.
"""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

import msgspec

from quantd.domain.cash import Account, AccountKind
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.instruments import symbol_of
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderKind, OrderRef, OrderState, TimeInForce
from quantd.domain.outcomes import Accepted, Found, NotExecuted, NotFound, Outcome, Rejected, Resolution, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import AuthFailed, Refused, VenueError
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import VenueHttp
from quantd.venues.market_reads import MarketReads
from quantd.venues.tradelocker import limits, translate, wire
from quantd.venues.tradelocker.account import AccountReader, exit_orders
from quantd.venues.tradelocker.alerts import KINDS
from quantd.venues.tradelocker.api import Api, Write
from quantd.venues.tradelocker.catalogue import Catalogue
from quantd.venues.tradelocker.classify import order_id
from quantd.venues.tradelocker.columns import ConfigWire, column_maps
from quantd.venues.tradelocker.lists import Lists
from quantd.venues.tradelocker.market import BARS_MAX, MarketReader
from quantd.venues.tradelocker.options import TradeLockerOptions, capabilities
from quantd.venues.tradelocker.orders import KnownIds, OrderReader
from quantd.venues.tradelocker.search import Search
from quantd.venues.tradelocker.translate import SECOND_NS

CANCEL_PATIENCE_S = 30.0
"""Longest wait of a cancel, and of a change of exits, for the rate budget."""
CLOSE_LOOK_WAITS_S = (0.0, 0.5, 1.0)
"""Waits before the looks for the order that a close has made; what is not seen then is looked for as unknown."""


class TradeLockerConnector(MarketReads):
    """One account at one server.

    Args:
        http: The account's requests; carries the venue's key, the clock and the budget.
        options: From the settings.
        observer: Counts anomalies.
        known_venue_ids: Venue ids of all orders of an instrument that the engine has, ended ones too.
        auth_failed: Called when a write shows that we are not let in any more: trading on the venue must stop.
    """

    _markets: MarketReader

    def __init__(
        self,
        http: VenueHttp,
        options: TradeLockerOptions,
        *,
        observer: Observer,
        known_venue_ids: KnownIds,
        auth_failed: Callable[[str], None] | None = None,
    ) -> None:
        self.venue = http.venue
        self.capabilities = capabilities(options)
        self.account = Account(
            http.venue, options.credentials.account_id, AccountKind.MARGIN, options.mode, home_currency="USD"
        )
        self.api = Api(http, options.credentials, auth_failed=auth_failed)
        """The session, whose tokens the kill path may use."""
        self._http = http
        self._clock = http.clock
        self._options = options
        self._known_venue_ids = known_venue_ids
        self._alerts = Alerts(http.venue, observer, KINDS)
        account = options.credentials.account_id
        self._path = f"/trade/accounts/{account}"
        self._catalogue = Catalogue(self.api, account, self._alerts)
        self._markets = MarketReader(self.api, self._catalogue, options.commission_per_lot, self._alerts)
        self._lists = Lists(self.api, account, self._alerts)
        self._orders = OrderReader(self._lists, self._catalogue, self._markets, clock=self._clock, alerts=self._alerts)
        self._ledger = AccountReader(
            self._lists, self._orders, self._catalogue, known_ids=known_venue_ids, alerts=self._alerts
        )
        self._search = Search(
            self._lists, self._orders, self._ledger.closings,
            clock=self._clock, known_ids=known_venue_ids, alerts=self._alerts,
        )  # fmt: skip

    async def start(self) -> None:
        """Log in, then read what the server is: columns, limits, the account's currency and rules, instruments.

        Raises:
            AuthFailed: the credentials are not accepted, or the user has no such account.
            Refused: the server lacks what is needed, or the broker holds no exits though they are configured to hang there.
            VenueError: the server could not be asked.
        """
        listed = await self.api.start()
        config = await self.api.read("config", "/trade/config", ConfigWire, Lane.ACCOUNT)
        if config is None:
            raise Refused(self.venue, "config", "no_data", "the server tells no configuration")
        self._lists.adopt(column_maps(self.venue, config))
        self._http.budget.reconfigure(limits.told(self.venue, config.rate_limits, self._options.limits))
        bars = [one.limit for one in config.limits if one.limit_type == "QUOTES_HISTORY_BARS" and one.limit > 1]
        self._markets.bars_max = min(BARS_MAX, *bars) if bars else BARS_MAX
        details = await self._details()
        currency = details.currency or listed.currency
        if not currency:
            raise AuthFailed(self.venue, "accounts", f"account {listed.id} tells no currency")
        self._check_rules(details.trading_rules)
        self.account = msgspec.structs.replace(self.account, home_currency=currency)
        self._markets.home = currency
        await self._catalogue.read()

    async def _details(self) -> wire.AccountDetails:
        found = await self.api.read("accounts", "/trade/accounts", tuple[wire.AccountDetails, ...], Lane.ACCOUNT)
        mine = [one for one in found or () if str(one.id) == self.account.id]
        if not mine:
            raise AuthFailed(self.venue, "accounts", f"the server does not list account {self.account.id}")
        return mine[0]

    def _check_rules(self, rules: wire.TradingRules) -> None:
        if not rules.support_brackets and self._options.protection == "venue":
            words = "this account's broker holds no stops and targets; configure `protection: engine`"
            raise Refused(self.venue, "accounts", "no_brackets", words)
        if not rules.support_partial_close_position:
            self._alerts.note("not_supported", "partial close")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    # --- writes ---

    async def submit(self, command: Submit) -> Outcome:
        """Place an order with our id as its strategy id."""
        spec = command.spec
        listed = self._catalogue.known(symbol_of(spec.instrument))
        if listed is None or not listed.trade_route:
            return Rejected("not_listed", f"{spec.instrument} has no TRADE route")
        standing = spec.time_in_force is TimeInForce.GTC or spec.kind is OrderKind.MARKET
        if not standing or spec.post_only or spec.kind is OrderKind.STOP_LIMIT:
            return Rejected("unsupported", f"{spec.kind.value} {spec.time_in_force.value} post_only={spec.post_only}")
        wanted = Write("POST", f"{self._path}/orders", translate.new_order(command, listed.id, listed.trade_route))
        lane = Lane.FLATTEN if command.exit else Lane.SUBMIT
        sent_at_ns = self._clock.now_ns()
        outcome, body = await self.api.write("place_order", wanted, lane=lane, deadline_at_ns=command.deadline_at_ns)
        if not isinstance(outcome, Accepted):
            return outcome
        venue_order_id = order_id(body)
        self._orders.note(venue_order_id, sent_at_ns)
        # That it was accepted does not say that it was filled, nor that it still works: the lists tell.
        report = OrderReport(
            spec.instrument, venue_order_id, OrderState.WORKING, ZERO, self._clock.now_ns(),
            command.client_order_id, spec.side, spec.quantity, spec.price,
        )  # fmt: skip
        return Accepted((report,))

    async def amend(self, command: Amend) -> Outcome:
        """Change an order, whose id stays, and look whether it was changed: the answer alone is no proof."""
        wanted = Write("PATCH", f"/trade/orders/{quote(command.venue_order_id)}", translate.changes(command))
        outcome, body = await self.api.write(
            "modify_order", wanted, lane=Lane.SUBMIT, deadline_at_ns=command.deadline_at_ns
        )
        return await self._amended(command, body) if isinstance(outcome, Accepted) else outcome

    async def _amended(self, command: Amend, body: bytes) -> Outcome:
        """Return an accepted change with the order as it stands; other terms than asked for are for `resolve`."""
        order_id = command.venue_order_id
        try:
            row = self._lists.told_by(body, order_id) or await self._orders.find(order_id, Lane.SUBMIT)
            if row is None or not translate.has_terms(row, command):
                return Unknown("change_not_seen_yet")
            return Accepted((await self._orders.told(row, Lane.SUBMIT, client_order_id=command.client_order_id),))
        except VenueError as error:
            return Unknown(f"change_unread: {type(error).__name__}")

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order and read what was filled of it; one that is already gone is Accepted with its end."""
        if not command.venue_order_id:
            return NotExecuted("no_venue_order_id")
        return await self._cancel(command.venue_order_id)

    async def _cancel(self, venue_order_id: str) -> Outcome:
        wanted = Write("DELETE", f"/trade/orders/{quote(venue_order_id)}")
        outcome, _ = await self.api.write("cancel_order", wanted, lane=Lane.CANCEL, deadline_at_ns=self._patience_ns())
        accepted = isinstance(outcome, Accepted)
        if accepted or outcome == Unknown(ASK_FINAL_STATE):
            return await self._orders.final_state(venue_order_id, accepted=accepted)
        return outcome

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel our open orders: by the venue's route where no others are there, else one by one.

        Whether that route takes the exits of positions too is not documented: where there are any, it is not used.
        """
        try:
            working = await self._lists.orders(Lane.CANCEL)
            positions = await self._lists.positions(Lane.CANCEL)
        except VenueError as error:
            return NotExecuted(f"list_unread: {type(error).__name__}")
        symbol = None if command.instrument is None else symbol_of(command.instrument)
        listed = None if symbol is None else self._catalogue.known(symbol)
        if symbol is not None and listed is None:
            return Rejected("not_listed", f"{symbol} is not listed")
        rows = [row for row in working.values() if listed is None or row.instrument == listed.id]
        exits = exit_orders(positions, working)
        ours = {one for row in rows for one in self._known_venue_ids(self._catalogue.instrument_id(row.instrument))}
        mine = [row.id for row in rows if row.id in ours and row.id not in exits]
        if mine and len(mine) == len(rows):
            query = "" if listed is None else "?" + urlencode({"tradableInstrumentId": listed.id})
            outcome, _ = await self.api.write(
                "cancel_orders", Write("DELETE", f"{self._path}/orders{query}"),
                lane=Lane.CANCEL, deadline_at_ns=self._patience_ns(),
            )  # fmt: skip
            return outcome
        reports: list[OrderReport] = []
        failed = 0
        for venue_order_id in mine:
            outcome = await self._cancel(venue_order_id)
            if isinstance(outcome, Accepted):
                reports.extend(outcome.reports)
            else:
                failed += 1
        return Unknown(f"{failed}_not_cancelled") if failed else Accepted(tuple(reports))

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Close a position or a part of it, and find the order by which that happened."""
        sent_at_ns = self._clock.now_ns()
        outcome, _ = await self.api.write(
            "close_position",
            Write("DELETE", f"/trade/positions/{quote(command.lot)}", translate.close_body(command.quantity)),
            lane=Lane.FLATTEN,
            deadline_at_ns=command.deadline_at_ns,
        )
        if not isinstance(outcome, Accepted):
            return outcome
        for wait_s in CLOSE_LOOK_WAITS_S:
            if wait_s:
                await asyncio.sleep(wait_s)
            found = await self._search.step(command, sent_at_ns, Lane.FLATTEN)
            if isinstance(found, Found):
                return Accepted((found.report,))
        return Unknown("close_not_seen_yet")

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Replace stop and target of a position; a trailing stop is the engine's."""
        if command.protection.trail is not None:
            return Rejected("unsupported", "no trailing stop")
        wanted = Write("PATCH", f"/trade/positions/{quote(command.lot)}", translate.exits_body(command.protection))
        outcome, _ = await self.api.write(
            "modify_position", wanted, lane=Lane.FLATTEN, deadline_at_ns=self._patience_ns()
        )
        return outcome

    def _patience_ns(self) -> int:
        return self._clock.now_ns() + round(CANCEL_PATIENCE_S * SECOND_NS)

    # --- truth ---

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Find out by evidence what became of a write; see `Search`. Exits are shown by snapshots."""
        if isinstance(command, SetProtection) or (isinstance(command, Cancel) and not command.venue_order_id):
            return NotFound()
        return await self._search.step(command, sent_at_ns)

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed for our orders; see `OrderReader.reports`."""
        return await self._orders.reports(working)

    async def snapshot(self) -> AccountSnapshot:
        """Return the account; see `AccountReader.snapshot`."""
        return await self._ledger.snapshot(self.account)
