"""From the configuration's venues to connectors, each with its own budget, transport and account."""

from collections import defaultdict
from collections.abc import Mapping

from quantd.config import Settings
from quantd.config.venue_kinds import venue_kind
from quantd.domain.cash import AccountKind
from quantd.engine.state import State
from quantd.ports import Transport
from quantd.runtime.vouched import Vouched
from quantd.venues.addresses import place_of
from quantd.venues.budget import AddressPool
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.parts import Surroundings, VenueParts
from quantd.venues.settings import VenueSettings
from quantd.venues.transport import AiohttpTransport


def over_http(_venue: str, base_url: str, idle_s: float) -> Transport:
    """Return the transport of production."""
    return AiohttpTransport(base_url, idle_s=idle_s)


def build_venues(settings: Settings, around: Surroundings) -> dict[str, VenueParts]:
    """Return all venues by name; accounts of one type at one address share what the venue counts by address.

    A paper venue on another's data is given that venue's connector.
    """
    pools: defaultdict[tuple[str, str], AddressPool] = defaultdict(AddressPool)

    def build(name: str, one: VenueSettings) -> VenueParts:
        shared = around._replace(pool=lambda address: pools[one.type, place_of(address)])
        return venue_kind(one.type).build(name, one, shared)

    built = {name: build(name, one) for name, one in settings.venues.items()}
    for parts in built.values():
        if isinstance(parts.settings, PaperSettings) and isinstance(parts.connector, PaperConnector):
            source = parts.settings.data.venue
            # Vouched for here: the exchange under it would keep rules that cannot be.
            parts.connector.source = None if source is None else Vouched(built[source].connector)
    return built


def reopen_paper(venues: Mapping[str, VenueParts], state: State) -> None:
    """Let paper accounts go on with the balances and lots that the journal knows."""
    for name, parts in venues.items():
        known = state.portfolio.accounts.get(name)
        if not isinstance(parts.connector, PaperConnector) or known is None or not known.totals:
            continue
        owes = parts.connector.account.kind is AccountKind.MARGIN  # a jump may have taken more than there was
        parts.connector.balances = {asset: amount for asset, amount in known.totals.items() if amount > 0 or owes}
        for held in state.lots[name].all() if name in state.lots else ():
            parts.connector.lots.setdefault(held.lot.instrument, []).append(held.lot)
