"""The webhook listener and its receivers: what a venue sends us joins the inbox beside what we ask for.

Also tells a venue our address where the configuration says so: once, since no venue of ours can list or delete them.
"""

import asyncio

import structlog

from quantd.app.shared import Shared
from quantd.control.webhooks import Receive, WebhookListener
from quantd.domain.events import CursorAdvanced
from quantd.errors import Temporary, Unavailable, VenueError
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.ionloop.webhooks import WebhookReceiver

_log = structlog.get_logger("quantd.app")
CURSOR = "webhook_ids"
REGISTERED = "webhook"
"""The cursor that holds the address which the venue was told."""
EVENTS = ("order.filled", "order.cancelled", "order.updated")
"""What a venue is asked to tell: all that the connector makes use of."""
_RETRY_S = 30.0


def build_webhooks(shared: Shared) -> WebhookListener | None:
    """Return the listener for all venues that have a webhook secret; None without a `webhooks` section."""
    settings = shared.settings.webhooks
    if settings is None:
        return None
    receivers: dict[str, Receive] = {}
    for name, parts in shared.venues.items():
        venue, connector = parts.settings, parts.connector
        if not isinstance(venue, IonloopSettings) or not isinstance(connector, IonloopConnector):
            continue
        if venue.webhook_secret is not None:
            receivers[name] = receiver_of(shared, name, connector, venue.webhook_secret.get_secret_value()).receive
    return WebhookListener(settings.host, settings.port, receivers=receivers, body_limit=settings.body_limit)


def receiver_of(shared: Shared, name: str, connector: IonloopConnector, secret: str) -> WebhookReceiver:
    """Return what takes one venue's notices; it goes on with the ids that the journal knows."""

    def deliver(body: bytes) -> None:
        for event in connector.webhook(body):
            shared.emit(event)
        follower = shared.followers.get(name)
        if follower is not None:
            follower.look_soon()
        shared.emit(CursorAdvanced(name, CURSOR, receiver.export(), shared.clock.now_ns()))

    receiver = WebhookReceiver(name, secret, clock=shared.clock, observer=shared.observer, deliver=deliver)
    receiver.restore(shared.engine.state.cursors.get((name, CURSOR), ""))
    return receiver


async def keep_registered(shared: Shared, name: str, connector: IonloopConnector) -> None:
    """Tell a venue our address if the configuration says so and the journal does not know that it was told.

    A kill between the venue's answer and the journal tells it once more: its notices carry ids, and each is taken once.
    """
    settings, webhooks = shared.venues[name].settings, shared.settings.webhooks
    if not isinstance(settings, IonloopSettings) or not settings.register_webhook or settings.webhook_secret is None:
        return
    if webhooks is None or webhooks.public_url is None:
        return
    url = f"{webhooks.public_url}/webhooks/{name}"
    if shared.engine.state.cursors.get((name, REGISTERED)) == url:
        return
    if await register_webhook(connector, url, settings.webhook_secret.get_secret_value()):
        shared.emit(CursorAdvanced(name, REGISTERED, url, shared.clock.now_ns()))


async def register_webhook(connector: IonloopConnector, url: str, secret: str) -> bool:
    """Register an address and return whether the venue may know it now; what never left is tried again.

    Nothing here stops trading: a venue without webhooks is polled.
    """
    while True:
        try:
            made = await connector.create_webhook(url, EVENTS, secret)
        except Unavailable as error:
            _log.error("webhook_perhaps_registered", venue=connector.venue, url=url, error=str(error))
            return True
        except Temporary as error:
            _log.warning("webhook_not_registered", venue=connector.venue, url=url, error=str(error))
            await asyncio.sleep(error.retry_after_s or _RETRY_S)
        except VenueError as error:
            _log.error("webhook_refused", venue=connector.venue, url=url, error=str(error))
            return False
        else:
            _log.info("webhook_registered", venue=connector.venue, url=url, id=made)
            return True
