"""A Docker engine of the tests' own: its socket and its storage lie in a temporary folder, it makes no bridge and no rules.

Debian's engine, unpacked by `make ops`. Needs root. The image is built from the Dockerfile on `make ops`'s stand-in for the
base.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import OPS, ROOT, figures, run, tool
from tests.process.harness import SIGTERM, free_port, get, until

BASE = "quantd-base:stand-in"
IMAGE = "quantd:0.1.0"
"""What docs/operations/container.md calls it."""
USER = 10001
_FLAGS = (
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--default-ulimit=nofile=1024:1024",
)


class Engine:
    """One dockerd and its client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = f"unix://{folder}/docker.sock"
        programs = [str(OPS / "docker/usr" / place) for place in ("bin", "sbin")]
        environ = {**os.environ, "PATH": os.pathsep.join([*programs, os.environ["PATH"]])}
        places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid"]
        places.append(f"--init-path={OPS / 'docker/usr/bin/tini-static'}")
        with (folder / "dockerd.log").open("wb") as log:
            self._daemon = subprocess.Popen(
                [tool("dockerd"), *places, "-H", self._socket, *_FLAGS], env=environ, stdout=log, stderr=log
            )
        try:
            until(self._answers, 60, "the Docker engine")
        except AssertionError:
            self.end()
            raise AssertionError((folder / "dockerd.log").read_text()[-3000:]) from None

    def _answers(self) -> bool:
        done = subprocess.run([tool("docker"), "-H", self._socket, "info"], capture_output=True, check=False)
        return done.returncode == 0

    def do(self, *arguments: str, expect: int | None = 0, timeout_s: float = 120) -> str:
        """Run the client and return what it said on both streams; asked for anew, so that each test names it."""
        return run(tool("docker"), "-H", self._socket, *arguments, expect=expect, timeout_s=timeout_s)

    def compose(self, *arguments: str, timeout_s: float = 300) -> str:
        """Run compose at this engine and return what it said."""
        return run(tool("docker-compose"), "--host", self._socket, *arguments, timeout_s=timeout_s)

    def build(self, folder: Path, name: str, *arguments: str) -> float:
        """Build an image and return the seconds it took."""
        began = time.monotonic()
        self.do("build", "--network", "host", "-t", name, *arguments, str(folder), timeout_s=400)
        return time.monotonic() - began

    def size(self, name: str) -> int:
        """Bytes of an image with all its layers."""
        return int(self.do("image", "inspect", "--format", "{{.Size}}", name))

    def end(self) -> None:
        """End the engine and all that it started."""
        if self._daemon.poll() is None:
            self._daemon.send_signal(SIGTERM)
            self._daemon.wait(60)
        for left in self._folder.glob("exec/netns/*"):  # it leaves the mount of the host's network
            run("umount", str(left), expect=None)


class Container:
    """One run of the image on a volume, held as docs/operations/container.md says; without an init, as Kubernetes runs it."""

    def __init__(self, engine: Engine, volume: Path, *arguments: str, command: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self.port = free_port()
        self.name = f"quantd-test-{self.port}"
        engine.do(
            "run", "--detach", "--name", self.name, "--network", "host", "--read-only", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--stop-timeout", "60", "--health-interval", "1s",
            "-v", f"{volume}:/var/lib/quantd", "-e", f"QUANTD__HEALTH__PORT={self.port}",
            "-e", "QUANTD__LOGGING__FORMAT=json", *arguments, IMAGE, *command,
        )  # fmt: skip

    def ready(self) -> bool:
        """Whether it trades."""
        try:
            return get(f"http://127.0.0.1:{self.port}/readyz")[0] == 200
        except OSError:  # it does not listen yet
            return False

    def inside(self, *command: str, expect: int | None = 0) -> str:
        """Run a command in the container."""
        return self._engine.do("exec", self.name, *command, expect=expect)

    def signal(self, name: str) -> None:
        """Send the daemon, its first process, a signal from outside."""
        self._engine.do("kill", "--signal", name, self.name)

    def health(self) -> str:
        """What the engine says: starting, healthy or unhealthy."""
        return self._engine.do("inspect", "--format", "{{.State.Health.Status}}", self.name).strip()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of an event."""
        told = self._engine.do("logs", self.name).splitlines()
        return [one for line in told if line.startswith("{") and (one := json.loads(line))["event"] == event]

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self._engine.do("stop", self.name)
        return int(self._engine.do("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def kill(self) -> None:
        """Send SIGKILL."""
        self.signal("KILL")

    def remove(self) -> None:
        """Take it away, whatever it does; its volume stays."""
        self._engine.do("rm", "--force", self.name, expect=None)


@contextmanager
def engine_with_image(folder: Path) -> Iterator[Engine]:
    """Start an engine, give it the base, build the image; skip where there is no base or no right to."""
    if os.geteuid() != 0:
        pytest.skip("a Docker engine of one's own needs root")
    base = OPS / "base.tar"
    if not base.exists():
        pytest.skip(".ops/base.tar is not there: `make ops` makes it where there is debootstrap")
    engine = Engine(folder)
    try:
        engine.do("import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", str(base), BASE, timeout_s=300)
        seconds = engine.build(ROOT, IMAGE, "--build-arg", f"PYTHON_IMAGE={BASE}")
        above = engine.size(IMAGE) - engine.size(BASE)
        figures.append(
            f"image built in {seconds:.0f} s; {above / 1e6:.0f} MB above a base of {engine.size(BASE) / 1e6:.0f} MB"
        )
        yield engine
    finally:
        engine.end()
