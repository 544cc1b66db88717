"""From the configuration's venues to connectors, each with its own budget, transport and account."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from quantd.config import Settings
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.numbers import BPS
from quantd.engine.state import State
from quantd.ports import Clock, Connector, Observer, Transport
from quantd.runtime.kill import Target
from quantd.venues.blocking import BlockingTransport
from quantd.venues.budget import Bucket, RateBudget, Window
from quantd.venues.http import LastLook, VenueHttp
from quantd.venues.hummingbot.connector import HummingbotConnector
from quantd.venues.hummingbot.kill import HummingbotKillSwitch
from quantd.venues.hummingbot.limits import configured as hummingbot_limits
from quantd.venues.hummingbot.options import HummingbotOptions
from quantd.venues.hummingbot.settings import HummingbotSettings
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.kill import OPERATION, IonloopKillSwitch
from quantd.venues.ionloop.limits import configured
from quantd.venues.ionloop.options import IonloopOptions
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.ripio.connector import RipioConnector
from quantd.venues.ripio.kill import RipioKillSwitch
from quantd.venues.ripio.limits import configured as ripio_limits
from quantd.venues.ripio.options import RipioOptions
from quantd.venues.ripio.settings import RipioSettings
from quantd.venues.ripio.signing import Signer
from quantd.venues.ripio.socket import over_aiohttp
from quantd.venues.settings import RateOverride, VenueSettings
from quantd.venues.transport import AiohttpTransport

KILL_AT_ONCE = 1
"""Requests kept back from each budget, so that the first cancel of a kill need not wait."""
KILL_TIMEOUT_S = 5.0
MakeTransport = Callable[[str, str], Transport]
"""(venue, base URL) -> how requests travel: aiohttp in production, a simulator in memory in simulations."""


def over_http(_venue: str, base_url: str) -> Transport:
    """Return the transport of production."""
    return AiohttpTransport(base_url)


class Surroundings(NamedTuple):
    """What every connector is given."""

    clock: Clock
    observer: Observer
    last_look: LastLook
    known_venue_ids: Callable[[InstrumentId], Iterable[str]]
    auth_failed: Callable[[str, str], None]
    """(venue, reason)."""
    transport: MakeTransport


class VenueParts(NamedTuple):
    """One venue: its connector, and what must be kept over restarts."""

    settings: VenueSettings
    connector: Connector
    budget: RateBudget | None = None
    kill: Target | None = None
    """How the kill path cancels there; None where orders live in this process only."""


def build_venue(name: str, settings: VenueSettings, around: Surroundings) -> VenueParts:
    """Return a venue's parts; nothing is opened yet.

    Raises:
        ValueError: for a type that this version does not know; the loader refuses it before.
    """
    if isinstance(settings, IonloopSettings):
        return _ionloop(name, settings, around)
    if isinstance(settings, HummingbotSettings):
        return _hummingbot(name, settings, around)
    if isinstance(settings, RipioSettings):
        return _ripio(name, settings, around)
    if isinstance(settings, PaperSettings):
        connector = PaperConnector(name, settings, around.clock)
        connector.last_look = around.last_look
        return VenueParts(settings, connector)
    raise ValueError(f"venue {name}: type {settings.type!r} has no connector in this version")


def _ionloop(name: str, settings: IonloopSettings, around: Surroundings) -> VenueParts:
    assert settings.api_key is not None, "the loader requires a key"
    limits = configured({limit: _model(override) for limit, override in settings.rates.items()})
    budget = RateBudget(name, limits, clock=around.clock, observer=around.observer)
    transport = around.transport(name, settings.address)
    http = VenueHttp(name, transport, budget, around.clock, around.observer, settings.timeout_s)
    http.last_look = around.last_look
    fees = FeeSchedule(maker=settings.maker_fee_bps * BPS, taker=settings.taker_fee_bps * BPS)
    options = IonloopOptions(
        api_key=settings.api_key.get_secret_value(),
        fees=fees,
        idempotency=settings.idempotency,
        paths=settings.paths.model_dump(exclude_none=True),
        limits=limits,
    )
    connector = IonloopConnector(
        http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
    )
    blocking = BlockingTransport(settings.address, min(settings.timeout_s, KILL_TIMEOUT_S))
    allowance = budget.reserve_for_kill(OPERATION, KILL_AT_ONCE)
    switch = IonloopKillSwitch(blocking, options.api_key, options.paths)
    kill = Target(switch, OPERATION, allowance.count, allowance.interval_s)
    return VenueParts(settings, connector, budget, kill)


def _hummingbot(name: str, settings: HummingbotSettings, around: Surroundings) -> VenueParts:
    assert settings.password is not None, "the loader requires a password"
    limits = hummingbot_limits({limit: _model(override) for limit, override in settings.rates.items()})
    budget = RateBudget(name, limits, clock=around.clock, observer=around.observer)
    transport = around.transport(name, settings.base_url)
    http = VenueHttp(name, transport, budget, around.clock, around.observer, settings.timeout_s)
    http.last_look = around.last_look
    options = HummingbotOptions(
        settings.username,
        settings.password.get_secret_value(),
        settings.account,
        settings.connector,
        FeeSchedule(maker=settings.maker_fee_bps * BPS, taker=settings.taker_fee_bps * BPS),
    )
    connector = HummingbotConnector(
        http,
        options,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
    )
    blocking = BlockingTransport(settings.base_url, min(settings.timeout_s, KILL_TIMEOUT_S))
    allowance = budget.reserve_for_kill(OPERATION, KILL_AT_ONCE)
    kill = Target(HummingbotKillSwitch(blocking, options), OPERATION, allowance.count, allowance.interval_s)
    return VenueParts(settings, connector, budget, kill)


def _ripio(name: str, settings: RipioSettings, around: Surroundings) -> VenueParts:
    assert settings.api_token is not None, "the loader requires a token"
    assert settings.api_secret is not None, "the loader requires a secret"
    limits = ripio_limits(
        {limit: _model(override) for limit, override in settings.rates.items()},
        documents_approved=settings.documents_approved,
    )
    budget = RateBudget(name, limits, clock=around.clock, observer=around.observer)
    transport = around.transport(name, settings.base_url)
    http = VenueHttp(name, transport, budget, around.clock, around.observer, settings.timeout_s)
    http.last_look = around.last_look
    token, secret = settings.api_token.get_secret_value(), settings.api_secret.get_secret_value()
    signer = Signer(token, secret, clock=around.clock, tolerance_ms=settings.tolerance_ms)
    options = RipioOptions(
        fees=FeeSchedule(settings.maker_fee_bps * BPS, settings.taker_fee_bps * BPS, asset="received"),
        prefix=settings.path_prefix,
        tolerance_ms=settings.tolerance_ms,
        home_currency=settings.home_currency,
    )
    connector = RipioConnector(
        http,
        options,
        signer,
        observer=around.observer,
        known_venue_ids=around.known_venue_ids,
        auth_failed=lambda reason: around.auth_failed(name, reason),
        connect=over_aiohttp(settings.stream_address) if settings.stream_address is not None else None,
    )
    blocking = BlockingTransport(settings.base_url, min(settings.timeout_s, KILL_TIMEOUT_S))
    allowance = budget.reserve_for_kill(OPERATION, KILL_AT_ONCE)
    switch = RipioKillSwitch(blocking, signer, settings.path_prefix)
    return VenueParts(settings, connector, budget, Target(switch, OPERATION, allowance.count, allowance.interval_s))


def _model(override: RateOverride) -> Bucket | Window:
    if override.rate is not None and override.burst is not None:
        return Bucket(override.rate, override.burst)
    assert override.limit is not None, "the model checks that one of the two forms is whole"
    assert override.seconds is not None, "the model checks that one of the two forms is whole"
    return Window(override.limit, override.seconds)


def build_venues(settings: Settings, around: Surroundings) -> dict[str, VenueParts]:
    """Return all venues by name; a paper venue on another's data is given that venue's connector."""
    built = {name: build_venue(name, one, around) for name, one in settings.venues.items()}
    for parts in built.values():
        if isinstance(parts.settings, PaperSettings) and isinstance(parts.connector, PaperConnector):
            source = parts.settings.data.venue
            parts.connector.source = None if source is None else built[source].connector
    return built


def reopen_paper(venues: Mapping[str, VenueParts], state: State) -> None:
    """Let paper accounts go on with the balances and lots that the journal knows."""
    for name, parts in venues.items():
        known = state.portfolio.accounts.get(name)
        if not isinstance(parts.connector, PaperConnector) or known is None or not known.totals:
            continue
        parts.connector.balances = {asset: amount for asset, amount in known.totals.items() if amount > 0}
        for held in state.lots[name].all() if name in state.lots else ():
            parts.connector.lots.setdefault(held.lot.instrument, []).append(held.lot)
