"""A simulated venue and a daemon against it as real processes, and what their runs are held to at every venue.

Each venue's test derives a `VenueSite` with its configuration and its comparison. Starts nothing by itself but daemons.
"""

import os
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process.harness import SIGKILL, SIGTERM, Process, quantd, until
from tests.process.truth import Venue, folded

JOURNAL = "var/q.db"
"""As every configuration of these tests names it."""
_READY_WITHIN_S = 90.0
"""A start that must search waits for the quiet period."""
_SETTLED_WITHIN_S = 60.0


def port_of(simulator: Process, venue: str = "ionloop") -> str:
    """Return the port that a simulator has told to listen on; nothing before it has."""
    found = re.search(rf"{venue} on http://127\.0\.0\.1:(\d+)", simulator.text())
    return found[1] if found else ""


def fills(process: Process) -> int:
    """Fills that the process has logged."""
    return len(process.lines("order_filled"))


def walk_of_minutes(path: Path) -> Path:
    """Write two weeks of minutes whose closes move about as much as bitcoin's."""
    chance, price, rows = random.Random(7), 46_000.0, ["timestamp,open,high,low,close,volume"]
    for minute in range(20_000):
        close = price * (1 + chance.gauss(0, 0.0008))
        low, high = min(price, close) * 0.9998, max(price, close) * 1.0002
        rows.append(f"{1_640_995_200 + 60 * minute},{price:.2f},{high:.2f},{low:.2f},{close:.2f},{100}")
        price = close
    path.write_text("\n".join(rows) + "\n")
    return path


class VenueSite(ABC):
    """A folder with a simulator running and, once it is written, the configuration of a daemon against it."""

    name: str
    """The venue's, as the simulator and the configuration call it."""

    def __init__(self, directory: Path, simulator: Process) -> None:
        self.directory = directory
        self.simulator = simulator
        self.port = int(until(lambda: port_of(simulator, self.name), 20, "the simulator's address"))
        self.venue = Venue(self.port)

    def write(self, text: str) -> None:
        """Write the daemon's configuration."""
        (self.directory / "q.yaml").write_text(text)

    def freeze(self) -> None:
        """Let nothing fill any more."""
        self.venue.freeze()

    @abstractmethod
    def differences(self) -> list[str]:
        """Return everything in which our journal and the venue do not agree."""

    def settle(self, daemon: Process) -> list[str]:
        """Freeze the market, wait until we and the venue agree, and return what is still different."""
        self.freeze()
        found: list[str] = ["not compared yet"]
        deadline = time.monotonic() + _SETTLED_WITHIN_S
        while found and time.monotonic() < deadline:
            time.sleep(1)
            found = self.differences()
        assert daemon.popen.poll() is None, daemon.text()[-3000:]
        return found


@contextmanager
def killed_at_random_moments(site: VenueSite, kills: int, *, longest_s: float = 6.0) -> Iterator[Process]:
    """Kill runs at random moments; yield the one after them, which agrees with the venue, and end it in order.

    Args:
        site: The venue, frozen in the end.
        kills: How many runs.
        longest_s: Seconds for which one may trade.
    """
    seed = int(os.environ.get("QUANTD_SEED", str(random.SystemRandom().randrange(1_000_000))))
    print(f"QUANTD_SEED={seed}")  # shown when it fails
    chance = random.Random(seed)
    for number in range(kills):
        with quantd(["run", "q.yaml"], site.directory) as daemon:
            daemon.wait_line("venue_ready", _READY_WITHIN_S)
            daemon.wait_line("reconciled", _READY_WITHIN_S)  # told a moment later
            time.sleep(chance.uniform(0.0, longest_s))
            daemon.signal(SIGKILL)
            assert len(daemon.lines("reconciled")) == 1, f"kill {number}, seed {seed}"
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        daemon.wait_line("venue_ready", _READY_WITHIN_S)
        assert site.settle(daemon) == [], f"seed {seed}"
        assert daemon.metric("quantd_unknown_operations", venue=site.name) == 0
        assert not folded(site.directory / JOURNAL).latches
        yield daemon
        assert daemon.signal(SIGTERM) == 0
