"""The limits in effect, each with how much of it is used now: what `GET /v1/limits` answers.

Reads the engine's state and the configured limits; decides nothing. The risk gate alone knows whether an order passes.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from quantd.control.answers import LimitList, LimitView
from quantd.control.daemon_access import DaemonAccess
from quantd.domain.numbers import ZERO
from quantd.engine.risk.controls import DEFAULTS
from quantd.engine.risk.limits import Limits
from quantd.engine.state import State


def limits(daemon: DaemonAccess) -> LimitList:
    """Return every limit that is set, by scope."""
    risk = daemon.risk()
    scopes: list[tuple[str, Limits]] = [("account", risk.account), ("order", risk.order.over(DEFAULTS))]
    scopes += [(f"venue:{name}", one) for name, one in risk.venues.items()]
    scopes += [(f"instrument:{name}", one) for name, one in risk.instruments.items()]
    scopes += [(f"strategy:{name}", one) for name, one in daemon.strategy_limits().items()]
    return LimitList(risk.base_currency, tuple(view for scope, one in scopes for view in _views(daemon, scope, one)))


def _views(daemon: DaemonAccess, scope: str, limits: Limits) -> Iterable[LimitView]:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is not None:
            measure = _USES.get(name)
            used = None if measure is None or scope == "order" else measure(daemon, scope)
            yield LimitView(scope, name, _shown(value), None if used is None else _plain(used))


def _shown(value: Any) -> str:
    match value:
        case Enum():
            return str(value.value)
        case bool():
            return "true" if value else "false"
        case Decimal():
            return _plain(value)
        case tuple():
            return ", ".join(_shown(item) for item in value)
        case msgspec.Struct():
            return ", ".join(f"{name} {_shown(getattr(value, name))}" for name in value.__struct_fields__)
    return str(value)


def _plain(value: Decimal) -> str:
    return f"{value:f}"


# -- how much is used --------------------------------------------------------------------------------------------------


def _open_orders(daemon: DaemonAccess, scope: str) -> Decimal | None:
    return Decimal(daemon.engine.state.portfolio.open_orders.get(scope, 0))


def _gross(daemon: DaemonAccess, scope: str) -> Decimal | None:
    """Worst-case value of all positions of a scope, in the base currency."""
    state = daemon.engine.state
    total = ZERO
    for instrument, worst in _worst(state, scope):
        price = state.rates.marks[instrument].exact() if worst else None
        if not worst:
            continue
        value = None if price is None else state.rates.notional(state.portfolio.instruments[instrument], worst, price)
        if value is None:
            return None
        total += value
    return total


def _position(daemon: DaemonAccess, scope: str) -> Decimal | None:
    return max((worst for _, worst in _worst(daemon.engine.state, scope)), default=ZERO)


def _worst(state: State, scope: str) -> Iterable[tuple[Any, Decimal]]:
    """Yield (instrument, largest quantity on either side) of a scope."""
    kind, _, name = scope.partition(":")
    if kind == "strategy":
        for book in state.portfolio.books():
            if book.strategy == name:
                yield book.instrument.id, max(abs(book.worst_long), abs(book.worst_short))
        return
    for instrument, net in state.portfolio.nets.items():
        if kind == "account" or (kind == "venue" and instrument.partition(":")[0] == name) or instrument == name:
            yield instrument, net.worst


def _daily_loss(daemon: DaemonAccess, scope: str) -> Decimal | None:
    lost = daemon.engine.guards.losses.day_loss(scope)
    return None if lost is None else max(ZERO, lost)


def _drawdown(daemon: DaemonAccess, scope: str) -> Decimal | None:
    return daemon.engine.guards.losses.drawdown(scope)


_USES: dict[str, Callable[[DaemonAccess, str], Decimal | None]] = {
    "max_open_orders": _open_orders,
    "max_gross_notional": _gross,
    "capital": _gross,
    "max_position": _position,
    "max_daily_loss": _daily_loss,
    "max_drawdown": _drawdown,
}
