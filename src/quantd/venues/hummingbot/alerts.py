"""Says that the server contradicts itself or what we know: counted each time, logged once for each subject.

Used by the parts of the connector. Decides nothing.
"""

from collections import OrderedDict

import structlog

from quantd.ports import Observer

KINDS = ("failed_but_may_live", "list_not_complete", "open_but_not_active", "history_shrank", "fills_missing")
"""All kinds, for the catalogue of metrics."""
_REMEMBERED = 10_000
_log = structlog.get_logger(__name__)


class Alerts:
    """Counts ``quantd_venue_anomalies_total`` and logs each subject's first."""

    def __init__(self, venue: str, observer: Observer) -> None:
        self._venue = venue
        self._observer = observer
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, kind: str, subject: str, /, **fields: object) -> None:
        """Note one of `KINDS` about `subject` (an order id, a list)."""
        assert kind in KINDS, kind
        self._observer.count("quantd_venue_anomalies_total", venue=self._venue, kind=kind)
        if (kind, subject) not in self._seen:
            self._seen[kind, subject] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            _log.warning("venue_anomaly", venue=self._venue, kind=kind, subject=subject, **fields)
