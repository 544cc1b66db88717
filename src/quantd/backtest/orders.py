"""Commands to the simulated exchange, and its answers as outcomes: what a paper venue's connector does, without waiting.

Used by the loop. Changes nothing but the exchange.
"""

from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted, Outcome, Rejected
from quantd.domain.reports import OrderReport
from quantd.exchange import Exchange
from quantd.exchange.requests import NewOrder, OrderChange, Placed, Refused, of_a_book

Write = Submit | Amend | Cancel | CloseLot | SetProtection


def perform(exchange: Exchange, account: str, command: Write, now_ns: int) -> Outcome:
    """Carry out a write and return what became of it."""
    if isinstance(command, Submit):
        spec = of_a_book(command.spec, exchange.setup(account))
        return _placed(
            exchange.submit(
                account, NewOrder(command.client_order_id, spec, command.protection, command.client_order_id), now_ns
            )
        )
    if isinstance(command, Cancel):
        return _cancel(exchange, account, command, now_ns)
    if isinstance(command, Amend):
        change = OrderChange(quantity=command.quantity, price=command.price)
        amended = exchange.amend(account, command.venue_order_id, change, now_ns)
        return Rejected(amended.code, amended.detail) if isinstance(amended, Refused) else Accepted((amended.report,))
    if isinstance(command, CloseLot):
        return _placed(
            exchange.close_lot(
                account, command.lot, command.quantity, now_ns, client_order_id=command.client_order_id
            )
        )  # fmt: skip
    done = exchange.set_protection(account, command.lot, command.protection, now_ns)
    return Rejected(done.code, done.detail) if isinstance(done, Refused) else Accepted(done.reports)


def _placed(placed: Placed | Refused) -> Outcome:
    return Rejected(placed.code, placed.detail) if isinstance(placed, Refused) else Accepted((placed.report,))


def _cancel(exchange: Exchange, account: str, command: Cancel, now_ns: int) -> Outcome:
    """Cancel an order; one that has ended is told with its end."""
    done = exchange.cancel(account, command.venue_order_id, now_ns)
    if not isinstance(done, Refused):
        return Accepted((done.report,))
    report = exchange.report(account, command.venue_order_id, now_ns)
    if report is None:
        report = OrderReport(
            command.instrument, command.venue_order_id, OrderState.CANCELLED, ZERO, now_ns, reason="unknown_order"
        )
    return Accepted((report,))
