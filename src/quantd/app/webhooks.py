"""The webhook listener and its receivers: what a venue sends us joins the inbox beside what we ask for.

Also tells a venue our address where the configuration says so: once, for a venue need not be able to list or delete them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from quantd.app.shared import Shared
from quantd.control.webhooks import Receive, WebhookListener
from quantd.domain.events import CursorAdvanced, Event
from quantd.errors import Temporary, Unavailable, VenueError
from quantd.venues.parts import Webhook, WebhookReceiver

_log = structlog.get_logger("quantd.app")
CURSOR = "webhook_ids"
"""What a receiver remembers: this cursor, or one for each part of it, ``webhook_ids/<part>``."""
REGISTERED = "webhook"
"""The cursor that holds the address which the venue was told."""
_RETRY_S = 30.0


def build_webhooks(shared: Shared) -> WebhookListener | None:
    """Return the listener for all venues that have a webhook secret; None without a `webhooks` section."""
    settings = shared.settings.webhooks
    if settings is None:
        return None
    receivers: dict[str, Receive] = {}
    for name, parts in shared.venues.items():
        if parts.webhook is not None:
            receivers[name] = receiver_of(shared, name, parts.webhook).receive
    return WebhookListener(settings.host, settings.port, receivers=receivers, body_limit=settings.body_limit)


def receiver_of(shared: Shared, name: str, webhook: Webhook) -> WebhookReceiver:
    """Return what takes one venue's notices; it goes on with what the journal remembers for it."""

    def deliver(events: Iterable[Event]) -> None:
        for event in events:
            shared.emit(event)
        follower = shared.followers.get(name)
        if follower is not None:
            follower.look_soon()
        part, text = receiver.export()
        shared.emit(CursorAdvanced(name, f"{CURSOR}/{part}" if part else CURSOR, text, shared.clock.now_ns()))

    receiver = webhook.receiver(deliver)
    for (venue, cursor), text in shared.engine.state.cursors.items():
        if venue == name and cursor.partition("/")[0] == CURSOR:
            receiver.restore(text)
    return receiver


async def keep_registered(shared: Shared, name: str, webhook: Webhook) -> None:
    """Tell a venue our address if the configuration says so and the journal does not know that it was told.

    A kill between the venue's answer and the journal tells it once more: its notices carry ids, and each is taken once.
    """
    settings = shared.settings.webhooks
    if webhook.register is None or settings is None or settings.public_url is None:
        return
    url = f"{settings.public_url}/webhooks/{name}"
    if shared.engine.state.cursors.get((name, REGISTERED)) == url:
        return
    if await register_webhook(name, url, webhook.register):
        shared.emit(CursorAdvanced(name, REGISTERED, url, shared.clock.now_ns()))


async def register_webhook(venue: str, url: str, register: Callable[[str], Awaitable[str]]) -> bool:
    """Register an address and return whether the venue may know it now; what never left is tried again.

    Nothing here stops trading: a venue without webhooks is polled.
    """
    while True:
        try:
            made = await register(url)
        except Unavailable as error:
            _log.error("webhook_perhaps_registered", venue=venue, url=url, error=str(error))
            return True
        except Temporary as error:
            _log.warning("webhook_not_registered", venue=venue, url=url, error=str(error))
            await asyncio.sleep(error.retry_after_s or _RETRY_S)
        except VenueError as error:
            _log.error("webhook_refused", venue=venue, url=url, error=str(error))
            return False
        except Exception:  # noqa: BLE001 -- boundary: one venue's code must not end what trades
            _log.exception("webhook_refused", venue=venue, url=url)
            return False
        else:
            _log.info("webhook_registered", venue=venue, url=url, id=made)
            return True
