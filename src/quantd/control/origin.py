"""Where a request comes from: this machine by name, and of all browsers' pages only the one served here.

A page that somebody has open must not reach a port on this machine. Browsers say where a request comes from in headers
that no script can set (`Origin`, `Sec-Fetch-Site`, `Sec-Fetch-Mode`; Fetch Metadata, W3C); what sends none of them is no
browser and shows a token. Used by the listener alone.
"""

import re

from aiohttp import web

from quantd.control.refusal import Refusal

NAVIGATE = "navigate"
PAGE_MODES = frozenset({NAVIGATE})
"""How a browser asks for the page: a person goes there."""
FILE_MODES = frozenset({"cors", "no-cors"})
"""How it asks for what the page is made of: modules, style, icon."""
API_MODES = frozenset({"same-origin"})
"""How the page's own script asks, and nothing else that a page may hold."""
_TELLING = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)


def check_source(request: web.BaseRequest, modes: frozenset[str]) -> None:
    """Refuse other hosts' names and other pages' requests.

    Args:
        request: With its headers alone.
        modes: How a browser that shows our page asks for this path.

    Raises:
        Refusal: 421 for a name that is not this machine's, 403 for a browser that shows another page.
    """
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise Refusal(421, "wrong_host", "this listener answers to 127.0.0.1, [::1] and localhost only")
    if any(header in request.headers for header in _TELLING) and not _is_own(request, hosts[0], modes):
        raise Refusal(403, "browser", "of browsers' requests only those of the page at / are answered")


def _is_own(request: web.BaseRequest, host: str, modes: frozenset[str]) -> bool:
    """Whether a browser says that the page served here asks, or that a person opens that page."""
    origins, sites, told = (request.headers.getall(header, []) for header in _TELLING)
    may_change = request.method != "GET"
    if len(told) != 1 or told[0] not in modes:
        return False  # every browser that can show the page says how it asks, once
    if told[0] == NAVIGATE:
        return not may_change and not origins and sites in (["none"], ["same-origin"])
    if origins != [f"http://{host.lower()}"] and (origins or may_change):
        return False  # a change always names its origin
    return sites == ["same-origin"]
