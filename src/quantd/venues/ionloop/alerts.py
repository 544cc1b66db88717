"""Says that an answer of the venue contradicts its contract or what we know: counted each time, logged once.

Used by the parts of the connector. Decides nothing.
"""

from collections import OrderedDict

import structlog

from quantd.ports import Observer

KINDS = (
    "average_beyond_limit", "balances_differ", "filled_but_not_whole", "list_not_complete", "order_vanished",
    "reply_contradicts", "sequence_fell", "transaction_unreadable", "unknown_market_status", "unknown_order_status",
)  # fmt: skip
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
        """Note one of `KINDS` about `subject` (an order id, a symbol)."""
        assert kind in KINDS, kind
        self._observer.count("quantd_venue_anomalies_total", venue=self._venue, kind=kind)
        if (kind, subject) not in self._seen:
            self._seen[kind, subject] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            _log.warning("venue_anomaly", venue=self._venue, kind=kind, subject=subject, **fields)
