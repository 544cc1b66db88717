"""The daemon's notifications: from settings to channels, and from what happens to notices.

Used by the daemon. Reads facts once they are on disk, looks at venues and at writes of unknown outcome every second.
Whatever goes wrong here is logged and stays here: never in the path of an order, never in the way of an end.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from quantd.app.readiness import venue_reasons
from quantd.app.shared import Shared
from quantd.domain.facts import Fact, OperationLost
from quantd.notify import conditions
from quantd.notify.delivery import Channel, Undelivered
from quantd.notify.facts import notice_of
from quantd.notify.mail import Email
from quantd.notify.monitor import Monitor
from quantd.notify.notice import Message, Notice
from quantd.notify.notifier import Notifier, trial
from quantd.notify.outbox import Outbox
from quantd.notify.posting import Slack, Telegram, Webhook
from quantd.notify.settings import ChannelSettings, NotifySettings
from quantd.ports import Clock

_log = structlog.get_logger("quantd.app")
LOOK_EVERY_S = 1.0
FINISH_S: Final = 3.0
"""How long the end of the process may wait for receivers; the journal is closed by then."""
_CLOSE_S: Final = 2.0
"""How long connections may take to close after that."""


def channels_of(settings: NotifySettings) -> Iterator[tuple[str, Channel, ChannelSettings]]:
    """Return every configured channel with its name, as ``slack.desk``."""
    for name, webhook in settings.webhooks.items():
        yield f"webhooks.{name}", Webhook(webhook), webhook
    for name, telegram in settings.telegram.items():
        yield f"telegram.{name}", Telegram(telegram), telegram
    for name, slack in settings.slack.items():
        yield f"slack.{name}", Slack(slack), slack
    for name, email in settings.email.items():
        yield f"email.{name}", Email(email), email


async def try_channels(settings: NotifySettings, clock: Clock) -> Mapping[str, str]:
    """Send a trial notice by every channel, once; return by channel why it did not arrive, empty where it did."""
    now_ns = clock.now_ns()
    message = Message(f"trial-{now_ns}", settings.source, (trial(settings.source, now_ns),))
    found: dict[str, str] = {}
    for name, channel, one in channels_of(settings):
        try:
            async with asyncio.timeout(one.timeout_s):
                await channel.send(message)
            found[name] = ""
        except Undelivered as error:
            found[name] = str(error)
        except TimeoutError:
            found[name] = f"no answer within {one.timeout_s:g} s"
        finally:
            await channel.close()
    return found


class Notifications:
    """Tells what happens in one daemon; does nothing where the configuration names nobody to tell.

    Args:
        shared: The daemon's parts.
        reasons: Why the daemon is not ready.
        clean: Takes secrets out of a text.
    """

    def __init__(self, shared: Shared, reasons: Callable[[], Sequence[str]], clean: Callable[[str], str]) -> None:
        self._shared = shared
        self._settings = settings = shared.settings.notify
        self._lost: dict[tuple[str, int], OperationLost] = {}
        """Writes whose outcome was unknown at the last look, by order and number."""
        self._unready: dict[str, int] = {}
        """Venue -> since when it is not ready, nanoseconds UTC."""
        self._notifier: Notifier | None = None
        self._monitor: Monitor | None = None
        if settings is None:
            return
        self._notifier = self._build(settings, clean)
        if settings.heartbeat is not None:
            self._monitor = Monitor(settings.heartbeat, lambda: not reasons(), shared.observer)
        shared.fact_readers.append(self._heard)

    async def run(self) -> None:
        """Tell for ever."""
        if self._notifier is None:
            return
        self._started()
        keep, unwell = self._shared.supervisor.keep, self._unwell
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep("notifications", self._notifier.run, unwell), name="notifications")
            tasks.create_task(keep("look for notices", self._look_for_ever, unwell), name="look for notices")
            if self._monitor is not None:
                tasks.create_task(keep("monitor", self._monitor.run, unwell), name="heartbeat to the monitor")

    async def end(self, reason: str, *, failed: bool) -> None:
        """Tell the end, send what still waits for a moment, and close everything; never raises, never takes long."""
        if self._notifier is None:
            return
        self._tell(conditions.ended(reason, self._shared.clock.now_ns(), failed=failed))
        try:
            async with asyncio.timeout(FINISH_S + _CLOSE_S):
                await self._notifier.finish(FINISH_S)
                if self._monitor is not None:
                    await self._monitor.close()
        except Exception:  # noqa: BLE001 # boundary: what could not be told must not hide why the daemon ends
            _log.exception("notifications_not_ended")

    def journal_failed(self, error: str) -> None:
        """Tell that the disk refused an append: no fact will say so."""
        self._tell(conditions.journal_failed(error, self._shared.clock.now_ns()))

    # -- what happens --------------------------------------------------------------------------------------------

    def _started(self) -> None:
        """Tell the start, and what stands since before it: whoever was to be told may not have been."""
        state, now_ns = self._shared.engine.state, self._shared.clock.now_ns()
        self._tell(conditions.started(now_ns))
        self._heard((*state.latches.values(), *state.quarantined.values()))
        for order in state.orders.open_orders():
            if order.is_unknown and order.operation is not None:
                lost = OperationLost(order.client_order_id, order.operation.number, order.operation.cause, now_ns)
                self._lost.setdefault((lost.client_order_id, lost.operation), lost)

    def _heard(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, OperationLost):
                self._lost[fact.client_order_id, fact.operation] = fact
                continue
            try:
                notice = notice_of(fact)
            except Exception:  # noqa: BLE001 # boundary: a fact that cannot be put into words must not stop what trades
                _log.exception("notice_failed", fact=type(fact).__name__)
            else:
                self._tell(notice)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._look_at_lost()
            self._look_at_venues()

    def _look_at_lost(self) -> None:
        assert self._settings is not None  # only what is configured looks
        now_ns = self._shared.clock.now_ns()
        for key, lost in list(self._lost.items()):
            order = self._shared.engine.state.orders.get(lost.client_order_id)
            operation = None if order is None or not order.is_unknown else order.operation
            if order is None or operation is None or operation.number != lost.operation:
                del self._lost[key]
                self._tell(conditions.known(lost, now_ns))
            elif now_ns - lost.at_ns >= self._settings.unknown_after_s * 1e9:
                self._tell(conditions.unknown(lost, order.instrument))

    def _look_at_venues(self) -> None:
        assert self._settings is not None  # only what is configured looks
        now_ns = self._shared.clock.now_ns()
        for name, follower in self._shared.followers.items():
            reasons = venue_reasons(follower, self._shared.engine)
            if not reasons:
                if self._unready.pop(name, None) is not None:
                    self._tell(conditions.venue_ready(name, now_ns))
            elif now_ns - self._unready.setdefault(name, now_ns) >= self._settings.venue_down_after_s * 1e9:
                self._tell(conditions.venue_down(name, "; ".join(reasons), self._unready[name]))

    def _tell(self, notice: Notice | None) -> None:
        """Hand a notice to the outboxes; never raises and never waits."""
        if notice is None or self._notifier is None:
            return
        try:
            self._notifier.tell(notice)
        except Exception:  # noqa: BLE001 # boundary: a notice that cannot be told must not stop what trades, or its end
            _log.exception("notice_failed", key=notice.key)

    def _unwell(self, reason: str) -> None:
        _log.error("notifications_unwell", reason=reason)

    def _build(self, settings: NotifySettings, clean: Callable[[str], str]) -> Notifier:
        """Return the notifier with an outbox for each channel; nothing is opened yet."""
        clock, observer = self._shared.clock, self._shared.observer
        run = str(clock.now_ns())
        outboxes = [
            Outbox(name, channel, one, source=settings.source, run=run, clock=clock, observer=observer)
            for name, channel, one in channels_of(settings)
        ]
        return Notifier(outboxes, repeat_after_s=settings.repeat_after_s, clock=clock, observer=observer, clean=clean)
