"""The files of the web page at ``/``: read once from the package, served as they are, to anyone on this machine.

They hold nothing: no state and no secret. What they show, their script asks for with the token that a person types in.
Used by the listener alone.
"""

from importlib.resources import files
from typing import NamedTuple


class PageFile(NamedTuple):
    """One file."""

    body: bytes
    media_type: str


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""What the browser holds the page to: its own files, nothing inline, no other host, no text made into markup."""
ROOT = "/"
"""Where the page itself lies."""
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_FILES = (
    "page.css",
    "icon.svg",
    "page.js",
    "session.js",
    "memory.js",
    "trading.js",
    "panels.js",
    "chain.js",
    "charts.js",
    "tables.js",
    "numbers.js",
)


def page_files() -> dict[str, PageFile]:
    """Return every file by its path."""
    found = {f"/page/{name}": _read(name) for name in _FILES}
    return {ROOT: _read("index.html"), **found}


def _read(name: str) -> PageFile:
    body = files("quantd.control").joinpath("page", name).read_bytes()
    return PageFile(body.rstrip(b"\n"), _TYPES[name.rpartition(".")[2]])
