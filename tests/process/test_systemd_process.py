"""The daemon under a service manager: a datagram socket stands for systemd's, and the real command speaks to it."""

import shutil
import socket
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGTERM, quantd, until
from tests.process.site import port_of
from tests.process.test_paper_process import CONFIG

STUCK = """
  - id: stuck
    use: stuck.Stuck
    instruments: [paper:BTC-USDT]
    bars: 1s
    params: {how: spin, at_bar: 3}
    risk: {max_position: 1}
    callback_deadline_s: 60
"""

AWAY = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ionloop: {{type: ionloop, environment: custom, base_url: "http://127.0.0.1:{port}", api_key_file: key, reconcile: adopt}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 5000, max_daily_loss: 500, max_open_orders: 50}}
strategies: []
health: {{port: 0}}
logging: {{format: json}}
"""

Heard = tuple[float, str]


class Manager:
    """The other end of `NOTIFY_SOCKET`: keeps every assignment with the second at which it came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._heard: list[Heard] = []

    def heard(self, name: str = "") -> list[Heard]:
        """Everything said so far that begins with `name`."""
        while True:
            try:
                words = self._socket.recv(65_536).decode()
            except BlockingIOError:
                break
            self._heard += [(time.monotonic(), word) for word in words.split("\n")]
        return [one for one in self._heard if one[1].startswith(name)]

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.mark.timeout(120)
def test_the_service_is_ready_after_reconciliation_and_not_before(tmp_path: Path, manager: Manager) -> None:
    """The venue is away at first: the start is extended again and again, however long it takes, and nothing is ready."""
    (tmp_path / "key").write_text("sim-key")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "q.yaml").write_text(AWAY.format(port=port))
    with quantd(["run", "q.yaml"], tmp_path, NOTIFY_SOCKET=str(manager.path)) as daemon:
        daemon.wait_line("venue_not_ready", 30)
        asked = len(manager.heard("EXTEND_TIMEOUT_USEC="))
        until(lambda: len(manager.heard("EXTEND_TIMEOUT_USEC=")) >= asked + 3, 10, "more time asked for")
        assert manager.heard("STATUS=venue ionloop: ")
        assert not manager.heard("READY=1")
        with quantd(["simulate", "ionloop", "--port", str(port)], tmp_path) as venue:
            until(partial(port_of, venue), 20, "the simulator's address")
            until(lambda: manager.heard("READY=1"), 40, "READY")
            assert daemon.lines("venue_ready")
            assert len(manager.heard("READY=1")) == 1
            said = len(manager.heard("EXTEND_TIMEOUT_USEC="))
            assert daemon.signal(SIGTERM) == 0
    assert len(manager.heard("EXTEND_TIMEOUT_USEC=")) == said, "the end asks for no more time"
    assert [word for _, word in manager.heard("STOPPING=1")] == ["STOPPING=1"]


@pytest.mark.timeout(120)
def test_the_watchdog_is_fed_while_the_loop_turns_and_not_when_it_is_blocked(tmp_path: Path, manager: Manager) -> None:
    shutil.copytree(ROOT / "strategies", tmp_path / "strategies")
    shutil.copy(Path(__file__).with_name("stuck.py"), tmp_path / "strategies" / "stuck.py")
    text = CONFIG.format(strategies="strategies")
    (tmp_path / "q.yaml").write_text(text.replace("strategies_dir:", STUCK.lstrip("\n") + "strategies_dir:"))
    watched = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"}
    with quantd(["run", "q.yaml"], tmp_path, **watched) as daemon:
        until(lambda: len(manager.heard("WATCHDOG=1")) >= 4, 30, "four signs of life")
        signs = [at for at, _ in manager.heard("WATCHDOG=1")]
        gaps = [later - earlier for earlier, later in pairwise(signs)]
        assert max(gaps) < 1.0, gaps
        (tmp_path / "go").touch()
        daemon.wait_line("sits", 60)
        manager.heard()
        before = len(manager.heard("WATCHDOG=1"))
        silent_until = time.monotonic() + 2.5
        until(lambda: time.monotonic() >= silent_until, 5, "two and a half intervals")
        assert len(manager.heard("WATCHDOG=1")) == before, "a blocked loop says nothing, so that systemd ends it"
