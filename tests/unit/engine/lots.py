"""Scenes of a margin account whose fills name lots: the test is the venue, in snapshots, answers and reports."""

from decimal import Decimal
from typing import Any

from quantd.domain.commands import SetProtection
from quantd.domain.events import OutcomeReceived
from quantd.domain.fills import Fill
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Limit, OrderKind, OrderState, Origin, Protect, Side
from quantd.domain.outcomes import Outcome
from quantd.domain.reports import OrderReport
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import (
    BTC,
    SECOND_NS,
    Puppet,
    Rig,
    make_instrument,
    make_lot_capabilities,
    make_snapshot,
)

D = Decimal
STOP = Protect(stop=95)
"""The exit of most scenes."""


def make_rig(*, hedging: bool = True, rules: dict[str, Any] | None = None, **more: Any) -> Rig:
    """Return a rig with lots, on which one strategy trades."""
    rules = {"margin_rate": D("0.1")} | (rules or {})
    settings: dict[str, Any] = {"capabilities": make_lot_capabilities(), "margin": True, "hedging": hedging} | more
    settings.setdefault("strategies", {"s1": Puppet()})
    return Rig(instruments=[make_instrument(**rules)], **settings)


def fill(rig: Rig, order: Any, lot: str, quantity: Any = None, price: Any = 100) -> None:
    """Execute an order in a lot."""
    live = rig.live(order)
    traded = live.remaining if quantity is None else D(quantity)
    told = Fill(f"t{lot}-{live.client_order_id}-{len(live.fills)}", traded, D(str(price)), lot=lot)
    filled = live.filled + traded
    state = OrderState.FILLED if filled >= live.spec.quantity else OrderState.PARTIALLY_FILLED
    rig.report(live, filled_quantity=filled, fills=(told,), state=state)


def enter(rig: Rig, protect: Protect | None, lot: str = "7", quantity: Any = 2, side: str = "buy") -> LiveOrder:
    """Open a lot."""
    order = rig.do(lambda s: getattr(s, side)(BTC, quantity, Limit(100), protect=protect))
    assert order, f"denied: {order}"
    rig.accept(order)
    fill(rig, order, lot)
    return rig.live(order)


def show(rig: Rig, *lots: tuple[str, Any, LotProtection], later_s: float = 1.0) -> None:
    """Let the venue show these lots (id, signed quantity, exits) a moment later."""
    rig.now_ns += round(later_s * SECOND_NS)
    shown = tuple(
        Lot(name, BTC, Side.BUY if D(held) > 0 else Side.SELL, abs(D(held)), D(100), exits)
        for name, held, exits in lots
    )
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=shown))


def answer(rig: Rig, outcome: Outcome) -> None:
    """Answer the last write of exits."""
    write = rig.sent(SetProtection)[-1]
    rig.handle(OutcomeReceived(write.client_order_id, write.operation, outcome, rig.now_ns))


def exit_report(rig: Rig, lot: str, traded: Any, price: Any, **fields: Any) -> OrderReport:
    """Return what the venue says of a lot that its stop has closed."""
    told = Fill(f"x{lot}-{traded}", D(traded), D(str(price)), lot=lot)
    shown: dict[str, Any] = {
        "venue_order_id": f"stop-{lot}",
        "state": OrderState.FILLED,
        "filled_quantity": D(traded),
        "side": Side.SELL,
        "quantity": D(traded),
        "kind": OrderKind.STOP,
        "trigger": D(95),
        "lot": lot,
        "fills": (told,),
    }
    return OrderReport(instrument=BTC, received_at_ns=rig.now_ns, **(shown | fields))


def venue_exit(rig: Rig, lot: str, traded: Any, price: Any, **fields: Any) -> None:
    """Let the venue close a lot by its stop and say so."""
    rig.handle(exit_report(rig, lot, traded, price, **fields))


def held(rig: Rig, strategy: str = "s1") -> Decimal:
    return rig.state.portfolio.book(strategy, BTC).quantity


def exits(rig: Rig) -> list[LiveOrder]:
    return [one for one in rig.state.orders.all_orders() if one.origin is Origin.PROTECTION]
