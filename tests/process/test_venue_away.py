"""A venue that stands still for a while, under a daemon that trades: nobody is needed for what comes after."""

import signal

import pytest

from tests.process.harness import SIGTERM, quantd, until
from tests.process.site import JOURNAL, fills
from tests.process.test_ionloop_process import Site
from tests.process.test_ionloop_process import site as ionloop
from tests.process.truth import folded

site = ionloop
TIMEOUT_S = 2.0


@pytest.fixture
def impatient(site: Site) -> Site:
    """A daemon whose requests give up after two seconds."""
    site.configure()
    text = (site.directory / "q.yaml").read_text()
    site.write(text.replace("    reconcile: adopt\n", f"    reconcile: adopt\n    timeout_s: {TIMEOUT_S}\n"))
    return site


@pytest.mark.timeout(240)
def test_while_a_venue_stands_still_nothing_new_leaves_and_afterwards_all_goes_on_by_itself(impatient: Site) -> None:
    site = impatient
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(lambda: fills(daemon) >= 2 and daemon.get("/readyz")[0] == 200, 60, "two fills, and ready")
        site.simulator.popen.send_signal(signal.SIGSTOP)
        try:
            until(lambda: "ionloop" in daemon.get("/readyz")[1], 60, "a reason that names it")
            assert daemon.get("/livez")[0] == 200
        finally:
            site.simulator.popen.send_signal(signal.SIGCONT)
        before = fills(daemon)
        until(lambda: daemon.get("/readyz")[0] == 200, 90, "ready again")
        until(lambda: fills(daemon) > before, 60, "another fill")
        # What it traded before is told first when it answers again, and may be sold; the strategies are long only.
        told = [(one["event"], one.get("side")) for one in daemon.lines()]
        away = told[told.index(("venue_failing", None)) : told.index(("venue_recovered", None))]
        assert ("order_intended", "buy") not in away, away
        assert site.settle(daemon) == []
        state = folded(site.directory / JOURNAL)
        assert not state.latches
        assert daemon.metric("quantd_unknown_operations", venue="ionloop") == 0
        assert daemon.signal(SIGTERM) == 0
