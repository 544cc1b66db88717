"""Loads strategy classes: from the strategies folder, by a dotted path, or by a registered name.

Used by the composition root and `quantd check`. What cannot be loaded comes back as a `LoadFailure` with file, line and
cause, and takes no other strategy down. It sets parameters and rehearses `setup`; it never gives a strategy data,
orders or anything of the daemon's.
"""

import importlib
import inspect
import random
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec

from quantd.domain.capabilities import Capabilities, Support
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, Market, Protect, Stop, StopLimit
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.params import declared, fill
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.strategy import Strategy
from quantd.engine.views import Timer
from quantd.plugins.cron import check_cron
from quantd.plugins.hooks import check_class
from quantd.plugins.importing import Folder, LoadFailure, NotLoadable, blame, line_of, source_hash
from quantd.plugins.settings import StrategySettings
from quantd.plugins.sources import hash_with_imports

__all__ = [
    "STRATEGIES",
    "VENUES",
    "Declared",
    "LoadFailure",
    "Loaded",
    "Places",
    "StrategyLoader",
    "load_registered",
    "support",
    "unmet",
]

STRATEGIES, VENUES = "quantd.strategies", "quantd.venues"
"""Entry point groups in which outside packages register."""


class Places(Protocol):
    """Knows where in the configuration something was written."""

    def locate(self, path: Sequence[str]) -> str:
        """Return ``file:line`` of a path of keys, or the name of the variable that set it."""


class Declared(msgspec.Struct, frozen=True):
    """What a strategy's `setup` asks for."""

    bars: dict[tuple[InstrumentId, int], int]
    """Instrument and interval in seconds -> bars until the series is warm."""
    books: dict[InstrumentId, int]
    """Levels a side."""
    timers: tuple[Timer, ...]


class Loaded(msgspec.Struct, frozen=True):
    """A strategy that is ready for the engine."""

    id: str
    strategy: Strategy
    """With its parameters set, and `setup` not yet run."""
    file: str
    source_hash: str
    """SHA-256 of its file and of those beside it that it imports, in hexadecimal; empty where there is none."""
    declared: Declared


class StrategyLoader:
    """Loads the strategies of one run; a new one reads all files anew.

    Args:
        folder: The strategies folder; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(folder)

    def load(self, settings: StrategySettings, places: Places | None = None) -> Loaded | LoadFailure:
        """Find the class, set its parameters and rehearse its `setup`.

        Args:
            settings: The strategy's entry in the configuration.
            places: Where its keys were written, for messages about parameters.
        """
        try:
            cls, file, digest = self._class(settings.use)
            check_class(cls)
            values = _parameters(cls, settings, places)
            declared = _rehearse(_instance(cls, values, file), settings, file)
            return Loaded(settings.id, _instance(cls, values, file), file, digest, declared)
        except NotLoadable as error:
            return LoadFailure(settings.id, error.what, error.file, error.line)

    def find(self, use: str) -> type[Strategy] | LoadFailure:
        """Return the class that `use` names in the configuration, or why there is none."""
        try:
            return self._class(use)[0]
        except NotLoadable as error:
            return LoadFailure(use, error.what, error.file, error.line)

    def _class(self, use: str) -> tuple[type[Strategy], str, str]:
        module_name, _, name = use.rpartition(".")
        file = self._folder.find(module_name) if module_name else None
        if file is not None:
            digest = hash_with_imports(module_name, file, self._folder.find)
            found = self._folder.load(module_name, file)
            return _strategy_of(found, name, str(file)), str(file), digest
        registered = [point for point in entry_points(group=STRATEGIES) if point.name == use]
        if len(registered) > 1:
            raise NotLoadable(f"several packages register the strategy {use!r}: {_packages(registered)}")
        if registered:
            return _with_source(_loaded(registered[0]), use)
        if module_name:
            return _with_source(self._by_path(module_name, name, use), use)
        raise NotLoadable(f"found no strategy {use!r}, expected module.Class{self._nearest(use)}")

    def _by_path(self, module_name: str, name: str, use: str) -> object:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and module_name.startswith(error.name):
                folder = self._folder.path
                raise NotLoadable(
                    f"found no module {module_name!r}: neither in {folder} nor installed{self._nearest(use)}"
                ) from error
            raise blame(error, _file_of(error)) from error
        except (Exception, SystemExit) as error:  # boundary: an author's file may raise anything
            raise blame(error, _file_of(error)) from error
        return _strategy_of(module, name, str(module.__file__ or module_name))

    def _nearest(self, use: str) -> str:
        registered = [point.name for point in entry_points(group=STRATEGIES)]
        names = {name: f"{name}.Class" for name in self._folder.names()} | {name: name for name in registered}
        close = get_close_matches(use.partition(".")[0], names, n=1)
        return f"; did you mean {names[close[0]]}?" if close else ""


def load_registered(group: str) -> tuple[dict[str, Any], list[LoadFailure]]:
    """Return what outside packages register in an entry point group, by name, and what of it cannot be imported."""
    found: dict[str, Any] = {}
    failures: list[LoadFailure] = []
    for point in entry_points(group=group):
        if point.name in found:
            failures.append(LoadFailure(point.name, f"several packages register {point.name!r} in {group}"))
            continue
        try:
            found[point.name] = _loaded(point)
        except NotLoadable as error:
            failures.append(LoadFailure(point.name, error.what, error.file, error.line))
    return found, failures


def support(strategy: type[Strategy], capabilities: Capabilities) -> dict[str, Support]:
    """Return how a venue meets each need of a strategy, by the need's name."""
    answers: dict[type, Support] = {
        Market: capabilities.market,
        Limit: capabilities.limit,
        Stop: capabilities.stop,
        StopLimit: capabilities.stop_limit,
        # What the venue does not hold, the engine holds.
        Protect: Support.NATIVE if capabilities.bracket is Support.NATIVE else Support.EMULATED,
    }
    needs = sorted(strategy.needs, key=lambda need: need.__name__)
    return {need.__name__: answers.get(need, Support.REFUSED) for need in needs}


