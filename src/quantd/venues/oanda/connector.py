"""An OANDA v20 account as a `Connector`: orders and money by the account's log, holdings by its trades.

The transactions in an answer decide what became of a write; what they tell of orders goes into the same book as the log.
"""

from collections.abc import Callable, Sequence

from quantd.domain.cash import Account, AccountKind
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.instruments import instrument_id, symbol_of
from quantd.domain.orders import OrderKind, OrderRef
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Resolution, StillUnknown, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import AuthFailed, Refused, VenueError
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import VenueHttp
from quantd.venues.market_reads import MarketReads
from quantd.venues.oanda import requests, wire
from quantd.venues.oanda.account import AccountReader
from quantd.venues.oanda.alerts import KINDS
from quantd.venues.oanda.api import Api, order_path
from quantd.venues.oanda.formats import SECOND_NS
from quantd.venues.oanda.ledger import Ledger
from quantd.venues.oanda.market import MarketReader
from quantd.venues.oanda.options import OandaOptions, capabilities
from quantd.venues.oanda.orders import CREATES, Chain, OrderBook
from quantd.venues.oanda.search import KnownIds, Search

_CANCEL_FOR_S = 10.0
"""How long a cancel or a change of exits may wait for the budget."""
_GONE = Rejected("order_doesnt_exist", "it has ended; see its report")


