"""The `notify` section of the configuration: who is told what by the daemon, and who watches that it lives.

Read by the composition root. Opens nothing.
"""

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from quantd.notify.templates import faults

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that never leave this machine: an unencrypted connection is good enough there."""
CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What a channel's name may look like."""
_ADDRESS = re.compile(r"[^@\s<>,;:()\[\]\"\\]+@[^@\s<>,;:()\[\]\"\\.]+(\.[^@\s<>,;:()\[\]\"\\.]+)*")
"""Without what has a meaning of its own in a mail's header (RFC 5322, 3.2.3)."""


def _checked_url(value: str) -> str:
    try:
        url = urlsplit(value)
        host, user = url.hostname, url.username
    except ValueError:
        host = user = None
        url = urlsplit("")
    encrypted = url.scheme == "https" or (url.scheme == "http" and host in LOOPBACK)
    if not encrypted or not host or user is not None or url.fragment:
        raise ValueError("an https:// address without a user, or http:// on this machine")
    return value


def _checked_secret_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        _checked_url(value.get_secret_value())
    return value


class ChannelSettings(BaseModel):
    """What all channels have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    least: Literal["info", "warning", "critical"] = "warning"
    """Least weight of what is told here; `info` also tells starts, stops and ends of trouble."""
    rate_count: int = Field(default=10, ge=1, le=1000)
    """Messages in `rate_per_s` seconds, critical ones and others counted apart; the last one carries all that waits as a
    summary."""
    rate_per_s: float = Field(default=60.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds over which `rate_count` counts."""
    queue_max: int = Field(default=200, ge=1, le=10_000)
    """Notices that may wait for the receiver, critical ones and others counted apart; beyond that the oldest is lost, and
    counted."""
    timeout_s: float = Field(default=10.0, ge=0.1, le=120, allow_inf_nan=False)
    """Seconds that one attempt may take."""
    give_up_after_s: float = Field(default=3600.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds for which a notice is tried again."""
    template: str = Field(default="", max_length=2000)
    """Text of a single notice, with `$weight`, `$source`, `$what`, `$where`, `$why`, `$since`, `$do`, `$runbook`, `$key` and
    `$state`; without it a built-in one."""

    @field_validator("template")
    @classmethod
    def _fits(cls, value: str) -> str:
        if wrong := faults(value):
            raise ValueError(f"a template whose fields exist ({wrong})")
        return value


class SecretAddress(BaseModel):
    """An address that is a secret itself: whoever knows it can post there, or keep a monitor quiet."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: SecretStr | None = None
    """Address that the service gave you, by the environment only: it is as good as a password."""
    url_file: Path | None = None
    """File that holds the address and nothing else."""

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked_secret_url(value)

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.url is None:
            raise ValueError("url_file with the path of a file, or a variable that ends in __URL")
        return self


class WebhookChannel(ChannelSettings):
    """POSTs JSON to an address of your own."""

    url: str | None = None
    """Where to: https, or http on this machine. One that holds a secret is a `secret_url` instead."""
    secret_url: SecretStr | None = None
    """Where to, by the environment only, where whoever knows the address can post."""
    secret_url_file: Path | None = None
    """File that holds the address and nothing else."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    token_file: Path | None = None
    """File that holds the token and nothing else."""
    signing_secret: SecretStr | None = None
    """Key of the HMAC-SHA256 over the body that is sent as `X-Quantd-Signature: sha256=HEX`."""
    signing_secret_file: Path | None = None
    """File that holds the key and nothing else."""

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        return value if value is None else _checked_url(value)

    @field_validator("secret_url")
    @classmethod
    def _reachable_too(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked_secret_url(value)

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.secret_url is None):
            raise ValueError("url, or secret_url_file with the path of a file, one of them")
        return self

    @property
    def address(self) -> str:
        """Where to, whichever key says it; not for logs."""
        return self.url or (self.secret_url.get_secret_value() if self.secret_url is not None else "")


class TelegramChannel(ChannelSettings):
    """Sends by a Telegram bot of yours."""

    chat_id: str = Field(pattern=r"^(-?\d+|@\w+)$", examples=["-1001234567890"])
    """Chat, group or channel, in which the bot may write."""
    token: SecretStr | None = None
    """The bot's token, by the environment only."""
    token_file: Path | None = None
    """File that holds the token and nothing else."""
    base_url: str = "https://api.telegram.org"
    """Address of the Bot API; another one for a server of your own."""

    @field_validator("base_url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        return _checked_url(value).rstrip("/")

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        if self.token is None:
            raise ValueError("token_file with the path of a file, or a variable that ends in __TOKEN")
        return self


class SlackChannel(SecretAddress, ChannelSettings):
    """Posts to a Slack channel by an incoming webhook."""


class EmailChannel(ChannelSettings):
    """Sends e-mail by an SMTP server."""

    host: str = Field(min_length=1)
    """The server."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted, with a certificate that is checked; `none` on this machine only."""
    user: str | None = None
    """Name to log in with; without it none."""
    password: SecretStr | None = None
    """Password to log in with, by the environment only."""
    password_file: Path | None = None
    """File that holds the password and nothing else."""
    sender: str
    """Address that it comes from."""
    recipients: list[str] = Field(min_length=1, max_length=20)
    """Addresses that it goes to."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError("security: starttls or tls, for a server that is not on this machine")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password_file, both or neither")
        wrong = [one for one in (self.sender, *self.recipients) if not _ADDRESS.fullmatch(one) or not one.isascii()]
        if wrong:
            raise ValueError(f"plain addresses such as ops@example.com, not {wrong[0]!r}")
        return self


class HeartbeatSettings(SecretAddress):
    """A monitor outside this machine, asked for by GET while the daemon is ready: it calls you when that stops."""

    every_s: float = Field(default=60.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds between two requests; let the monitor wait for at least three of them."""
    timeout_s: float = Field(default=10.0, ge=0.1, le=120, allow_inf_nan=False)
    """Seconds that one request may take."""


class NotifySettings(BaseModel):
    """Who is told by the daemon itself. Without this section nobody is."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    source: str = Field(default="quantd", min_length=1, max_length=60, pattern=r"^[\w .:@-]+$")
    """Which daemon it is, in every message."""
    repeat_after_s: float = Field(default=900.0, ge=1, le=604_800, allow_inf_nan=False)
    """Seconds in which the same thing about the same scope is told once."""
    unknown_after_s: float = Field(default=30.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds after which a write whose outcome is still unknown is told."""
    venue_down_after_s: float = Field(default=60.0, ge=1, le=86_400, allow_inf_nan=False)
    """Seconds after which a venue that is not ready is told."""
    webhooks: dict[str, WebhookChannel] = {}
    """Channels by webhook, under names of your own."""
    telegram: dict[str, TelegramChannel] = {}
    """Channels by Telegram, under names of your own."""
    slack: dict[str, SlackChannel] = {}
    """Channels by Slack, under names of your own."""
    email: dict[str, EmailChannel] = {}
    """Channels by e-mail, under names of your own."""
    heartbeat: HeartbeatSettings | None = None
    """The monitor outside; none without this section."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of all channels, as in metrics: ``slack.desk``."""
        kinds = {
            "webhooks": [*self.webhooks],
            "telegram": [*self.telegram],
            "slack": [*self.slack],
            "email": [*self.email],
        }
        return tuple(f"{kind}.{name}" for kind, names in kinds.items() for name in names)

    @model_validator(mode="after")
    def _tells_somebody(self) -> Self:
        names = [name for kind in (self.webhooks, self.telegram, self.slack, self.email) for name in kind]
        if not names and self.heartbeat is None:
            raise ValueError("at least one channel, or a heartbeat")
        if any(not CHANNEL_NAME.fullmatch(name) for name in names):
            raise ValueError("channels with names of 1 to 32 characters of a-z, 0-9, - and _")
        return self
