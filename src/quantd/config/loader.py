"""Loads configuration files: read, merge, override, check, and only then hand over.

Used by the command line and the composition root. Everything that is wrong is reported in one error; nothing else
happens before it is put right.
"""

import copy
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quantd.config.crosscheck import CrossCheck
from quantd.config.effective import effective_hash
from quantd.config.environment import Environment
from quantd.config.limits import DAY_ENDS, read_day_ends
from quantd.config.merge import merged
from quantd.config.models import RiskSection, Root
from quantd.config.problems import ConfigProblems, Problem
from quantd.config.secrets import Warned
from quantd.config.settings import Settings
from quantd.config.shape import Shape
from quantd.config.tree import Node, Origin, find, identity
from quantd.config.venue_kinds import venue_types
from quantd.config.yaml_source import read_file
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.stages import staged
from quantd.feeds.settings import FeedSettings
from quantd.journal.settings import JournalSettings
from quantd.plugins.settings import StrategySettings
from quantd.venues.settings import VenueSettings

JOURNAL = "journal"


class Names(NamedTuple):
    """What files call things."""

    venues: tuple[str, ...]
    strategies: tuple[str, ...]


def load(
    paths: Sequence[Path],
    environ: MutableMapping[str, str],
    plugin_venues: Mapping[str, type[VenueSettings]] | None = None,
) -> Settings:
    """Return the configuration of `paths`, later files over earlier ones, and of `environ` over all of them.

    Secret variables are removed from `environ`.

    Raises:
        ConfigProblems: a `ConfigError` with everything that is wrong.
    """
    types = venue_types() if plugin_venues is None else {**venue_types(), **plugin_venues}
    tree, shape, sections, problems = _sections(paths, environ, types)
    risk = _risk(sections.get("risk"), tree, problems)
    check = CrossCheck(tree, sections.get("venues", {}))
    _cross_check(check, sections, risk)
    problems += check.problems
    if problems or risk is None:
        raise ConfigProblems(_once(problems))
    strategies: list[StrategySettings] = sections.get("strategies", [])
    merged_strategies = tuple(each.model_copy(update={"risk": _limits_of(each, risk)}) for each in strategies)
    root = Root.model_construct(**{**sections, "strategies": list(merged_strategies)})
    return Settings(
        journal=root.journal,
        venues=root.venues,
        risk=risk,
        protection=root.protection,
        surveillance=root.surveillance,
        strategies=merged_strategies,
        strategies_dir=root.strategies_dir,
        feeds=root.feeds,
        logging=root.logging,
        health=root.health,
        webhooks=root.webhooks,
        control=root.control,
        notify=root.notify,
        hash=effective_hash(root, risk),
        warnings=_worth_telling((*shape.warnings, *check.warnings), root.venues),
        tree=tree,
    )


def load_journal(paths: Sequence[Path], environ: MutableMapping[str, str]) -> JournalSettings:
    """Return where the journal and the halt latch of the configuration are, and let its other sections be wrong.

    A person who halts must not have to read the daemon's secrets, or to mend a limit, first. A section of an unknown name
    is refused all the same: it may be a misspelt `journal`.

    Raises:
        ConfigProblems: a file that cannot be read, an unknown section, or a `journal` that is wrong.
    """
    _, _, sections, problems = _sections(paths, environ, venue_types())
    ours = [each for each in problems if not each.key or each.key[0] not in Root.model_fields or each.key[0] == JOURNAL]
    if ours:
        raise ConfigProblems(_once(ours))
    settings: JournalSettings = sections.get(JOURNAL, JournalSettings())
    return settings


def load_names(paths: Sequence[Path]) -> Names:
    """Return what the configuration calls its venues and strategies, whatever else is wrong with them.

    Raises:
        ConfigProblems: a file that cannot be read.
    """
    tree = _read(paths).mapping
    venues, strategies = tree.get("venues"), tree.get("strategies")
    ids = [identity(one) for one in strategies.items] if strategies is not None else []
    return Names(tuple(venues.mapping) if venues is not None else (), tuple(one for one in ids if one is not None))


def _sections(
    paths: Sequence[Path], environ: MutableMapping[str, str], types: Mapping[str, type[VenueSettings]]
) -> tuple[Node, Shape, dict[str, Any], list[Problem]]:
    """Return the tree, what read it, its valid sections, and what is wrong so far."""
    tree = _read(paths)
    environment = Environment(environ, types)
    environment.apply(tree)
    shape = Shape(types)
    sections = shape.read_sections(Node(tree.mapping, Origin(tree.origin.source, 1, 1)), Root)
    return tree, shape, sections, [*environment.problems, *shape.problems]


def _read(paths: Sequence[Path]) -> Node:
    if not paths:
        raise ConfigProblems([Problem(None, (), "no configuration file", "at least one")])
    problems: list[Problem] = []
    tree: Node | None = None
    for path in paths:
        try:
            node = read_file(path)
        except ConfigProblems as error:
            problems += error.problems
            continue
        tree = node if tree is None else merged(tree, node)
    if problems or tree is None:
        raise ConfigProblems(problems)
    return copy.deepcopy(tree)


def _risk(section: RiskSection | None, tree: Node, problems: list[Problem]) -> RiskSettings | None:
    path = ("risk", "account", DAY_ENDS)
    day_ends = read_day_ends(find(tree, path), path, problems)
    if section is None:
        return None
    return RiskSettings(
        base_currency=section.base_currency,
        day_ends=day_ends,
        account=section.account,
        order=section.order,
        strategy=section.strategy,
        venues=section.venues,
        instruments=section.instruments,
        canary=section.canary,
    )


def _limits_of(strategy: StrategySettings, risk: RiskSettings) -> Limits:
    """Return what holds for a strategy: its own limits, the defaults beneath, the caps of its stage above."""
    return staged(strategy.risk.over(risk.strategy), strategy.stage or "live", risk.canary)


def _cross_check(check: CrossCheck, sections: Mapping[str, Any], risk: RiskSettings | None) -> None:
    check.venues(risk, sections.get("webhooks"))
    check.strategies(sections.get("strategies", []))
    check.files(sections.get(JOURNAL, JournalSettings()), sections.get("feeds", FeedSettings()))
    if risk is not None:
        check.names_in_risk(risk)


def _worth_telling(warnings: Sequence[Warned], venues: Mapping[str, VenueSettings]) -> tuple[str, ...]:
    """Return the sentences; what a simulator on this machine calls a secret needs no care."""
    local = {name for name, venue in venues.items() if venue.is_local}
    return tuple(sentence for path, sentence in warnings if path[0] != "venues" or path[1] not in local)


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """Return each problem once: a section that is wrong is not reported again for what it lacks."""
    seen: dict[tuple[str, ...], Problem] = {}
    for index, problem in enumerate(problems):
        seen.setdefault((str(problem.where), *problem.key) if problem.key else (str(index),), problem)
    return list(seen.values())
