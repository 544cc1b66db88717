"""Builds TradeLocker's connector from its section of the configuration."""

from quantd.domain.cash import PositionMode
from quantd.venues.budget import with_models
from quantd.venues.parts import Surroundings, VenueKind, VenueParts, line_to, rates_of
from quantd.venues.tradelocker.api import Credentials
from quantd.venues.tradelocker.connector import TradeLockerConnector
from quantd.venues.tradelocker.kill import TradeLockerKillSwitch
from quantd.venues.tradelocker.limits import BEFORE_CONFIG, UNTIL_TOLD
from quantd.venues.tradelocker.options import TradeLockerOptions
from quantd.venues.tradelocker.settings import TradeLockerSettings


def build(name: str, settings: TradeLockerSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; nothing is opened yet."""
    assert settings.password is not None, "the loader requires a password"
    limits = with_models(BEFORE_CONFIG, rates_of(settings.rates))
    assumed = (*limits, *UNTIL_TOLD)
    line = line_to(name, settings.address, assumed, timeout_s=settings.timeout_s, around=around)
    key = settings.developer_key
    credentials = Credentials(
        settings.email,
        settings.password.get_secret_value(),
        settings.server,
        settings.account,
        "" if key is None else key.get_secret_value(),
    )
    options = TradeLockerOptions(
        credentials,
        PositionMode(settings.positions),
        settings.protection,
        settings.commission_per_lot,
        limits,
    )
    connector = TradeLockerConnector(
        line.http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
    )
    switch = TradeLockerKillSwitch(line.blocking, credentials, connector.api.session)
    return VenueParts(settings, connector, line.budget, line.kill(switch))


KIND = VenueKind(TradeLockerSettings, build)
