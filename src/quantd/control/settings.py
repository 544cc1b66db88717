"""The `webhooks` section of the configuration: the listener that venues send their notices to.

Read by the composition root. Opens nothing.
"""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that never leave this machine: plain http is good enough there."""


class WebhookSettings(BaseModel):
    """A listener of its own: only signed routes, nothing else on the port. Without this section there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""
    port: int = Field(default=9465, ge=0, le=65535)
    """TCP port; 0 takes any free one."""
    body_limit: int = Field(default=65_536, ge=256, le=16_777_216)
    """Bytes of a request's body above which it is refused unread."""
    public_url: str | None = None
    """Address at which venues reach the listener, without a path: https, or http on this machine."""

    @field_validator("public_url")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        encrypted = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
        if not encrypted or not url.hostname or url.username is not None:
            raise ValueError("an https:// address without a user, or http:// on this machine")
        return value.rstrip("/")
