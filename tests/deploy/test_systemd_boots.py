"""The unit under a real systemd, installed by the commands of docs/operations/systemd.md, at a simulated venue."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.machine import Machine, booted
from tests.deploy.tools import ROOT
from tests.process.harness import free_port, quantd, until
from tests.process.truth import Venue, differences, folded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

UNIT = "quantd@main"
STATE = "/var/lib/quantd/main"
CONFIG = """
journal: {{path: quantd.db, state_dir: state}}
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{venue}
    api_key_file: /run/credentials/quantd@main.service/secret_ionloop
    reconcile: adopt
risk:
  base_currency: USDT
  account: {{max_gross_notional: 5000, max_daily_loss: 500, max_open_orders: 50}}
strategies:
  - id: stuck
    use: stuck.Stuck
    instruments: [ionloop:BTC-USDT]
    params: {{count: 1, how: hash}}
    risk: {{max_position: 1}}
    at_shutdown: keep
strategies_dir: /opt/quantd/strategies
health: {{port: {health}}}
logging: {{format: json}}
"""
IMPATIENT = "[Service]\nWatchdogSec=20s\nTimeoutStartSec=5s\nRestartSec=1s\n"
"""The unit's times, shortened; everything else is as it is installed."""


def blocks(language: str = "") -> list[str]:
    """The guide's blocks of commands, in order."""
    guide = (ROOT / "docs/operations/systemd.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


class Service:
    """The account `main` on the machine."""

    def __init__(self, machine: Machine, venue: int) -> None:
        self.machine, self.venue = machine, venue
        install, account = blocks()[:2]
        machine.do(install.replace("python3.12", "python3"), timeout_s=200)
        (machine.source / "my.yaml").write_text(CONFIG.format(venue=venue, health=free_port()))
        machine.do(account, stdin="sim-key")
        machine.write("/opt/quantd/strategies/stuck.py", (ROOT / "tests/process/stuck.py").read_text())
        machine.write(f"/etc/systemd/system/{UNIT}.service.d/impatient.conf", IMPATIENT)
        machine.do("systemctl daemon-reload")

    def start(self) -> None:
        """Ask for the start, and do not wait for it."""
        self.machine.do(f"systemctl start --no-block {UNIT}")

    def shown(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.shown(UNIT, name)[name]

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The daemon's log lines of an event, as journald has them."""
        told = self.machine.do(f"journalctl -u {UNIT} -o cat --no-pager").splitlines()
        return [one for line in told if line.startswith("{") and (one := json.loads(line)).get("event") == event]

    def active(self) -> bool:
        """Whether systemd holds it for started."""
        return self.shown("ActiveState") == "active"


def working(venue: Venue) -> int:
    """Orders that work at the venue."""
    return sum(order["status"] == "open" for order in venue.read("state")["orders"])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, stack: ExitStack) -> Service:
    return Service(stack.enter_context(booted(tmp_path)), free_port())


def waits_for_its_venue(service: Service) -> None:
    """Twice the time for a start passes with the venue away: still starting, never restarted, and saying why."""
    service.start()
    until(lambda: service.lines("venue_not_ready"), 60, "the venue missed")
    began = float(service.machine.do("cut -d' ' -f1 /proc/uptime"))
    until(lambda: float(service.machine.do("cut -d' ' -f1 /proc/uptime")) > began + 10, 30, "ten seconds")
    assert service.machine.shown(UNIT, "ActiveState", "NRestarts") == {"ActiveState": "activating", "NRestarts": "0"}
    assert "venue ionloop" in service.shown("StatusText")
    assert not service.lines("venue_ready")


def holds_no_rights(service: Service) -> None:
    """A user of its own, no capability, no new privileges, seccomp; nobody else reads its credential."""
    status = service.machine.do(f"cat /proc/{service.shown('MainPID')}/status")
    user = service.machine.do("id -u quantd-main").strip()
    for line in (
        f"Uid:\t{user}\t",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ):
        assert line in status, status
    credential = f"/run/credentials/{UNIT}.service/secret_ionloop"
    service.machine.do(f"su -s /bin/sh nobody -c 'cat {credential}'", expect=1)
    service.machine.do(f"test ! -r /proc/self/root{STATE} || stat -c %a {STATE} | grep -qx 700")


def is_ended_by_the_watchdog(service: Service, venue: Venue) -> None:
    """A blocked loop: the daemon's own watchdog halts and cancels, systemd's kills; the new start reconciles, halted."""
    until(partial(working, venue), 60, "an order at the venue")
    before = service.shown("MainPID")
    service.machine.do(f"touch {STATE}/go")
    until(lambda: service.lines("sits"), 30, "a loop that is blocked")
    service.machine.do(f"rm {STATE}/go")
    until(lambda: not working(venue), 30, "the cancel by the daemon's own watchdog")
    assert service.shown("MainPID") == before, "it came before systemd's"
    until(lambda: service.shown("NRestarts") == "1", 60, "the restart by the watchdog")
    said = service.machine.do(f"journalctl -u {UNIT} --no-pager")
    assert "Watchdog timeout (limit 20s)" in said
    assert "status=6/ABRT" in said
    assert 'stuck.py", line' in said, "the stack of the thread that stood still"
    until(service.active, 60, "active again")
    assert service.shown("MainPID") != before
    assert len(service.lines("venue_ready")) == 2
    assert "halted" in service.shown("StatusText")


def test_ready_after_reconciliation_and_a_blocked_loop_is_killed_and_reconciles(
    service: Service, tmp_path: Path, stack: ExitStack
) -> None:
    waits_for_its_venue(service)
    stack.enter_context(quantd(["simulate", "ionloop", "--port", str(service.venue)], tmp_path))
    until(service.active, 60, "active")
    assert service.lines("venue_ready")
    holds_no_rights(service)
    venue = Venue(service.venue)
    is_ended_by_the_watchdog(service, venue)
    service.machine.do(f"systemctl stop {UNIT}")
    assert service.machine.shown(UNIT, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    for name in ("quantd.db", "quantd.db-wal"):
        service.machine.do(f"test ! -e {STATE}/{name} || cp {STATE}/{name} /source/{name}")
    assert differences(folded(service.machine.source / "quantd.db"), venue.read("state")) == []


def test_an_unusable_configuration_fails_with_2_and_is_not_tried_again(service: Service) -> None:
    service.machine.do("sed -i 's/max_gross_notional/max_gros_notional/' /etc/quantd/main.yaml")
    service.start()
    until(lambda: service.shown("ActiveState") == "failed", 60, "the refusal")
    assert service.machine.shown(UNIT, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "2", "NRestarts": "0"}
    assert "max_gros_notional" in service.machine.do(f"journalctl -u {UNIT} -o cat --no-pager")


def test_the_guide_still_begins_with_the_install_and_the_account() -> None:
    install, account = blocks()[:2]
    assert "pip install --require-hashes" in install
    assert "/dev/stdin /etc/quantd/credentials/main/ionloop" in account
