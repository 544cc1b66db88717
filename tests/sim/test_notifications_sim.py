"""Whatever becomes of notices, the hostile world is survived as without them: every invariant holds in every life.

The journals themselves are not compared with those of a daemon that tells nobody: its timers are others, so of two things
that happen in the same nanosecond another may come first. `tests/process/test_notify_process.py` compares by replay.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from quantd.app import notifications
from quantd.config import Settings
from quantd.notify.delivery import Channel
from quantd.notify.notice import Message
from quantd.notify.notifier import Notifier
from quantd.notify.settings import ChannelSettings, NotifySettings
from tests.sim import simulation
from tests.sim.scenarios import settings_of
from tests.sim.simulation import simulate

Take = Callable[[Message], Awaitable[None]]
SECTION = {
    "webhooks": {"desk": {"url": "http://127.0.0.1:1", "least": "info", "rate_count": 1000, "queue_max": 5}},
    "venue_down_after_s": 1,
    "unknown_after_s": 1,
}
CASES = [("crowd", 3), ("grid", 6), ("grid", 7)]
"""Scenarios and seeds in which nearly everything happens that is told."""
TOLD = {
    ("daemon", "started"), ("daemon", "ended"), ("journal", "failed"), ("reconcile", "different"), ("state", "halted"),
    ("state", "active"), ("unknown", "unknown"), ("unknown", "known"), ("venue:ionloop", "down"), ("venue:ionloop", "ready"),
}  # fmt: skip


class InMemory:
    """A channel that does with a message what the test says."""

    def __init__(self, take: Take) -> None:
        self._take = take

    async def send(self, message: Message) -> None:
        """Hand it to the test."""
        await self._take(message)

    async def close(self) -> None:
        """Do nothing."""


def with_notifications(monkeypatch: pytest.MonkeyPatch, take: Take) -> None:
    """Have every daemon of the simulation notify, by a channel in memory."""

    def with_section(*args: Any, **kwargs: Any) -> Settings:
        settings = settings_of(*args, **kwargs)
        return dataclasses.replace(settings, notify=NotifySettings.model_validate(SECTION))

    def channels(settings: NotifySettings) -> Iterator[tuple[str, Channel, ChannelSettings]]:
        yield "webhooks.desk", InMemory(take), settings.webhooks["desk"]

    monkeypatch.setattr(simulation, "settings_of", with_section)
    monkeypatch.setattr(notifications, "channels_of", channels)


async def answers(message: Message) -> None:
    """Take it."""


async def hangs(message: Message) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def raises(message: Message) -> None:
    """Fail in a way that no channel should."""
    raise ZeroDivisionError


@pytest.mark.parametrize("take", [answers, hangs, raises])
def test_every_invariant_holds_whether_the_receiver_answers_hangs_or_raises(
    monkeypatch: pytest.MonkeyPatch, take: Take
) -> None:
    told: list[Message] = []

    async def heard(message: Message) -> None:
        told.append(message)
        await take(message)

    with_notifications(monkeypatch, heard)
    for scenario, seed in CASES:
        simulate(scenario, seed)
    said = {(one.key.split()[0], one.state.partition(":")[0]) for message in told for one in message.notices}
    expected = TOLD if take is answers else {("daemon", "started"), ("state", "halted")}
    assert said >= expected, f"not told: {expected - said}"


@pytest.mark.parametrize("part", ["tell", "run", "finish"])
def test_a_fault_of_the_notifier_itself_neither_stops_the_trade_nor_hides_its_end(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    struck = []

    def broken(*args: object, **kwargs: object) -> None:
        struck.append(part)
        raise ZeroDivisionError(part)

    with_notifications(monkeypatch, answers)
    monkeypatch.setattr(Notifier, part, broken)
    for scenario, seed in CASES:
        simulate(scenario, seed)
    assert struck
