"""Tells the engine when the wall clock moves against the monotonic one: after a jump, new exposure pauses.

Run by the composition root as a task. A step backwards that the clock holds back shows as time that stands still.
"""

import asyncio

from quantd.domain.events import ClockJumped
from quantd.ports import Clock, Emit

JUMP_NS = 1_000_000_000
"""Smallest move that counts."""
_EVERY_S = 0.5


async def watch_wall(clock: Clock, emit: Emit) -> None:
    """Compare the two clocks for ever."""
    apart_ns = clock.now_ns() - clock.monotonic_ns()
    while True:
        await asyncio.sleep(_EVERY_S)
        now_ns = clock.now_ns()
        moved_ns = now_ns - clock.monotonic_ns() - apart_ns
        if abs(moved_ns) > JUMP_NS:
            apart_ns += moved_ns
            emit(ClockJumped(moved_ns, now_ns))
