"""Odd values in place of what a venue answers: which there are, where they can stand, and the transport that puts them there.

Used by `odd_session`. Knows no venue: an answer is a tree of JSON, a place in it a path of keys and indices.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from quantd.ports import HttpRequest, HttpResponse, Transport

Path = tuple[str | int, ...]
MISSING: Final = "(missing)"
TWICE: Final = "(twice)"
RETYPED: Final = "(retyped)"
NEGATED: Final = "(negated)"
DEEP: Final = "(deep)"
"""Lists in lists, more than a reader can go into."""
NO_TEXT: Final = '"\udcff"'
"""A byte that stands for no character."""
_DIGITS: Final = "1234567890123456789012345678901234567890"
ODD: Final[tuple[str, ...]] = (
    MISSING, TWICE, RETYPED, NEGATED, DEEP, NO_TEXT,
    "null", "true", "[]", "{}", '""', '" "', '"no such word"', "NaN",
    '"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', "1e400", '"1e400"', "-1e400", '"1E+999999"', '"1E-999999"',
    '"1E+999999999999999999"', '"0E-999999999"', '"0E+999999999"', "1e-400", '"1e25"',
    "0", '"0"', "-0.0", '"-0"', "-1", '"-1"', "1", '"1"', "0.5", '"0.5"',
    _DIGITS, f'"{_DIGITS}"', f'"0.{_DIGITS}"', f'"{_DIGITS}.{_DIGITS}"', "18446744073709551616", "9223372036854775808",
    "1600000000", '"1600000000"', "253402300799000", '"253402300799"', '"9999-12-31T23:59:59Z"', '"1970-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00Z"', '"2020-13-45T99:99:99Z"',
)  # fmt: skip
"""JSON text that takes a value's place, or the name of a change of the value itself."""
STATUSES: Final = tuple(
    f"(status {status} {retry_after})"
    for status, waits in (
        (429, ("NaN", "-1", "1e400", "9" * 30, "Wed, 99 Foo 2099", "0")),
        (418, ("Infinity",)),
        *((status, ("0",)) for status in (201, 204, 302, 400, 401, 404, 409, 500, 503, 599)),
    )
    for retry_after in waits
)
"""The whole answer with another status and a header that says how long to wait."""
_MARK: Final = "@odd@"
_NESTED: Final = "[" * 5_000 + "]" * 5_000
_ID = re.compile(r"/[^/?]*\d[^/?]*")


class Oddity(NamedTuple):
    """One wrong value: where it stands, from which answer on, and in how many."""

    request: str
    path: Path
    odd: str
    since: int
    """Answers to this request that are left as they are."""
    times: int
    """Answers that are changed."""


def named(request: HttpRequest) -> str:
    """Return what is asked for, without ids and query: ``GET /orders/*``."""
    return f"{request.method} {_ID.sub('/*', request.path.partition('?')[0])}"


def places(tree: Any, at: Path = ()) -> Iterator[Path]:
    """Yield every place in a tree; of a list of lists or objects only those of the first item."""
    yield at
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, (*at, key))
    elif isinstance(tree, list):
        nested = bool(tree) and isinstance(tree[0], dict | list)
        for index, value in enumerate(tree[:1] if nested else tree):
            yield from places(value, (*at, index))


def changed(body: bytes, path: Path, odd: str) -> bytes:
    """Return an answer with an odd value at `path`; as it is where it has no such place."""
    if not path:
        return (_NESTED if odd == DEEP else "" if odd.startswith("(") else odd).encode(errors="surrogateescape")
    try:
        tree = json.loads(body)
        holder = tree
        for step in path[:-1]:
            holder = holder[step]
        before = holder[path[-1]]
    except (ValueError, LookupError, TypeError):
        return body
    literal = _literal(holder, path[-1], before, odd)
    text = json.dumps(tree, separators=(",", ":"))
    return text.replace(f'"{_MARK}"', literal).encode(errors="surrogateescape")


def _literal(holder: Any, key: str | int, before: Any, odd: str) -> str:
    """Mark the place, or change it there and then, and return the text for the mark."""
    if odd == MISSING:
        del holder[key]
        return ""
    if odd == TWICE:
        if isinstance(before, list):
            before.extend(before[:1])
        elif isinstance(holder, list):
            holder.insert(0, before)
        return ""
    holder[key] = _MARK
    if odd == DEEP:
        return _NESTED
    if odd == RETYPED:
        if isinstance(before, str):
            return before if re.fullmatch(r"-?\d+(\.\d+)?", before) else json.dumps([before])
        return json.dumps(json.dumps(before))
    if odd == NEGATED:
        if isinstance(before, str):
            return json.dumps(before[1:] if before.startswith("-") else f"-{before}")
        return json.dumps(-before if isinstance(before, int | float) else before)
    return odd


class OddTransport:
    """Carries requests for another transport, keeps every good answer's shape, and changes those that it is told to."""

    def __init__(self, inner: Transport, oddity: Oddity | None = None) -> None:
        self._inner = inner
        self._oddity = oddity
        self._seen: dict[str, int] = {}
        self.is_healed = False
        """No answer is changed any more."""
        self.changed = 0
        self.shapes: dict[str, set[Path]] = {}
        """Places by request."""

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Send and return the answer, or what is made of it."""
        answer = await self._inner.send(request, timeout_s=timeout_s)
        name, oddity = named(request), self._oddity
        if oddity is None:
            try:
                self.shapes.setdefault(name, set()).update(places(json.loads(answer.body)))
            except ValueError:
                pass
            return answer
        if self.is_healed or name != oddity.request or answer.status >= 400:
            return answer
        seen = self._seen[name] = self._seen.get(name, 0) + 1
        if not oddity.since < seen <= oddity.since + oddity.times:
            return answer
        self.changed += 1
        if oddity.odd in STATUSES:
            status, _, retry_after = oddity.odd.strip("()").removeprefix("status ").partition(" ")
            return HttpResponse(int(status), {**answer.headers, "retry-after": retry_after}, answer.body)
        return HttpResponse(answer.status, answer.headers, changed(answer.body, oddity.path, oddity.odd))

    async def close(self) -> None:
        """Close the other transport."""
        await self._inner.close()


def oddities(shapes: dict[str, set[Path]], odd: Sequence[str] = ODD) -> list[Oddity]:
    """Return every oddity of a session: each value at each place, in the first answer and in later ones."""
    return [
        Oddity(request, path, value, since, times)
        for request in sorted(shapes)
        for path in sorted(shapes[request], key=repr)
        for value in (odd if path else (*odd, *STATUSES))
        for since, times in ((0, 3), (1, 2), (3, 10_000))
    ]
