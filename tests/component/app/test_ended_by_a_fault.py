"""A daemon that a part beside the engine brings down says so: whoever is to be woken is not told of an orderly end.

Method: the real daemon in real time on a paper venue, with a channel in memory, and one of its background tasks that fails.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantd.app import Daemon, notifications
from quantd.clock import SystemClock
from quantd.config import load
from quantd.errors import BarStoreFailed
from quantd.notify.delivery import Channel
from quantd.notify.notice import Message, Notice
from quantd.notify.settings import ChannelSettings, NotifySettings
from quantd.telemetry.metrics import PrometheusObserver
from tests.component.shop import shop

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]

NOTIFY = """
notify: {webhooks: {desk: {url: "http://127.0.0.1:1"}}}
"""


class Desk:
    """A channel that keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[Notice] = []

    async def send(self, message: Message) -> None:
        """Keep it."""
        self.told += message.notices

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()

    def channels(settings: NotifySettings) -> Iterator[tuple[str, Channel, ChannelSettings]]:
        yield "webhooks.desk", desk, settings.webhooks["desk"]

    monkeypatch.setattr(notifications, "channels_of", channels)
    return desk


@pytest.fixture
def daemon(tmp_path: Path, desk: Desk) -> Daemon:
    (tmp_path / "q.yaml").write_text(shop(tmp_path) + NOTIFY)
    daemon = Daemon(load([tmp_path / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
    daemon.build()
    return daemon


def fail() -> None:
    raise ZeroDivisionError("of a part")


async def test_the_fault_of_a_background_task_is_told_as_one_and_wakes_somebody(
    daemon: Daemon, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon._budgets, "look", fail)
    with pytest.raises(ExceptionGroup):
        await daemon.run()
    assert [(one.what, one.why) for one in desk.told if one.key == "daemon"] == [
        ("the daemon ended by a fault", "ZeroDivisionError: of a part")
    ]


async def test_the_fault_of_a_part_that_cannot_be_started_is_told(daemon: Daemon, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "bars.db").mkdir()
    with pytest.raises(BarStoreFailed):
        await daemon.run()
    (told,) = desk.told
    assert told.what == "the daemon ended by a fault"
    assert told.why.startswith("BarStoreFailed: feeds.bar_store: expected a file of its own that can be opened or made")


async def test_an_orderly_end_wakes_nobody(daemon: Daemon, desk: Desk) -> None:
    asyncio.get_running_loop().call_later(0.3, daemon.stop, "SIGTERM")
    assert await daemon.run() == 0
    assert desk.told == []
