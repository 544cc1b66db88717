"""The `webhooks` and `control` sections of the configuration: the listeners for venues' notices and for operators.

Read by the composition root and the client commands. Opens nothing.
"""

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

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


class TokenSettings(BaseModel):
    """Who may call the control API, and for what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    token: SecretStr | None = Field(default=None, min_length=1)
    """The bearer token, by the environment only."""
    token_file: Path | None = None
    """File that holds the token and nothing else: at least 16 characters without blanks."""
    scopes: list[Literal["read", "trade", "halt", "admin"]] = Field(min_length=1)
    """`read` sees everything; `trade` also orders, cancels, flattens and looks for differences; `halt` also halts,
    resumes and cancels; `admin` may do all, resume in another's name, and apply differences."""

    @field_validator("token")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if value is not None and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable()):
            raise ValueError(f"at least {SHORTEST_TOKEN} printable ASCII characters")
        if " " in text:
            raise ValueError("a token without blanks")
        return value

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        if self.token is None:
            raise ValueError("token_file with the path of a file, or a variable that ends in __TOKEN")
        return self


SHORTEST_TOKEN = 16
"""Characters that a bearer token has at least."""


class ControlSettings(BaseModel):
    """The control API: a listener on this machine only, for whoever shows a token. Without this section there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: Literal["127.0.0.1", "::1", "localhost"] = "127.0.0.1"
    """Address to listen on: this machine only. From elsewhere, come through an SSH tunnel."""
    port: int = Field(default=9466, ge=0, le=65535)
    """TCP port; 0 takes any free one."""
    tokens: dict[str, TokenSettings] = Field(min_length=1)
    """Tokens under names of your own: the names stand in the journal beside what was ordered."""
    body_limit: int = Field(default=16_384, ge=256, le=1_048_576)
    """Bytes of a request's body above which it is refused unread."""
    request_timeout_s: float = Field(default=10.0, ge=1, le=120, allow_inf_nan=False)
    """Seconds in which a request must have been sent and answered."""

    dead_man_s: float | None = Field(default=None, ge=5, le=86_400, allow_inf_nan=False)
    """Seconds without a `quantd heartbeat` after which everything may only reduce, until a person resumes; without it
    no heartbeat is expected."""

    @field_validator("tokens")
    @classmethod
    def _tell_apart(cls, value: dict[str, TokenSettings]) -> dict[str, TokenSettings]:
        if any(not TOKEN_NAME.fullmatch(name) for name in value):
            raise ValueError("names of 1 to 32 characters of a-z, 0-9, - and _")
        secrets = [each.token.get_secret_value() for each in value.values() if each.token is not None]
        if len(set(secrets)) != len(secrets):
            raise ValueError("a token of its own for each name")
        return value


TOKEN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What a token's name may look like."""
