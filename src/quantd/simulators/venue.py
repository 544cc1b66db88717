"""What a simulated venue is to the shell that serves it: requests in, answers out, and what it wants to tell others.

The shell (`server`, `delivery`, `courier`) and the in-memory transport (`memory`) know venues by this Protocol only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from quantd.ports import HttpRequest, HttpResponse

Json = dict[str, Any]
"""A JSON object as Python builtins; decimals as text."""

_Switches = TypeVar("_Switches", bound=msgspec.Struct)


class Notice(msgspec.Struct, frozen=True):
    """A webhook that is due: to be posted once, and settled with what came of it."""

    id: str
    """Of this delivery; a repetition keeps it."""
    url: str
    headers: Mapping[str, str]
    body: bytes


class SimulatedVenue(Protocol):
    """One venue. Never waits, never does I/O: it changes when it returns, at the time of the clock it was given."""

    name: str

    def operation(self, request: HttpRequest) -> str:
        """Return the name of the route that a request asks for, ``unknown`` for none; fault rules go by it."""

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure that no processing led to, in the venue's shape."""

    def counters(self) -> Json:
        """Return what was seen so far."""

    def state(self) -> Json:
        """Return the exact truth: orders, balances, fills; all decimals as text."""

    def switches(self) -> Json:
        """Return how the venue behaves now."""

    def adjust(self, changes: Json) -> None:
        """Change some of the switches.

        Raises:
            ValueError: when a name or a value is none of theirs.
        """

    def command(self, name: str, arguments: Json) -> Json:
        """Do something that no client can: a deposit, a halt.

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """

    def due(self, now_ns: int) -> Sequence[Notice]:
        """Do what time brings, and return the notices to be posted now."""

    def settle(self, notice: Notice, status: int | None) -> None:
        """Take note of how a notice was answered; None when it could not be delivered."""


class Switched(Generic[_Switches]):
    """A venue's switches, which the parts of the venue look at and an administrator changes in place.

    Args:
        switches: How it behaves, each of them a field.
    """

    def __init__(self, switches: _Switches) -> None:
        self._switches = switches

    def switches(self) -> Json:
        """Return how it behaves now."""
        shown: Json = msgspec.to_builtins(self._switches)
        return shown

    def adjust(self, changes: Json) -> None:
        """Change switches by name.

        Raises:
            ValueError: when a name or a value is none of theirs.
        """
        fresh = msgspec.convert({**self.switches(), **changes}, type(self._switches))
        for name in fresh.__struct_fields__:
            setattr(self._switches, name, getattr(fresh, name))
