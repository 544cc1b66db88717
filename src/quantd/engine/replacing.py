"""Puts changed strategies in the place of running ones: on a person's word, one event for all of them.

A replacement is a restart of that strategy alone: `on_stop`, `at_shutdown`, then the new object, which is declared, warmed
up and started like one of a fresh process. Its book, and whatever is latched for it, stay.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from quantd.domain.events import StrategiesReplaced
from quantd.domain.strategy_facts import StrategyReloaded
from quantd.engine import authored
from quantd.engine.context import Context, StrategySetup
from quantd.engine.operator import Operator
from quantd.engine.strategy import Strategy
from quantd.engine.targets import Targets

if TYPE_CHECKING:
    from quantd.engine.desk import Desk


class Replacements:
    """Holds the new objects until their event comes.

    Args:
        context: The engine's.
        desks: By strategy.
        operator: Applies `at_shutdown`.
        targets: Those of the old object end with it, unless they only close.
        replaced: Called once all are in place, to hear of their declarations.
    """

    def __init__(
        self,
        context: Context,
        desks: "Mapping[str, Desk]",
        *,
        operator: Operator,
        targets: Targets,
        replaced: Callable[[], None],
    ) -> None:
        self._context = context
        self._desks = desks
        self._operator = operator
        self._targets = targets
        self._replaced = replaced
        self._offered: dict[str, tuple[StrategySetup, Strategy]] = {}

    def offer(self, setup: StrategySetup, strategy: Strategy) -> None:
        """Hand over what `StrategiesReplaced` will put in place; a later offer takes the place of an earlier one."""
        self._offered[setup.id] = (setup, strategy)

    def replace(self, event: StrategiesReplaced) -> None:
        """Put what was offered in place.

        Raises:
            AssertionError: when something was not offered: its code is not here, as in a replay.
        """
        for name, digest in event.sources.items():
            offered = self._offered.pop(name, None)
            assert offered is not None, f"nothing was offered for {name}"
            self._replace_one(self._desks[name], offered, digest, event)
        self._replaced()

    def _replace_one(
        self, desk: "Desk", offered: tuple[StrategySetup, Strategy], digest: str, event: StrategiesReplaced
    ) -> None:
        context = self._context
        if desk.is_started:
            desk.call(desk.strategy.on_stop, "reload")
            desk.keep()
        self._targets.drop(desk.id)  # one that is warming up may have targets and orders from before
        self._operator.shut_down(desk)
        context.record(
            StrategyReloaded(desk.id, digest, event.config_hash, event.what[desk.id], event.by, context.now_ns)
        )
        try:
            desk.replace(*offered)
        except Exception as error:  # noqa: BLE001 -- boundary: an author's `setup`
            desk.quarantine("setup", authored.fault(error))
