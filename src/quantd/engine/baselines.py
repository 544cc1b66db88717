"""From where losses count, as the fold of facts: the profit at which the trading day began, and the highest one since.

A part of the engine's state; `risk.losses` reads it and records the facts.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quantd.domain.facts import DayStarted, PeaksRecorded
from quantd.domain.limit_facts import DayProfitsRecorded


class Baselines:
    """Profit by scope (``account``, ``strategy:ID``) in the base currency; changed by facts alone."""

    def __init__(self) -> None:
        self.day = ""
        """The trading day, empty before the first."""
        self.begun: dict[str, Decimal] = {}
        """Profit with which the day began. A scope that is absent has none yet: nobody may take it as 0."""
        self.peaks: dict[str, Decimal] = {}
        self.handlers: dict[type, Callable[[Any], None]] = {
            DayStarted: self._day_started,
            DayProfitsRecorded: self._day_profits_recorded,
            PeaksRecorded: self._peaks_recorded,
        }

    def forget(self) -> None:
        """Let losses count from the first profit that is seen: those kept are in another currency."""
        self.begun.clear()
        self.peaks.clear()

    def _day_started(self, fact: DayStarted) -> None:
        self.day = fact.day
        self.begun = dict(fact.profits)

    def _day_profits_recorded(self, fact: DayProfitsRecorded) -> None:
        self.begun.update(fact.profits)

    def _peaks_recorded(self, fact: PeaksRecorded) -> None:
        self.peaks.update(fact.peaks)
