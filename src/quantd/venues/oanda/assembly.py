"""Builds OANDA's connector and its streams from a section of the configuration."""

import random

from quantd.domain.cash import PositionMode
from quantd.venues.budget import with_models
from quantd.venues.lines import AiohttpLines
from quantd.venues.oanda.connector import OandaConnector
from quantd.venues.oanda.kill import OandaKillSwitch
from quantd.venues.oanda.limits import LIMITS
from quantd.venues.oanda.options import OandaOptions
from quantd.venues.oanda.settings import OandaSettings
from quantd.venues.oanda.streams import Streams
from quantd.venues.parts import LogPlace, Surroundings, VenueKind, VenueParts, line_to, rates_of


def build(name: str, settings: OandaSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; nothing is opened yet."""
    assert settings.token is not None, "the loader requires a token"
    limits = with_models(LIMITS, rates_of(settings.rates))
    line = line_to(name, settings.address, limits, timeout_s=settings.timeout_s, around=around)
    options = OandaOptions(
        settings.token.get_secret_value(),
        settings.account,
        PositionMode(settings.positions),
        settings.currency,
        settings.first_in_first_out,
    )
    connector = OandaConnector(
        line.http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
    )
    parts = VenueParts(
        settings,
        connector,
        line.budget,
        line.kill(OandaKillSwitch(line.blocking, options)),
        log=LogPlace(connector.ledger.resume, lambda: connector.handed_out_id),
    )
    if settings.stream_address is None:
        return parts
    streams = Streams(
        name,
        options.token,
        options.account,
        lines=AiohttpLines(settings.stream_address),
        clock=around.clock,
        random=random.Random(),
        observer=around.observer,
    )
    return parts._replace(
        prices=streams.prices,
        hints=lambda happened: streams.transactions(lambda: connector.ledger.last_id, happened),
    )


KIND = VenueKind(OandaSettings, build)
