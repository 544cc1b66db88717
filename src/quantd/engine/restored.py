"""Orders from before a backup was restored: what was done with them since is in no journal, and known to the venue alone.

Used by `Intake` ahead of its check of what an order can have traded, which holds reports against the terms that we know.
"""

from quantd.domain.facts import OrderAmended
from quantd.domain.orders import Origin
from quantd.domain.reports import OrderReport
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder


def take_terms(context: Context, order: LiveOrder, report: OrderReport) -> None:
    """Take over the larger quantity that a venue shows for an order of an earlier epoch: it was amended after the backup.

    Else what it has traded would count as more than can be, whenever somebody looks: it would stay open for ever.
    """
    told, known = report.quantity, order.spec.quantity
    if told is None or told <= known or not order.is_open or order.origin is Origin.EXTERNAL or order.lot:
        return
    if order.pending_amend is None and not context.ids.is_current(order.client_order_id):
        context.record(OrderAmended(order.client_order_id, told, report.price, context.now_ns))
