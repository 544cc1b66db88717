"""A Debian with systemd of its own, booted by systemd-nspawn on what `make ops` made; what a test writes is gone after it.

Shares the network with this machine, so that simulators here are reached there on loopback. Needs root.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.tools import OPS, ROOT, run, tool
from tests.process.harness import until

SOURCE = ("src", "requirements", "deploy", "strategies", "pyproject.toml", "README.md", "LICENSE")
"""What an operator has of the repository."""


class Machine:
    """One booted machine; commands run in it as root."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        for name in SOURCE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, self.source)
        self._log = folder / "boot.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    tool("systemd-nspawn"), "--directory", str(OPS / "machine"), "--volatile=overlay", "--register=no",
                    "--keep-unit", "--machine", "quantd-test", "--bind", f"{self.source}:/source", "--boot",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            until(self._booted, 90, "the boot")
        except AssertionError:
            self.end()
            raise AssertionError(self._log.read_text(errors="replace")[-3000:]) from None

    def _leader(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _booted(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError("it ended")
        leader = self._leader()
        # Before it has a root and a manager of its own, a command would reach this machine's.
        if not leader or not Path(f"/proc/{leader}/root/source").exists():
            return False
        return self.do("systemctl is-system-running", expect=None).strip() in ("running", "degraded")

    def do(self, script: str, *, stdin: str = "", expect: int | None = 0, timeout_s: float = 120) -> str:
        """Run a shell script in the machine, in the source, and return what it said on both streams."""
        enter = ("nsenter", "--target", str(self._leader()), "--all")
        environ = ("env", "-i", "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin")
        return run(
            *enter, *environ, "sh", "-ec", f"cd /source\n{script}", stdin=stdin, expect=expect, timeout_s=timeout_s
        )

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as systemd has them."""
        said = self.do(f"systemctl show {unit} --property {','.join(properties)}")
        return dict(line.split("=", 1) for line in said.splitlines())

    def write(self, path: str, text: str) -> None:
        """Write a file in the machine."""
        self.do(f'mkdir -p "$(dirname {path})" && cat > {path}', stdin=text)

    def end(self) -> None:
        """Halt it, and kill what does not end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.kill(self._leader(), signal.SIGKILL)
                self._process.wait(20)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine; skip where there is none or no right to."""
    if os.geteuid() != 0:
        pytest.skip("systemd-nspawn needs root")
    if not list((OPS / "machine").glob("made-for-*")):
        pytest.skip(".ops/machine is not there: `make ops` makes it where there is debootstrap")
    machine = Machine(folder)
    try:
        yield machine
    finally:
        machine.end()
