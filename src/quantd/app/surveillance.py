"""Control 31 in the daemon: what was recorded goes by surveillance, away from the order path, and people are told.

Findings are counted and logged. They are no facts of the journal: `quantd surveil` finds them in it again, over restarts too.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from quantd.app.shared import Shared
from quantd.config import Settings
from quantd.domain.facts import Fact
from quantd.runtime.gauges import strategy_label
from quantd.surveillance.findings import Finding
from quantd.surveillance.watch import Surveillance
from quantd.venues.paper.settings import PaperSettings

_log = structlog.get_logger("quantd.surveillance")


def marketplaces(settings: Settings) -> Mapping[str, str]:
    """Return the marketplace of each venue: two accounts at one of them could trade with each other; paper ones never."""
    return {
        name: name if isinstance(venue, PaperSettings) else venue.marketplace for name, venue in settings.venues.items()
    }


class Lookout:
    """Keeps the facts of a batch until the next tick, so that no order waits for it.

    Args:
        shared: The daemon's parts. Orders that work already are taken in as they stand; sightings begin to count anew.
    """

    def __init__(self, shared: Shared) -> None:
        self._observer = shared.observer
        self._clock = shared.clock
        self._surveillance = Surveillance(shared.settings.surveillance.thresholds(), marketplaces(shared.settings))
        for order in shared.engine.state.orders.open_orders():
            if not order.held:
                self._surveillance.resume(
                    order.client_order_id,
                    order.strategy,
                    order.spec,
                    filled=order.filled,
                    since_ns=order.intended_at_ns,
                )
        self._waiting: list[Fact] = []
        shared.fact_readers.append(self._waiting.extend)

    def look(self) -> None:
        """Look at what was recorded since the last call; never raises."""
        facts = self._waiting.copy()
        self._waiting.clear()
        looks = [partial(self._surveillance.facts, (fact,)) for fact in facts]
        for find in (*looks, partial(self._surveillance.over, self._clock.now_ns())):
            try:
                for found in find():
                    self._tell(found)
            except Exception:  # noqa: BLE001 # boundary: what only looks must not end what trades
                _log.exception("surveillance_failed")

    def _tell(self, found: Finding) -> None:
        for strategy in found.strategies:
            self._observer.count(
                "quantd_abuse_patterns_total", 1, strategy=strategy_label(strategy), pattern=found.pattern.value
            )
        _log.warning("abuse_pattern", **described(found))


def described(found: Finding) -> dict[str, str | int | Sequence[str]]:
    """Return a finding as the fields of a log line or a JSON object."""
    return {
        "pattern": found.pattern.value,
        "market": found.market,
        "strategies": [strategy_label(one) for one in found.strategies],
        "orders": list(found.orders),
        "since_ns": found.since_ns,
        "at_ns": found.at_ns,
        "detail": found.detail,
    }
