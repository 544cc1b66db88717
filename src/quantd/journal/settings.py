"""The `journal` section of the configuration: where the daemon writes down what it does.

Read by the composition root. Opens nothing.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class JournalSettings(BaseModel):
    """Where orders, fills and halts are kept, and how far back a restart has to read."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: Path = Path("var/quantd.db")
    """File of the journal; made when it is missing. Relative paths count from the working directory."""
    snapshot_every: int = Field(default=10_000, ge=100)
    """Records between two snapshots; a restart folds at most this many records after the last one."""
    keep_days: int | None = Field(default=None, ge=1)
    """Days for which records stay in the file. Older ones move into compressed files in the folder `<path>.archive`, which stay
    part of the journal; orders, fills and what else is asked for stay in it for ever. Empty: all records stay."""
    record: bool = False
    """Also write every input of the engine to a log of its own, so that the run can be replayed."""
    record_max_mb: int | None = Field(default=None, ge=1)
    """Megabytes (10^6 bytes) that all input logs may take: those of the oldest runs are removed, and a run that fills it alone
    stops recording. Empty: no limit."""
    state_dir: Path = Path("var/state")
    """Folder of the locks of each (venue, account) and of the halt latch; daemons that share an account share it."""
