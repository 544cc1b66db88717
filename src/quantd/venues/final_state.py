"""What became of a cancelled order where neither the answer nor a refusal says what was filled: it is read, a few times.

Used by the connectors whose venue shows a single order by its id. The reply may come before the venue's engine has acted,
so one look is not enough.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from quantd.domain.orders import ENDS
from quantd.domain.outcomes import Accepted, Outcome, Unknown
from quantd.domain.reports import OrderReport
from quantd.errors import VenueError
from quantd.venues.alerts import Alerts

ASK_FINAL_STATE: Final = "ask_final_state"
"""Cause of the `Unknown` where the target of a write is gone or never was, or the answer leaves open what stands: asking
tells."""
UNREADABLE: Final = "accepted_but_unreadable"
"""Cause of the `Unknown` where a status says yes and the body cannot be read."""
_WAITS_S: Final = (0.0, 0.2, 0.5)
"""Before each of the looks."""


async def after_cancel(
    outcome: Outcome, order_id: str, read: Callable[[], Awaitable[OrderReport | None]], alerts: Alerts
) -> Outcome:
    """Return the outcome of a cancel with the order as it is after it.

    Args:
        outcome: Of the request; one that says all by itself is returned as it is.
        order_id: The venue's.
        read: Returns the order as the venue shows it, None where it knows none; may raise `VenueError`.
        alerts: Told of an order that the venue does not know.
    """
    accepted = isinstance(outcome, Accepted)
    if not accepted and outcome not in (Unknown(ASK_FINAL_STATE), Unknown(UNREADABLE)):
        return outcome
    report = None
    for wait_s in _WAITS_S:
        if wait_s:
            await asyncio.sleep(wait_s)
        try:
            report = await read()
        except VenueError as error:
            return Unknown(f"final_state_unread: {type(error).__name__}")
        if report is None:
            alerts.note("order_vanished", order_id)
            return Unknown("order_not_found")
        if report.state in ENDS:
            return Accepted((report,))
    # Accepted and still shown as open: the poller will see its end. Refused as ended and still open: ask again.
    return Accepted((report,)) if accepted and report is not None else Unknown("refused_but_open")
