"""Builds a paper venue from its section of the configuration."""

from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.parts import Surroundings, VenueKind, VenueParts


def build(name: str, settings: PaperSettings, around: Surroundings) -> VenueParts:
    """Return the venue's parts; orders live in this process, so there is no budget and nothing for a kill to ask."""
    connector = PaperConnector(name, settings, around.clock)
    connector.last_look = around.last_look
    return VenueParts(settings, connector)


KIND = VenueKind(PaperSettings, build)
