"""Takes secrets out of everything that is told: by key, by type, by value and by shape.

Used by the log pipeline, the health listener and the control API. Holds the registered secrets in memory, as it must
to recognise them, and never shows them, not even in its own `repr`.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretBytes, SecretStr

MASK: Final = "[redacted]"
"""What stands in a secret's place."""
SHORTEST: Final = 4
"""Values shorter than this many characters are not searched for: they would blank out ordinary text."""

_EXACT: Final = frozenset({"auth", "bearer", "cookie", "credential", "credentials", "jwt", "pwd"})
_ENDINGS: Final = (
    "access_key",
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "passphrase",
    "password",
    "passwd",
    "private_key",
    "secret",
    "secret_key",
    "signature",
    "signing_key",
    "token",
)
_SHAPES: Final = re.compile(
    r"(?i)\b(?P<scheme>bearer|basic)\s+(?P<credentials>[a-z0-9._~+/=-]{8,})"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?P<url>://[^/\s:@]+):[^/\s@]+@"
)
"""Authorization values, JSON web tokens, passwords within URLs."""
_PERCENT: Final = re.compile("%[0-9A-F]{2}")
"""In lower case it means the same (RFC 3986, 2.1), and some servers write it so."""
_MARKS: Final = ("bearer", "basic", "eyj", "://")
"""One of these stands in every text that has such a shape."""
_DEPTH_MAX: Final = 8


class Redactor:
    """Replaces secrets in texts and in structures; one for the process.

    Secrets can be registered at any time, e.g. a session token after its login.
    """

    def __init__(self) -> None:
        """Start with no registered values; keys, types and shapes are known anyway."""
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def register(self, secret: str | bytes | SecretStr | SecretBytes) -> None:
        """Have `secret` replaced from now on, in its usual encodings too.

        Values shorter than `SHORTEST` are left to the rules for keys.
        """
        plain = secret.get_secret_value() if isinstance(secret, (SecretStr, SecretBytes)) else secret
        text = plain.decode("utf-8", "replace") if isinstance(plain, bytes) else plain
        text = text.strip()
        if len(text) < SHORTEST:
            return
        encoded = base64.b64encode(text.encode()).decode()
        forms = {text, quote(text, safe=""), quote(text), quote_plus(text), json.dumps(text)[1:-1], repr(text)[1:-1]}
        forms |= {json.dumps(text, ensure_ascii=False)[1:-1], ascii(text)[1:-1], repr(text.encode())[2:-1]}
        forms |= {_PERCENT.sub(lambda found: found[0].lower(), form) for form in (quote(text, safe=""), quote(text))}
        forms |= {encoded, encoded.rstrip("="), base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")}
        self._forms |= {form for form in forms if len(form) >= SHORTEST}
        # Longest first: a secret that contains another must vanish whole.
        ordered = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def clean(self, text: str) -> str:
        """Return `text` without registered secrets and without what looks like credentials."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _SHAPES.sub(_mask_shape, text) if _may_hold_credentials(text) else text

    def clean_value(self, value: Any, *, depth: int = 0) -> Any:
        """Return `value` as plain data (text, numbers, lists, dicts) without secrets.

        Objects become their text, so that no encoder further on can print what was not looked at.
        """
        if value is None or type(value) in (bool, int, float):
            return value
        if type(value) is str:
            return self.clean(value)
        if isinstance(value, Enum):
            return self.clean_value(value.value, depth=depth + 1)
        if isinstance(value, (Decimal, date, PurePath)):
            return self.clean(str(value))
        if isinstance(value, (SecretStr, SecretBytes)):
            return MASK
        if depth < _DEPTH_MAX:
            if isinstance(value, Mapping):
                return self.clean_items(value, depth=depth + 1)
            if isinstance(value, (list, tuple, set, frozenset)):
                return [self.clean_value(item, depth=depth + 1) for item in value]
        return self.clean(str(value) if isinstance(value, (str, int, float)) else _text(value))

    def register_all(self, *values: Any) -> None:
        """Register every `SecretStr` and `SecretBytes` in `values`, at any depth of models and containers."""
        for value in values:
            if isinstance(value, (SecretStr, SecretBytes)):
                self.register(value)
            elif isinstance(value, BaseModel):
                self.register_all(*(getattr(value, name) for name in type(value).model_fields))
            elif isinstance(value, Mapping):
                self.register_all(*value.values())
            elif isinstance(value, (list, tuple, set, frozenset)):
                self.register_all(*value)

    def clean_items(self, items: Mapping[Any, Any], *, depth: int = 0) -> dict[str, Any]:
        """Return a copy of a mapping without secrets: values under secret keys are masked whatever they are."""
        return {
            self.clean(str(key)): MASK
            if value is not None and is_secret_key(str(key))
            else self.clean_value(value, depth=depth)
            for key, value in items.items()
        }

    def __repr__(self) -> str:
        """Tell nothing."""
        return "Redactor()"


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Return whether what stands under `key` is a secret by its name: ``api_key``, ``X-Auth-Token``, ``password``."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()
    return plain in _EXACT or plain.endswith(_ENDINGS)


def _may_hold_credentials(text: str) -> bool:
    """Whether the search by shape, which is slow, can find anything; only ASCII has no second spelling of a letter."""
    if not text.isascii():
        return True
    lowered = text.lower()
    return any(mark in lowered for mark in _MARKS)


def _mask_shape(found: re.Match[str]) -> str:
    if found["scheme"]:
        if found["credentials"].isalpha() and found["credentials"].islower():
            return found[0]  # an ordinary word: "basic understanding"
        return f"{found['scheme']} {MASK}"
    return f"{found['url']}:{MASK}@" if found["url"] else MASK


def _text(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception as error:  # noqa: BLE001 # boundary: a value that cannot show itself must not stop who logs it
        return f"<{type(value).__name__} without text: {type(error).__name__}>"
