"""`quantd metrics`: the page of every metric, made from the catalogue that the daemon counts by.

Used by readers, and by authors of metrics to renew `docs/metrics.md`. Asks no running daemon: that serves its figures
at `/metrics` of the health listener.
"""

import typer

from quantd.telemetry.reference import metrics_page


def metrics() -> None:
    """Print every metric with its labels and meaning, as Markdown."""
    typer.echo(metrics_page(), nl=False)
