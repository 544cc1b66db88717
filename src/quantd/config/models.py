"""The whole configuration as models: which sections there are, and which venue types.

Used by the checks, the schema and the reference. The sections themselves lie beside what they configure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from quantd.control.settings import ControlSettings, WebhookSettings
from quantd.engine.risk.limits import Limits, Scope
from quantd.feeds.settings import FeedSettings
from quantd.journal.settings import JournalSettings
from quantd.notify.settings import NotifySettings
from quantd.plugins.settings import StrategySettings
from quantd.telemetry.settings import HealthSettings, LoggingSettings
from quantd.venues.settings import VenueSettings


@dataclass(frozen=True, slots=True)
class ScopeOf:
    """Marks a field of type `Limits` with the scope that it stands for."""

    scope: Scope


class RiskSection(BaseModel):
    """Limits. Money is in the base currency, quantities in the instrument's own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    base_currency: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,9}$", examples=["USD"])
    """Currency of all money in this section and of the reported profit."""
    account: Annotated[Limits, ScopeOf("account")] = Limits()
    """Limits over everything together, and `day_ends`: the time and zone at which daily limits start afresh."""
    order: Annotated[Limits, ScopeOf("order")] = Limits()
    """Limits of each single order, whoever sends it."""
    strategy: Annotated[Limits, ScopeOf("strategy")] = Limits()
    """What a strategy's own `risk` leaves open."""
    venues: dict[str, Annotated[Limits, ScopeOf("venue")]] = {}
    """Limits by venue."""
    instruments: dict[str, Annotated[Limits, ScopeOf("instrument")]] = {}
    """Limits by instrument, as `venue:SYMBOL`."""
    canary: Annotated[Limits, ScopeOf("strategy")] = Limits()
    """Caps of every strategy with `stage: canary`. They only tighten the built-in ones: 1000 an order, 5000 gross, 25000
    and 200 orders a day, 5 open orders, a daily loss of 250, and a collar of 200 basis points."""


class ProtectionSection(BaseModel):
    """What happens when a position stands without the stop that its strategy wants for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    naked_after_s: float = Field(default=10.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds that a position may stand so while its market is open; until then its stop is tried again."""
    when_naked: Literal["exit", "halt", "alert"] = "exit"
    """Then: `exit` closes it at the market and puts the strategy into REDUCING until a person resumes it, `halt` does the
    latter alone and goes on trying, `alert` only tells. Where the engine watches the stop and sees no price, it is told."""


class Root(BaseModel):
    """Configuration of the quantd daemon."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    journal: JournalSettings = JournalSettings()
    """Where the daemon writes down what it does."""
    venues: dict[str, VenueSettings] = Field(min_length=1)
    """Where it trades: a name of your own for each account, with the venue's `type`."""
    risk: RiskSection
    """What the risk gate allows."""
    protection: ProtectionSection = ProtectionSection()
    """How long a position may stand without its stop, and what follows."""
    strategies: list[StrategySettings] = []
    """What trades; several files merge these by `id`."""
    strategies_dir: Path = Path("strategies")
    """Folder in which strategies are looked for."""
    feeds: FeedSettings = FeedSettings()
    """How market data is asked for."""
    logging: LoggingSettings = LoggingSettings()
    """How log lines look."""
    health: HealthSettings = HealthSettings()
    """Listener of `/livez`, `/readyz` and `/metrics`."""
    webhooks: WebhookSettings | None = None
    """Listener for the venues' notices; none without this section."""
    control: ControlSettings | None = None
    """Listener for operators, on this machine; none without this section."""
    notify: NotifySettings | None = None
    """Who is told by the daemon itself, and who watches that it lives; nobody without this section."""
