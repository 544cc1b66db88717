"""What the committed dashboards ask Prometheus for, for the tests that check or run it."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.deploy.tools import CHART

VALUES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__interval": "15s",
    "$job": ".*",
    "$instance": ".*",
    "$venue": ".*",
    "$strategy": ".*",
}
"""What Grafana puts in place of its variables when All is chosen."""


class Asked(NamedTuple):
    """One expression of one panel, as Grafana would send it."""

    board: str
    panel: str
    expr: str

    @property
    def sent(self) -> str:
        """The expression with values in place of the variables."""
        expr = self.expr
        for name, value in VALUES.items():
            expr = expr.replace(name, value)
        return expr


def boards() -> dict[str, dict[str, Any]]:
    """Each dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(CHART.glob("dashboards/*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[Asked]:
    """Every expression of every panel."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(name, panel["title"], target["expr"])
