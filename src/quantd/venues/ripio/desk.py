"""Writes of one Ripio account: place, amend, cancel, cancel all; each at most once, and each followed by what is now.

Used by the connector. What an answer does not say is asked for, never assumed.
"""

from collections.abc import Sequence
from decimal import Decimal

from quantd.domain.commands import Amend, Cancel, CancelAll, Submit
from quantd.domain.instruments import instrument_id, symbol_of
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, OrderState
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.domain.reports import OrderReport
from quantd.errors import VenueError
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.final_state import ASK_FINAL_STATE, after_cancel
from quantd.venues.parsing import instant_ns
from quantd.venues.ripio import translate, wire
from quantd.venues.ripio.api import Api, Message
from quantd.venues.ripio.orders import KnownIds, OrderReader
from quantd.venues.ripio.search import SPAN_MAX_NS
from quantd.venues.ripio.translate import SECOND_NS

CANCEL_PATIENCE_S = 30.0
"""Longest wait of a cancel for the rate budget."""

_ANSWER = wire.reader(wire.OrderAnswer)
_CANCELLED = wire.reader(tuple[wire.CancelledRow, ...])


def has_terms(row: wire.OrderRow, command: Amend) -> bool:
    """Tell whether an order stands with the terms of an amendment."""
    quantity, price = command.quantity, command.price
    return (quantity is None or row.requested_amount == quantity) and (price is None or row.price == price)


