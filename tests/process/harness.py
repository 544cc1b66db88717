"""Real processes for tests: starts the command line, reads its log and metrics, sends signals.

Every process is ended by its pid when the test is over, whatever happened.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Return the first true answer of `condition`; fail naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.05)


class Process:
    """One running `quantd`."""

    def __init__(
        self,
        arguments: list[str],
        directory: Path,
        environ: dict[str, str],
        program: tuple[str, ...] = ("-m", "quantd"),
    ) -> None:
        self.log = directory / f"{arguments[0]}-{time.monotonic_ns()}.log"
        self._output = self.log.open("wb")
        self.popen = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=directory,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environ},
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    def text(self) -> str:
        """Everything it has printed."""
        return self.log.read_text(errors="replace")

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Its log lines, those of one event if named."""
        found = []
        for line in self.text().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and (not event or told.get("event") == event):
                found.append(told)
        return found

    def wait_line(self, event: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait for a log line of an event."""

        def seen() -> dict[str, Any] | None:
            lines = self.lines(event)
            if not lines and self.popen.poll() is not None:
                raise AssertionError(f"ended with {self.popen.returncode} before {event}:\n{self.text()[-3000:]}")
            return lines[0] if lines else None

        found: dict[str, Any] = until(seen, timeout_s, f"log line {event}\n{self.text()[-3000:]}")
        return found

    def port(self) -> int:
        """The port of health and metrics."""
        return int(self.wait_line("health_listens")["port"])

    def get(self, path: str) -> tuple[int, str]:
        """GET from the health listener."""
        return get(f"http://127.0.0.1:{self.port()}{path}")

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
                total += float(match[2])
        return total

    def signal(self, number: int, timeout_s: float = 20.0) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(timeout_s)

    def end(self) -> None:
        """Kill it if it still runs, and close its output."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10)
        self._output.close()


def get(url: str) -> tuple[int, str]:
    """GET a loopback address; the status and the text, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # loopback only
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def free_port() -> int:
    """A port that nobody listens on now; the venue must be told it before the daemon does."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


@contextmanager
def quantd(arguments: list[str], directory: Path, **environ: str) -> Iterator[Process]:
    """Run `quantd` with arguments in a directory."""
    process = Process(arguments, directory, environ)
    try:
        yield process
    finally:
        process.end()


@contextmanager
def python(code: str, arguments: list[str], directory: Path) -> Iterator[Process]:
    """Run Python code that starts `quantd` in some other way."""
    process = Process(arguments, directory, {}, ("-c", code))
    try:
        yield process
    finally:
        process.end()


SIGKILL, SIGTERM, SIGINT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
