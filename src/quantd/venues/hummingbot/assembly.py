"""Builds the Hummingbot API's connector from its section of the configuration."""

from quantd.domain.instruments import FeeSchedule
from quantd.domain.numbers import BPS
from quantd.venues.budget import with_models
from quantd.venues.hummingbot.connector import HummingbotConnector
from quantd.venues.hummingbot.kill import HummingbotKillSwitch
from quantd.venues.hummingbot.limits import LIMITS
from quantd.venues.hummingbot.options import IDLE_S, HummingbotOptions
from quantd.venues.hummingbot.settings import HummingbotSettings
from quantd.venues.parts import Notes, Surroundings, VenueKind, VenueParts, line_to, rates_of


def build(name: str, settings: HummingbotSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; nothing is opened yet."""
    assert settings.password is not None, "the loader requires a password"
    limits = with_models(LIMITS, rates_of(settings.rates))
    line = line_to(name, settings.base_url, limits, timeout_s=settings.timeout_s, around=around, idle_s=IDLE_S)
    options = HummingbotOptions(
        settings.username,
        settings.password.get_secret_value(),
        settings.account,
        settings.connector,
        FeeSchedule(maker=settings.maker_fee_bps * BPS, taker=settings.taker_fee_bps * BPS),
    )
    connector = HummingbotConnector(
        line.http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
        doubtful=around.doubtful,
    )
    switch = HummingbotKillSwitch(line.blocking, options, around.clock)
    notes = Notes(connector.restore, connector.follow)
    return VenueParts(settings, connector, line.budget, line.kill(switch), notes=notes)


KIND = VenueKind(HummingbotSettings, build)
