"""What the journal's facts say to people: which of them are told, how urgent they are, and what to do.

Used by the composition root, with each batch of facts once it is on disk. Pure: no queue, no clock.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from quantd.domain.events import TradingState
from quantd.domain.facts import Fact, Reconciled, StateSet
from quantd.domain.limit_facts import LimitsSet, SoftLimitCrossed
from quantd.domain.protection_facts import ProtectionOverdue
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategyRenewed
from quantd.engine.tallies import SCHEDULE, SUPERVISION
from quantd.notify.notice import Notice, Weight

_CONTROLS: Final = frozenset({
    "dead_man", "journal", "loss_limit", "margin", "protection", "reconciliation", "reject_storm", "repeated_execution",
    "resolution", "rules",
})  # fmt: skip
"""Who latches a state without a person: controls of the engine, as in `quantd_halts_total`."""


def notice_of(fact: Fact) -> Notice | None:
    """Return what a fact says to people; None for most, found by one look: facts of every order pass here."""
    say = _SAYS.get(type(fact))
    return None if say is None else say(fact)


def _state(fact: StateSet) -> Notice | None:
    if fact.by == SUPERVISION and fact.state is not TradingState.ACTIVE:
        return None  # the quarantine that goes with a StrategyFaulted, which says more
    halted, is_end = fact.state is TradingState.HALTED, fact.state is TradingState.ACTIVE
    weight = Weight.CRITICAL if halted else Weight.WARNING
    do = "Decide about open positions first, remove the cause, then `quantd resume` with your name and the reason."
    runbook = "QuantdHalted" if halted else "QuantdLatchedByControl" if fact.by in _CONTROLS else "QuantdReducing"
    if is_end:
        weight, do, runbook = Weight.INFO, "", ""
    elif fact.by == SCHEDULE:
        weight, do, runbook = Weight.INFO, "Nothing: the schedule ends it by itself.", ""
    return Notice(
        key=f"state {fact.scope}",
        state=fact.state.value,
        weight=weight,
        what="trading resumed" if is_end else f"trading {fact.state.value}",
        where=fact.scope,
        since_ns=fact.at_ns,
        why=f"{fact.by}: {fact.why}",
        do=do,
        runbook=runbook,
        is_end=is_end,
    )


def _faulted(fact: StrategyFaulted) -> Notice:
    return Notice(
        key=f"state strategy:{fact.strategy}",  # as the state of that scope: a person's resume ends it
        state="quarantined",
        weight=Weight.CRITICAL,
        what="strategy quarantined",
        where=f"strategy:{fact.strategy}",
        since_ns=fact.at_ns,
        why=f"{fact.hook}: {fact.error}",
        do="Look at its positions and stops; mend the code, then resume it or `quantd reload`.",
        runbook="QuantdStrategyQuarantined",
    )


def _restarted(fact: StrategyRenewed | StrategyReloaded) -> Notice:
    why = (
        f"reloaded by {fact.by}: {fact.what}"
        if isinstance(fact, StrategyReloaded)
        else f"by supervision, {fact.number}."
    )
    return Notice(
        key=f"state strategy:{fact.strategy}",
        state="renewed",
        weight=Weight.INFO,
        what="strategy began anew",
        where=f"strategy:{fact.strategy}",
        since_ns=fact.at_ns,
        why=why,
        is_end=True,
    )


def _naked(fact: ProtectionOverdue) -> Notice:
    is_end = fact.action == "over"
    done = {"exit": "it is being closed", "halt": "its strategy was stopped", "alert": "nothing was done"}
    return Notice(
        key=f"naked {fact.strategy} {fact.instrument} {fact.entry}",
        state=fact.action,
        weight=Weight.INFO if is_end else Weight.CRITICAL,
        what="position has its stop again, or is closed" if is_end else "position without its stop",
        where=f"{fact.instrument} of strategy:{fact.strategy}",
        since_ns=fact.at_ns - int(fact.seconds * 1e9),
        why=f"{fact.reason} for {fact.seconds:.1f} s" + ("" if is_end else f"; {done.get(fact.action, fact.action)}"),
        do="" if is_end else "Look at the position at the venue; set a stop there, or `quantd flatten`.",
        runbook="" if is_end else "QuantdPositionNaked",
        is_end=is_end,
    )


def _reconciled(fact: Reconciled) -> Notice:
    found = {kind: count for kind, count in fact.differences.items() if count}
    return Notice(
        key=f"reconcile {fact.venue}",
        state="different: " + " ".join(sorted(found)) if found else "agrees",
        weight=Weight.CRITICAL if found else Weight.INFO,
        what="our books differ from the venue" if found else "our books agree with the venue again",
        where=f"venue:{fact.venue}",
        since_ns=fact.at_ns,
        why=", ".join(f"{kind}: {count}" for kind, count in sorted(found.items())),
        do="`quantd reconcile` shows the plan; find who traded before you apply it." if found else "",
        runbook="QuantdReconcileDifference" if found else "",
        is_end=not found,
    )


def _loosened(fact: LimitsSet) -> Notice | None:
    if not fact.loosened or fact.refused:
        return None
    names = ", ".join(fact.loosened)
    return Notice(
        key=f"limits {fact.scope}",
        state=f"{fact.at_ns}",
        weight=Weight.WARNING,
        what=f"limits loosened: {names}",
        where=fact.scope,
        since_ns=fact.at_ns,
        why=f"{fact.by}: {fact.why}; now {fact.limits}",
        do="If nobody of yours did this: `quantd halt`, and take that token out of use.",
    )


def _near(fact: SoftLimitCrossed) -> Notice:
    where = f"{fact.scope} {fact.instrument}".strip()
    return Notice(
        key=f"soft limit {fact.scope} {fact.limit} {fact.instrument}",
        state="over" if fact.is_over else "under",
        weight=Weight.WARNING if fact.is_over else Weight.INFO,
        what=f"{fact.limit} {'is near its limit' if fact.is_over else 'is no longer near its limit'}",
        where=where,
        since_ns=fact.at_ns,
        why=f"{fact.observed}, told from {fact.soft}, limit {fact.hard}",
        do="See what builds up; nothing is blocked yet." if fact.is_over else "",
        runbook="QuantdLimitNear" if fact.is_over else "",
        is_end=not fact.is_over,
    )


_SAYS: Final[Mapping[type, Callable[[Any], Notice | None]]] = {
    StateSet: _state,
    StrategyFaulted: _faulted,
    StrategyRenewed: _restarted,
    StrategyReloaded: _restarted,
    ProtectionOverdue: _naked,
    Reconciled: _reconciled,
    LimitsSet: _loosened,
    SoftLimitCrossed: _near,
}
"""By kind of fact."""
