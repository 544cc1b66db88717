"""A run that began with a snapshot and its replay, which folds every record, write the same bytes whatever comes next.

The engine's state machines; at each restart one engine folds all facts and a twin takes the image of the state. From then on
both are given the same events, and everything that they write and send is compared. What both forget at a restart is equal.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import settings

from quantd.domain.commands import Command, Submit
from quantd.domain.events import Event, FlattenOrdered
from quantd.domain.facts import Fact, RequestDenied
from quantd.domain.orders import Market
from quantd.engine.images import dump, restore
from quantd.testing.builders import BTC, Rig, make_capabilities
from tests.property.limits import ETH
from tests.property.test_engine_machine import EngineMachine
from tests.property.test_lot_machine import LotMachine

D = Decimal


class FromImage(Rig):
    """A rig that begins with a snapshot in the place of the facts that led to it."""

    def __init__(self, *, image: bytes, **more: Any) -> None:
        self.image = image
        super().__init__(**more)

    def _fold(self, facts: Sequence[Fact]) -> None:
        restore(self.engine.state, self.image)
        restore(self.shadow, self.image)
        self.now_ns = max(fact.at_ns for fact in facts)
        self.engine.restored()


class Twins(Rig):
    """A rig whose twin is given the same events and must cause the same."""

    twin: Rig | None = None

    def handle(self, event: Event) -> Sequence[Command]:
        twin, known = self.twin, len(self.facts)
        commands = super().handle(event)
        if twin is not None:
            told = len(twin.facts)
            twin.now_ns = self.now_ns
            sent = twin.handle(event)
            assert _bytes(self.facts[known:]) == _bytes(twin.facts[told:]), f"after {event}"
            assert _bytes(commands) == _bytes(sent), f"sent after {event}"
        return commands

    def do(self, script: Callable[[Any], Any], strategy: str = "s1") -> Any:
        if self.twin is not None:
            puppet = self.twin.strategies[strategy]
            puppet.script, puppet.answer = script, None
        return super().do(script, strategy)


def _bytes(values: Sequence[Any]) -> list[bytes]:
    return [msgspec.json.encode(value) for value in values]


class Restarts(EngineMachine):
    """A machine with a twin from the first restart on."""

    def begin_again(self, before: Rig) -> Rig:
        rig = self.make(Twins, facts=before.facts, price=None)
        twin = self.make(FromImage, facts=before.facts, price=None, image=dump(before.state))
        assert isinstance(rig, Twins)
        assert _bytes(rig.facts[len(before.facts) :]) == _bytes(twin.facts), "of the start"
        rig.twin = twin
        return rig


class RestartMachine(Restarts):
    """The engine's."""


class LotRestartMachine(Restarts, LotMachine):
    """That of a hedging account."""


for machine in (RestartMachine, LotRestartMachine):
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestRestart = RestartMachine.TestCase
TestLotRestart = LotRestartMachine.TestCase


def twins(rig: Rig) -> Twins:
    """Return both kinds of what comes after a rig."""
    machine = RestartMachine()
    machine.margin, machine.capabilities = False, make_capabilities()
    found = machine.begin_again(rig)
    assert isinstance(found, Twins)
    return found


def begun() -> Rig:
    machine = RestartMachine()
    machine.margin, machine.capabilities = False, make_capabilities()
    return machine.make()


def test_digits_of_sums_are_those_of_the_journal() -> None:
    rig = begun()
    rig.hold("0.1")
    again = twins(rig)
    again.quote(100.0)
    assert not again.do(lambda s: s.buy(BTC, D("0.1"), Market(reduce_only=True)))
    assert again.of(RequestDenied)[-1].limit == "held 0.1, exits working 0.0"


def test_books_are_closed_in_the_order_in_which_the_journal_told_of_them() -> None:
    rig = begun()
    rig.do(lambda s: s.position(BTC), "s2")
    rig.do(lambda s: s.target(BTC, D(1_000)), "s2")
    rig.hold(1, "s1")
    rig.hold(1, "s2")
    again = twins(rig)
    again.quote(100.0)
    again.handle(FlattenOrdered("all", "ann", "enough", again.now_ns))
    assert len(again.sent(Submit)) == 2


def test_what_is_exposed_is_told_in_one_order_whatever_was_flat_at_a_look() -> None:
    rig = begun()
    for quantity, where in ((1, ETH), (-1, ETH), (1, BTC), (1, ETH)):
        rig.hold(quantity, "s1", where)
        rig.state.portfolio.exposures()
    again = twins(rig)
    assert again.twin is not None
    found = [one.state.portfolio.exposures() for one in (rig, again, again.twin)]
    assert found == [[BTC, ETH]] * 3
