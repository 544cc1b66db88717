"""The webhook listener and its receivers: what a venue sends us joins the inbox beside what we ask for."""

from quantd.app.shared import Shared
from quantd.control.webhooks import Receive, WebhookListener
from quantd.domain.events import CursorAdvanced
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.ionloop.webhooks import WebhookReceiver

CURSOR = "webhook_ids"


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
