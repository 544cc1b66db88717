"""Alerts on running daemons: a fault at a simulated venue or in the process fires them, its end clears them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy import faults_ionloop, faults_markets, faults_process
from tests.deploy.live import Fault, Setting, Site
from tests.deploy.test_alerts import alerts
from tests.deploy.tools import figures, tool

SITES: dict[str, tuple[Setting, tuple[Fault, ...]]] = {
    "process": (faults_process.SETTING, faults_process.FAULTS),
    "twins": (faults_process.TWINS_SETTING, faults_process.TWINS_FAULTS),
    "limits": (faults_markets.LIMITS_SETTING, faults_markets.LIMIT_FAULTS),
    "margin": (faults_markets.MARGIN_SETTING, faults_markets.MARGIN_FAULTS),
    "ionloop": (faults_ionloop.SETTING, faults_ionloop.FAULTS),
}
NOT_LIVE = {
    "QuantdAbusePattern": "no strategy here trades against itself on purpose",
    "QuantdLeaderLost": "no site here has two daemons that contend for one lock",
    "QuantdStreamChurn": "ionloop and the paper market have no stream to cut",
    "QuantdDiskLow": "it would take a disk of its own to fill",
    "QuantdNotArchived": "the archive first looks at a journal that is days old",
    "QuantdJournalFailed": "the process ends within a second of it, before a scrape; QuantdDown and QuantdHalted tell of it",
    "QuantdSeriesFolded": "labels come from the configuration: it would take one of 2000 instruments",
}
"""What no fault here fires at a running daemon, and why; promtool alone tests these."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SITES)
def test_faults_fire_their_alerts_and_their_end_clears_them(name: str, tmp_path: Path, stack: ExitStack) -> None:
    tool("prometheus")
    setting, faults = SITES[name]
    site = Site(tmp_path, stack, setting)
    for fault in faults:
        fault.drill(site)
    assert "QuantdWatchdog" in site.firing()
    fired = set().union(*(fault.alerts for fault in faults))
    figures.append(f"{name}: {len(faults)} faults fired {len(fired)} alerts, and their ends cleared them")


def test_every_alert_has_a_fault_or_a_reason_why_not() -> None:
    drilled = {alert for _, faults in SITES.values() for fault in faults for alert in fault.alerts}
    assert not drilled & set(NOT_LIVE)
    assert drilled | set(NOT_LIVE) | {"QuantdWatchdog"} == {rule["alert"] for rule in alerts()}
