"""What a venue's keeper says of its venue: work that failed, credentials that a write was refused for, and the end of both."""

import random
from types import SimpleNamespace
from typing import cast

import pytest

from quantd.app.shared import Shared
from quantd.app.venue_keeper import VenueKeeper, credentials_refused
from quantd.clock import ManualClock
from quantd.domain.events import ACCOUNT_CAUSE, CREDENTIALS_CAUSE, Event, ReconcileAction, TradingState, VenueChanged
from quantd.domain.orders import Limit
from quantd.domain.outcomes import NotExecuted, Outcome, Rejected
from quantd.engine.differences import Policies
from quantd.testing.builders import BTC, STARTED_AT_NS, Rig
from quantd.testing.observer import RecordingObserver


class Desk:
    """A keeper of the rig's venue; what it says goes to the rig's engine, whose facts it reads."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.rig.engine.context.policies["paper"] = Policies(ReconcileAction.REFUSE)
        connector = SimpleNamespace(venue="paper", account=self.rig.state.portfolio.account("paper").account)
        settings = SimpleNamespace(orders_every_s=1.0, account_every_s=1.0)
        self.clock = ManualClock(STARTED_AT_NS)
        parts = SimpleNamespace(
            clock=self.clock,
            observer=RecordingObserver(),
            random=random.Random(1),
            engine=self.rig.engine,
            emit=self.emit,
            executor=None,
            venues={"paper": SimpleNamespace(connector=connector, settings=settings)},
            fact_readers=[],
            warming=set(),
        )
        self.keeper = VenueKeeper(cast(Shared, parts), "paper")
        (self._tell,) = parts.fact_readers

    def emit(self, event: Event) -> None:
        """Give an event to the engine."""
        self.rig.handle(event)

    @property
    def causes(self) -> set[str]:
        """What holds the venue."""
        return set(self.rig.engine.context.venue_reasons.get("paper", {}))

    def settle(self, outcome: Outcome | None) -> None:
        """Have an exit answered, and its facts read; None stands for the venue's yes."""
        order = self.rig.do(lambda strategy: strategy.sell(BTC, 1, Limit(103)))
        before = len(self.rig.facts)
        if outcome is None:
            self.rig.accept(order)
        else:
            self.rig.answer(order, outcome)
        self._tell(self.rig.facts[before:])


def test_the_recovery_of_one_task_leaves_what_other_causes_there_are() -> None:
    desk = Desk()
    desk.rig.handle(VenueChanged("paper", TradingState.REDUCING, "503", desk.rig.now_ns, ACCOUNT_CAUSE))
    desk.keeper._unwell("quotes paper", "KeyError")
    desk.keeper._unwell("books paper", "KeyError")
    desk.keeper._well("quotes paper")
    desk.keeper._well("status paper")
    assert desk.causes == {ACCOUNT_CAUSE, "task books paper"}
    desk.keeper._well("books paper")
    assert desk.causes == {ACCOUNT_CAUSE}


@pytest.mark.parametrize(
    ("outcome", "left"),
    [(None, set()), (Rejected("unauthorized"), {CREDENTIALS_CAUSE}), (NotExecuted("deadline"), {CREDENTIALS_CAUSE})],
    ids=["taken", "refused", "never left"],
)
def test_refused_credentials_hold_until_the_venue_takes_a_write(outcome: Outcome | None, left: set[str]) -> None:
    desk = Desk()
    desk.rig.hold(4)
    credentials_refused(desk.emit, desk.clock)("paper", "submit: 401")
    assert desk.causes == {CREDENTIALS_CAUSE}
    desk.settle(outcome)
    assert desk.causes == left
