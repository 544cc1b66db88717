"""Which instruments there are: names, the server's ids, and the routes to each.

Used by the readers. Ids and routes differ by server, user and instrument, so they are read at every start and stay in here;
outside, an instrument is its name.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.errors import Refused, Unsound
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.listing import expect_agreed, once, readable
from quantd.venues.tradelocker import wire
from quantd.venues.tradelocker.api import Api


class Listed(msgspec.Struct, frozen=True):
    """One instrument of the list."""

    name: str
    """The broker's; where two share one, each has its id behind it: ``EURUSD#278``."""
    id: str
    """The tradable id, which all routes take."""
    trade_route: str
    """Empty where the user may not trade it."""
    info_routes: tuple[str, ...]


class Catalogue:
    """The list as it was read last.

    Args:
        api: The session.
        account: Its id, for the path.
        alerts: Told of what is listed more than once.
    """

    def __init__(self, api: Api, account: str, alerts: Alerts) -> None:
        self.venue = api.venue
        self._api = api
        self._alerts = alerts
        self._path = f"/trade/accounts/{account}/instruments"
        self._by_name: dict[str, Listed] = {}
        self._by_id: dict[str, Listed] = {}
        self._shared: dict[str, list[str]] = {}
        """Ids by a name that several have."""
        self._contradicted: dict[str, str] = {}
        """By name, in what the rows of one id differ."""
        self._unreadable: dict[str, str] = {}
        """By name, why its row cannot be read."""

    async def read(self) -> None:
        """Read the list.

        Raises:
            VenueError: it could not be read.
        """
        found = await self._api.read("instruments", self._path, wire.InstrumentItems, Lane.ACCOUNT)
        told = found.instruments if found else ()
        rows, self._unreadable = readable(told, wire.InstrumentItem, "name", self._alerts, "instrument")
        items, differ = once(rows, lambda item: str(item.tradable_instrument_id), self._alerts, "instrument")
        names = Counter(item.name for item in items.values())
        listed = [_listed(item, is_shared=names[item.name] > 1) for item in items.values()]
        self._contradicted = {one.name: differ[one.id] for one in listed if one.id in differ}
        self._shared = {
            name: [one.id for one in listed if _bare(one.name) == name] for name in names if names[name] > 1
        }
        self._by_name = {one.name: one for one in listed}
        self._by_id = {one.id: one for one in listed}

    async def find(self, names: Iterable[str]) -> list[Listed]:
        """Return instruments by name, from a list read afresh where one is not known.

        Raises:
            Refused: there is none, or several of that name; says what there is.
            Contradicts: it is listed in several ways.
            Unsound: it is listed in a way that cannot be read.
            VenueError: the list could not be read.
        """
        wanted = list(names)
        if any(name not in self._by_name or name in self._contradicted for name in wanted):
            await self.read()
        for name in wanted:
            if name in self._shared:
                choice = ", ".join(f"{name}#{one}" for one in self._shared[name])
                raise Refused(self._api.venue, "instruments", "ambiguous", f"{name} is several: {choice}")
            if name in self._unreadable:
                raise Unsound(self._api.venue, "instruments", f"{name} cannot be read: {self._unreadable[name]}")
            if name not in self._by_name:
                raise Refused(self._api.venue, "instruments", "not_found", f"{name} is not listed")
            expect_agreed(self._api.venue, "instruments", name, self._contradicted)
        return [self._by_name[name] for name in wanted]

    def known(self, name: str) -> Listed | None:
        """Return an instrument of the list as it was read last."""
        return self._by_name.get(name)

    def names(self) -> tuple[str, ...]:
        """Return all names but those that are listed in several ways."""
        return tuple(name for name in self._by_name if name not in self._contradicted)

    def instrument_id(self, tradable_id: str) -> InstrumentId:
        """Return the id of what a row names; one that is not listed (any more) is named by its number."""
        listed = self._by_id.get(tradable_id)
        return InstrumentId(f"{self._api.venue}:{'#' + tradable_id if listed is None else listed.name}")


def _bare(name: str) -> str:
    return name.rpartition("#")[0] or name


def _listed(item: wire.InstrumentItem, *, is_shared: bool) -> Listed:
    routes = {kind: [str(one.id) for one in item.routes if one.type.upper() == kind] for kind in ("TRADE", "INFO")}
    number = str(item.tradable_instrument_id)
    name = f"{item.name}#{number}" if is_shared else item.name
    return Listed(name, number, routes["TRADE"][0] if routes["TRADE"] else "", tuple(routes["INFO"]))
