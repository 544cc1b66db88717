"""Follows an account's cash flows where the venue has a history of them: deposits, withdrawals, fees.

Each window's flows and the place up to which it was read reach the journal in one commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from quantd.app.shared import Shared
from quantd.domain.cash import CashFlow
from quantd.domain.events import CashMoved, CursorAdvanced
from quantd.domain.soundness import flaw_of_flow, vouch

CURSOR = "cash_flows_until"
_EVERY_S = 60.0
_SETTLE_NS = 5_000_000_000
"""Flows younger than this may still be missing from the venue's list."""


async def follow_cash(shared: Shared, venue: str, read: Callable[[int, int], Awaitable[Sequence[CashFlow]]]) -> None:
    """Read new cash flows for ever; the first look begins at the present."""
    told = shared.engine.state.cursors.get((venue, CURSOR))
    read_until_ns = int(told) if told else shared.clock.now_ns()
    while True:
        await asyncio.sleep(_EVERY_S)
        until_ns = shared.clock.now_ns() - _SETTLE_NS
        if until_ns <= read_until_ns:
            continue
        flows = await read(read_until_ns, until_ns)
        vouch(venue, "cash_flows", flows, flaw_of_flow)
        now_ns = shared.clock.now_ns()
        for flow in flows:
            shared.emit(CashMoved(flow, now_ns))
        shared.emit(CursorAdvanced(venue, CURSOR, str(until_ns), now_ns))
        read_until_ns = until_ns