class OandaConnector(MarketReads):
    """One account.

    Args:
        http: Budget, transport, timing.
        options: Token and account.
        observer: Counts anomalies.
        known_venue_ids: Venue ids of all orders of an instrument that the engine has, ended ones too.
        auth_failed: Called when a write shows that the token is not accepted: trading there must stop.
    """

    _markets: MarketReader

    def __init__(
        self,
        http: VenueHttp,
        options: OandaOptions,
        *,
        observer: Observer,
        known_venue_ids: KnownIds,
        auth_failed: Callable[[str], None] | None = None,
    ) -> None:
        self.venue = http.venue
        self.capabilities = capabilities()
        self.account = Account(
            http.venue,
            options.account,
            AccountKind.MARGIN,
            options.mode,
            home_currency=options.home_currency,
            first_in_first_out=options.first_in_first_out,
        )
        self._http = http
        self._clock = http.clock
        self._known_ids = known_venue_ids
        self._api = Api(http, options.token, options.account, auth_failed=auth_failed)
        self._orders = OrderBook(http.venue, options.home_currency)
        alerts = Alerts(http.venue, observer, KINDS)
        self.ledger = Ledger(self._api, self._orders, alerts)
        self._markets = MarketReader(self._api, alerts)
        self._search = Search(self.ledger, self._orders, clock=self._clock, known_ids=known_venue_ids)
        self._reader = AccountReader(self._api, self.ledger, self._orders, self._markets, self._search)

    @property
    def handed_out_id(self) -> int:
        """The newest entry of the log that the process after this one need not see: for the journal.

        Everything up to it has been taken in by the engine, and no write of unknown outcome can be after it and before.
        """
        checkpoint = self._search.oldest_checkpoint
        done = self._reader.handed_out_id
        return done if checkpoint is None else min(done, checkpoint)

    async def start(self) -> None:
        """Check the token and read what the account is.

        Raises:
            AuthFailed: the token is not accepted, or not for this account.
            VenueError: the venue could not be asked.
        """
        try:
            told = await self._reader.summary()
        except Refused as error:
            words = f"account {self.account.id} cannot be reached with this token: {error.detail}"
            raise AuthFailed(self.venue, "summary", words) from error
        self.account = self._reader.described(told, self.account)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    # --- writes ---

    async def submit(self, command: Submit) -> Outcome:
        """Place an order; one that was created and cancelled in the same breath is told by its report."""
        spec = command.spec
        if spec.kind not in requests.TYPES or spec.post_only:
            return Rejected("unsupported", "post-only" if spec.post_only else spec.kind.value)
        self._orders.expect(command.client_order_id)
        self._search.sending(command)
        outcome, body = await self._api.write(
            "create_order",
            "POST",
            "/orders",
            requests.new_order(spec, command.client_order_id, command.protection),
            lane=Lane.FLATTEN if command.exit else Lane.SUBMIT,
            deadline_at_ns=command.deadline_at_ns,
        )
        return self._told(command, outcome, body)

    async def amend(self, command: Amend) -> Outcome:
        """Replace an order by one with the new terms, for what is not filled yet."""
        if command.spec.kind is OrderKind.STOP and command.price is not None:
            return Rejected("unsupported", "a new trigger: an amendment's price is a limit's")
        self._orders.expect(command.client_order_id)
        try:
            chain = self._orders.find(command.venue_order_id)
            chain = chain or await self.ledger.load(command.venue_order_id, Lane.SUBMIT)
        except VenueError as error:
            return NotExecuted(f"order_unread: {type(error).__name__}")
        if chain is None or not chain.is_open:
            return _GONE
        rest = command.spec.quantity - chain.filled
        if rest <= 0:
            return Rejected("nothing_left", f"{chain.filled} are filled, {command.spec.quantity} wanted in all")
        self._search.sending(command)
        outcome, body = await self._api.write(
            "replace_order",
            "PUT",
            order_path(command.venue_order_id),
            requests.replacement(command.spec, rest, chain.created),
            lane=Lane.SUBMIT,
            deadline_at_ns=command.deadline_at_ns,
        )
        if outcome == Unknown(ASK_FINAL_STATE):
            return await self._final(command, command.venue_order_id, gone=_GONE)
        return self._told(command, outcome, body)

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order; one that has ended is asked for, and its end is the answer."""
        self._orders.expect(command.client_order_id)
        self._search.sending(command)
        outcome, body = await self._cancel(command.venue_order_id, command.client_order_id)
        if outcome == Unknown(ASK_FINAL_STATE):
            return await self._final(command, command.venue_order_id)
        if isinstance(outcome, Accepted) and self._find(body) is None:
            answer = wire.order_answer(body)
            cancelled = None if answer is None else answer.order_cancel_transaction
            return await self._final(command, "" if cancelled is None else cancelled.order_id)
        return self._told(command, outcome, body)

    async def _cancel(self, order_id: str, client_order_id: str = "") -> tuple[Outcome, bytes]:
        return await self._api.write(
            "cancel_order",
            "PUT",
            f"{order_path(order_id, client_order_id)}/cancel",
            None,
            lane=Lane.CANCEL,
            deadline_at_ns=self._clock.now_ns() + round(_CANCEL_FOR_S * SECOND_NS),
        )

    async def _final(self, command: Cancel | Amend, order_id: str, *, gone: Outcome | None = None) -> Outcome:
        """Return what an order has become that this write did not find; still unknown where the venue does not tell."""
        try:
            chain = await self.ledger.load(order_id, Lane.CANCEL) if order_id else None
        except VenueError:
            chain = None
        if chain is None or (chain.is_open and chain.ids[-1] == order_id):
            self._search.lost(command)
            return Unknown(ASK_FINAL_STATE)
        self._search.known(command)
        if gone is not None and not chain.is_open:
            return gone
        if isinstance(command, Amend) and not chain.has_terms(command.spec):
            return NotExecuted("order_reissued")
        return Accepted((self._orders.report(chain, self._clock.now_ns()),))

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel our open orders one by one; the venue has no route for it. Exits that hang on trades stay."""
        try:
            rows = await self._api.get("pending_orders", "/pendingOrders", wire.Orders, Lane.CANCEL)
        except VenueError as error:
            return NotExecuted(f"list_unread: {type(error).__name__}")
        wanted = "" if command.instrument is None else symbol_of(command.instrument)
        named = {row.instrument for row in rows.orders if row.instrument and wanted in ("", row.instrument)}
        ours = {id for name in named for id in self._known_ids(instrument_id(self.venue, name))}
        reports: list[OrderReport] = []
        failed = 0
        for row in rows.orders:
            if row.id not in ours or row.instrument not in named or f"{row.type}_ORDER" not in CREATES:
                continue
            outcome, body = await self._cancel(row.id)
            if isinstance(outcome, Accepted):
                reports += self._absorbed(body)
            else:
                failed += outcome != Unknown(ASK_FINAL_STATE)  # gone meanwhile: its end is on its way
        return Unknown(f"{failed}_not_cancelled") if failed else Accepted(tuple(reports))

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Close a trade in full or in part; 200 with a cancelled closing order is a refusal."""
        self._orders.expect(command.client_order_id)
        self._search.sending(command)
        outcome, body = await self._api.write(
            "close_trade",
            "PUT",
            f"/trades/{command.lot}/close",
            requests.close(command.quantity),
            lane=Lane.FLATTEN,
            deadline_at_ns=command.deadline_at_ns,
        )
        answer = wire.order_answer(body) if isinstance(outcome, Accepted) else None
        if answer is not None and answer.order_create_transaction is not None:
            self._orders.apply(answer.transactions)
            self._orders.bind(answer.order_create_transaction.id, command.client_order_id)
        return self._told(command, outcome, body)

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Make a trade's exits what is wanted; a trailing stop that stands as wanted is left alone."""
        lot, shown = command.lot, self._reader
        body = requests.dependents(command.protection, shown.exits.get(lot), shown.unsure.get(lot, ()))
        if not body:
            return Accepted()
        outcome, _ = await self._api.write(
            "set_dependents",
            "PUT",
            f"/trades/{lot}/orders",
            body,
            lane=Lane.FLATTEN,
            deadline_at_ns=self._clock.now_ns() + round(_CANCEL_FOR_S * SECOND_NS),
        )
        if isinstance(outcome, Accepted):
            shown.took(lot, command.protection)
        elif isinstance(outcome, Unknown):
            shown.unsure[lot] = shown.unsure.get(lot, frozenset()).union(body)
        return outcome

    def _told(self, command: Submit | Amend | Cancel | CloseLot, outcome: Outcome, body: bytes) -> Outcome:
        """Take in what an answer tells, and return the outcome with the order's report."""
        if isinstance(outcome, Unknown):
            self._search.lost(command)
            return outcome
        if not isinstance(outcome, Accepted):
            self._search.answered(command)
            return outcome
        self._absorbed(body)
        chain = self._find(body)
        if chain is None:  # a type of order that nobody here has heard of
            self._search.lost(command)
            return Unknown("answer_names_no_order")
        self._search.known(command)
        return Accepted((self._orders.report(chain, self._clock.now_ns()),))

    def _absorbed(self, body: bytes) -> list[OrderReport]:
        answer = wire.order_answer(body)
        assert answer is not None, "an accepted answer has been read before"
        self._orders.apply(answer.transactions)
        chains = {
            id(one): one for entry in answer.transactions if (one := self._orders.find(entry.order_id or entry.id))
        }
        return [self._orders.report(one, self._clock.now_ns()) for one in chains.values()]

    def _find(self, body: bytes) -> Chain | None:
        """Return the order that an answer is about: the one it created, else the one it cancelled."""
        answer = wire.order_answer(body)
        assert answer is not None, "an accepted answer has been read before"
        created, cancelled = answer.order_create_transaction, answer.order_cancel_transaction
        if created is not None:
            return self._orders.find(created.id)
        return None if cancelled is None else self._orders.find(cancelled.order_id)

    # --- truth ---

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Find out by the log what became of a write; see `search`. What hangs on a trade is told by snapshots."""
        if isinstance(command, SetProtection):
            return StillUnknown("shown_by_snapshots")
        self._orders.expect(command.client_order_id)
        return await self._search.step(command, sent_at_ns)

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed for our orders: what the log tells, and for those older than it their own pages."""
        for ref in working:
            self._orders.expect(ref.client_order_id)
        await self.ledger.catch_up(Lane.ACCOUNT)
        reports = []
        for ref in working:
            if not ref.venue_order_ids:
                continue
            newest = ref.venue_order_ids[-1]
            chain = self._orders.find(newest) or await self.ledger.load(newest, Lane.ACCOUNT)
            if chain is None:
                continue
            self._orders.bind(newest, ref.client_order_id)
            if chain.in_doubt:
                await self.ledger.settle(chain, Lane.ACCOUNT)
            if not chain.is_open or chain.filled != ref.filled_quantity or chain.ids[-1] != newest:
                reports.append(self._orders.report(chain, self._clock.now_ns()))
        return tuple(reports)

    async def snapshot(self) -> AccountSnapshot:
        """Return balance, trades and pending orders as of one moment, and all that was executed since the one before."""
        snapshot, told = await self._reader.snapshot()
        self.account = self._reader.described(told, self.account)
        return snapshot
