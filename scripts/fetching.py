"""Runs the commands that fetch tools, and says in one line what could not be had."""

import shutil
import subprocess
from pathlib import Path

_TIMEOUT_S = 900


class Missing(Exception):
    """A tool cannot be had here; the message says why."""


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        Missing: when it is not installed, or fails.
    """
    if shutil.which(command[0]) is None:
        raise Missing(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{' '.join(command[:3])} ended with {done.returncode}: {''.join(last)}")
    return done.stdout
