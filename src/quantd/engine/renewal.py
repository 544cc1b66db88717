"""Gives a quarantined strategy a fresh object after a while, as often as its configuration allows.

The fault's latch goes with it, and nothing else that stands in the way: a person's halt, or a control's, stays. The fresh
object knows what `save` kept and warms up on live bars. How often it was renewed follows from the journal, so that a
restart of the daemon begins no new count.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from quantd.domain.events import TradingState
from quantd.domain.facts import StateSet
from quantd.domain.strategy_facts import StrategyRenewed
from quantd.engine import authored
from quantd.engine.context import Context
from quantd.engine.tallies import SUPERVISION

if TYPE_CHECKING:
    from quantd.engine.desk import Desk


class Renewals:
    """Watches the quarantined strategies.

    Args:
        context: The engine's.
        desks: By strategy.
        renewed: Called with a desk that has a fresh object, to hear of its declarations.
    """

    def __init__(self, context: Context, desks: "Mapping[str, Desk]", renewed: "Callable[[Desk], None]") -> None:
        self._context = context
        self._desks = desks
        self._renewed = renewed

    def time_passed(self) -> None:
        """Renew what has waited long enough."""
        state = self._context.state
        if not state.quarantined:
            return
        for name, fault in list(state.quarantined.items()):
            desk = self._desks.get(name)
            if desk is None or not desk.is_quarantined:
                continue
            done = state.tallies.renewals.get(name, 0)
            wait_s = desk.setup.restart_after_s * 2.0**done
            if done < desk.setup.restarts_max and self._context.now_ns >= fault.at_ns + int(wait_s * 1e9):
                self._renew(desk, done + 1)

    def _renew(self, desk: "Desk", number: int) -> None:
        context = self._context
        scope = f"strategy:{desk.id}"
        latch = context.state.latches.get(scope)
        if latch is not None and latch.by != SUPERVISION:
            return  # somebody else keeps it down; it is renewed once that is cleared and a person resumes it
        of = f"restart {number} of {desk.setup.restarts_max}"
        context.record(StrategyRenewed(desk.id, number, context.now_ns))
        generation = context.state.halt_generation
        context.record(StateSet(scope, TradingState.ACTIVE, SUPERVISION, of, generation, context.now_ns))
        try:
            desk.renew()
        except Exception as error:  # noqa: BLE001 -- boundary: an author's `setup`
            desk.quarantine("setup", authored.fault(error))
            return
        self._renewed(desk)
