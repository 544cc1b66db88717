"""Times what the engine runs inside one event and cannot time itself, having no clock: hooks of strategies, the gate.

The composition root puts one into the engine; a backtest has none. Decides nothing and changes nothing.
"""

from collections.abc import Callable

from quantd.engine.core import Engine
from quantd.engine.risk.wish import Denied, Wish
from quantd.ports import Clock, Observer

GATE_SAMPLE = 16
"""One pass of the gate in so many is timed: a pass takes a few microseconds, and counting it one."""


class Stopwatch:
    """Observes ``quantd_strategy_callback_seconds`` and ``quantd_gate_seconds``."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._now_ns = clock.monotonic_ns
        self._observe = observer.observe
        self._passes = 0
        self._began_ns = 0

    def attach(self, engine: Engine) -> None:
        """Time a sample of the hooks and of the gate's passes from here on."""
        engine.context.meter = self
        engine.trading.around_gate = self.gate

    def began(self) -> None:
        """A hook begins."""
        self._began_ns = self._now_ns()

    def ended(self, strategy: str, hook: str) -> None:
        """The hook that began last has returned."""
        took_s = (self._now_ns() - self._began_ns) / 1e9
        self._observe("quantd_strategy_callback_seconds", took_s, strategy=strategy, hook=hook)

    def gate(self, check: Callable[[Wish], Denied | None], wish: Wish) -> Denied | None:
        """Pass a wish through the gate."""
        self._passes += 1
        if self._passes % GATE_SAMPLE != 1:
            return check(wish)
        began_ns = self._now_ns()
        denied = check(wish)
        self._observe("quantd_gate_seconds", (self._now_ns() - began_ns) / 1e9)
        return denied
