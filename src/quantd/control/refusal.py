"""How the control API says no: problem objects after RFC 9457, with a bounded `code` for programs.

Raised by the routes, turned into answers by the listener. Details are sentences for people and never repeat a header.
"""

from collections.abc import Mapping

import msgspec

from quantd.control.answers import DenialView


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not carried out; media type ``application/problem+json``."""

    status: int
    """The HTTP status."""
    title: str
    code: str
    """A bounded name, such as ``scope_missing`` or ``denied``."""
    detail: str = ""
    denial: DenialView | None = None
    """The risk gate's no to an order."""


class Refusal(Exception):
    """A request that is not carried out.

    Args:
        status: HTTP status.
        code: Bounded name.
        detail: A sentence for people, free of secrets.
        denial: The gate's no, where it was that.
        headers: To be sent along.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        denial: DenialView | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.problem = Problem(status, code.replace("_", " "), code, detail, denial)
        self.headers = dict(headers or {})


def unknown(what: str, found: str, known: str = "") -> Refusal:
    """Return the refusal of a name that means nothing here."""
    return Refusal(404, f"unknown_{what}", f"there is no {what} {found!r}" + (f"; there are {known}" if known else ""))
