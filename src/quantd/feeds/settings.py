"""The `feeds` section of the configuration: how market data is asked for and when it is too old.

Read by the composition root. Opens nothing.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class FeedSettings(BaseModel):
    """Poll intervals and freshness of market data; a venue may set its own intervals."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quote_every_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Seconds between two polls of a quote."""
    book_every_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Seconds between two polls of an order book."""
    book_depth: int = Field(default=20, ge=1, le=500)
    """Levels a side that are asked for where a strategy names no depth."""
    bar_grace_s: float = Field(default=0.25, ge=0, allow_inf_nan=False)
    """Seconds after its close that a bar waits for late quotes before it counts as complete."""
    max_age_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Seconds after which data is stale: counted, reported, and never traded on."""
    bar_store: Path = Path("var/bars.db")
    """File in which bars built from quotes are kept for the next warm-up."""
    bar_store_keep: int = Field(default=5_000, ge=0)
    """Bars kept for each instrument and interval."""
    conflate_above: int = Field(default=256, ge=1)
    """Events waiting in the inbox above which quotes and books of one instrument are merged, newest first."""
