"""A daemon at a simulated venue, watched by a real Prometheus whose rules are impatient; faults come and go.

The rules are the chart's. So that a run takes minutes instead of hours they are evaluated each second, do not wait (`for`),
and look back a quarter of a minute instead of the times in `SHORTER`. promtool tests them as they are.
"""

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.deploy.prometheus import Prometheus
from tests.deploy.tools import ROOT, RULES
from tests.process.harness import Process, free_port, quantd, until
from tests.process.truth import Venue

SHORTER = {"[5m]": "[15s]", "[10m]": "[15s]", "[15m]": "[40s]", "[1h]": "[20s]", "> 300": "> 15", "> 60 ": "> 12 "}
"""What the rules look back at, or wait for in their conditions, and what it is here."""


AWAY = frozenset({"QuantdBanned", "QuantdFeedDown", "QuantdVenueNotReady"})
"""What says that the venue does not answer: a venue that stood still counts what waited at its door at once, and may ban
for minutes. A fault begins once that is over, or it could not be told from it."""


class Setting(NamedTuple):
    """What a site is made of."""

    config: str
    """The daemon's, with `{venue}` and `{health}` for ports."""
    simulator: tuple[str, ...] = ()
    """Arguments of `quantd simulate`; without any, the venue is the daemon's own paper."""
    prepare: Callable[[Path], object] | None = None
    """Writes what the simulator needs."""
    begin: Callable[["Site"], None] | None = None
    """Starts what the faults disturb; without it the first fault does."""


class Site:
    """The daemon, its venue and its Prometheus, in one folder."""

    def __init__(self, folder: Path, stack: ExitStack, setting: Setting) -> None:
        self.folder = folder
        self._stack, self._setting = stack, setting
        self.health, self.venue_port = free_port(), free_port()
        shutil.copytree(ROOT / "strategies", folder / "strategies")
        shutil.copy(ROOT / "tests/deploy/steady.py", folder / "strategies")
        (folder / "key").write_text("sim-key")
        (folder / "token").write_text("simulated-token")
        (folder / "q.yaml").write_text(setting.config.format(venue=self.venue_port, health=self.health))
        (folder / "rules.json").write_text(json.dumps(impatient()))
        if setting.prepare is not None:
            setting.prepare(folder)
        self.prometheus = Prometheus(folder, self.health, rules=folder / "rules.json")
        stack.callback(self.prometheus.end)
        if setting.begin is not None:
            setting.begin(self)

    @property
    def venue(self) -> Venue:
        """The simulator's admin route."""
        return Venue(self.venue_port)

    def open_venue(self) -> None:
        """Start the simulator."""
        arguments = ["simulate", *self._setting.simulator, "--port", str(self.venue_port)]
        self.simulator = self._stack.enter_context(quantd(arguments, self.folder))
        until(lambda: re.search(r" on http://127\.0\.0\.1:\d+", self.simulator.text()), 20, "the simulator's address")

    def start(self) -> Process:
        """Start the daemon, again if it ran before."""
        self.daemon = self._stack.enter_context(quantd(["run", "q.yaml"], self.folder))
        return self.daemon

    def command(self, *arguments: str) -> None:
        """Run a command to its good end."""
        with quantd(list(arguments), self.folder) as process:
            assert process.popen.wait(20) == 0, process.text()

    def halt(self, *arguments: str) -> None:
        """Latch a scope by hand."""
        self.command("halt", "q.yaml", "--by", "ann", "--why", "drill", *arguments)

    def resume(self, *arguments: str) -> None:
        """Open a latch by hand."""
        self.command("resume", "q.yaml", "--by", "ann", "--why", "drill", *arguments)

    def faults(self, *rules: dict[str, object]) -> None:
        """Let the venue misbehave so, and no other way."""
        self.venue.post("faults", list(rules), "PUT")

    def switch(self, **switches: object) -> None:
        """Change how the venue behaves."""
        self.venue.post("switches", switches)

    def firing(self) -> set[str]:
        """Alerts that fire."""
        found = self.prometheus.ask('ALERTS{alertstate="firing"}')
        return {one["metric"]["alertname"] for one in found}

    def none_fires(self, alerts: frozenset[str]) -> bool:
        """Whether none of these does."""
        return not alerts & self.firing()


class Fault(NamedTuple):
    """A fault as a context that ends it, and the alerts that it must fire and whose firing must end with it."""

    alerts: frozenset[str]
    cause: Callable[[Site], AbstractContextManager[None]]

    def drill(self, site: Site) -> None:
        """Cause it, see each of the alerts fire, end it, see them gone."""
        name, fired = self.cause.__name__, set[str]()

        def all_fired() -> bool:
            fired.update(site.firing())
            return fired >= self.alerts

        until(partial(site.none_fires, self.alerts | AWAY), 300, f"calm before {name}: {sorted(self.alerts | AWAY)}")
        with self.cause(site):
            try:
                until(all_fired, 120, f"an alert after {name}")
            except AssertionError:
                raise AssertionError(f"after {name}: {sorted(self.alerts - fired)} did not fire") from None
        until(partial(site.none_fires, self.alerts), 240, f"an end of {sorted(self.alerts)} after {name}")


def fires(*alerts: str) -> Callable[[Callable[[Site], Iterator[None]]], Fault]:
    """Make a fault of a generator that causes it, yields, and ends it."""

    def made(cause: Callable[[Site], Iterator[None]]) -> Fault:
        return Fault(frozenset(alerts), contextmanager(cause))

    return made


def impatient() -> object:
    """The chart's rules, as `SHORTER` says."""
    text = RULES.read_text()
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    rules = yaml.safe_load(text)
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule.pop("for", None)
    return rules


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Let a process stand still."""
    process.popen.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.popen.send_signal(signal.SIGCONT)
