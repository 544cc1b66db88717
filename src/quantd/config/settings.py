"""The loaded configuration: what the composition root builds the daemon from.

Made by the loader only. Holds secrets as `SecretStr`; never handed to a strategy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quantd.config.models import ProtectionSection, SurveillanceSection
from quantd.config.problems import ConfigProblems, Problem
from quantd.config.tree import Node, deepest
from quantd.control.settings import ControlSettings, WebhookSettings
from quantd.engine.risk.limits import RiskSettings
from quantd.feeds.settings import FeedSettings
from quantd.journal.settings import JournalSettings
from quantd.notify.settings import NotifySettings
from quantd.plugins.settings import StrategySettings
from quantd.telemetry.settings import HealthSettings, LoggingSettings
from quantd.venues.settings import VenueSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the owner decided, complete and valid."""

    journal: JournalSettings
    venues: Mapping[str, VenueSettings]
    """By name; each value is of its venue's own class."""
    risk: RiskSettings
    protection: ProtectionSection
    surveillance: SurveillanceSection
    strategies: tuple[StrategySettings, ...]
    """In the order of the files; `risk` of each already holds the defaults of `risk.strategy`."""
    strategies_dir: Path
    feeds: FeedSettings
    logging: LoggingSettings
    health: HealthSettings
    webhooks: WebhookSettings | None
    """None: no listener for webhooks."""
    control: ControlSettings | None = None
    """None: no control API."""
    notify: NotifySettings | None = None
    """None: the daemon tells nobody by itself."""
    hash: str
    """SHA-256 of the effective configuration in hexadecimal, without secrets and where they come from."""
    warnings: tuple[str, ...]
    """What is allowed but unwise, one sentence each, with its place."""
    tree: Node = field(repr=False)
    """What was written, with places."""

    def locate(self, path: str | Sequence[str]) -> str:
        """Return ``file:line`` of `path`, or the variable that set it; of the nearest section above where it is unset.

        Args:
            path: Keys from the root, as a sequence or joined by dots; strategies go by id:
                ``strategies.sma.params.fast``.
        """
        node, _ = deepest(self.tree, _keys(path))
        return node.named_at.place

    def problem(self, path: str | Sequence[str], *, found: str, expected: str, nearest: str | None = None) -> Problem:
        """Return a problem at `path`, for what only the composition root can find out."""
        keys = _keys(path)
        node, _ = deepest(self.tree, keys)
        return Problem(node.named_at, keys, found, expected, nearest)

    def error(
        self, path: str | Sequence[str], *, found: str, expected: str, nearest: str | None = None
    ) -> ConfigProblems:
        """Return a `ConfigError` to raise, with the one problem at `path`."""
        return ConfigProblems([self.problem(path, found=found, expected=expected, nearest=nearest)])


def _keys(path: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(path.split(".")) if isinstance(path, str) else tuple(path)