def unmet(strategy: type[Strategy], capabilities: Capabilities) -> list[str]:
    """Return the names of the needs that a venue can meet neither natively nor by emulation."""
    return [name for name, answer in support(strategy, capabilities).items() if answer is Support.REFUSED]


# -- classes -----------------------------------------------------------------------------------------------------------


def _strategy_of(module: ModuleType, name: str, file: str) -> type[Strategy]:
    found = getattr(module, name, None)
    if inspect.isclass(found) and issubclass(found, Strategy) and found is not Strategy:
        return found
    if found is not None:
        line = line_of(found) if inspect.isclass(found) else 0
        raise NotLoadable(f"{name} is {_kind(found)}, expected a subclass of quantd.Strategy", file, line)
    there = [
        one
        for one, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy
    ]
    close = get_close_matches(name, there, n=1)
    if close:
        hint = f"; did you mean {close[0]}?"
    else:
        hint = f"; there are {', '.join(there)}" if there else "; it holds no strategy at all"
    raise NotLoadable(f"found no class {name}{hint}", file)


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if inspect.isclass(found) else f"of type {type(found).__name__}"


def _with_source(found: object, use: str) -> tuple[type[Strategy], str, str]:
    if not (inspect.isclass(found) and issubclass(found, Strategy) and found is not Strategy):
        raise NotLoadable(f"{use} is {_kind(found)}, expected a subclass of quantd.Strategy")
    try:
        file = inspect.getsourcefile(found) or ""
    except TypeError:
        file = ""
    return found, file, source_hash(Path(file)) if file else ""


def _loaded(point: Any) -> object:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # boundary: an author's package may raise anything
        raise blame(error, _file_of(error)) from error


def _file_of(error: BaseException) -> str:
    """Return the file whose line raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename if trace is not None else ""


def _packages(points: Sequence[Any]) -> str:
    return ", ".join(sorted(point.dist.name if point.dist is not None else "?" for point in points))


# -- parameters and set-up ---------------------------------------------------------------------------------------------


def _parameters(cls: type[Strategy], settings: StrategySettings, places: Places | None) -> dict[str, Any]:
    path: tuple[str, ...] = ("params",)
    try:
        return fill(cls, settings.params)
    except KeyError as error:
        name = str(error.args[0])
        known = list(declared(cls))
        if name in known:
            what = f"params.{name}: found nothing, expected a value: it has no default"
        else:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            expected = f"one of {', '.join(known)}" if known else "no parameters"
            what, path = (
                f"params.{name}: {cls.__name__} has no such parameter, expected {expected}{hint}",
                (*path, name),
            )
    except ValueError as error:
        name, found, expected = error.args
        what, path = f"params.{name}: found {found}, expected {expected}", (*path, str(name))
    file, line = _place(settings.id, path, places)
    raise NotLoadable(what, file, line)


def _place(strategy: str, path: tuple[str, ...], places: Places | None) -> tuple[str, int]:
    if places is None:
        return "", 0
    place = places.locate(("strategies", strategy, *path))
    file, _, line = place.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (place, 0)


def _instance(cls: type[Strategy], values: Mapping[str, Any], file: str) -> Strategy:
    """Make a strategy whose `__init__`, where it has one, sees its parameters already."""
    try:
        strategy = cls.__new__(cls)
        for name, value in values.items():
            setattr(strategy, name, value)
        cls.__init__(strategy)
    except (Exception, SystemExit) as error:  # boundary: an author's code may raise anything
        raise blame(error, file) from error
    return strategy


def _rehearse(strategy: Strategy, settings: StrategySettings, file: str) -> Declared:
    """Run `setup` on an engine of its own, which is then thrown away, and return what it asked for."""
    setup = StrategySetup(
        id=settings.id,
        instruments=tuple(InstrumentId(name) for name in settings.instrument_ids),
        roles={role: InstrumentId(name) for role, name in settings.roles.items()},
        bars_s=settings.bars,
    )
    engine = Engine(
        EngineSettings(journal_id="0", epoch=1),
        RiskSettings(base_currency="USD"),
        [(setup, strategy, Limits())],
        make_random=random.Random,
        log=lambda name: lambda *args, **values: None,
    )
    try:
        engine.declare()
    except (Exception, SystemExit) as error:  # boundary: an author's code may raise anything
        failure = blame(error, file)
        raise NotLoadable(f"setup: {failure.what}", failure.file, failure.line) from error
    desk = engine.desks[settings.id]
    for timer in desk.timers:
        if timer.name.startswith("@"):
            raise NotLoadable(f"setup: timer {timer.name!r}: names that begin with @ are taken", file)
        try:
            if timer.cron is not None:
                check_cron(timer.cron)
        except ValueError as error:
            raise NotLoadable(f"setup: timer {timer.name!r}: found {timer.cron!r}, expected {error}", file) from error
        if timer.every_s is not None and not 0 < timer.every_s < float("inf"):
            raise NotLoadable(f"setup: timer {timer.name!r}: found every_s {timer.every_s}, expected above 0", file)
    bars: dict[tuple[InstrumentId, int], int] = {}
    for one in desk.series:
        key = (one.instrument, one.every_s)
        bars[key] = max(one.needed, bars.get(key, 0))
    return Declared(bars, dict(desk.books), tuple(desk.timers))
