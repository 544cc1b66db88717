"""From what someone asks for to what a venue can be sent: terms on the instrument's steps, emulation of what it lacks."""

from decimal import Decimal

import msgspec

from quantd.domain.capabilities import Support
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import BPS, ONE, Rounding
from quantd.domain.orders import (
    Effect,
    How,
    Limit,
    Market,
    OrderKind,
    OrderSpec,
    Origin,
    Protect,
    Role,
    Side,
    Stop,
    StopLimit,
    TimeInForce,
)
from quantd.engine.context import Context
from quantd.engine.risk.wish import Denial, Denied


class Ticket(msgspec.Struct, frozen=True):
    """An order as someone asks for it, before it is snapped and checked."""

    strategy: str
    instrument: InstrumentId
    side: Side
    quantity: Decimal | float
    how: How
    origin: Origin = Origin.STRATEGY
    role: Role = Role.ENTRY
    effect: Effect = Effect.AUTO
    protect: Protect | None = None
    why: str = ""
    parent: str = ""
    group: str = ""
    lot: str = ""
    max_slippage_bps: Decimal | None = None
    for_target: bool = False


def emulate(context: Context, spec: OrderSpec, rules: Instrument, ticket: Ticket) -> tuple[OrderSpec, bool] | Denied:
    """Return what is sent instead of `spec`, and whether the engine holds it until its trigger."""
    capabilities = context.capabilities.get(rules.venue)
    if capabilities is None:
        return Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", "a configured venue", "no longer configured")
    support = getattr(capabilities, spec.kind.value)
    if support is Support.REFUSED:
        return Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", spec.kind.value, "refused")
    if spec.post_only and capabilities.post_only is not Support.NATIVE:
        return Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", "post_only", "refused")
    if spec.kind is not OrderKind.MARKET:
        tif = capabilities.time_in_force.get(spec.time_in_force, Support.REFUSED)
        if tif is Support.REFUSED:
            return Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", spec.time_in_force.value, "refused")
        if tif is Support.EMULATED:
            if spec.time_in_force not in (TimeInForce.IOC, TimeInForce.GTD):
                return Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", spec.time_in_force.value, "not emulated")
            until = context.now_ns if spec.time_in_force is TimeInForce.IOC else spec.expires_at_ns
            spec = msgspec.structs.replace(spec, time_in_force=TimeInForce.GTC, expires_at_ns=until)
    if support is Support.NATIVE:
        return spec, False
    if spec.kind is OrderKind.MARKET:
        return _marketable(context, spec, rules, ticket)
    return spec, True


def _marketable(
    context: Context, spec: OrderSpec, rules: Instrument, ticket: Ticket
) -> tuple[OrderSpec, bool] | Denied:
    """Return a limit that takes the far side at once, at most the slippage cap away; the rest is cancelled soon."""
    mark = context.state.rates.marks[rules.id]
    buying = spec.side is Side.BUY
    touch = mark.ask if buying else mark.bid
    if not touch > 0:
        return Denied(Denial.REFERENCE, 5, "order", "a price", "none")
    bps = ticket.max_slippage_bps or context.settings.max_slippage_bps
    rounding = Rounding.FLOOR if buying else Rounding.CEILING
    edge = rules.price(touch, Rounding.NEAREST) * (ONE + bps * BPS if buying else ONE - bps * BPS)
    return (
        msgspec.structs.replace(
            spec,
            kind=OrderKind.LIMIT,
            price=rules.price(edge, rounding),
            expires_at_ns=context.now_ns + int(context.settings.ioc_after_s * 1e9),
        ),
        False,
    )


def terms(rules: Instrument, ticket: Ticket) -> OrderSpec:
    """Return a ticket's terms on the instrument's steps: buyers' prices down, sellers' up, quantity down.

    A stop's trigger is brought to the nearest tick.

    Raises:
        ValueError: when a number is not finite.
        ArithmeticError: likewise, from Decimal.
    """
    how = ticket.how
    quantity = rules.quantity(ticket.quantity)
    side = ticket.side
    if type(how) is Market:
        return OrderSpec(
            rules.id,
            side,
            quantity,
            OrderKind.MARKET,
            None,
            None,
            TimeInForce.GTC,
            False,
            how.reduce_only,
            ticket.effect,
        )
    rounding = Rounding.FLOOR if side is Side.BUY else Rounding.CEILING
    if isinstance(how, Limit):
        return OrderSpec(
            rules.id,
            side,
            quantity,
            OrderKind.LIMIT,
            rules.price(how.price, rounding),
            None,
            how.time_in_force,
            how.post_only,
            how.reduce_only,
            ticket.effect,
            how.expires_at_ns,
        )
    if isinstance(how, StopLimit):
        return OrderSpec(
            rules.id,
            side,
            quantity,
            OrderKind.STOP_LIMIT,
            rules.price(how.price, rounding),
            rules.price(how.trigger, Rounding.NEAREST),
            TimeInForce.GTC,
            False,
            how.reduce_only,
            ticket.effect,
        )
    assert isinstance(how, Stop)
    return OrderSpec(
        rules.id,
        side,
        quantity,
        OrderKind.STOP,
        None,
        rules.price(how.trigger, Rounding.NEAREST),
        TimeInForce.GTC,
        False,
        how.reduce_only,
        ticket.effect,
    )
