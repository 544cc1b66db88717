"""The `logging` and `health` sections of the configuration: what the daemon tells about itself, and where.

Read by the composition root. Opens nothing.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LoggingSettings(BaseModel):
    """How log lines look and which of them are written."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal["auto", "json", "console"] = "auto"
    """`json` lines, `console` for people, or `auto`: console on a terminal and json elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least weight of the lines that are written."""


class HealthSettings(BaseModel):
    """The listener of `/livez`, `/readyz` and `/metrics`: no secrets, no actions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on; `0.0.0.0` inside a container."""
    port: int = Field(default=9464, ge=0, le=65535)
    """TCP port; 0 takes any free one."""
