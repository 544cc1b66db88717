"""The ionloop connector: one spot account behind the daemon's `Connector` port.

Used by the executor, the pollers and the reconciler. The venue takes limit orders that stand until cancelled; the
engine makes everything else of them. It stores no client order id, so a lost create is found by its terms, see
`search`. Never repeats a write by itself, never assumes what an answer does not say.
"""

from collections.abc import Callable, Sequence

from quantd.domain.cash import Account, AccountKind, PositionMode
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.events import Event
from quantd.domain.instruments import instrument_id, symbol_of
from quantd.domain.orders import ENDS, OrderKind, OrderRef, TimeInForce
from quantd.domain.outcomes import (
    Accepted,
    Found,
    NotExecuted,
    NotFound,
    Outcome,
    Rejected,
    Resolution,
    StillUnknown,
    Unknown,
)
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Refused, Temporary, Unavailable, VenueError
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.final_state import after_cancel
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop import translate, wire
from quantd.venues.ionloop.account import AccountReader
from quantd.venues.ionloop.alerts import KINDS
from quantd.venues.ionloop.api import Api, Message
from quantd.venues.ionloop.market import MarketReader
from quantd.venues.ionloop.options import IonloopOptions, capabilities
from quantd.venues.ionloop.orders import OPEN, OrderDesk
from quantd.venues.ionloop.search import KnownIds, Search
from quantd.venues.ionloop.translate import SECOND_NS
from quantd.venues.market_reads import MarketReads
from quantd.venues.parsing import CANNOT_READ

CANCEL_PATIENCE_S = 30.0
"""Longest wait of a cancel for the rate budget."""
_GONE_RETRY_S = 30.0
_RETRY_S = 2.0


