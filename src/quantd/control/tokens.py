"""Who is calling: bearer tokens, compared in constant time, and the scopes that they open.

Used by the listener alone. Keeps digests, never the tokens themselves, and shows neither.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec

from quantd.control.settings import TokenSettings

ApiScope = Literal["read", "trade", "halt", "admin"]


class Caller(msgspec.Struct, frozen=True):
    """Whoever showed a token."""

    name: str
    scopes: frozenset[str]

    def may(self, *scopes: str) -> bool:
        """Whether any of `scopes` is open; `admin` opens all."""
        return "admin" in self.scopes or not self.scopes.isdisjoint(scopes)


class Tokens:
    """All tokens of a configuration."""

    def __init__(self, settings: Mapping[str, TokenSettings]) -> None:
        self._known = [
            (_digest(each.token.get_secret_value()), Caller(name, frozenset(each.scopes)))
            for name, each in settings.items()
            if each.token is not None
        ]

    def caller(self, authorization: str) -> Caller | None:
        """Return who shows this ``Authorization`` header, None when nobody that we know does.

        Every known token is compared, in full, whichever fits: the time tells nothing.
        """
        scheme, _, shown = authorization.partition(" ")
        digest = _digest(shown)
        found: Caller | None = None
        for known, caller in self._known:
            if hmac.compare_digest(known, digest):
                found = caller
        return found if scheme.lower() == "bearer" and shown else None

    def __repr__(self) -> str:
        """Tell nothing."""
        return f"Tokens({len(self._known)})"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
