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
from quantd.surveillance.findings import Thresholds
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


class SurveillanceSection(BaseModel):
    """How much of a pattern of market abuse in our own flow is flagged. It blocks nothing; people decide what it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    window_s: float = Field(default=3.0, gt=0, le=60, allow_inf_nan=False)
    """Seconds after a fill of ours within which orders on the other side are withdrawn."""
    lived_max_s: float = Field(default=60.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds that a withdrawn order had stood at most when we traded: what stood longer was meant."""
    size_ratio: float = Field(default=5.0, ge=1, allow_inf_nan=False)
    """What was withdrawn, as a multiple of all that we showed on the side that traded."""
    near_bps: float = Field(default=25.0, ge=0, le=1_000, allow_inf_nan=False)
    """Basis points that an order may lie further from the market than the one it replaces and still count as the same."""
    layers: int = Field(default=3, ge=2)
    """Orders withdrawn together from which on it is layering and not spoofing."""
    wash_s: float = Field(default=1.0, gt=0, le=3_600, allow_inf_nan=False)
    """Seconds between a purchase and a sale at one price."""
    wash_difference: float = Field(default=0.1, ge=0, lt=1)
    """Share by which their quantities may differ."""
    momentum_s: float = Field(default=30.0, gt=0, le=3_600, allow_inf_nan=False)
    """Seconds within which aggressive orders of one side belong together."""
    momentum_orders: int = Field(default=5, ge=2)
    """Aggressive orders in that time."""
    momentum_bps: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Basis points from the first fill of them to the last, in their direction."""
    reversal_s: float = Field(default=60.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds after the last of them within which the other side follows."""
    reversal_share: float = Field(default=0.5, gt=0, le=1)
    """Share of what they traded that is traded back at a better price."""
    repeats: int = Field(default=3, ge=1)
    """How often a pattern must be seen in one market before it is flagged: once is chance."""
    within_s: float = Field(default=3_600.0, gt=0, le=86_400, allow_inf_nan=False)
    """Seconds within which these count."""

    def thresholds(self) -> Thresholds:
        """Return them as surveillance takes them."""
        return Thresholds(**self.model_dump())


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
    surveillance: SurveillanceSection = SurveillanceSection()
    """What in our own flow is flagged for people."""
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
