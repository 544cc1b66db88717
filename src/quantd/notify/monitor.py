"""The heartbeat to a monitor outside: a GET every so often, for as long as the daemon is ready.

Used by the composition root. It turns on the loop that trades, so a loop that hangs, a daemon that is not ready and a
machine that is gone all look the same to the monitor: it hears nothing, and calls.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from quantd.notify.delivery import Undelivered
from quantd.notify.posting import Web
from quantd.notify.settings import HeartbeatSettings
from quantd.ports import Observer

_log = structlog.get_logger("quantd.notify")
_LOOK_EVERY_S: Final = 1.0
"""Between two looks at a daemon that is not ready yet: the monitor hears of a good start soon."""


class Monitor:
    """Sends the heartbeat.

    Args:
        settings: Where to, how often.
        is_ready: Whether the daemon trades; without that nothing is sent.
    """

    def __init__(self, settings: HeartbeatSettings, is_ready: Callable[[], bool], observer: Observer) -> None:
        self._settings = settings
        self._is_ready = is_ready
        self._observer = observer
        self._web = Web()
        self._failing = False

    async def run(self) -> None:
        """Send for ever."""
        while True:
            is_ready = self._is_ready()
            if is_ready:
                await self._beat()
            await asyncio.sleep(self._settings.every_s if is_ready else min(_LOOK_EVERY_S, self._settings.every_s))

    async def close(self) -> None:
        """Close the connection."""
        await self._web.close()

    async def _beat(self) -> None:
        assert self._settings.url is not None  # the settings' own check
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._web.request("GET", self._settings.url.get_secret_value())
        except (Undelivered, TimeoutError) as error:
            self._observer.count("quantd_monitor_heartbeats_total", outcome="failed")
            if not self._failing:
                _log.warning("monitor_unreachable", error=str(error) or f"no answer in {self._settings.timeout_s:g} s")
            self._failing = True
        else:
            self._observer.count("quantd_monitor_heartbeats_total", outcome="sent")
            if self._failing:
                _log.info("monitor_reached")
            self._failing = False
