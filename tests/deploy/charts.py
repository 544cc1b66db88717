"""Renders the chart by a real helm, once for each set of values in a test run."""

import subprocess
from functools import cache
from typing import Any

import yaml

from tests.deploy.tools import CHART, ROOT, run, tool

OLDEST, NEWEST = "1.27", "1.37"
"""Versions of Kubernetes between which the chart is checked: the oldest that Chart.yaml allows, the newest with a schema."""
SETS = {
    "default": (),
    "practice": ("-f", str(CHART / "ci/practice-values.yaml")),
    "live": ("-f", str(CHART / "ci/live-values.yaml")),
}
HELMS = ("helm 3", "helm 4")


def command(helm: str, *arguments: str) -> list[str]:
    """The command that renders the release `main` in the namespace `trading`."""
    return [helm, "template", "main", str(CHART), "--namespace", "trading", *arguments]


@cache
def _rendered(helm: str, arguments: tuple[str, ...]) -> str:
    return run(*command(helm, *arguments))


def rendered(values: str, *more: str, helm: str = "helm 4") -> str:
    """The manifests of one set of values."""
    return _rendered(tool(helm), (*SETS[values], *more))


def objects(values: str, *more: str, helm: str = "helm 4") -> list[dict[str, Any]]:
    """The same as objects."""
    return [one for one in yaml.safe_load_all(rendered(values, *more, helm=helm)) if one]


def of_kind(kind: str, values: str, *more: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = [one for one in objects(values, *more) if one["kind"] == kind]
    return found


def refused(*arguments: str) -> str:
    """What helm says when it refuses values; fails when it does not."""
    done = subprocess.run(
        command(tool("helm 4"), *arguments), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode != 0, f"{arguments} rendered"
    return done.stderr
