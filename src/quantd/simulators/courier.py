"""Posts a simulated venue's webhooks, and lets its time pass while nobody asks.

Runs beside the shell. A notice that nobody answers within ten seconds counts as not delivered; when to try again is
the venue's decision. It follows no redirect and keeps no cookie.
"""

import asyncio

import aiohttp
import structlog

from quantd.ports import Clock
from quantd.simulators.venue import Notice, SimulatedVenue

ANSWER_TIMEOUT_S = 10.0
EVERY_S = 0.02
"""Between two looks for what is due."""

_log = structlog.get_logger(__name__)


class WebhookCourier:
    """Delivers what a venue has to tell.

    Args:
        venue: Says what is due.
        clock: The venue's.
        timeout_s: How long an address has to answer.
    """

    def __init__(self, venue: SimulatedVenue, clock: Clock, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._venue = venue
        self._clock = clock
        self._timeout_s = timeout_s
        self._silent: set[str] = set()

    async def run(self) -> None:
        """Deliver until cancelled; notices under way are then given up."""
        # A fresh connection each time: an address that restarts must not lose a notice to a dead one.
        connector = aiohttp.TCPConnector(force_close=True)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        async with session, asyncio.TaskGroup() as group:
            while True:
                for notice in self._venue.due(self._clock.now_ns()):
                    group.create_task(self._post(session, notice), name=f"webhook {notice.id}")
                await asyncio.sleep(EVERY_S)

    async def _post(self, session: aiohttp.ClientSession, notice: Notice) -> None:
        status = None
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                session.post(notice.url, data=notice.body, headers=notice.headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if notice.url not in self._silent:
                self._silent.add(notice.url)
                _log.warning("webhook_not_delivered", url=notice.url, error=type(error).__name__)
        if status is not None and notice.url in self._silent:
            self._silent.discard(notice.url)
            _log.info("webhook_delivered_again", url=notice.url)
        self._venue.settle(notice, status)
