"""Finds the real tools that check what operators install: in `.ops/`, where `make ops` puts them, or on the machine.

A check whose tool is not there skips with the tool's name; it never passes without one.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPS = ROOT / ".ops"
CHART = ROOT / "helm" / "quantd"
RULES = CHART / "files" / "alerts.yaml"
UNIT = ROOT / "deploy" / "systemd" / "quantd@.service"

_PLACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "helm 4": ("kubectl-36/helm/helm", ("version", "--short")),
    "helm 3": ("kubectl-32/helm/helm", ("version", "--short")),
    "promtool": ("promtool/usr/bin/promtool", ("--version",)),
    "prometheus": ("prometheus/usr/bin/prometheus", ("--version",)),
    "alertmanager": ("promtool/usr/bin/prometheus-alertmanager", ("--version",)),
    "amtool": ("promtool/usr/bin/amtool", ("--version",)),
    "hadolint": ("venv/bin/hadolint", ("--version",)),
    "kubernetes-validate": ("venv/bin/kubernetes-validate", ("--version",)),
    "cyclonedx-py": ("venv/bin/cyclonedx-py", ("--version",)),
    "checkov": ("checkov/bin/checkov", ("--version",)),
    "dashboards python": ("venv/bin/python", ("-m", "pip", "show", "grafana-foundation-sdk")),
    "crd models": ("npm/node_modules/@kubernetes-models/prometheus-operator/package.json", ()),
    "grafana schema": ("npm/dashboard.schema.json", ()),
    "systemd-analyze": ("", ("--version",)),
    "docker": ("docker/usr/bin/docker", ("--version",)),
    "dockerd": ("docker/usr/sbin/dockerd", ("--version",)),
    "docker-compose": ("compose/usr/bin/docker-compose", ("version",)),
    "systemd-nspawn": ("", ("--version",)),
    "node": ("", ("--version",)),
}
used: dict[str, str] = {}
"""Version by tool that a test of this run asked for; printed with the results."""

figures: list[str] = []
"""What tests of this run measured, in words; shown with the results."""


def find(name: str) -> Path | None:
    """Return where a tool is, or None."""
    place, _ = _PLACES[name]
    if place and (OPS / place).exists():
        return OPS / place
    found = None if " " in name else shutil.which(name)
    return Path(found) if found else None


def tool(name: str) -> str:
    """Return the path of a tool, or skip the test that asks for it."""
    path = find(name)
    if path is None:
        pytest.skip(f"{name} is not there: `make ops` fetches what can be had")
    if name not in used:
        used[name] = _version(name, path)
    return str(path)


def _version(name: str, path: Path) -> str:
    arguments = _PLACES[name][1]
    if not arguments:
        found = re.search(r'"version": "([^"]+)"', path.read_text(encoding="utf-8"))
        return found[1] if found else ""
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"\d+\.\d+[\w.~+-]*|(?<=systemd )\d+", done.stdout + done.stderr)
    return found[0] if found else "?"


def run(*command: str, stdin: str = "", expect: int | None = 0, timeout_s: float = 60) -> str:
    """Run a command and return what it said on both streams; fail on another exit code than `expect`, if one is named."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT
    )
    said = done.stdout + done.stderr
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}, not {expect}:\n{said[-6000:]}")
    return said


def fails(command: Sequence[str], *words: str, stdin: str = "") -> None:
    """Fail unless the command ends with an error that says all `words`: the check bites."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"passed, though it should not:\n{said[-2000:]}"
    missing = [word for word in words if word not in said]
    assert not missing, f"does not say {missing}:\n{said[-3000:]}"
