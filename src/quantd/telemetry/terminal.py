"""Makes texts of others safe to look at: venues, strategies and whoever writes to a log have no say over a terminal.

An escape sequence in a venue's message could clear the screen, set the clipboard, or write a line that reads as ours. Used by the
console log and the commands. JSON needs none of it: its escapes are not carried out.
"""

import re
from typing import Any, Final

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, what turns the direction of writing, other line breaks, halves of characters."""


def visible(text: str, *, one_line: bool = False) -> str:
    r"""Return `text` with what would steer a terminal written out, as ``\x1b``; with `one_line` line feeds and tabs too."""
    shown = _STEERING.sub(_written, text)
    return shown.replace("\n", "\\n").replace("\t", "\\t") if one_line else shown


def visible_tree(value: Any) -> Any:
    """Return plain data with every text in it on one line and visible."""
    match value:
        case str():
            return visible(value, one_line=True)
        case list() | tuple():
            return [visible_tree(item) for item in value]
        case dict():
            return {visible_tree(key): visible_tree(item) for key, item in value.items()}
    return value


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
