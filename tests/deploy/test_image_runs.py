"""The image, run for real: `QUANTD_IMAGE` names one that is built, podman runs it.

It trades on the embedded paper market, is healthy, cannot write outside its volume, ends with 0 on SIGTERM, and goes on
where its journal ends.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import run, tool
from tests.process.harness import free_port, get, until

IMAGE = os.environ.get("QUANTD_IMAGE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not IMAGE, reason="QUANTD_IMAGE names no image (docs/operations/container.md)"),
]


class Container:
    """One run of the image on a volume."""

    def __init__(self, volume: Path) -> None:
        self.podman = tool("podman")
        self.port = free_port()
        self.name = f"quantd-test-{self.port}"
        run(
            self.podman, "run", "--detach", "--name", self.name, "--network", "host", "--read-only", "--cap-drop",
            "ALL", "--security-opt", "no-new-privileges", "--health-interval=disable", "-v",
            f"{volume}:/var/lib/quantd", "-e", f"QUANTD__HEALTH__PORT={self.port}", IMAGE, timeout_s=120,
        )  # fmt: skip

    def get(self, path: str) -> tuple[int, str]:
        """GET from the health listener; status 0 before it listens."""
        try:
            return get(f"http://127.0.0.1:{self.port}{path}")
        except OSError:
            return 0, ""

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return subprocess.run(
            [self.podman, "exec", self.name, *command], capture_output=True, text=True, timeout=60, check=False
        )

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines."""
        told = run(self.podman, "logs", self.name).splitlines()
        return [json.loads(line) for line in told if line.startswith("{")]

    def ready(self) -> bool:
        """Whether it trades."""
        return self.get("/readyz")[0] == 200

    def fills(self) -> int:
        """Fills so far."""
        return sum(line["event"] == "order_filled" for line in self.lines())

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        run(self.podman, "stop", "--time", "45", self.name, timeout_s=90)
        return int(run(self.podman, "inspect", "--format", "{{.State.ExitCode}}", self.name))

    def remove(self) -> None:
        """Take it away, whatever it does."""
        run(self.podman, "rm", "--force", "--time", "0", self.name, expect=None, timeout_s=90)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    os.chown(made, 10001, 10001)
    return made


@pytest.fixture
def container(volume: Path) -> Iterator[Container]:
    one = Container(volume)
    yield one
    one.remove()


def test_the_image_trades_as_nobody_on_a_read_only_root_and_goes_on_after_a_restart(
    container: Container, volume: Path
) -> None:
    until(container.ready, 60, "ready")
    until(lambda: container.fills() >= 1, 90, "a fill")
    run(container.podman, "healthcheck", "run", container.name)
    status = container.inside("python", "-c", "print(open('/proc/1/status').read())").stdout
    assert "Uid:\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    write = container.inside("python", "-c", "open('/opt/quantd/x', 'w')")
    assert write.returncode != 0
    assert "Read-only file system" in write.stderr
    assert container.inside("pip", "--version").returncode != 0
    assert container.stop() == 0
    before = container.fills()
    container.remove()
    again = Container(volume)
    try:
        until(again.ready, 60, "ready again")
        assert any(line["event"] == "venue_ready" for line in again.lines())
        shown = again.inside(
            "quantd", "journal", "show", "var/paper.db", "--kind", "FillRecorded", "--json", "--tail", "999"
        )
        assert len(shown.stdout.splitlines()) >= before, shown.stderr
        assert again.stop() == 0
    finally:
        again.remove()


@pytest.fixture
def derived(tmp_path: Path) -> Iterator[str]:
    """An image of three lines with a configuration of its own, as docs/operations/container.md shows it."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text(
        'from quantd import Strategy\n\n\nclass Mine(Strategy):\n    """Only looks."""\n'
    )
    (tmp_path / "my.yaml").write_text(
        "venues: {paper: {type: paper, data: {synthetic: {instruments: [{symbol: BTC-USD, price: 1}]}}, balances: {USD: 9}}}\n"
        "risk: {base_currency: USD, account: {max_gross_notional: 1}}\n"
        "strategies: [{id: mine, use: mine.Mine, instruments: [paper:BTC-USD]}]\n"
    )
    guide = (Path(__file__).parents[2] / "docs/operations/container.md").read_text()
    text = guide.partition("```Dockerfile\n")[2].partition("```")[0]
    assert len(text.splitlines()) == 3
    (tmp_path / "Dockerfile").write_text(text.replace("quantd:0.1.0", IMAGE))
    name = "localhost/quantd-derived:test"
    run(tool("buildah"), "bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "-t", name,
        str(tmp_path), timeout_s=200)  # fmt: skip
    yield name
    run(tool("podman"), "rmi", "--force", name, expect=None)


def test_an_image_of_three_lines_adds_a_strategy(derived: str) -> None:
    arguments = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", derived)
    said = run(tool("podman"), *arguments, "check", "--fast", "config/my.yaml", timeout_s=120)
    assert "mine" in said or "ok" in said
    fault = run(tool("podman"), *arguments, "check", "--fast", "config/nothing.yaml", expect=2, timeout_s=120)
    assert "nothing.yaml" in fault
