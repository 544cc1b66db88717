"""The webhook listener and its receivers: what a venue sends us joins the inbox beside what we ask for."""

from typing import TYPE_CHECKING

from quantd.control.webhooks import Receive, WebhookListener
from quantd.domain.events import CursorAdvanced
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.ionloop.webhooks import WebhookReceiver

if TYPE_CHECKING:
    from quantd.app.daemon import Daemon

CURSOR = "webhook_ids"


def build_webhooks(daemon: "Daemon") -> WebhookListener | None:
    """Return the listener for all venues that have a webhook secret; None without a `webhooks` section."""
    settings = daemon.settings.webhooks
    if settings is None:
        return None
    receivers: dict[str, Receive] = {}
    for name, parts in daemon.venues.items():
        venue, connector = parts.settings, parts.connector
        if not isinstance(venue, IonloopSettings) or not isinstance(connector, IonloopConnector):
            continue
        if venue.webhook_secret is not None:
            receivers[name] = _receiver(daemon, name, connector, venue.webhook_secret.get_secret_value()).receive
    return WebhookListener(settings.host, settings.port, receivers=receivers, body_limit=settings.body_limit)


def _receiver(daemon: "Daemon", name: str, connector: IonloopConnector, secret: str) -> WebhookReceiver:
    def deliver(body: bytes) -> None:
        for event in connector.webhook(body):
            daemon.emit(event)
        follower = daemon.followers.get(name)
        if follower is not None:
            follower.look_soon()
        daemon.emit(CursorAdvanced(name, CURSOR, receiver.export(), daemon.clock.now_ns()))

    receiver = WebhookReceiver(name, secret, clock=daemon.clock, observer=daemon.observer, deliver=deliver)
    receiver.restore(daemon.engine.state.cursors.get((name, CURSOR), ""))
    return receiver
