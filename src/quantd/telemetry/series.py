"""One series of a metric: its figure, the last order that it saw, and its lines in an exposition.

Used by the observer, which finds series by name and labels. Lines are written out when somebody asks and kept until the
figure changes: most series of a daemon with many strategies stand still from one scrape to the next, and a scrape shares
the interpreter with the trading loop.
"""

from bisect import bisect_left
from collections.abc import Mapping
from math import isnan
from threading import Lock
from typing import Final, NamedTuple

ORDER_LENGTH_MAX: Final = 100
"""An exemplar's labels may hold 128 characters in all (OpenMetrics 1.0); a longer order id is left out, never cut."""


class Exemplar(NamedTuple):
    """The order behind an observation."""

    client_order_id: str
    """Text that needs no escaping."""
    value: float
    at_s: float
    """Unix time; 0 where no clock is known."""

    def __str__(self) -> str:
        """Return what stands behind the sample's line in OpenMetrics."""
        at = f" {self.at_s:.3f}" if self.at_s else ""
        return f' # {{client_order_id="{self.client_order_id}"}} {number(self.value)}{at}'


class Lines(NamedTuple):
    """A series as text, each line with its end."""

    plain: str
    """For Prometheus' text format, which has no exemplars."""
    open: str
    """For OpenMetrics."""


class Figure:
    """A counter or a gauge."""

    __slots__ = ("_exemplar", "_head", "_lines", "_lock", "value")

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        self.value = 0.0
        self._head = name + braced(labels)
        self._exemplar: Exemplar | None = None
        self._lines: Lines | None = None
        self._lock = Lock()

    def add(self, amount: float, exemplar: Exemplar | None) -> None:
        """Count up."""
        with self._lock:
            self.value += amount
            self._exemplar = exemplar or self._exemplar
            self._lines = None

    def set(self, value: float) -> None:
        """Take another value."""
        with self._lock:
            self.value = float(value)
            self._lines = None

    def lines(self) -> Lines:
        """Return the sample's line."""
        with self._lock:
            if self._lines is None:
                plain = f"{self._head} {number(self.value)}"
                self._lines = Lines(f"{plain}\n", f"{plain}{self._exemplar or ''}\n")
            return self._lines


class Distribution:
    """A histogram: counts by bucket, and their sum."""

    __slots__ = ("_counts", "_edges", "_exemplars", "_labels", "_lines", "_lock", "_name", "_sum")

    def __init__(self, name: str, labels: Mapping[str, str], edges: tuple[float, ...]) -> None:
        self._name = name
        self._labels = labels
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] = {}
        """By bucket, the last one."""
        self._lines: Lines | None = None
        self._lock = Lock()

    def observe(self, value: float, exemplar: Exemplar | None) -> None:
        """Count `value` in its bucket; an edge belongs to the bucket below it."""
        bucket = bisect_left(self._edges, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value
            if exemplar is not None:
                self._exemplars[bucket] = exemplar
            self._lines = None

    def lines(self) -> Lines:
        """Return the lines of all buckets, of the count and of the sum."""
        with self._lock:
            if self._lines is None:
                self._lines = self._written()
            return self._lines

    def _written(self) -> Lines:
        plain, opened, below = [], [], 0
        inner = pairs(self._labels) + "," if self._labels else ""
        for bucket, count in enumerate(self._counts):
            below += count
            edge = number(self._edges[bucket]) if bucket < len(self._edges) else "+Inf"
            line = f'{self._name}_bucket{{{inner}le="{edge}"}} {below}'
            plain.append(line)
            opened.append(f"{line}{self._exemplars.get(bucket, '')}")
        head = braced(self._labels)
        tail = (f"{self._name}_count{head} {below}", f"{self._name}_sum{head} {number(self._sum)}", "")
        return Lines("\n".join((*plain, *tail)), "\n".join((*opened, *tail)))


def number(value: float) -> str:
    """Return a figure as both formats write it."""
    if isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def escaped(text: str) -> str:
    """Return text as it may stand between the quotes of a label's value."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def pairs(labels: Mapping[str, str]) -> str:
    """Return labels with their values, without braces."""
    return ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())


def braced(labels: Mapping[str, str]) -> str:
    """Return labels as they follow a name; nothing where there are none."""
    return f"{{{pairs(labels)}}}" if labels else ""
