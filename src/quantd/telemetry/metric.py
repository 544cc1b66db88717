"""What a metric is: its declaration, and the rules that every declaration keeps.

Used by the catalogue. Measures nothing.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec


class Kind(Enum):
    """How a metric is counted."""

    COUNTER = "counter"
    """Only rises; starts at 0 with the process."""
    GAUGE = "gauge"
    """Rises and falls."""
    HISTOGRAM = "histogram"
    """Observations, counted by bucket."""


class Label(msgspec.Struct, frozen=True):
    """A label that metrics share: what it says and how many values it may take."""

    meaning: str
    bound: str
    """How many values there are, in words: ``venues``, ``2``."""


class Metric(msgspec.Struct, frozen=True):
    """The declaration of one metric; what is not declared cannot be counted."""

    name: str
    kind: Kind
    help: str
    """One sentence for operators."""
    labels: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = {}
    """The closed set of values, for those labels that have one here."""
    unit: str = ""
    """Base unit: ``seconds``, ``ratio``; empty for plain counts and states."""
    buckets: tuple[float, ...] = ()
    """Upper edges, in `unit`; histograms only."""
    series_max: int = 5000
    """Further series are folded into one with the label value ``other``."""

    @property
    def open_labels(self) -> frozenset[str]:
        """The labels whose values the configuration decides."""
        return frozenset(self.labels) - self.values.keys()


LABELS: Final[Mapping[str, Label]] = {
    "asset": Label("asset or currency code", "assets of the configured instruments"),
    "cause": Label("`account`, `credentials`, `feed ENDPOINT` or `task NAME`", "few"),
    "channel": Label("channel of notifications, as `slack.NAME`", "channels"),
    "currency": Label("currency of the amount: the base currency, or the account's own", "1"),
    "endpoint": Label("what is polled or streamed, e.g. `quotes`", "few"),
    "environment": Label("`paper`, `practice` or `live`, the strictest of all venues", "1"),
    "fingerprint": Label("first 12 digits of the configuration's hash", "1"),
    "hook": Label("method of the strategy", "hooks"),
    "instrument": Label("instrument id, as `venue:symbol`", "instruments in the configuration"),
    "kind": Label("see the metric", "few"),
    "lane": Label("lane of the rate budget", "lanes"),
    "limit": Label("name of a limit in the configuration or in the venue's limits", "limits"),
    "metric": Label("name of a metric", "metrics"),
    "operation": Label("what was asked of the venue", "operations of a connector"),
    "outcome": Label("see the metric", "few"),
    "pattern": Label("pattern of market abuse", "4"),
    "python": Label("version of the interpreter", "1"),
    "quality": Label("whether price and fee are final", "2"),
    "reason": Label("stable code", "codes"),
    "result": Label("see the metric", "few"),
    "run_id": Label("id of this run, as in the logs", "1"),
    "scope": Label("`account`, `venue:KEY`, `strategy:ID` or `instrument:ID`", "1 + venues + strategies + instruments"),
    "strategy": Label("strategy id, or `external` for what no strategy did", "strategies + 1"),
    "venue": Label("key of the venue in the configuration", "venues"),
    "version": Label("version of quantd", "1"),
}
"""Every label that a metric may carry. Never an order id, an account number, an error's text or a URL."""

_NAME: Final = re.compile(r"quantd_[a-z0-9]+(_[a-z0-9]+)*\Z")


def faults(metric: Metric) -> list[str]:
    """Return what is wrong with a declaration; empty for a good one."""
    found = []
    if not _NAME.match(metric.name):
        found.append(f"{metric.name}: not a snake_case name under quantd_")
    if (metric.kind is Kind.COUNTER) != metric.name.endswith("_total"):
        found.append(f"{metric.name}: exactly the counters end in _total")
    if metric.unit and not metric.name.removesuffix("_total").endswith("_" + metric.unit):
        found.append(f"{metric.name}: does not name its unit {metric.unit!r} last")
    if (metric.kind is Kind.HISTOGRAM) != bool(metric.buckets):
        found.append(f"{metric.name}: exactly the histograms have buckets")
    if list(metric.buckets) != sorted(set(metric.buckets)):
        found.append(f"{metric.name}: buckets do not rise")
    if unknown := set(metric.labels) - LABELS.keys():
        found.append(f"{metric.name}: labels {sorted(unknown)} are not in the table of labels")
    if stray := metric.values.keys() - set(metric.labels):
        found.append(f"{metric.name}: values for {sorted(stray)}, which it has not")
    if not metric.help.endswith("."):
        found.append(f"{metric.name}: help is no sentence")
    return found


def bound(metric: Metric) -> str:
    """Return how many series a metric can have, in words: ``venues x strategies x 5``."""
    if not metric.labels:
        return "1"
    factors = [
        str(len(metric.values[label])) if label in metric.values else LABELS[label].bound for label in metric.labels
    ]
    return " x ".join(f"({factor})" if "+" in factor else factor for factor in factors if factor != "1") or "1"
