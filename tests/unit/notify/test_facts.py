"""What the journal's facts say to people, against the engine's own facts."""

from pathlib import Path

import pytest

from quantd.clock import ManualClock
from quantd.domain.events import TradingState
from quantd.domain.facts import Fact, OperationLost, Reconciled, StateSet
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import LimitsSet, SoftLimitCrossed
from quantd.domain.orders import ClientOrderId
from quantd.domain.protection_facts import ProtectionOverdue
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategyRenewed
from quantd.engine.tallies import SCHEDULE, SUPERVISION
from quantd.notify import conditions, facts
from quantd.notify.notice import Notice, Weight
from quantd.notify.notifier import Notifier
from quantd.runtime.watcher import CONTROLS
from quantd.testing.observer import RecordingObserver

ROOT = Path(__file__).parents[3]
BTC = InstrumentId("ionloop:BTC-USDT")
HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE
LOST = OperationLost(ClientOrderId("q-1"), 2, "no answer", 5)


def state(state: TradingState, by: str = "ann", scope: str = "all") -> StateSet:
    return StateSet(scope, state, by, "why", 1, 7)


def overdue(action: str) -> ProtectionOverdue:
    return ProtectionOverdue("trend", BTC, "q-1", "unconfirmed", 12.5, action, 20_000_000_000)


TOLD: list[tuple[Fact, Weight, str, str]] = [
    (state(HALTED), Weight.CRITICAL, "trading halted", "QuantdHalted"),
    (state(HALTED, "loss_limit"), Weight.CRITICAL, "trading halted", "QuantdHalted"),
    (state(REDUCING), Weight.WARNING, "trading reducing", "QuantdReducing"),
    (state(REDUCING, "margin"), Weight.WARNING, "trading reducing", "QuantdLatchedByControl"),
    (state(REDUCING, "schedule"), Weight.INFO, "trading reducing", ""),
    (state(ACTIVE), Weight.INFO, "trading resumed", ""),
    (
        StrategyFaulted("trend", "on_bar", "ValueError: x", 7),
        Weight.CRITICAL,
        "quarantined",
        "QuantdStrategyQuarantined",
    ),
    (StrategyRenewed("trend", 1, 7), Weight.INFO, "began anew", ""),
    (StrategyReloaded("trend", "s", "c", "code", "ann", 7), Weight.INFO, "began anew", ""),
    (overdue("exit"), Weight.CRITICAL, "without its stop", "QuantdPositionNaked"),
    (overdue("over"), Weight.INFO, "has its stop again", ""),
    (Reconciled("ionloop", {"order": 2, "lot": 0}, 7), Weight.CRITICAL, "books differ", "QuantdReconcileDifference"),
    (Reconciled("ionloop", {"order": 0}, 7), Weight.INFO, "books agree", ""),
    (LimitsSet("account", '{"a": 5}', ("a",), "ann", "more", 7), Weight.WARNING, "limits loosened: a", ""),
    (
        SoftLimitCrossed("account", "max_loss", "", True, "80", "100", "81", 7),
        Weight.WARNING,
        "near",
        "QuantdLimitNear",
    ),
    (SoftLimitCrossed("account", "max_loss", "", False, "80", "100", "79", 7), Weight.INFO, "no longer near", ""),
]


@pytest.mark.parametrize(("fact", "weight", "what", "runbook"), TOLD)
def test_what_costs_money_or_safety_is_told_with_its_weight_and_its_runbook(
    fact: Fact, weight: Weight, what: str, runbook: str
) -> None:
    notice = facts.notice_of(fact)
    assert notice is not None
    assert (notice.weight, notice.runbook) == (weight, runbook)
    assert what in notice.what
    assert notice.is_end or notice.do, "who is told of trouble is told what to do"


@pytest.mark.parametrize(
    "notice",
    [
        *(facts.notice_of(fact) for fact, *_ in TOLD),
        conditions.started(7),
        conditions.ended("runner: KeyError", 7, failed=True),
        conditions.ended("SIGTERM", 7, failed=False),
        conditions.journal_failed("disk full", 7),
        conditions.unknown(LOST, BTC),
        conditions.venue_down("ionloop", "503", 7),
    ],
)
def test_every_runbook_that_is_named_exists(notice: Notice) -> None:
    assert not notice.runbook or (ROOT / f"docs/operations/runbooks/{notice.runbook}.md").is_file()


