"""A state as plain values, to compare: a live one with a folded one, or with one that was restored from a snapshot.

Used by tests of the engine, the journal and recovery. Changes nothing that it looks at.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quantd.engine.state import State


def portrait(state: State) -> dict[str, Any]:
    """Return everything that a state holds, as plain values: two states are the same if their portraits are equal.

    Market data is left out, as no fact brings it back; so are books, nets and sums in which there is nothing.
    """
    portfolio = state.portfolio
    return {
        "orders": {order.client_order_id: _order(order) for order in state.orders.all_orders()},
        "open": sorted(order.client_order_id for order in state.orders.open_orders()),
        "books": {
            f"{book.strategy}|{book.instrument.id}": values
            for book in portfolio.books()
            if any(values := _slots(book, leave=("strategy", "instrument")))
        },
        "nets": {
            name: values for name, net in portfolio.nets.items() if any(values := _slots(net, leave=("instrument",)))
        },
        "counts": {scope: count for scope, count in portfolio.open_orders.items() if count},
        "instruments": dict(portfolio.instruments),
        "accounts": {
            venue: {
                "account": one.account,
                "totals": _filled(one.totals),
                "reserved": _filled(one.reserved),
                "foreign": _filled(one.foreign),
                "flows": _filled(one.flows),
                "margin": (one.margin_used, one.margin_available, one.asked_at_ns),
            }
            for venue, one in portfolio.accounts.items()
        },
        "lots": {venue: held for venue, lots in state.lots.items() if (held := lots.all())},
        "latches": dict(state.latches),
        "generation": state.halt_generation,
        "targets": dict(state.targets),
        "protections": dict(state.protections),
        "guarding": (dict(state.guarding.writes), dict(state.guarding.overdue), state.guarding.last_id),
        "gone": {venue: gone for venue, lots in state.lots.items() if (gone := lots.gone())},
        "day": (state.baselines.day, state.baselines.begun, state.baselines.peaks, state.rates.recorded),
        "kept": (state.saves, state.cursors, state.timers, state.quarantined),
        "tallies": state.tallies.dump(),
        "last": (state.run, state.last_order_id, dict(state.last_order_event_ns)),
    }


def _order(order: Any) -> tuple[Any, ...]:
    values = _slots(order, leave=("view", "operation"))
    return (*values, None if order.operation is None else _slots(order.operation))


def _slots(what: Any, leave: tuple[str, ...] = ()) -> tuple[Any, ...]:
    names = {name for kind in type(what).__mro__ for name in getattr(kind, "__slots__", ())}
    return tuple(getattr(what, name) for name in sorted(names) if name not in leave)


def _filled(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in amounts.items() if amount}