class IonloopConnector(MarketReads):
    """One account at ionloop.

    Args:
        http: The account's requests; carries the venue's key, the clock and the budget.
        options: From the settings.
        observer: Counts anomalies.
        known_venue_ids: Venue ids of all orders of an instrument that the engine has, ended ones too.
        auth_failed: Called when a write shows that the key is not accepted: trading on the venue must stop.
    """

    _markets: MarketReader

    def __init__(
        self,
        http: VenueHttp,
        options: IonloopOptions,
        *,
        observer: Observer,
        known_venue_ids: KnownIds,
        auth_failed: Callable[[str], None] | None = None,
    ) -> None:
        self.venue = http.venue
        self.capabilities = capabilities(idempotency=options.idempotency)
        self.account = Account(
            http.venue, "spot", AccountKind.SPOT, PositionMode.NETTING, home_currency=options.home_currency
        )
        self._http = http
        self._clock = http.clock
        self._known_venue_ids = known_venue_ids
        self._alerts = Alerts(http.venue, observer, KINDS)
        self._api = Api(http, options.api_key, options.paths, auth_failed)
        self._markets = MarketReader(
            self._api, fees=options.fees, limits=options.limits, observer=observer, alerts=self._alerts
        )
        self._desk = OrderDesk(self._api, clock=self._clock, alerts=self._alerts)
        self._search = Search(
            self._desk,
            clock=self._clock,
            known_ids=known_venue_ids,
            resend=self._resend if options.idempotency else None,
            offset_ns=lambda: self._api.offset_ns,
        )
        self.ledger = AccountReader(self._api, self._desk, clock=self._clock, alerts=self._alerts)
        """Reads beside the port: wallets, transactions, cash flows, totals of trades."""
        self._hints: set[str] = set()

    async def start(self) -> None:
        """Check the key by reading the portfolio.

        Raises:
            AuthFailed: the key is not accepted.
            VenueError: the venue could not be asked.
        """
        await self.ledger.portfolio()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def status(self) -> wire.StatusWire:
        """Return the state of the venue by part; see `MarketReader.status`."""
        return await self._markets.status()

    # --- writes ---

    async def submit(self, command: Submit) -> Outcome:
        """Place a limit order."""
        spec = command.spec
        standing = spec.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
        if spec.kind is not OrderKind.LIMIT or spec.price is None or spec.post_only or not standing:
            return Rejected("unsupported", f"{spec.kind.value} {spec.time_in_force.value} post_only={spec.post_only}")
        return await self._create(command, command.deadline_at_ns)

    async def _create(self, command: Submit, deadline_at_ns: int) -> Outcome:
        message = Message(
            body=translate.new_order_body(command),
            headers={"Idempotency-Key": translate.idempotency_key(command)},
        )
        outcome, order = await self._api.write(
            "create_order",
            wire.OrderWire,
            lane=Lane.FLATTEN if command.exit else Lane.SUBMIT,
            deadline_at_ns=deadline_at_ns,
            message=message,
        )
        if order is None:
            return outcome
        spec = command.spec
        told = (order.symbol, translate.side(order.side), order.quantity)
        if told != (symbol_of(spec.instrument), spec.side, spec.quantity) or (
            order.price is not None and order.price != spec.price
        ):
            self._alerts.note("reply_contradicts", order.id, client_order_id=command.client_order_id)
            return Unknown("reply_contradicts_order")
        self._desk.learn(order)
        return Accepted((self._desk.report(order, command.client_order_id),))

    async def _resend(self, command: Submit) -> Outcome:
        # The intent may have left already, so its own deadline does not count; but the look-up must not wait for
        # ever. The lane stays a submit's: what the last look holds back in a halt is held back here too.
        return await self._create(command, self._clock.now_ns() + round(_RETRY_S * SECOND_NS))

    async def amend(self, command: Amend) -> Outcome:
        """Refuse: the venue cannot amend, the engine cancels and places anew."""
        return Rejected("unsupported", "no amend route")

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Refuse: a spot account has no lots."""
        return Rejected("unsupported", "no lots")

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Refuse: the venue holds no protection, the engine does."""
        return Rejected("unsupported", "no protection")

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order and read what was filled of it; one that is already gone is Accepted with its end."""
        if not command.venue_order_id:
            return NotExecuted("no_venue_order_id")
        return await self._cancel(command.venue_order_id)

    async def _cancel(self, order_id: str) -> Outcome:
        outcome, _ = await self._api.write(
            "cancel_order",
            wire.CancelledWire,
            lane=Lane.CANCEL,
            deadline_at_ns=self._clock.now_ns() + round(CANCEL_PATIENCE_S * SECOND_NS),
            message=Message(parts={"id": order_id}),
        )
        return await after_cancel(outcome, order_id, lambda: self._read(order_id), self._alerts)

    async def _read(self, order_id: str) -> OrderReport | None:
        order = await self._desk.get(order_id, Lane.CANCEL)
        return None if order is None else self._desk.report(order)

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all our open orders one by one; the venue has no route for it."""
        symbol = symbol_of(command.instrument) if command.instrument is not None else ""
        try:
            rows, complete = await self._desk.listed(OPEN, Lane.CANCEL, symbol=symbol)
        except VenueError as error:
            return NotExecuted(f"list_unread: {type(error).__name__}")
        reports: list[OrderReport] = []
        failed = 0
        instruments = {instrument_id(self.venue, row.symbol) for row in rows.values()}
        ours = {order_id for instrument in instruments for order_id in self._known_venue_ids(instrument)}
        for row in rows.values():
            if row.id not in ours:
                continue
            outcome = await self._cancel(row.id)
            if isinstance(outcome, Accepted):
                reports.extend(outcome.reports)
            else:
                failed += 1
        if failed or not complete:
            return Unknown(f"{failed}_not_cancelled" if failed else "list_not_complete")
        return Accepted(tuple(reports))

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Take one step towards knowing what became of a write; `StillUnknown` says when to come back."""
        if isinstance(command, Submit):
            return await self._search.step(command, sent_at_ns)
        if not isinstance(command, Cancel) or not command.venue_order_id:
            return NotFound()  # such writes never leave
        try:
            order = await self._desk.get(command.venue_order_id, Lane.RECONCILE)
        except Temporary as error:
            return StillUnknown(type(error).__name__, error.retry_after_s or _RETRY_S)
        except VenueError as error:
            return StillUnknown(type(error).__name__, _RETRY_S)
        if order is None:
            self._alerts.note("order_vanished", command.venue_order_id)
            return StillUnknown("order_not_found", _GONE_RETRY_S)
        return Found(self._desk.report(order, command.client_order_id))

    # --- truth ---

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed: one list of all open orders, then each order that changed or left the list.

        Raises:
            VenueError: when the list could not be read, or an order could not and no other had changed.
        """
        refs = {ref.venue_order_ids[-1]: ref for ref in working if ref.venue_order_ids}
        if not refs:
            return ()
        rows, _ = await self._desk.listed(OPEN, Lane.ACCOUNT)
        reports: list[OrderReport] = []
        failure: VenueError | None = None
        for order_id, ref in refs.items():
            row = rows.get(order_id)
            if row is not None and row.filled_quantity == ref.filled_quantity and order_id not in self._hints:
                continue
            try:
                order = await self._desk.get(order_id, Lane.ACCOUNT)
            except VenueError as error:
                failure = error
                continue
            self._hints.discard(order_id)
            if order is None:
                # Once accepted, now unknown: it is followed on and never taken for cancelled.
                self._alerts.note("order_vanished", order_id, client_order_id=ref.client_order_id)
                continue
            report = self._desk.report(order, ref.client_order_id)
            if (
                report.state in ENDS
                or report.filled_quantity != ref.filled_quantity
                or report.average_price is not None
            ):
                reports.append(report)
        if failure is not None and not reports:
            raise failure
        return tuple(reports)

    async def snapshot(self) -> AccountSnapshot:
        """Return balances and open orders; see `AccountReader.snapshot`."""
        return await self.ledger.snapshot()

    # --- webhooks ---

    def webhook(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events in a verified webhook; one without figures makes the next poll read that order.

        Raises:
            ValueError: when the payload is no webhook of this venue.
        """
        event = wire.decode(wire.WebhookEvent, payload)
        if not event.type.startswith("order."):
            return ()
        try:
            notice = wire.decode(wire.WebhookOrder, event.data)
        except CANNOT_READ:
            return ()  # only the notice of a fill is documented; the poller sees what the others mean
        self._hints.add(notice.order_id)
        while len(self._hints) > 10_000:
            self._hints.pop()
        report = self._desk.noticed(notice)
        return (report,) if report is not None else ()

    async def create_webhook(self, url: str, events: tuple[str, ...], secret: str) -> str:
        """Register a webhook (https) and return its id; there is no route to list or delete, so never do it twice.

        Raises:
            Refused: the venue does not take it, or the key may not.
            Temporary: it never left.
            Unavailable: whether it was registered is unknown; look into the venue's console.
        """
        body = wire.encode(wire.NewWebhook(url=url, events=events, secret=secret))
        deadline_at_ns = self._clock.now_ns() + round(self._http.timeout_s * SECOND_NS)
        outcome, webhook = await self._api.write(
            "create_webhook",
            wire.WebhookWire,
            lane=Lane.ACCOUNT,
            deadline_at_ns=deadline_at_ns,
            message=Message(body=body),
        )
        if webhook is not None:
            return webhook.id
        match outcome:
            case Rejected(code, detail):
                raise Refused(self.venue, "create_webhook", code, detail)
            case NotExecuted(reason, retry_after_s):
                raise Temporary(self.venue, "create_webhook", reason, retry_after_s=retry_after_s)
            case _:
                raise Unavailable(self.venue, "create_webhook", f"not known whether it was registered: {outcome}")