class OrderDesk:
    """Sends writes."""

    def __init__(self, api: Api, orders: OrderReader, alerts: Alerts, known_ids: KnownIds) -> None:
        self._api = api
        self._orders = orders
        self._alerts = alerts
        self._known_ids = known_ids
        self._clock = api.http.clock

    # --- place ---

    async def submit(self, command: Submit) -> Outcome:
        """Place an order, with our id as its external id."""
        reason = translate.why_not(command.spec)
        if reason:
            return Rejected("unsupported", reason)
        outcome, order = await self._api.write(
            "create_order",
            _ANSWER,
            Message("POST", "/orders", translate.new_order(command)),
            lane=Lane.FLATTEN if command.exit else Lane.SUBMIT,
            deadline_at_ns=command.deadline_at_ns,
        )
        if order is None:
            return outcome
        if not _is_answer_to(order, command):
            self._alerts.note("reply_contradicts", order.id, client_order_id=command.client_order_id)
            return Unknown("reply_contradicts_order")
        self._orders.own(command.client_order_id, order.id)
        return Accepted((await self._placed(command, order),))

    async def _placed(self, command: Submit, order: wire.OrderAnswer) -> OrderReport:
        """Return the report of a new order. What has traded already is told with its trades, or else by the poller."""
        standing = order.status in ("open", "pending_creation", "") and not order.executed_amount
        if not standing:
            try:
                row = await self._orders.get(order.id, Lane.SUBMIT)
                if row is not None:
                    return await self._orders.report(row, Lane.SUBMIT)
            except VenueError:
                pass  # it counts as working until the poller has read it: that reserves more, never less
        spec = command.spec
        return OrderReport(
            instrument=spec.instrument,
            venue_order_id=order.id.upper(),
            state=OrderState.WORKING,
            filled_quantity=ZERO,
            received_at_ns=self._clock.now_ns(),
            client_order_id=command.client_order_id,
            side=spec.side,
            quantity=spec.quantity,
            price=spec.price,
            kind=spec.kind,
            trigger=spec.trigger,
        )

    # --- amend ---

    async def amend(self, command: Amend) -> Outcome:
        """Change price or quantity of a working order.

        Whether the venue's `amount` counts what has traded is not documented: the quantity of a partly filled order is
        not changed. The answer says nothing of the order, so that it is read before and after.
        """
        try:
            row = await self._orders.get(command.venue_order_id, Lane.SUBMIT)
        except VenueError as error:
            return NotExecuted(f"order_unread: {type(error).__name__}")
        if row is None:
            return Rejected("not_found", command.venue_order_id)
        state, _ = translate.order_state(row)
        if state in ENDS:
            return Rejected("order_ended", state.value)
        quantity = command.quantity if command.quantity != row.requested_amount else None
        price = command.price if command.price != row.price else None
        if quantity is not None and row.executed_amount > 0:
            return Rejected("partly_filled", "whether its new amount counts what has traded is not documented")
        if quantity is None and price is None:
            return Accepted()
        outcome, _ = await self._api.write(
            "amend_order",
            wire.nothing,
            Message("PUT", "/orders", translate.amended_order(command.venue_order_id, quantity, price)),
            lane=Lane.SUBMIT,
            deadline_at_ns=command.deadline_at_ns,
        )
        return await self._amended(command) if isinstance(outcome, Accepted) else outcome

    async def _amended(self, command: Amend) -> Outcome:
        """Return an accepted amendment with the order as it stands; other terms than asked for are for `resolve`."""
        try:
            row = await self._orders.get(command.venue_order_id, Lane.SUBMIT)
            if row is None or not has_terms(row, command):
                return Unknown("amended_otherwise")
            return Accepted((await self._orders.report(row, Lane.SUBMIT),))
        except VenueError as error:
            return Unknown(f"amended_unread: {type(error).__name__}")

    # --- cancel ---

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order and read what was filled of it; one that is already gone is Accepted with its end."""
        if not command.venue_order_id:
            return NotExecuted("no_venue_order_id")
        return await self._cancel(command.venue_order_id)

    def _deadline(self) -> int:
        return self._clock.now_ns() + round(CANCEL_PATIENCE_S * SECOND_NS)

    async def _cancel(self, order_id: str) -> Outcome:
        outcome, _ = await self._api.write(
            "cancel_order",
            _ANSWER,
            Message("POST", "/orders/cancel", wire.encode({"id": order_id})),
            lane=Lane.CANCEL,
            deadline_at_ns=self._deadline(),
        )
        return await after_cancel(outcome, order_id, lambda: self._read(order_id), self._alerts)

    async def _read(self, order_id: str) -> OrderReport | None:
        row = await self._orders.get(order_id, Lane.CANCEL)
        return None if row is None else await self._orders.report(row, Lane.CANCEL)

    # --- cancel all ---

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all our open orders: by pair in one request where none is anybody else's, else one by one."""
        pair = symbol_of(command.instrument) if command.instrument is not None else ""
        try:
            rows, complete = await self._orders.open_orders(Lane.CANCEL, pair=pair)
        except VenueError as error:
            return NotExecuted(f"list_unread: {type(error).__name__}")
        pairs: dict[str, list[str]] = {}
        for order_id, row in rows.items():
            pairs.setdefault(row.pair, []).append(order_id)
        reports: list[OrderReport] = []
        failed = 0
        for symbol, standing in sorted(pairs.items()):
            known = frozenset(self._known_ids(instrument_id(self._api.venue, symbol)))
            ours = [order_id for order_id in standing if order_id in known]
            if complete and len(ours) > 1 and len(ours) == len(standing):
                oldest_ns = min(instant_ns(rows[one].create_date) or 0 for one in ours)
                ended = await self._cancel_pair(symbol, ours, oldest_ns)
                reports.extend(ended)
                gone = {report.venue_order_id for report in ended}
                ours = [order_id for order_id in ours if order_id not in gone]
            for order_id in ours:
                outcome = await self._cancel(order_id)
                if isinstance(outcome, Accepted):
                    reports.extend(outcome.reports)
                else:
                    failed += 1
        if failed or not complete:
            return Unknown(f"{failed}_not_cancelled" if failed else "list_not_complete")
        return Accepted(tuple(reports))

    async def _cancel_pair(self, pair: str, ours: Sequence[str], oldest_ns: int) -> list[OrderReport]:
        """Cancel all orders of a pair at once and return those that have ended; the others are cancelled singly.

        The pair is always in the signed body: without one the request would mean every pair.
        """
        outcome, _ = await self._api.write(
            "cancel_all",
            _CANCELLED,
            Message("DELETE", "/orders/all", wire.encode({"pair": pair})),
            lane=Lane.CANCEL,
            deadline_at_ns=self._deadline(),
        )
        if not isinstance(outcome, Accepted) and outcome != Unknown(ASK_FINAL_STATE):
            return []
        since_ns = max(oldest_ns - SECOND_NS, self._clock.now_ns() - SPAN_MAX_NS)
        try:
            rows = await self._orders.by_ids(pair, ours, Lane.CANCEL, since_ns=since_ns)
            reports = [await self._orders.report(row, Lane.CANCEL) for row in rows.values()]
        except VenueError:
            return []  # each is cancelled singly then, which tells its end
        return [report for report in reports if report.state in ENDS]


def _is_answer_to(order: wire.OrderAnswer, command: Submit) -> bool:
    """Tell whether an answer can be to the order that was sent; what it does not tell speaks for it."""
    spec = command.spec
    told: tuple[tuple[str | Decimal | None, str | Decimal], ...] = (
        (order.pair, symbol_of(spec.instrument)),
        (order.side, spec.side.value),
        (order.external_id.lower() if order.external_id else None, command.client_order_id),
        (order.requested_amount, spec.quantity),
    )
    return all(one is None or one == other for one, other in told)
