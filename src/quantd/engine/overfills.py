"""Reports of more than an order can have traded or cost: never booked, for the next target or exit would trade the difference.

Used by `Intake` and for the exits that venues execute. What is true all the same shows in the account, where reconciliation
compares it with our books; until a person has looked, the instrument may only reduce.
"""

from decimal import Decimal

from quantd.domain.events import TradingState
from quantd.domain.instruments import Instrument
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Origin, Side
from quantd.domain.reports import OrderReport
from quantd.engine.context import Context
from quantd.engine.lots import HeldLot
from quantd.engine.orders import LiveOrder


def is_beyond(context: Context, order: LiveOrder, report: OrderReport) -> bool:
    """Tell whether a report has an order filled beyond its quantity, by more than a lot that a rounding may add.

    An amendment under way may have been made; the close of a lot takes what the lot has become; and what a stranger does
    with an order of theirs is told by the report alone.
    """
    most = order.spec.quantity
    if order.operation is not None and order.operation.quantity is not None:
        most = max(most, order.operation.quantity)
    if order.lot:
        held = context.state.lots.get(order.instrument.partition(":")[0])
        lot = None if held is None else held.get(order.lot)
        # An exit that stretched with its lot may have traded more by now than it was seen with at first.
        most = max(most, order.filled) + (ZERO if lot is None else _of_lot(context, lot))
    elif order.origin is Origin.EXTERNAL and report.quantity is not None:
        most = max(most, report.quantity)
    return _refused(context, report, order.filled, most)


def is_beyond_lot(context: Context, held: HeldLot, report: OrderReport) -> bool:
    """Tell whether a report of an order that is not ours has taken more from a lot than there can be in it."""
    return _refused(context, report, ZERO, _of_lot(context, held))


def _of_lot(context: Context, held: HeldLot) -> Decimal:
    """Return the most that a lot may hold: what was shown last, and what open orders may have added since."""
    net = context.state.portfolio.nets.get(held.lot.instrument)
    entries = ZERO if net is None else net.buys if held.lot.side is Side.BUY else net.sells
    return held.lot.quantity + entries


def _fee_beyond(rules: Instrument, report: OrderReport) -> str:
    """Return which fee is as large as what it was charged for: one in the base asset is taken off the position."""
    for fill in report.fills:
        for asset, fee in () if fill.fees_estimated else fill.fees:
            traded = fill.quantity * rules.units_per_quantity
            worth = traded if (asset == rules.base) is not rules.inverse else rules.notional(fill.quantity, fill.price)
            if asset in (rules.base, rules.quote) and fill.quantity and abs(fee) >= worth:
                return f"a fee of {fee} {asset} for {fill.quantity} at {fill.price}"
    return ""


def _refused(context: Context, report: OrderReport, known: Decimal, most: Decimal) -> bool:
    if not report.filled_quantity and not report.fills:
        return False
    rules = context.state.portfolio.instruments.get(report.instrument)
    slack = ZERO if rules is None else rules.lot
    words = "" if rules is None else _fee_beyond(rules, report)
    if report.filled_quantity > max(most, known) + slack:
        words = f"{report.filled_quantity} filled, and at most {most} can be"
    if not words:
        return False
    words = f"order {report.venue_order_id}: {words}"
    context.latch(f"instrument:{report.instrument}", TradingState.REDUCING, "resolution", words)
    return True
