"""Control 26: control of the controls. Everything that is made of limits, and the one way to change them at run time.

Only an operator's event changes a limit; a strategy has no way to send one. A tightening holds for the next order; what
is loosened is named in the record. A change outlives restarts until it is changed again or taken back.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from quantd.domain.events import LimitsChanged
from quantd.domain.limit_facts import LimitsSet
from quantd.engine.context import Context, StrategySetup
from quantd.engine.risk.controls import builders_of
from quantd.engine.risk.flow import Flow
from quantd.engine.risk.gate import Builder, Gate
from quantd.engine.risk.guards import Guards
from quantd.engine.risk.limits import SCOPES, Limits, RiskSettings
from quantd.engine.risk.stages import loosened, staged

_NAMED = 10
"""How many names an error tells at most."""


class RiskOffice:
    """Holds the gate and the guards, and keeps both to the limits that are in force."""

    def __init__(
        self,
        context: Context,
        risk: RiskSettings,
        strategies: Iterable[tuple[StrategySetup, Limits]],
        own: Limits,
    ) -> None:
        """Build the gate and the guards.

        Args:
            context: The engine's.
            risk: As configured.
            strategies: Each strategy with its limits, defaults merged in.
            own: What holds for every order where nothing is configured.
        """
        self._context = context
        self._configured = risk
        listed = tuple(strategies)
        self._stages = {setup.id: setup.stage for setup, _ in listed}
        self._traded = {one for setup, _ in listed for one in setup.instruments}
        self._own = {setup.id: limits for setup, limits in listed}
        self.risk, self.strategies = self._in_force({})
        self.guards = Guards(context, self.risk, self.strategies, own)
        self._flow = Flow()
        self.gate = Gate(self.risk, self.strategies, self._builders(), own=own)
        self.gate.warns = self.guards.soft

    def restored(self) -> None:
        """After a fold: take over the changes that it brought back, and count what left before the restart."""
        if self._context.state.tallies.limits:
            self._apply()
        else:
            self._recount()

    def change(self, event: LimitsChanged) -> None:
        """Set limits of one scope, or take back what was set; what makes no sense is recorded as refused."""
        changes = self._context.state.tallies.limits
        try:
            values = self.checked(event.scope, event.limits)
            after = self._of(
                event.scope, self._in_force(changes | {event.scope: _merged(changes, event.scope, values)})
            )
        except ValueError as error:  # msgspec's errors are ValueErrors too
            self._record(event, "{}", (), str(error))
            return
        before = self._of(event.scope, (self.risk, self.strategies))
        self._record(event, msgspec.json.encode(values).decode(), loosened(before, after), "")
        self._apply()
        self.guards.losses.settle()

    def checked(self, scope: str, limits: str) -> dict[str, Any]:
        """Return the values of a change, each in a form that JSON keeps; None takes back what was set.

        Args:
            scope: ``order``, ``account``, ``strategy:ID``, ``instrument:ID`` or ``venue:NAME``.
            limits: A JSON object of limits by name.

        Raises:
            ValueError: when the scope is unknown here, or a limit is unknown, makes no sense there or is out of its range.
        """
        kind, colon, name = scope.partition(":")
        known = self._known(kind)
        if name not in known or (colon and not name):
            listed = ", ".join(sorted(known)[:_NAMED])
            expected = f"{kind}: and one of {listed}" if listed else "order, account, strategy:, instrument: or venue:"
            raise ValueError(f"scope: found {scope}, expected {expected}")
        names = tuple(msgspec.json.decode(limits, type=dict[str, Any]))
        for limit in names:
            if kind not in SCOPES.get(limit, ()):
                raise ValueError(f"{limit}: found in scope {scope}, expected in {SCOPES.get(limit, 'no scope')}")
        valid = msgspec.json.decode(limits, type=Limits, strict=False)
        return {limit: msgspec.to_builtins(getattr(valid, limit)) for limit in names}

    def _known(self, kind: str) -> tuple[str, ...]:
        """Return the names that a scope of this kind may have: limits of anything else would hold for nothing."""
        context, risk = self._context, self._configured
        match kind:
            case "strategy":
                return tuple(self._own)
            case "venue":
                return tuple({**context.capabilities, **risk.venues})
            case "instrument":
                return tuple({*context.state.portfolio.instruments, *risk.instruments, *self._traded})
        return ("",) if kind in ("order", "account") else ()

    def _record(self, event: LimitsChanged, limits: str, names: tuple[str, ...], refused: str) -> None:
        context = self._context
        context.record(LimitsSet(event.scope, limits, names, event.by, event.why, context.now_ns, refused))

    def _apply(self) -> None:
        self.risk, self.strategies = self._in_force(self._context.state.tallies.limits)
        self.guards.set_limits(self.risk, self.strategies)
        self._flow = Flow(self._flow)
        self.gate.set_limits(self.risk, self.strategies, self._builders())
        self._recount()

    def _builders(self) -> tuple[Builder, ...]:
        return builders_of(self._context.capabilities, self.guards, self._flow)

    def _recount(self) -> None:
        state = self._context.state
        self.gate.restored(state.orders.all_orders(), state.portfolio.instruments)

    def _in_force(self, changes: Mapping[str, dict[str, Any]]) -> tuple[RiskSettings, dict[str, Limits]]:
        """Return the limits with the changes over what is configured, and the caps of each stage over both."""
        risk = self._configured
        tables: dict[str, dict[str, Limits]] = {
            "": {"order": risk.order, "account": risk.account},
            "strategy": dict(self._own),
            "venue": dict(risk.venues),
            "instrument": dict(risk.instruments),
        }
        for scope, values in changes.items():
            kind, colon, name = scope.partition(":")
            table = tables[kind if colon else ""]
            key = name if colon else kind
            if colon and kind == "strategy" and key not in table:
                continue  # the strategy is no longer configured
            table[key] = _with(table.get(key, Limits()), values)
        single = tables[""]
        changed = msgspec.structs.replace(
            risk,
            order=single["order"],
            account=single["account"],
            venues=tables["venue"],
            instruments=tables["instrument"],
        )
        stages = self._stages
        return changed, {name: staged(one, stages[name], risk.canary) for name, one in tables["strategy"].items()}

    @staticmethod
    def _of(scope: str, limits: tuple[RiskSettings, Mapping[str, Limits]]) -> Limits:
        kind, _, name = scope.partition(":")
        risk, strategies = limits
        tables = {"strategy": strategies, "venue": risk.venues, "instrument": risk.instruments}
        if kind in tables:
            return tables[kind].get(name, Limits())
        return risk.order if kind == "order" else risk.account


def _merged(changes: Mapping[str, dict[str, Any]], scope: str, values: dict[str, Any]) -> dict[str, Any]:
    merged = changes.get(scope, {}) | values
    return {name: value for name, value in merged.items() if value is not None}


def _with(limits: Limits, values: dict[str, Any]) -> Limits:
    return msgspec.convert(msgspec.to_builtins(limits) | values, Limits, strict=False)
