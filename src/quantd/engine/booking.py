"""Fills on their way into the books: what a report tells of executions becomes facts.

Used by the intake, for reports that can be true. Sources merge monotonically: the highest cumulative quantity wins,
duplicates change nothing, a better price corrects. What no source tells singly is derived, see `executions`.
"""

from collections.abc import Callable
from decimal import Decimal

from quantd.domain.facts import FillCorrected, FillRecorded
from quantd.domain.fills import Fill, Quality
from quantd.domain.reports import OrderReport
from quantd.engine.context import Context
from quantd.engine.executions import corrections, derived, executed, is_told, likely_price, stood_for
from quantd.engine.orders import LiveOrder
from quantd.engine.settling import settlement_of

OrderChanged = Callable[[LiveOrder, Fill | None], None]
"""Called after an order changed; with the fill where it was one."""


class Booking:
    """Books the executions of orders."""

    def __init__(self, context: Context, changed: OrderChanged) -> None:
        self._context = context
        self._changed = changed

    def take(self, order: LiveOrder, report: OrderReport) -> bool:
        """Book what is new of an order, correct what is known better; return whether anything was new."""
        booked, passed = False, stood_for(order, report)
        for fill in executed(report):
            known = order.fills.get(fill.id)
            if fill.id in passed:
                continue
            if known is None and order.filled + fill.quantity <= max(report.filled_quantity, order.filled):
                self._book(order, fill, order.filled + fill.quantity)
                booked = True
            elif known is not None and known.quality is Quality.ESTIMATED and fill.quality is Quality.CONFIRMED:
                self._correct(order, known, fill)
        if report.filled_quantity > order.filled:
            rules = self._context.instrument(order.instrument)
            price = likely_price(self._context.state, order)
            self._book(order, derived(order, report, rules, price), report.filled_quantity)
            booked = True
        if order.fills and report.filled_quantity == order.filled and not is_told(order, report):
            for before, after in corrections(order, report, self._context.instrument(order.instrument)):
                self._correct(order, before, after)
        return booked

    def _book(self, order: LiveOrder, fill: Fill, cumulative: Decimal) -> None:
        context = self._context
        opened_at, settled, earned = settlement_of(context, order, fill)
        context.record(
            FillRecorded(
                order.client_order_id,
                order.strategy,
                order.instrument,
                order.spec.side,
                fill,
                cumulative,
                context.now_ns,
                opened_at,
                settled,
                earned,
            )
        )
        self._changed(order, fill)

    def _correct(self, order: LiveOrder, before: Fill, after: Fill) -> None:
        self._context.record(
            FillCorrected(
                order.client_order_id,
                order.strategy,
                order.instrument,
                order.spec.side,
                before,
                Fill(
                    before.id,
                    before.quantity,
                    after.price,
                    after.quality,
                    after.fees,
                    after.liquidity,
                    after.occurred_at_ns,
                    before.lot,
                ),
                self._context.now_ns,
            )
        )
