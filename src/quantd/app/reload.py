"""Compares the files with what runs, and readies changed strategies to take the place of running ones.

A strategy restarts in place when its code, its parameters or its supervision changed, and it needs no data, timers,
instruments or limits that this process was not built with. Everything else takes a restart of the daemon.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from quantd.app.feeds import Wants, wants
from quantd.app.own_thread import OwnThread
from quantd.app.shared import Shared
from quantd.app.strategies import Preparation, Prepared, prepare
from quantd.app.warm_up import history
from quantd.config import Settings
from quantd.config.effective import is_sensitive
from quantd.control.daemon_access import PlannedChange, ReloadPlan
from quantd.domain.capabilities import Capabilities
from quantd.domain.events import Event, StrategiesReplaced
from quantd.domain.instruments import InstrumentId
from quantd.errors import ConfigError

IN_PLACE: Final = frozenset(
    {
        "use", "params", "bars", "max_gap", "at_shutdown", "at_fault", "restarts_max", "restart_after_s", "max_errors",
        "errors_within_s", "max_slippage_bps",
    }
)  # fmt: skip
"""Keys of a strategy that take effect with a restart of the strategy alone."""
_SECTIONS: Final = (
    "journal", "venues", "risk", "protection", "surveillance", "strategies_dir", "feeds", "logging", "health", "webhooks",
    "control", "notify",
)  # fmt: skip


class _Look(msgspec.Struct, frozen=True):
    """One reading of the files."""

    settings: Settings
    replacements: dict[str, Prepared]
    what: dict[str, str]


class FileReloader:
    """Reads the daemon's files again. See `quantd.control.reloading.Reloader`.

    Args:
        shared: The daemon's parts.
        strategies: Those that run.
        read: Loads the files as at the start.
    """

    def __init__(self, shared: Shared, strategies: Sequence[Prepared], read: Callable[[], Settings]) -> None:
        self.turn = asyncio.Lock()
        self._shared = shared
        self._running = {one.setup.id: one for one in strategies}
        self._settings = shared.settings
        self._read = read
        self._capabilities: Mapping[str, Capabilities] = {
            name: parts.connector.capabilities for name, parts in shared.venues.items()
        }
        self._fed: dict[str, Wants] = {name: wants(shared.engine, name) for name in shared.venues}
        """What the feeds were built for; they do not change while the process lives."""
        self._looks: dict[str, _Look] = {}
        self._reading: OwnThread[tuple[Settings, Preparation]] = OwnThread("reload")

    async def plan(self) -> ReloadPlan:
        """Read files and strategies, and compare.

        Raises:
            ConfigError: they are not a configuration.
        """
        # Authors' modules may take their time to import, or all time: not the loop's, nor a thread that a halt needs.
        if self._reading.is_busy:
            raise ConfigError(
                "an earlier reload still reads the files: a strategy's module does not come to its end when it is imported. Mend"
                " it; a reload is possible again once the daemon was restarted"
            )
        settings, prepared = await self._reading.run(self._read_all)
        changes = (*self._sections(settings), *self._strategies(settings, prepared))
        replacements = {
            one.setup.id: one
            for one in prepared.strategies
            if any(change.action == "restart" and change.scope == f"strategy:{one.setup.id}" for change in changes)
        }
        sources = {name: one.source_hash for name, one in replacements.items()}
        told = json.dumps([msgspec.to_builtins(changes), sources, settings.hash], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        what = {change.scope.removeprefix("strategy:"): change.what for change in changes}
        self._looks = {digest: _Look(settings, replacements, what)}
        return ReloadPlan(changes, digest)

    def _read_all(self) -> tuple[Settings, Preparation]:
        settings = self._read()
        return settings, prepare(settings, self._capabilities)

    async def ready(self, plan: ReloadPlan, by: str) -> tuple[StrategiesReplaced, Sequence[Event]]:
        """Hand the new objects to the engine, and load what warms them up."""
        look, shared = self._looks.pop(plan.digest), self._shared
        bars: list[Event] = []
        needed: dict[tuple[InstrumentId, int], int] = {}
        for one in look.replacements.values():
            for key, count in one.declared.bars.items():
                needed[key] = max(count, needed.get(key, 0))
        for (instrument, every_s), count in needed.items():
            bars += await history(shared, instrument, every_s, count)
        for name, one in look.replacements.items():
            shared.engine.replacements.offer(one.setup, one.strategy)
            self._running[name] = one
        self._settings = look.settings
        sources = {name: one.source_hash for name, one in look.replacements.items()}
        what = {name: look.what[name] for name in sources}
        return StrategiesReplaced(sources, what, look.settings.hash, by, shared.clock.now_ns()), bars

    # -- the comparison ------------------------------------------------------------------------------------------

    def _sections(self, settings: Settings) -> Iterator[PlannedChange]:
        for name in _SECTIONS:
            ours, theirs = getattr(self._settings, name), getattr(settings, name)
            if ours == theirs:
                continue
            what = f"{name} changed"
            if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
                keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
                what = f"{name} changed: {', '.join(keys)}"
            yield PlannedChange(name, what, "daemon")

    def _strategies(self, settings: Settings, prepared: Preparation) -> Iterator[PlannedChange]:
        theirs = {one.setup.id: one for one in prepared.strategies}
        failed = {failure.id: str(failure) for failure in prepared.failures}
        for name in {**self._running, **theirs, **failed}:
            scope = f"strategy:{name}"
            if name in failed:
                yield PlannedChange(scope, failed[name], "broken")
            elif name not in theirs:
                yield PlannedChange(scope, "no longer there", "daemon", self._flat(name, None))
            elif name not in self._running:
                yield PlannedChange(scope, "new", "daemon")
            else:
                change = self._compared(scope, self._running[name], theirs[name])
                if change is not None:
                    yield change

    def _compared(self, scope: str, ours: Prepared, theirs: Prepared) -> PlannedChange | None:
        told = dict(_differences(ours, theirs))
        if not told:
            return None
        what = ", ".join(f"{name}{detail}" for name, detail in told.items())
        lasting = [name for name in told if name not in IN_PLACE | {"source"}]
        if lasting:
            gone = set(ours.setup.instruments) - set(theirs.setup.instruments)
            return PlannedChange(scope, what, "daemon", self._flat(ours.setup.id, gone) if gone else "")
        lacking = self._lacking(ours, theirs)
        if lacking:
            return PlannedChange(scope, f"{what}; {lacking}", "daemon")
        return PlannedChange(scope, what, "restart")

    def _lacking(self, ours: Prepared, theirs: Prepared) -> str:
        """Say what a new object asks for that this process was not built with; empty when there is nothing."""
        for instrument, every_s in theirs.declared.bars:
            fed = self._fed[instrument.partition(":")[0]].bars.get(instrument, ())
            if every_s not in fed:
                return f"it asks for bars of {every_s} s of {instrument}, which are not made in this process"
        for instrument, depth in theirs.declared.books.items():
            if depth > self._fed[instrument.partition(":")[0]].books.get(instrument, 0):
                return f"it asks for {depth} levels of the book of {instrument}, which are not polled in this process"
        if set(ours.declared.timers) != set(theirs.declared.timers):
            return "its timers changed"
        return ""

    def _flat(self, strategy: str, instruments: set[InstrumentId] | None) -> str:
        """Say what a strategy still holds or has working, in some instruments or in all; empty when it is flat."""
        state = self._shared.engine.state
        held = [
            f"{book.quantity} {book.instrument.id}"
            for book in state.portfolio.books()
            if book.strategy == strategy
            and book.quantity
            and (instruments is None or book.instrument.id in instruments)
        ]
        working = sum(
            order.strategy == strategy and (instruments is None or order.instrument in instruments)
            for order in state.orders.open_orders()
        )
        told = [f"it holds {', '.join(held)}"] if held else []
        told += [f"{working} orders work"] if working else []
        return f"a flat book: {' and '.join(told)}" if told else ""


def _differences(ours: Prepared, theirs: Prepared) -> Iterator[tuple[str, str]]:
    """Yield each key that differs, and how where that can be said in a word."""
    for name in type(ours.settings).model_fields:
        before, after = getattr(ours.settings, name), getattr(theirs.settings, name)
        if before == after:
            continue
        if name == "params":
            keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
            yield name, " " + ", ".join(f"{key}: {_shown(before, key)} -> {_shown(after, key)}" for key in keys)
        else:
            yield name, ""
    if ours.source_hash != theirs.source_hash:
        yield "source", f" {ours.source_hash[:8]} -> {theirs.source_hash[:8]}"


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "default"
    return "***" if is_sensitive(key) else str(values[key])
