"""Checks that span sections: names that must exist elsewhere, and what real money needs.

Used by the loader once every section is valid by itself. Opens nothing.
"""

import os
from collections.abc import Mapping, Sequence

from quantd.config.problems import Problem, choice, nearest
from quantd.config.secrets import Warned
from quantd.config.tree import Node, deepest, shortened
from quantd.control.settings import WebhookSettings
from quantd.engine.risk.limits import REQUIRED_LIVE, RiskSettings
from quantd.feeds.settings import FeedSettings
from quantd.journal.settings import JournalSettings
from quantd.plugins.settings import StrategySettings
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.settings import VenueSettings


class CrossCheck:
    """Collects what does not fit together, with its place in `tree`."""

    def __init__(self, tree: Node, venues: Mapping[str, VenueSettings]) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Warned] = []
        self._tree = tree
        self._venues = venues
        # A venue that is wrong in itself exists all the same: what names it is not reported besides.
        self._names = sorted(tree.mapping["venues"].mapping) if "venues" in tree.mapping else []

    def venues(self, risk: RiskSettings | None, webhooks: WebhookSettings | None) -> None:
        """Check each venue: its data, its key, and that real money is armed and limited."""
        reached: dict[tuple[str, str], str] = {}
        for name, venue in self._venues.items():
            other = name if venue.reaches is None else reached.setdefault(venue.reaches, name)
            if other != name and all(getattr(venue, key) is not None for key in type(venue).required_secrets):
                self._report(("venues", name), f"the account of {other}", "one entry for each account")
            if isinstance(venue, PaperSettings) and venue.data.venue is not None:
                self._paper_data(name, venue.data.venue)
            if isinstance(venue, IonloopSettings):
                self._ionloop(name, venue, webhooks)
            for key in type(venue).required_secrets:
                if getattr(venue, key) is None:
                    self._secret(name, key)
            if venue.is_production:
                self._production(name, venue, risk)

    def _paper_data(self, name: str, source: str) -> None:
        path = ("venues", name, "data")
        real = [other for other in self._names if not isinstance(self._venues.get(other), PaperSettings)]
        if source not in real:
            what = "itself" if source == name else shortened(source)
            wanted = choice(real) if real else "`synthetic` or `recorded`: there is no real venue to take data from"
            self._report(path, what, wanted, nearest(source, real))

    def _ionloop(self, name: str, venue: IonloopSettings, webhooks: WebhookSettings | None) -> None:
        path = ("venues", name)
        if venue.register_webhook and (webhooks is None or webhooks.public_url is None):
            self._report((*path, "register_webhook"), "true", "`webhooks.public_url`, which the venue is told")
        if venue.register_webhook and venue.webhook_secret is None:
            self._report((*path, "register_webhook"), "true", "a webhook secret, by webhook_secret_file")
        if webhooks is None and venue.webhook_secret is not None:
            sentence = f"{'.'.join(path)}: there is a webhook secret but no `webhooks` section: none arrive"
            self.warnings.append(((*path, "webhook_secret"), sentence))

    def _secret(self, name: str, key: str) -> None:
        variable = f"QUANTD__VENUES__{name.upper().replace('-', '_')}__{key.upper()}"
        self._report(("venues", name, key), "nothing", f"the variable {variable}, or {key}_file")

    def _production(self, name: str, venue: VenueSettings, risk: RiskSettings | None) -> None:
        if not venue.is_armed:
            self._report(("venues", name, "armed"), "nothing", "`armed: live`, because orders here move real money")
        if risk is None:
            return
        for limit in REQUIRED_LIVE:
            if getattr(risk.account, limit) is None:
                self._report(("risk", "account", limit), "nothing", f"this limit, because {name} moves real money")

    def files(self, journal: JournalSettings, feeds: FeedSettings) -> None:
        """Check that the journal's file is nothing else's: the bar store puts a file aside that it cannot use."""
        if os.path.abspath(journal.path) == os.path.abspath(feeds.bar_store):
            self._report(("feeds", "bar_store"), f"{feeds.bar_store}, which is the journal", "a file of its own")

    def names_in_risk(self, risk: RiskSettings) -> None:
        """Check that limits by venue and by instrument name what exists."""
        for name in risk.venues:
            self._venue(("risk", "venues", name), name)
        for name in risk.instruments:
            self._instrument(("risk", "instruments", name), name)
        for scope, listed in (("account", risk.account), ("strategy", risk.strategy)):
            for name in listed.restricted or ():
                self._instrument(("risk", scope, "restricted"), name)
        for venue, limits in risk.venues.items():
            for name in limits.restricted or ():
                self._instrument(("risk", "venues", venue, "restricted"), name)

    def strategies(self, strategies: Sequence[StrategySettings]) -> None:
        """Check that ids are unique and instruments name a venue."""
        seen: set[str] = set()
        for strategy in strategies:
            path = ("strategies", strategy.id)
            if strategy.id in seen:
                self._twice(strategy.id)
            seen.add(strategy.id)
            if strategy.venue is not None:
                self._venue((*path, "venue"), strategy.venue)
            for name in strategy.instrument_ids if strategy.venue in (None, *self._names) else ():
                self._instrument((*path, "instruments"), name)
            self._stage(strategy)

    def _stage(self, strategy: StrategySettings) -> None:
        """Check that a strategy stands where its stage lets it, and that one with real money says its stage."""
        path = ("strategies", strategy.id)
        venues = {name.partition(":")[0] for name in strategy.instrument_ids}
        for name in sorted(venues & self._venues.keys()):
            venue = self._venues[name]
            if strategy.stage == "paper" and not isinstance(venue, PaperSettings):
                found = f"'paper', while it trades at {name}, a real venue"
                self._report((*path, "stage"), found, "an instrument of a venue of `type: paper`, or `stage: canary`")
            elif strategy.stage is None and venue.is_production:
                self._report((*path, "stage"), "nothing", f"canary or live, because {name} moves real money")

    def _twice(self, name: str) -> None:
        places = [item for item in self._tree.mapping["strategies"].items if _id_of(item) == name]
        where = places[-1].mapping["id"].origin
        found = f"the id '{name}' again, first in {places[0].mapping['id'].origin.place}"
        self.problems.append(Problem(where, ("strategies", name, "id"), found, "an id of its own for each strategy"))

    def _instrument(self, path: tuple[str, ...], name: str) -> None:
        venue, colon, symbol = name.partition(":")
        if not colon or not symbol:
            self._report(path, shortened(name), "venue:SYMBOL, such as paper:BTC-USDT")
        else:
            self._venue(path, venue)

    def _venue(self, path: tuple[str, ...], name: str) -> None:
        if self._names and name not in self._names:
            wanted = f"a venue of this configuration: {choice(self._names)}"
            self._report(path, f"the venue {shortened(name)}", wanted, nearest(name, self._names))

    def _report(self, path: tuple[str, ...], found: str, wanted: str, near: str | None = None) -> None:
        node, _ = deepest(self._tree, path)
        self.problems.append(Problem(node.named_at, path, found, wanted, near))


def _id_of(item: Node) -> object:
    child = item.mapping.get("id")
    return child.value if child is not None else None
