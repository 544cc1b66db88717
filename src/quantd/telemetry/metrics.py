"""The observers: one that serves Prometheus, one that swallows everything.

Used by the composition root and the backtest, and handed down as `quantd.ports.Observer`. Never stops trading: a label
value too many is folded away; only a name or a label that was never declared raises, which is a fault of the program.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as open_text

from quantd.ports import Clock
from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.exposition import Format, chosen, page
from quantd.telemetry.metric import Kind, Metric
from quantd.telemetry.series import ORDER_LENGTH_MAX, Distribution, Exemplar, Figure

OTHER: Final = "other"
"""Label value of the series into which a metric's surplus is folded."""
_WRITERS: Final[Mapping[Format, Callable[[CollectorRegistry], bytes]]] = {
    Format.PLAIN: plain_text,
    Format.OPEN: open_text,
}

_Key = tuple[tuple[str, str], ...]


class PrometheusObserver:
    """Counts for Prometheus; safe to use from several threads.

    Finding a series by the labels as the caller writes them is one dictionary look-up, so that a count costs less
    than a microsecond; checks happen when a series is first seen.
    """

    def __init__(self, catalogue: Mapping[str, Metric] = CATALOGUE, clock: Clock | None = None) -> None:
        """Create every metric; those whose label values are all known start at zero.

        Args:
            catalogue: What may be counted.
            clock: Says when an order was seen, for exemplars; without it they carry no time.
        """
        self._catalogue = catalogue
        self._clock = clock
        # What every process has, collected by the library; quantd's own series are many and mostly stand still.
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self._series: dict[str, dict[tuple[str, ...], Figure | Distribution]] = {name: {} for name in catalogue}
        """By metric, by the label values in the order declared: what is exposed."""
        self._figures: dict[Kind, dict[str, dict[_Key, Figure]]] = {
            kind: {name: {} for name, metric in catalogue.items() if metric.kind is kind}
            for kind in (Kind.COUNTER, Kind.GAUGE)
        }
        """The same, by the labels as callers write them."""
        self._counters = self._figures[Kind.COUNTER]
        self._gauges = self._figures[Kind.GAUGE]
        self._histograms: dict[str, dict[_Key, Distribution]] = {
            name: {} for name, metric in catalogue.items() if metric.kind is Kind.HISTOGRAM
        }
        for name, metric in catalogue.items():
            if not metric.open_labels:
                self.declare(name)
            elif "quantd_metric_series_folded_total" in catalogue:
                self.declare("quantd_metric_series_folded_total", metric=name)

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        """Add `amount`, which is not negative, to a counter; `order` is the client order id behind it, if one is.

        Raises:
            KeyError: when no such counter is declared.
            ValueError: when the labels are not those declared, or `amount` is negative.
        """
        if amount < 0:
            raise ValueError(f"{metric}: amount is {amount}, a counter only rises")
        key = tuple(labels.items())
        series = self._counters[metric].get(key) or self._figure(self._counters[metric], metric, key)
        series.add(amount, self._exemplar(order, amount) if order else None)

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge to `value`.

        Raises:
            KeyError: when no such gauge is declared.
            ValueError: when the labels are not those declared.
        """
        key = tuple(labels.items())
        (self._gauges[metric].get(key) or self._figure(self._gauges[metric], metric, key)).set(value)

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
        """Add `value`, in the metric's unit, to a histogram; `order` is the client order id behind it, if one is.

        Raises:
            KeyError: when no such histogram is declared.
            ValueError: when the labels are not those declared.
        """
        key = tuple(labels.items())
        series = self._histograms[metric].get(key) or self._distribution(metric, key)
        series.observe(value, self._exemplar(order, value) if order else None)

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
        for combination in product(*every.values()):
            key = tuple(zip(every, combination, strict=True))
            if declared.kind is Kind.HISTOGRAM:
                self._distribution(metric, key)
            else:
                self._figure(self._figures[declared.kind][metric], metric, key)

    def declare_known(self, **labels: str) -> None:
        """Declare every counter and histogram whose labels without closed values are exactly those given.

        Call it for each venue, each strategy, and each pair that trades; gauges wait for their first value, because
        a zero would be a statement.
        """
        for name, metric in self._catalogue.items():
            if metric.kind is not Kind.GAUGE and metric.open_labels == labels.keys():
                self.declare(name, **labels)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as a body and its content type, OpenMetrics where the `Accept` header prefers it."""
        form = chosen(accept)
        process = _WRITERS[form](self._process).decode()
        families = [(metric, list(self._series[name].values())) for name, metric in self._catalogue.items()]
        return page(families, form, process), form.value

    def _exemplar(self, order: str, value: float) -> Exemplar | None:
        # A foreign order's id is the venue's text. Where it would have to be escaped, not every scraper reads the line.
        if len(order) > ORDER_LENGTH_MAX or '"' in order or "\\" in order or not order.isprintable():
            return None
        return Exemplar(order, value, self._clock.now_ns() / 1e9 if self._clock else 0.0)

    def _figure(self, known: dict[_Key, Figure], name: str, key: _Key) -> Figure:
        """Return the counter or gauge for labels seen for the first time in this order, and remember it."""
        values = self._values(name, key)
        found = self._series[name].get(values)
        if found is None:
            # Another thread may have been quicker: what is remembered must be what is exposed.
            found = self._series[name].setdefault(values, Figure(name, self._labels(name, values)))
        assert isinstance(found, Figure), name
        if set(values) != {OTHER}:
            known[key] = found
        return found

    def _distribution(self, name: str, key: _Key) -> Distribution:
        """Return the histogram for labels seen for the first time in this order, and remember it."""
        values = self._values(name, key)
        found = self._series[name].get(values)
        if found is None:
            edges = self._catalogue[name].buckets
            found = self._series[name].setdefault(values, Distribution(name, self._labels(name, values), edges))
        assert isinstance(found, Distribution), name
        if set(values) != {OTHER}:
            self._histograms[name][key] = found
        return found

    def _labels(self, name: str, values: tuple[str, ...]) -> Mapping[str, str]:
        return dict(zip(self._catalogue[name].labels, values, strict=True))

    def _values(self, name: str, key: _Key) -> tuple[str, ...]:
        """Return the label values in the order declared, or those of the series that takes the surplus.

        The surplus is not remembered by its key: the look-up table must stay as bounded as the metric.
        """
        metric, given = self._catalogue[name], dict(key)
        check_labels(metric, given)
        values = tuple(given[label] for label in metric.labels)
        series = self._series[name]
        if values in series or len(series) < metric.series_max:
            return values
        self.count("quantd_metric_series_folded_total", metric=name)
        return tuple(OTHER for _ in metric.labels)


class NullObserver:
    """Counts nothing and accepts everything; for backtests, where counting would only cost time."""

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        """Do nothing."""

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Do nothing."""

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
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
