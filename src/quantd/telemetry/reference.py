"""Makes the page of every metric from the catalogue.

Used by `quantd metrics` and by the test that compares `docs/metrics.md` with the catalogue. Never runs in the daemon.
"""

from quantd.telemetry.catalogue import CATALOGUE, LATER
from quantd.telemetry.metric import LABELS, Metric, bound

_HEAD = """# Metrics

Made from `quantd.telemetry.catalogue` by `quantd metrics > docs/metrics.md`; a test compares both.

- All are served at `/metrics` of the health listener, as Prometheus text or, if the `Accept` header asks, OpenMetrics.
- Times are seconds, shares are ratios from 0 to 1, points in time are Unix time. Amounts of money are for watching; the
  books are in the journal.
- Series whose labels are known exist at 0 from the start. Gauges of amounts appear with their first value, and a few
  counters and histograms [later](#series-that-appear-later), as nobody knows their labels before.
- In OpenMetrics, latencies of orders and refusals carry the order behind them as exemplar, `client_order_id`: the id by which
  logs, the journal and `quantd why` know it.
- Beyond {series_max} series a metric folds further ones into the label value `other` and counts that in
  `quantd_metric_series_folded_total`.
- Beside these, the registry serves the standard `process_*` and `python_info` metrics.
- Renaming or removing one is a breaking change.
"""


def metrics_page() -> str:
    """Return the page as Markdown."""
    series_max = max(metric.series_max for metric in CATALOGUE.values())
    lines = [
        _HEAD.format(series_max=series_max),
        "| metric | type | unit | labels | series | meaning |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(metric) for metric in CATALOGUE.values()]
    lines += ["", "## Labels", "", "| label | meaning | how many |", "|---|---|---|"]
    used = {label for metric in CATALOGUE.values() for label in metric.labels}
    lines += [f"| `{name}` | {label.meaning} | {label.bound} |" for name, label in LABELS.items() if name in used]
    lines += ["", "## Closed sets of label values", "", "| metric | label | values |", "|---|---|---|"]
    for metric in CATALOGUE.values():
        for label, values in metric.values.items():
            lines.append(f"| `{metric.name}` | `{label}` | {', '.join(f'`{value}`' for value in values)} |")
    lines += ["", "## Series that appear later", "", "| metric | when |", "|---|---|"]
    lines += [f"| `{name}` | {when} |" for name, when in LATER.items()]
    lines += ["", "## Buckets", "", "| metric | upper edges |", "|---|---|"]
    for metric in CATALOGUE.values():
        if metric.buckets:
            lines.append(f"| `{metric.name}` | {', '.join(f'{edge:g}' for edge in metric.buckets)} |")
    return "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind.value} | {metric.unit} | {labels} | {bound(metric)} | {metric.help} |"