def test_who_latches_without_a_person_is_named_as_in_the_metrics() -> None:
    assert facts._CONTROLS | {SUPERVISION, SCHEDULE} == CONTROLS


@pytest.mark.parametrize(
    "fact",
    [
        LOST,
        state(REDUCING, "supervision", "strategy:trend"),
        LimitsSet("account", "{}", (), "ann", "tighter", 7),
        LimitsSet("account", "{}", ("a",), "ann", "more", 7, refused="not loosened here"),
    ],
)
def test_what_another_notice_says_or_nobody_needs_is_not_told(fact: Fact) -> None:
    assert facts.notice_of(fact) is None


def test_since_when_a_position_is_naked_is_when_it_lost_its_stop() -> None:
    notice = facts.notice_of(overdue("exit"))
    assert notice is not None
    assert notice.since_ns == 7_500_000_000


class Told:
    """A notifier without channels: what it would have queued is what its log says; here, what it did not suppress."""

    def __init__(self) -> None:
        self.observer = RecordingObserver()
        self._notifier = Notifier([], repeat_after_s=900, clock=ManualClock(), observer=self.observer)
        self.suppressed = 0.0

    def is_told(self, notice: Notice | None) -> bool:
        """Tell, and return whether it was news."""
        assert notice is not None
        known = notice.key in self._notifier._told
        self._notifier.tell(notice)
        repeats = self.observer.counted("quantd_notification_repeats_total")
        is_repeat, self.suppressed = repeats > self.suppressed, repeats
        return not is_repeat and (known or not notice.is_end)


def test_a_strategy_that_fails_again_after_a_person_resumed_it_is_told_again() -> None:
    told = Told()
    fault, resumed = StrategyFaulted("trend", "on_bar", "x", 7), state(ACTIVE, "ann", "strategy:trend")
    assert told.is_told(facts.notice_of(fault))
    assert told.is_told(facts.notice_of(resumed))
    assert told.is_told(facts.notice_of(fault))


def test_a_strategy_that_fails_again_after_supervision_renewed_it_is_told_again_and_its_renewal_once() -> None:
    told = Told()
    fault, renewed = StrategyFaulted("trend", "on_bar", "x", 7), StrategyRenewed("trend", 1, 7)
    cleared = state(ACTIVE, "supervision", "strategy:trend")
    for _ in range(2):
        assert told.is_told(facts.notice_of(fault))
        assert told.is_told(facts.notice_of(renewed))
        assert not told.is_told(facts.notice_of(cleared))


def test_a_halt_after_a_resume_is_told_again_and_the_same_halt_is_not() -> None:
    told = Told()
    assert told.is_told(facts.notice_of(state(HALTED)))
    assert not told.is_told(facts.notice_of(state(HALTED)))
    assert told.is_told(facts.notice_of(state(ACTIVE)))
    assert told.is_told(facts.notice_of(state(HALTED)))


def test_differences_of_another_kind_are_told_while_the_first_stand() -> None:
    told = Told()
    assert told.is_told(facts.notice_of(Reconciled("ionloop", {"order": 1}, 7)))
    assert not told.is_told(facts.notice_of(Reconciled("ionloop", {"order": 2}, 7)))
    assert told.is_told(facts.notice_of(Reconciled("ionloop", {"order": 2, "lot": 1}, 7)))
    assert told.is_told(facts.notice_of(Reconciled("ionloop", {}, 7)))


def test_every_loosening_is_told() -> None:
    told = Told()
    for at_ns in (7, 8):
        assert told.is_told(facts.notice_of(LimitsSet("account", "{}", ("a",), "ann", "more", at_ns)))


def test_an_unknown_write_is_told_until_it_is_known() -> None:
    told = Told()
    assert told.is_told(conditions.unknown(LOST, BTC))
    assert not told.is_told(conditions.unknown(LOST, BTC))
    assert told.is_told(conditions.known(LOST, 9))
    assert not told.is_told(conditions.known(LOST, 9))
