"""How a run ends: no new entries, what is under way settles to a deadline, then each strategy's `at_shutdown` applies.

After a journal fault, only cancels still leave.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sized

from quantd.app.shared import Shared
from quantd.domain.commands import Cancel
from quantd.domain.events import Event, OutcomeReceived, ShutDown, Stopping
from quantd.domain.orders import ClientOrderId
from quantd.domain.outcomes import Accepted, Scheduled
from quantd.engine.reducing import only_reduces
from quantd.errors import first_of
from quantd.feeds.conflation import Inbox

SETTLE_S = 8.0
"""How long writes under way have, before `at_shutdown` and after it."""
_HURRIED_S = 1.0
"""How long the writes of `at_shutdown` have when somebody is in a hurry."""
_LOOK_EVERY_S = 0.05


async def end_trading(shared: Shared, inbox: Sized, hurry: asyncio.Event, reason: str) -> None:
    """End every strategy's trading.

    `at_shutdown` comes after what was under way: a position is closed as it is, not as it was before the last fill. Whoever
    is in a hurry cuts both waits short, not the policy.
    """
    shared.emit(Stopping(reason, shared.clock.now_ns()))
    await _settle(shared, inbox, hurry, SETTLE_S)
    shared.emit(ShutDown(shared.clock.now_ns()))
    await _settle(shared, inbox, hurry, SETTLE_S)
    if hurry.is_set():
        await _settle(shared, inbox, asyncio.Event(), _HURRIED_S)


async def _settle(shared: Shared, inbox: Sized, hurry: asyncio.Event, timeout_s: float) -> None:
    """Wait until no write is under way, no book is being closed and the inbox is empty, `hurry` is set, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await _look(hurry)
            while not hurry.is_set() and (len(inbox) or _is_busy(shared)):
                await _look(hurry)


async def _look(hurry: asyncio.Event) -> None:
    """Pause, at most until somebody is in a hurry."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_EVERY_S):
            await hurry.wait()


def _is_busy(shared: Shared) -> bool:
    state = shared.engine.state
    if shared.executor.in_flight > 0 or any(order.operation is not None for order in state.orders.open_orders()):
        return True
    # A book that is being closed is not closed before its last fill is known.
    return any(one.quantity is not None and one.how.reduce_only for one in state.targets.values())


async def cancel_entries(shared: Shared, inbox: Inbox) -> None:
    """Cancel every working order that adds exposure, past the journal, and wait for the answers.

    What was under way may be working only then: it is cancelled as well. The runner has ended or ends at the next fact.
    """
    working = {one.client_order_id: one.venue_order_id for one in shared.engine.state.orders.open_orders()}
    await _cancel(shared, {order: venue_id for order, venue_id in working.items() if venue_id})
    late = {order: venue_id for order, venue_id in _answered(inbox.take()) if not working.get(order)}
    for one in shared.engine.state.orders.open_orders():  # the engine heard, where the disk failed while it was idle
        if one.is_acknowledged and not working.get(one.client_order_id):
            late.setdefault(one.client_order_id, one.venue_order_id)
    await _cancel(shared, late)


def _answered(events: Iterable[Event]) -> Iterator[tuple[ClientOrderId, str]]:
    """Yield client order id and the venue's of what a venue has taken."""
    for event in events:
        if isinstance(event, OutcomeReceived) and isinstance(event.outcome, Accepted):
            yield from ((event.client_order_id, report.venue_order_id) for report in event.outcome.reports)
        elif isinstance(event, OutcomeReceived) and isinstance(event.outcome, Scheduled) and event.outcome.ref:
            yield event.client_order_id, event.outcome.ref


async def _cancel(shared: Shared, working: Mapping[ClientOrderId, str]) -> None:
    """Cancel those of the orders that add exposure, by their ids at the venue, and wait for what is under way."""
    state = shared.engine.state
    orders = [one for one in map(state.orders.get, working) if one is not None and not only_reduces(state, one)]
    shared.executor.execute(
        Cancel(one.client_order_id, one.operations + 1, one.instrument, working[one.client_order_id]) for one in orders
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            await shared.executor.drained()


def fault_of(error: BaseException) -> str:
    """Return in words what brought a task down, without the groups around it."""
    first = first_of(error)
    return f"{type(first).__name__}: {first}"
