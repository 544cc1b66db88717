"""What the engine keeps of orders that have ended: a bounded number of them, wherever it keeps anything."""

import types
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from quantd.domain.orders import Limit, Market, OrderState
from quantd.engine.orders import OrderBlotter
from quantd.testing.builders import BTC, Rig

KEPT = 50
_ELSEWHERE = (
    ".seen",  # what the scripted strategies of a rig remember, for tests
    "._since",  # what was lost since the venue told balances, which it never does here; 10,000 at most
)
_PLAIN = (str, bytes, int, float, Decimal, type, types.ModuleType, types.FunctionType, types.MethodType)


def sizes(root: object) -> Counter[str]:
    """Count what each container of quantd's objects below `root` holds, by the path that leads there first."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("engine", root)]
    while waiting:
        path, one = waiting.pop()
        if id(one) in seen or isinstance(one, _PLAIN):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            found[path] += len(one)
            waiting += [(f"{path}[]", value) for value in one.values()]
        elif isinstance(one, list | set | frozenset | tuple | deque):
            found[path] += len(one)
            waiting += [(f"{path}[]", value) for value in one]
        elif type(one).__module__.startswith("quantd"):
            waiting += [(f"{path}.{name}", getattr(one, name)) for name in _fields(one) if hasattr(one, name)]
    return found


def _fields(one: object) -> Iterator[str]:
    for parent in type(one).__mro__:
        slots: Iterable[str] = vars(parent).get("__slots__", ())
        yield from (name for name in slots if name not in ("__weakref__", "__dict__"))
    yield from getattr(one, "__dict__", {})


def bought(strategy: Any) -> Any:
    return strategy.buy(BTC, 1, Limit(Decimal(100)))


def sold(strategy: Any) -> Any:
    return strategy.sell(BTC, 1, Limit(Decimal(100)))


def cancelled(strategy: Any, order: Any) -> Any:
    return strategy.cancel(order)


def trade(rig: Rig, orders: int) -> None:
    """Fill, cancel, reject and deny orders, each kind in turn."""
    for number in range(orders):
        rig.wait(3)
        rig.quote(100)
        kind = number % 4
        if kind == 3:
            rig.do(lambda s: s.buy(BTC, 10**9, Market()))
            continue
        # Bought and sold in turn, so that what is held stays what it was.
        order = rig.do(bought if number // 4 % 2 == 0 else sold)
        assert order, order
        rig.accept(order)
        if kind == 0:
            rig.fill(order)
        elif kind == 1:
            rig.do(partial(cancelled, order=order))
            rig.accept(order)
        else:
            rig.report(order, state=OrderState.EXPIRED)
        assert not order.is_open


def test_no_container_of_the_engine_grows_with_the_orders_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderBlotter.__init__, "__defaults__", (KEPT,))
    rig = Rig()
    trade(rig, 400)
    before = sizes(rig.engine)
    trade(rig, 800)
    grown = {path: (before[path], size) for path, size in sizes(rig.engine).items() if size > before[path] + 20}
    assert [path for path in grown if not any(name in path for name in _ELSEWHERE)] == []
    assert len(list(rig.state.orders.all_orders())) == KEPT
