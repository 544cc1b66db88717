"""The numbered cases: what each asks, and of which venues it can be asked."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from quantd.domain.capabilities import Support
from tests.contract.conformance.rig import Rig

Applies = Callable[[Rig], str]
"""Returns why a case says nothing of a venue, or nothing."""


class Case(NamedTuple):
    """One line of the table."""

    number: str
    title: str
    act: Callable[[Rig], Coroutine[Any, Any, None]]
    applies: Applies


CASES: dict[str, Case] = {}


def case(number: str, title: str, applies: Applies = lambda rig: "") -> Callable[[Any], Any]:
    """Enter a coroutine function as a case."""

    def enter(act: Callable[[Rig], Coroutine[Any, Any, None]]) -> Callable[[Rig], Coroutine[Any, Any, None]]:
        assert number not in CASES, f"case {number} stands twice"
        CASES[number] = Case(number, title, act, applies)
        return act

    return enter


def why_not(one: Case, rig: Rig) -> str:
    """Return why a case says nothing of a venue, or nothing."""
    return rig.not_applicable.get(one.number) or one.applies(rig)


def native(name: str, what: str) -> Applies:
    """A case of something that the connector must declare as native."""

    def applies(rig: Rig) -> str:
        support = getattr(rig.connector.capabilities, name)
        if support is Support.NATIVE:
            return ""
        return f"{what}: {'the engine does it' if support is Support.EMULATED else 'not offered, refused at load'}"

    return applies


def requests(name: str) -> Applies:
    """A case of a request that can be lost."""
    return lambda rig: "" if name in rig.routes else "no request leaves the process"
