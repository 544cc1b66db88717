"""Which types of venue there are: those of this package, and those that outside packages register.

A new venue of ours is one line here; an outside one registers a `VenueKind` in the entry point group `quantd.venues`.
"""

from collections.abc import Mapping
from functools import cache

from quantd.errors import ConfigError
from quantd.plugins.loader import VENUES, load_registered
from quantd.venues.hummingbot import assembly as hummingbot
from quantd.venues.ionloop import assembly as ionloop
from quantd.venues.oanda import assembly as oanda
from quantd.venues.paper import assembly as paper
from quantd.venues.parts import VenueKind
from quantd.venues.ripio import assembly as ripio
from quantd.venues.settings import VenueSettings
from quantd.venues.tradelocker import assembly as tradelocker

BUILT_IN: Mapping[str, VenueKind] = {
    "hummingbot": hummingbot.KIND,
    "ionloop": ionloop.KIND,
    "oanda": oanda.KIND,
    "paper": paper.KIND,
    "ripio": ripio.KIND,
    "tradelocker": tradelocker.KIND,
}


@cache
def registered() -> Mapping[str, VenueKind]:
    """Return the venue types of outside packages, by the name that is their `type`.

    Raises:
        ConfigError: a package cannot be imported, registers something else, or takes a name of ours.
    """
    found, failures = load_registered(VENUES)
    if failures:
        raise ConfigError(f"entry points of {VENUES}: " + "; ".join(str(failure) for failure in failures))
    for name, kind in found.items():
        if name in BUILT_IN:
            raise ConfigError(f"entry points of {VENUES}: {name!r} is a venue of quantd's own, expected another name")
        if not isinstance(kind, VenueKind):
            raise ConfigError(
                f"entry points of {VENUES}: {name!r} is of type {type(kind).__name__}, expected a quantd VenueKind"
            )
    return found


def venue_kind(name: str) -> VenueKind:
    """Return a venue type by the name that is its `type`; a `KeyError` for one that there is not."""
    return BUILT_IN.get(name) or registered()[name]


def venue_types() -> Mapping[str, type[VenueSettings]]:
    """Return the settings of every venue type: what is built in, and what outside packages register beside it."""
    return {name: kind.settings for name, kind in {**registered(), **BUILT_IN}.items()}
