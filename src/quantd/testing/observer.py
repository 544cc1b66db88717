"""An observer that remembers, for tests of strategies, connectors and quantd itself.

Used by tests. As strict as the daemon's own and stricter: label values outside a closed set raise as well.
"""

from collections import defaultdict
from collections.abc import Mapping

from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.metric import Kind, Metric
from quantd.telemetry.metrics import check_labels

Labels = frozenset[tuple[str, str]]


class RecordingObserver:
    """Keeps every count, gauge and observation; ask with all labels, some, or none."""

    def __init__(self, catalogue: Mapping[str, Metric] = CATALOGUE) -> None:
        """Start empty."""
        self._catalogue = catalogue
        self._counts: defaultdict[str, defaultdict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._gauges: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        self._observations: defaultdict[str, list[tuple[Labels, float]]] = defaultdict(list)
        self._orders: defaultdict[str, list[str]] = defaultdict(list)

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        """Add to a counter.

        Raises:
            KeyError: when no such counter is declared.
            ValueError: when labels or their values are not those declared, or `amount` is negative.
        """
        key = self._check(metric, Kind.COUNTER, labels)
        if amount < 0:
            raise ValueError(f"{metric}: amount is {amount}, a counter only rises")
        self._counts[metric][key] += amount
        self._note(metric, order)

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge; raises as `count` does."""
        self._gauges[metric][self._check(metric, Kind.GAUGE, labels)] = float(value)

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
        """Keep an observation; raises as `count` does."""
        self._observations[metric].append((self._check(metric, Kind.HISTOGRAM, labels), float(value)))
        self._note(metric, order)

    def counted(self, metric: str, /, **labels: str) -> float:
        """Return the sum of a counter over all series that carry `labels`; 0 when nothing was counted."""
        self._known(metric, Kind.COUNTER)
        return sum(amount for key, amount in self._counts[metric].items() if labels.items() <= set(key))

    def gauged(self, metric: str, /, **labels: str) -> float | None:
        """Return the gauge whose labels are exactly `labels`; None when it was never set."""
        self._known(metric, Kind.GAUGE)
        return self._gauges[metric].get(frozenset(labels.items()))

    def observed(self, metric: str, /, **labels: str) -> list[float]:
        """Return the observations of all series that carry `labels`, oldest first."""
        self._known(metric, Kind.HISTOGRAM)
        return [value for key, value in self._observations[metric] if labels.items() <= set(key)]

    def orders(self, metric: str) -> list[str]:
        """Return the client order ids that were named with a metric, oldest first."""
        if metric not in self._catalogue:
            raise KeyError(metric)
        return self._orders[metric]

    @property
    def names(self) -> set[str]:
        """The metrics that were touched."""
        return {
            name for kept in (self._counts, self._gauges, self._observations) for name, series in kept.items() if series
        }

    def _note(self, metric: str, order: str) -> None:
        if order:
            self._orders[metric].append(order)

    def _known(self, metric: str, kind: Kind) -> Metric:
        declared = self._catalogue[metric]
        if declared.kind is not kind:
            raise KeyError(f"{metric} is a {declared.kind.value}, not a {kind.value}")
        return declared

    def _check(self, metric: str, kind: Kind, labels: Mapping[str, str]) -> Labels:
        declared = self._known(metric, kind)
        check_labels(declared, labels)
        for label, allowed in declared.values.items():
            if labels[label] not in allowed:
                raise ValueError(f"{metric}: {label} is {labels[label]!r}, expected one of {', '.join(allowed)}")
        return frozenset(labels.items())
