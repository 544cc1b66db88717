"""Tells the engine when the wall clock moves against the monotonic one: after a jump, new exposure pauses.

Run by the composition root as a task. The system's own wall time is compared where the clock tells it: a clock that
holds a step backwards back would show it as many small ones.
"""

import asyncio

import structlog

from quantd.domain.events import ClockJumped
from quantd.ports import Clock, Emit, Observer

_log = structlog.get_logger("quantd.wall")
JUMP_NS = 1_000_000_000
"""Smallest move that counts."""
_EVERY_S = 0.5


async def watch_wall(clock: Clock, emit: Emit, observer: Observer) -> None:
    """Compare the two clocks for ever; jumps are counted in ``quantd_clock_jumps_total``."""
    wall_ns = getattr(clock, "wall_ns", clock.now_ns)
    apart_ns = wall_ns() - clock.monotonic_ns()
    ahead_ns = clock.now_ns() - wall_ns()
    if ahead_ns > JUMP_NS:  # it was set back between two runs
        emit(ClockJumped(-ahead_ns, clock.now_ns()))
    while True:
        await asyncio.sleep(_EVERY_S)
        moved_ns = wall_ns() - clock.monotonic_ns() - apart_ns
        if abs(moved_ns) > JUMP_NS:
            apart_ns += moved_ns
            observer.count("quantd_clock_jumps_total")
            _log.warning("clock_jumped", by_s=moved_ns / 1e9)
            emit(ClockJumped(moved_ns, clock.now_ns()))
