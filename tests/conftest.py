"""What every test has: hypothesis profiles, a wall against sockets that leave this machine, golden files.

Read by pytest. Fixtures of one subject belong to the conftest.py of its folder.
"""

import os
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from quantd.domain.numbers import use_exact_arithmetic

GOLDEN = Path(__file__).parent / "golden"

# As in the daemon, whichever test comes first: a float that meets a Decimal is an error.
use_exact_arithmetic()

# No deadlines: a shared machine is slow at times, and time limits belong to pytest-timeout.
settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the files under tests/golden, then review them"
    )


class LeftTheMachine(RuntimeError):
    """A test tried to reach something else than loopback. No OSError, so that no retry swallows it."""


attempts: list[str] = []
"""Addresses outside this machine that code under test tried to reach since the last test ended."""


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _watch_sockets(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # the path of a unix socket, or a socket that is connected already
            return
        host = address[0]
    else:
        return
    if not _is_local(host):
        attempts.append(str(host))
        raise LeftTheMachine(f"tests reach loopback only, and this one tried {host!r}: use a simulator")


sys.addaudithook(_watch_sockets)


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    """Fail a test that tried to leave the machine, even if the code under test swallowed the error."""
    attempts.clear()
    yield
    assert not attempts, f"tried to reach {attempts}"


class Golden(Protocol):
    """Compares `content` with the file `tests/golden/<name>`, or writes it when pytest got `--update-golden`."""

    def __call__(self, name: str, content: str | bytes) -> None: ...


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    def compare(name: str, content: str | bytes) -> None:
        path = GOLDEN / name
        found = content.encode() if isinstance(content, str) else content
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found)
            return
        assert path.exists(), f"{path} does not exist: run pytest with --update-golden, then review the file"
        expected = path.read_bytes()
        if isinstance(content, str):
            assert content == expected.decode(), f"differs from {path}; --update-golden rewrites it"
        else:
            assert found == expected, f"differs from {path}; --update-golden rewrites it"

    return compare
