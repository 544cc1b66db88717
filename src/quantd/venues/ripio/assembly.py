"""Builds Ripio Trade's connector from its section of the configuration."""

from quantd.domain.instruments import FeeSchedule
from quantd.domain.numbers import BPS
from quantd.venues.budget import with_models
from quantd.venues.parts import Surroundings, VenueKind, VenueParts, line_to, rates_of
from quantd.venues.ripio.connector import RipioConnector
from quantd.venues.ripio.kill import RipioKillSwitch
from quantd.venues.ripio.limits import limits_of
from quantd.venues.ripio.options import RipioOptions
from quantd.venues.ripio.settings import RipioSettings
from quantd.venues.ripio.signing import Signer
from quantd.venues.ripio.socket import over_aiohttp


def build(name: str, settings: RipioSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; nothing is opened yet."""
    assert settings.api_token is not None, "the loader requires a token"
    assert settings.api_secret is not None, "the loader requires a secret"
    limits = with_models(limits_of(documents_approved=settings.documents_approved), rates_of(settings.rates))
    line = line_to(name, settings.base_url, limits, timeout_s=settings.timeout_s, around=around)
    token, secret = settings.api_token.get_secret_value(), settings.api_secret.get_secret_value()
    signer = Signer(token, secret, clock=around.clock, tolerance_ms=settings.tolerance_ms)
    options = RipioOptions(
        fees=FeeSchedule(settings.maker_fee_bps * BPS, settings.taker_fee_bps * BPS, asset="received"),
        prefix=settings.path_prefix,
        tolerance_ms=settings.tolerance_ms,
        home_currency=settings.home_currency,
    )
    connector = RipioConnector(
        line.http,
        options,
        signer,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
        connect=over_aiohttp(settings.stream_address) if settings.stream_address is not None else None,
    )
    switch = RipioKillSwitch(line.blocking, signer, settings.path_prefix)
    parts = VenueParts(settings, connector, line.budget, line.kill(switch))
    stream = connector.stream
    if stream is None:
        return parts
    return parts._replace(stream=lambda instruments, emit: stream.run([one.symbol for one in instruments], emit))


KIND = VenueKind(RipioSettings, build)
