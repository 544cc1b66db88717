"""Says that an answer of a venue contradicts its contract or what we know: counted each time, logged once.

Used by the parts of the connectors; each names the kinds that it knows. Decides nothing.
"""

from collections import OrderedDict
from collections.abc import Collection

import structlog

from quantd.ports import Observer

_REMEMBERED = 10_000
_log = structlog.get_logger(__name__)


class Alerts:
    """Counts ``quantd_venue_anomalies_total`` and logs each subject's first.

    Args:
        venue: The venue's key in the configuration.
        observer: Counts.
        kinds: All that may be noted, a bounded label.
    """

    def __init__(self, venue: str, observer: Observer, kinds: Collection[str]) -> None:
        self._venue = venue
        self._observer = observer
        self._kinds = kinds
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        for kind in kinds:
            observer.count("quantd_venue_anomalies_total", 0, venue=venue, kind=kind)

    def note(self, kind: str, subject: str, /, **fields: object) -> None:
        """Note one of the kinds about `subject` (an order id, a symbol, a list)."""
        assert kind in self._kinds, kind
        self._observer.count("quantd_venue_anomalies_total", venue=self._venue, kind=kind)
        if (kind, subject) not in self._seen:
            self._seen[kind, subject] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            _log.warning("venue_anomaly", venue=self._venue, kind=kind, subject=subject, **fields)
