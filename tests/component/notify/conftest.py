"""Receivers and a message for the tests of channels."""

from collections.abc import AsyncIterator

import pytest

from quantd.notify.notice import Message, Notice, Weight
from tests.component.notify.receivers import Certificate, HttpReceiver, http_receiver, make_certificate


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    """An HTTP server on loopback."""
    async with http_receiver() as one:
        yield one


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that only itself vouches for."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def message() -> Message:
    """A halt."""
    halt = Notice(
        key="state all",
        state="halted",
        weight=Weight.CRITICAL,
        what="trading halted",
        where="all",
        since_ns=1_700_000_000_000_000_000,
        why="ann: <!channel> & drill",
        do="Nothing.",
        runbook="QuantdHalted",
    )
    return Message("r-1", "desk", (halt,))
