"""An entry under `strategies` in the configuration: which class trades what, with which parameters and limits.

Read by the plugin loader and the composition root. Loads no code: `params` stay as they were written until the
strategy's class says what they are.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from quantd.engine.authored import interval_s
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.stages import Stage
from quantd.plugins.cron import check_cron

Interval = Annotated[
    int,
    BeforeValidator(interval_s),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,6}[smhd]$", "examples": ["2s", "1m", "4h", "1d"]}),
]
"""Whole seconds, written with a unit."""

Cron = Annotated[
    str,
    BeforeValidator(lambda value: check_cron(str(value))),
    WithJsonSchema({"type": "string", "examples": ["55 16 * * mon-fri America/New_York"]}),
]
"""Five cron fields and a time zone (UTC without one)."""


class ScheduleSettings(BaseModel):
    """When a strategy trades; always without this section."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    start_at: Cron | None = None
    """From here on new exposure is allowed."""
    stop_at: Cron | None = None
    """From here on only exits are allowed, until the next `start_at`."""
    flat_by: Cron | None = None
    """Here everything is closed, and only exits are allowed until the next `start_at` or trading day."""


class StrategySettings(BaseModel):
    """One strategy that runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", examples=["eurusd-trend"])
    """Name of this strategy in logs, metrics and the journal: `a-z`, `0-9`, `-`, `_`, at most 32. It owns its book."""
    use: str = Field(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_]\w*)*$", examples=["sma_cross.SmaCross"])
    """`module.Class` in the strategies folder, a dotted path, or a registered name."""
    instruments: list[str] | dict[str, str] = Field(min_length=1)
    """Instruments as `venue:SYMBOL`, in a list or by role: `{a: paper:BTC-USDT, b: paper:ETH-USDT}`."""
    venue: str | None = None
    """Venue of the instruments that name none."""
    bars: Interval = 60
    """Interval of the bars that the strategy gets where it asks for no other."""
    params: dict[str, Any] = {}
    """Parameters of the class, by name."""
    stage: Stage | None = None
    """How far it is released: `paper` keeps it from real venues, `canary` caps its limits by `risk.canary` and built-in
    caps, `live` does neither. Where real money moves it must be said; elsewhere nothing means `live`."""
    risk: Limits = Limits()
    """Limits of this strategy alone; what they leave open comes from `risk.strategy`."""
    schedule: ScheduleSettings = ScheduleSettings()
    """When it trades."""
    at_shutdown: Literal["cancel_entries", "cancel_all", "keep", "flatten"] = "cancel_entries"
    """At the daemon's end: keep only exits (`cancel_entries`), no orders, all orders, or close all (`flatten`)."""
    max_gap: Interval | None = None
    """Longest gap in its bars before it warms up afresh; ten bars without it, which a weekend of up to 4h bars exceeds."""
    enabled: bool = True
    """Whether it runs; its position is watched either way."""
    max_slippage_bps: Decimal | None = Field(default=None, gt=0, le=10_000)
    """Basis points beyond the touch at which its market orders are capped; the venue's without it."""
    callback_deadline_s: float = Field(default=0.25, gt=0, le=60, allow_inf_nan=False)
    """Seconds that one callback may take before the strategy is quarantined."""
    max_errors: int = Field(default=1, ge=1, le=1_000)
    """Exceptions of its callbacks within `errors_within_s`, the last of which quarantines it."""
    errors_within_s: float = Field(default=3_600.0, gt=0, le=604_800, allow_inf_nan=False)
    """Seconds after which an exception does not count any more."""

    at_fault: Literal["cancel_entries", "flatten", "keep"] = "cancel_entries"
    """When it is quarantined: cancel its entries and keep its exits, close its book (`flatten`), or leave all orders."""
    restarts_max: int = Field(default=0, ge=0, le=100)
    """How often it is given a fresh object after a quarantine by itself; a resume by a person begins a new count."""
    restart_after_s: float = Field(default=60.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds before the first restart; each further one waits twice as long."""

    @field_validator("instruments")
    @classmethod
    def _no_instrument_twice(cls, value: list[str] | dict[str, str]) -> list[str] | dict[str, str]:
        names = list(value.values()) if isinstance(value, dict) else value
        if len(set(names)) != len(names) or not all(names):
            raise ValueError("each instrument once, as venue:SYMBOL")
        return value

    @property
    def instrument_ids(self) -> tuple[str, ...]:
        """All instruments as `venue:SYMBOL`, in the order of the configuration."""
        names = self.instruments.values() if isinstance(self.instruments, dict) else self.instruments
        return tuple(self._qualified(name) for name in names)

    @property
    def roles(self) -> dict[str, str]:
        """Instruments by role; empty where the configuration gives a list."""
        if not isinstance(self.instruments, dict):
            return {}
        return {role: self._qualified(name) for role, name in self.instruments.items()}

    def _qualified(self, name: str) -> str:
        return f"{self.venue}:{name}" if ":" not in name and self.venue is not None else name
