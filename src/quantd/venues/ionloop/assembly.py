"""Builds ionloop's connector from its section of the configuration."""

from collections.abc import Awaitable, Callable, Iterable

from quantd.domain.events import Event
from quantd.domain.instruments import FeeSchedule
from quantd.domain.numbers import BPS
from quantd.venues.budget import with_models
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.kill import IonloopKillSwitch
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.options import IonloopOptions
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.ionloop.webhooks import USED_TYPES, WebhookReceiver
from quantd.venues.parts import Surroundings, VenueKind, VenueParts, Webhook, line_to, rates_of


def build(name: str, settings: IonloopSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; nothing is opened yet."""
    assert settings.api_key is not None, "the loader requires a key"
    limits = with_models(LIMITS, rates_of(settings.rates))
    line = line_to(name, settings.address, limits, timeout_s=settings.timeout_s, around=around)
    options = IonloopOptions(
        api_key=settings.api_key.get_secret_value(),
        fees=FeeSchedule(maker=settings.maker_fee_bps * BPS, taker=settings.taker_fee_bps * BPS),
        idempotency=settings.idempotency,
        paths=settings.paths.model_dump(exclude_none=True),
        limits=limits,
    )
    connector = IonloopConnector(
        line.http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
    )
    switch = IonloopKillSwitch(line.blocking, options.api_key, options.paths)
    return VenueParts(
        settings,
        connector,
        line.budget,
        line.kill(switch),
        cash_flows=connector.ledger.cash_flows,
        webhook=_webhook(settings, connector, around),
    )


def _webhook(settings: IonloopSettings, connector: IonloopConnector, around: Surroundings) -> Webhook | None:
    if settings.webhook_secret is None:
        return None
    secret = settings.webhook_secret.get_secret_value()

    def receiver(take: Callable[[Iterable[Event]], None]) -> WebhookReceiver:
        return WebhookReceiver(
            connector.venue,
            secret,
            clock=around.clock,
            observer=around.observer,
            deliver=lambda body: take(connector.webhook(body)),
        )

    def register(url: str) -> Awaitable[str]:
        return connector.create_webhook(url, USED_TYPES, secret)

    return Webhook(receiver, register if settings.register_webhook else None)


KIND = VenueKind(IonloopSettings, build)
