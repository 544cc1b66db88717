"""Facts of the journal as sentences, for the chain behind an order or a strategy.

Used by the trail. A fact without a sentence of its own shows its name; nothing is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from quantd.domain import facts as f
from quantd.domain.orders import OrderSpec
from quantd.domain.protection_facts import ProtectionHeld
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategyRenewed


def sentence(fact: f.Fact) -> str:
    """Return one sentence on a fact."""
    tell = SENTENCES.get(type(fact))
    return type(fact).__name__ if tell is None else tell(fact)


def _spec(spec: OrderSpec) -> str:
    at = f" at {spec.price}" if spec.price is not None else ""
    trigger = f" triggered at {spec.trigger}" if spec.trigger is not None else ""
    return f"{spec.kind.value} {spec.side.value} {spec.quantity} {spec.instrument}{at}{trigger}"


def _because(why: str, led: str = "") -> str:
    return (f", because: {why}" if why else "") + (f", at {led}" if led else "")


def _intended(fact: f.OrderIntended) -> str:
    who = fact.strategy or fact.origin.value
    held = ", held until its trigger or until there is room" if fact.held else ""
    return f"{who}, {fact.role.value}: {_spec(fact.spec)}{_because(fact.why, fact.input)}; the gate let it pass{held}"


def _denied(fact: f.RequestDenied) -> str:
    wish = f"{fact.side.value} {fact.quantity} {fact.instrument}"
    gate = f"{fact.code} (control {fact.control}, {fact.scope}): limit {fact.limit}, observed {fact.observed}"
    return f"the gate denied {wish}{_because(fact.why, fact.input)}: {gate}"


def _settled(fact: f.OperationSettled) -> str:
    code = f" ({fact.code} {fact.detail})" if fact.code or fact.detail else ""
    return f"{fact.kind.value} was {fact.result.replace('_', ' ')}{code}, says {fact.by}"


def _filled(fact: f.FillRecorded) -> str:
    fees = ", ".join(f"{amount} {asset}" for asset, amount in fact.fill.fees)
    price = f"{fact.fill.price} ({fact.fill.quality.value})"
    return f"filled {fact.fill.quantity} at {price}, {fact.cumulative} in all" + (f"; fees {fees}" if fees else "")


def _target(fact: f.TargetSet) -> str:
    who = fact.strategy or "external"
    if fact.quantity is None:
        return f"the target of {who} for {fact.instrument} ended"
    return f"{who} wants its book of {fact.instrument} at {fact.quantity}{_because(fact.why, fact.input)}"


def _protected(fact: ProtectionHeld) -> str:
    exits = {"stop": fact.stop, "take": fact.take, "trail": fact.trail}
    shown = ", ".join(f"{name} {value}" for name, value in exits.items() if value is not None)
    return f"exits held for {fact.quantity} {fact.instrument}: {shown}" if fact.quantity else "exits no longer held"


SENTENCES: Mapping[type, Callable[[Any], str]] = {
    f.OrderIntended: _intended,
    f.RequestDenied: _denied,
    f.OrderReleased: lambda fact: f"triggered or given room, and sent as {_spec(fact.spec)}",
    f.AmendIntended: lambda fact: f"change to {fact.quantity} at {fact.price} passed the gate",
    f.CancelIntended: lambda fact: f"cancel wanted{_because(fact.why)}",
    f.OperationSentRecorded: lambda fact: f"write {fact.operation} left for the venue",
    f.OperationLost: lambda fact: f"the outcome of write {fact.operation} is unknown: {fact.cause}",
    f.OperationSettled: _settled,
    f.OrderAcknowledged: lambda fact: f"the venue calls it {fact.venue_order_id}",
    f.OrderAmended: lambda fact: f"the venue shows {fact.quantity} at {fact.price}",
    f.OrderMoved: lambda fact: f"moved by {fact.trigger.value}{_because(fact.reason)}",
    f.FillRecorded: _filled,
    f.FillCorrected: lambda fact: f"a fill at {fact.before.price} was corrected to {fact.after.price}",
    f.ExternalOrderSeen: lambda fact: f"seen at the venue, not ours: {_spec(fact.spec)}",
    f.TargetSet: _target,
    ProtectionHeld: _protected,
    f.StateSet: lambda fact: f"{fact.scope} became {fact.state.value}, by {fact.by}{_because(fact.why)}",
    StrategyReloaded: lambda fact: f"{fact.by} had {fact.strategy} begin anew: {fact.what}",
    StrategyRenewed: lambda fact: f"{fact.strategy} was given a fresh object, the {fact.number}. time",
    StrategyFaulted: lambda fact: f"{fact.strategy} was quarantined: {fact.hook}: {fact.error}",
    f.OperatorActionRecorded: lambda fact: f"{fact.by} asked by the API: {fact.action} {fact.detail} ({fact.result})",
}
