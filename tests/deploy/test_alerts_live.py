"""Alerts on a running daemon: a fault at the simulated venue or in the process fires them, its end clears them.

The rules are the chart's, evaluated each second and without the minutes for which most of them wait.
"""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.deploy.prometheus import Prometheus
from tests.deploy.tools import ROOT, RULES, tool
from tests.process.harness import Process, free_port, quantd, until
from tests.process.site import port_of
from tests.process.test_systemd_process import AWAY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STUCK = """strategies:
  - id: stuck
    use: stuck.Stuck
    instruments: [ionloop:BTC-USDT]
    params: {{count: 1, how: spin}}
    risk: {{max_position: 1}}
    at_shutdown: keep
"""

OURS = {"QuantdHalted", "QuantdReducing", "QuantdFeedDown", "QuantdDown", "QuantdStrategyQuarantined"}


class Site:
    """A daemon at a simulated venue, watched by a Prometheus with impatient rules."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._venue_port = free_port()
        shutil.copytree(ROOT / "strategies", folder / "strategies")
        shutil.copy(ROOT / "tests/process/stuck.py", folder / "strategies" / "stuck.py")
        (folder / "key").write_text("sim-key")
        (folder / "q.yaml").write_text(AWAY.replace("strategies: []\n", STUCK).format(port=self._venue_port))
        rules = yaml.safe_load(RULES.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            rule.pop("for", None)
        (folder / "rules.json").write_text(json.dumps(rules))
        self.venue = self.open_venue()
        self.daemon = stack.enter_context(quantd(["run", "q.yaml"], folder))
        self.prometheus = Prometheus(folder, self.daemon.port(), rules=folder / "rules.json")
        stack.callback(self.prometheus.end)

    def open_venue(self) -> Process:
        """Start the simulator."""
        started = quantd(["simulate", "ionloop", "--port", str(self._venue_port)], self.folder)
        process = self._stack.enter_context(started)
        until(partial(port_of, process), 20, "the simulator's address")
        return process

    def command(self, *arguments: str) -> None:
        """Run a command to its good end."""
        with quantd(list(arguments), self.folder) as process:
            assert process.popen.wait(20) == 0, process.text()

    def firing(self) -> set[str]:
        """Alerts that fire."""
        found = self.prometheus.ask('ALERTS{alertstate="firing"}')
        return {one["metric"]["alertname"] for one in found}

    def all_fire(self, alerts: set[str]) -> bool:
        """Whether all of these fire."""
        return alerts <= self.firing()

    def none_fires(self, alerts: set[str]) -> bool:
        """Whether none of these does."""
        return not alerts & self.firing()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tool("prometheus")
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def halted(site: Site) -> Callable[[], None]:
    site.command("halt", "q.yaml", "--by", "ann", "--why", "drill")
    return lambda: site.command("resume", "q.yaml", "--by", "ann", "--why", "drill")


def reduced(site: Site) -> Callable[[], None]:
    site.command("halt", "q.yaml", "--by", "ann", "--why", "drill", "--reduce", "--scope", "venue:ionloop")
    return lambda: site.command("resume", "q.yaml", "--by", "ann", "--why", "drill", "--scope", "venue:ionloop")


def without_venue(site: Site) -> Callable[[], None]:
    site.venue.popen.send_signal(signal.SIGSTOP)
    return lambda: site.venue.popen.send_signal(signal.SIGCONT)


def frozen(site: Site) -> Callable[[], None]:
    site.daemon.popen.send_signal(signal.SIGSTOP)
    return lambda: site.daemon.popen.send_signal(signal.SIGCONT)


def test_faults_fire_their_alerts_and_their_end_clears_them(site: Site) -> None:
    until(lambda: site.daemon.lines("strategy_started"), 60, "the start")
    until(lambda: site.firing() & (OURS | {"QuantdWatchdog"}) == {"QuantdWatchdog"}, 60, "calm")
    seen: set[str] = set()
    for fault, wanted in (
        (halted, {"QuantdHalted"}),
        (reduced, {"QuantdReducing"}),
        (without_venue, {"QuantdFeedDown"}),
        (frozen, {"QuantdDown"}),
    ):
        heal = fault(site)
        until(partial(site.all_fire, wanted), 60, f"{wanted} after {fault.__name__}")
        seen |= site.firing()
        heal()
        until(partial(site.none_fires, wanted), 60, f"{wanted} cleared after {fault.__name__}")
    (site.folder / "go").touch()
    until(lambda: "QuantdStrategyQuarantined" in site.firing(), 60, "the quarantine")
    print(f"fired: {sorted(seen)}, cleared; and QuantdStrategyQuarantined, which a person ends")
