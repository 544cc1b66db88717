"""What is wrong with a strategy class that Python does not mind: hooks that would never be called, and state that two
instances would share.

Used by the strategy loader, `quantd check`, the backtest and the testing kit. Calls nothing of the author's.
"""

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from types import FunctionType
from typing import Any

from quantd.engine.desk import Desk
from quantd.engine.strategy import Strategy
from quantd.indicators.base import Indicator
from quantd.plugins.importing import NotLoadable, line_of

_OWN = ("setup", "save", "load")
HOOKS = {name: hook for name, hook in vars(Strategy).items() if name.startswith("on_") or name in _OWN}
"""What the engine calls of a strategy, by name."""
_PLAIN = {name.replace("_", ""): name for name in HOOKS}
_SHARED = (list, dict, set, bytearray, deque, Indicator)


def check_class(cls: type[Strategy]) -> None:
    """Refuse hooks that the engine would not call, or not as they mean it, and attributes that all instances share.

    Raises:
        NotLoadable: with file and line.
    """
    for owner in _own_classes(cls):
        for name, value in vars(owner).items():
            if isinstance(value, FunctionType):
                _check_method(cls, name, value)
            elif isinstance(value, _SHARED):
                _check_shared(owner, name, value)


def unheard(desk: Desk) -> Iterator[str]:
    """Yield what is to be said of hooks for which `setup` asked for nothing."""
    strategy, plain = type(desk.strategy), [one for one in desk.series if not one.is_aligned]
    asked: dict[str, tuple[object, str]] = {
        "on_bar": (plain, "on_bars takes its aligned series" if desk.series else "setup asks for no bars"),
        "on_bars": (desk.aligned, "setup aligns no series; on_bar takes single ones"),
        "on_book": (desk.books, "setup asks for no book"),
        "on_timer": (desk.timers, "setup asks for no timer"),
    }
    if not desk.series and not desk.quotes and not desk.books and not desk.timers:
        yield f"strategy {desk.id} asks for no data and no timer: it will never be called"
        return
    for name, (inputs, why) in asked.items():
        if not inputs and getattr(strategy, name) is not HOOKS[name]:
            yield f"strategy {desk.id}: {name} will never be called: {why}"


def _own_classes(cls: type[Strategy]) -> Iterable[type]:
    return [one for one in cls.__mro__ if one not in Strategy.__mro__]


def _check_method(cls: type[Strategy], name: str, method: FunctionType) -> None:
    code = method.__code__
    if name in HOOKS:
        what = _misfit(name, method)
        if what:
            raise NotLoadable(what, code.co_filename, code.co_firstlineno)
        return
    meant = _PLAIN.get(name.lower().replace("_", ""), "")
    if not meant and (not name.startswith("on_") or _is_used(cls, name)):
        return
    close = [meant] if meant else get_close_matches(name, HOOKS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise NotLoadable(
        f"found {name}, which nothing calls, expected one of {', '.join(sorted(HOOKS))}{hint}",
        code.co_filename,
        code.co_firstlineno,
    )


def _misfit(name: str, method: Callable[..., Any]) -> str:
    """Return what keeps the engine from calling a hook as it is written."""
    if inspect.iscoroutinefunction(method):
        return f"{name} is async: nobody awaits it; expected a plain method"
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        return f"{name} holds a yield: nobody iterates over it; expected a plain method"
    expected = inspect.signature(HOOKS[name])
    try:
        inspect.signature(method).bind(*expected.parameters)
    except TypeError:
        return f"found {name}{inspect.signature(method)}, expected {name}({', '.join(expected.parameters)})"
    return ""


def _is_used(cls: type[Strategy], name: str) -> bool:
    """Tell whether a method of the class names an attribute: then it is a helper, and calls itself what it likes."""
    methods = [one for owner in _own_classes(cls) for one in vars(owner).values() if isinstance(one, FunctionType)]
    return any(name in one.__code__.co_names for one in methods)


def _check_shared(owner: type, name: str, value: object) -> None:
    is_meant = name.isupper() or name == "needs" or name.startswith("__")
    if is_meant or "ClassVar" in str(vars(owner).get("__annotations__", {}).get(name, "")):
        return
    raise NotLoadable(
        f"{owner.__name__}.{name} is a {type(value).__name__} of the class, which all strategies of this class share; "
        f"expected self.{name} = ... in setup, or a ClassVar where it is constant",
        inspect.getsourcefile(owner) or "",
        line_of(owner),
    )
