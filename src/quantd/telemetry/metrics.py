"""The observers: one that serves Prometheus, one that swallows everything.

Used by the composition root and the backtest, and handed down as `quantd.ports.Observer`. Never stops trading: a label
value too many is folded away; only a name or a label that was never declared raises, which is a fault of the program.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.metric import Kind, Metric

OTHER: Final = "other"
"""Label value of the series into which a metric's surplus is folded."""

_Series = dict[tuple[tuple[str, str], ...], Any]
_TYPES: Final = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}


class PrometheusObserver:
    """Counts into a registry of its own; safe to use from several threads.

    Finding a series by the labels as the caller writes them is one dictionary look-up, so that a count costs less
    than a microsecond; checks happen when a series is first seen.
    """

    def __init__(self, catalogue: Mapping[str, Metric] = CATALOGUE) -> None:
        """Create every metric; those whose label values are all known start at zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's function has no annotations
        self._catalogue = catalogue
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._families: dict[str, Any] = {name: self._family(metric) for name, metric in catalogue.items()}
        self._seen: dict[str, set[tuple[str, ...]]] = {name: set() for name in catalogue}
        self._series: dict[Kind, dict[str, _Series]] = {
            kind: {name: {} for name, metric in catalogue.items() if metric.kind is kind} for kind in Kind
        }
        self._counters = self._series[Kind.COUNTER]
        self._gauges = self._series[Kind.GAUGE]
        self._histograms = self._series[Kind.HISTOGRAM]
        for name, metric in catalogue.items():
            if not metric.open_labels:
                self.declare(name)

    def count(self, metric: str, amount: float = 1, /, **labels: str) -> None:
        """Add `amount`, which is not negative, to a counter.

        Raises:
            KeyError: when no such counter is declared.
            ValueError: when the labels are not those declared, or `amount` is negative.
        """
        key = tuple(labels.items())
        series = self._counters[metric].get(key)
        (series or self._open(self._counters[metric], metric, key)).inc(amount)

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge to `value`.

        Raises:
            KeyError: when no such gauge is declared.
            ValueError: when the labels are not those declared.
        """
        key = tuple(labels.items())
        series = self._gauges[metric].get(key)
        (series or self._open(self._gauges[metric], metric, key)).set(value)

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        """Add `value`, in the metric's unit, to a histogram.

        Raises:
            KeyError: when no such histogram is declared.
            ValueError: when the labels are not those declared.
        """
        key = tuple(labels.items())
        series = self._histograms[metric].get(key)
        (series or self._open(self._histograms[metric], metric, key)).observe(value)

    def declare(self, metric: str, /, **labels: str | Iterable[str]) -> None:
        """Let series exist at zero before anything happens, for every combination of the label values given.

        Labels with a closed set of values in the catalogue may be left out.

        Raises:
            KeyError: when no such metric is declared.
            ValueError: when a label is unknown or one without closed values is missing.
        """
        declared = self._catalogue[metric]
        wanted = {label: (given,) if isinstance(given, str) else tuple(given) for label, given in labels.items()}
        every = {**declared.values, **wanted}
        series = self._series[declared.kind][metric]
        for combination in product(*every.values()):
            self._open(series, metric, tuple(zip(every, combination, strict=True)))

    def declare_known(self, **labels: str) -> None:
        """Declare every counter and histogram whose labels without closed values are exactly those given.

        Call it for each venue, each strategy, and each pair that trades; gauges wait for their first value, because
        a zero would be a statement.
        """
        for name, metric in self._catalogue.items():
            if metric.kind is not Kind.GAUGE and metric.open_labels == labels.keys():
                self.declare(name, **labels)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as a body and its content type, OpenMetrics where the `Accept` header asks for it."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type

    def _family(self, metric: Metric) -> Any:
        more: dict[str, Any] = {"buckets": metric.buckets} if metric.kind is Kind.HISTOGRAM else {}
        return _TYPES[metric.kind](
            metric.name, metric.help, metric.labels, unit=metric.unit, registry=self.registry, **more
        )

    def _open(self, series: _Series, name: str, key: tuple[tuple[str, str], ...]) -> Any:
        """Return the series for labels seen for the first time in this order, and remember it."""
        metric = self._catalogue[name]
        check_labels(metric, dict(key))
        values = dict(key)
        ordered = tuple(values[label] for label in metric.labels)
        seen = self._seen[name]
        if ordered not in seen:
            if len(seen) >= metric.series_max:
                # Not remembered by its key: the look-up table must stay as bounded as the metric.
                self.count("quantd_metric_series_folded_total", metric=name)
                return self._families[name].labels(*(OTHER for _ in metric.labels))
            seen.add(ordered)
        found = self._families[name].labels(*ordered) if metric.labels else self._families[name]
        series[key] = found
        return found


class NullObserver:
    """Counts nothing and accepts everything; for backtests, where counting would only cost time."""

    def count(self, metric: str, amount: float = 1, /, **labels: str) -> None:
        """Do nothing."""

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Do nothing."""

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        """Do nothing."""


def check_labels(metric: Metric, labels: Mapping[str, str]) -> None:
    """Hold the labels of one call against the declaration.

    Raises:
        ValueError: when names are missing or unknown.
        TypeError: when a value is not text, as an enum's member.
    """
    if labels.keys() != set(metric.labels):
        raise ValueError(f"{metric.name}: labels are {sorted(labels)}, expected {sorted(metric.labels)}")
    for label, value in labels.items():
        if not isinstance(value, str):
            raise TypeError(f"{metric.name}: label {label} is {value!r}, expected text")
