"""The one gate: every path to a venue passes `Gate.check`, whoever asks.

Built once from the limits of all scopes; for each (strategy, instrument) it keeps the short list of controls that have
anything to say there. A control that raises denies.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.orders import Origin
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied, Wish


class Control(Protocol):
    """One check. Stateless ones answer from the wish alone; those that count do so in `passed`."""

    number: int
    """The control's number in the list of risk controls."""
    guards_exits: bool
    """Whether it is asked for exits too; controls that limit exposure are not."""
    cancels: "CancelWindow | None"
    """Where cancels are counted, if that is its business."""

    def check(self, wish: Wish) -> Denied | None:
        """Return the denial, or None to let the wish pass."""

    def passed(self, wish: Wish) -> None:
        """Count a wish that passed the whole gate."""

    def restored(self, order: LiveOrder) -> None:
        """Count an order that passed before a restart; called for each that a fold brought back, oldest first."""


class CancelWindow(Protocol):
    """Counts cancels in time; they are never denied, those that are not urgent wait for room."""

    def has_room(self, now_ns: int) -> bool:
        """Whether one more may leave."""

    def add(self, now_ns: int) -> None:
        """Count one."""


class Scoped(Protocol):
    """The limits that apply to one (strategy, instrument), by scope name."""

    def __call__(self, name: str) -> list[tuple[str, Limits]]:
        """Return (scope, limits) for every scope in which the limit `name` is set."""


class Warns(Protocol):
    """Tells of orders that come near a limit; it never blocks."""

    def controls(self, instrument: InstrumentId, scoped: Scoped) -> Iterable[Any]:
        """Return what `passed` is to be called with for one (strategy, instrument)."""

    def passed(self, wish: Wish, controls: Iterable[Any]) -> None:
        """Look at a wish that passed the gate."""


Builder = Callable[[InstrumentId, Scoped], Iterable[Control]]
"""Makes a control for one (strategy, instrument) if any limit of its is set there."""


class Pipeline:
    """The controls of one (strategy, instrument), in order."""

    __slots__ = ("all", "cancels", "counting", "for_exits", "slippage_bps", "soft")

    def __init__(self, controls: Iterable[Control], slippage_bps: Decimal | None, soft: Iterable[Any] = ()) -> None:
        self.all = tuple(controls)
        self.for_exits = tuple(control for control in self.all if control.guards_exits)
        self.counting = tuple(control for control in self.all if not isinstance(control, Stateless))
        self.cancels = tuple(window for control in self.all if (window := control.cancels) is not None)
        self.soft = tuple(soft)
        """What is asked after the gate let an order pass, to tell people."""
        self.slippage_bps = slippage_bps
        """The tightest cap of an emulated market order in any scope."""


class Stateless:
    """Base of controls that count nothing."""

    guards_exits = False
    cancels: CancelWindow | None = None

    def passed(self, wish: Wish) -> None:
        """Nothing to count."""

    def restored(self, order: LiveOrder) -> None:
        """Nothing to count."""


class Gate:
    """Checks wishes against the limits of every scope."""

    def __init__(
        self, settings: RiskSettings, strategies: dict[str, Limits], builders: Iterable[Builder], *, own: Limits
    ) -> None:
        """Build nothing yet; pipelines are made on first use.

        Args:
            settings: Limits by scope.
            strategies: Strategy id -> its limits, defaults merged in.
            builders: In the order in which controls are asked.
            own: Limits that hold where the configuration says nothing (tight defaults).
        """
        self._settings = settings
        self._strategies = strategies
        self._builders = tuple(builders)
        self._own = own
        self._pipelines: dict[tuple[str, InstrumentId], Pipeline] = {}
        self.warns: Warns | None = None
        """Set by who builds it, where anybody is to be told."""

    def set_limits(self, settings: RiskSettings, strategies: dict[str, Limits], builders: Iterable[Builder]) -> None:
        """Take over other limits: the next wish is held against them. Call `restored` next: orders are counted anew."""
        self._settings = settings
        self._strategies = strategies
        self._builders = tuple(builders)
        self._pipelines = {}

    def check(self, wish: Wish) -> Denied | None:
        """Return the first denial, or None: the wish may be reserved and sent.

        Reserving is the caller's next step, before anything else is checked: one headroom, one winner.
        """
        pipeline = self._pipelines.get((wish.strategy, wish.instrument.id))
        if pipeline is None:
            pipeline = self.pipeline(wish.strategy, wish.instrument)
        for control in pipeline.for_exits if wish.exit else pipeline.all:
            try:
                denied = control.check(wish)
            except Exception as error:  # noqa: BLE001 -- boundary: a check that cannot be computed must not pass
                return Denied(Denial.CONTROL_FAILED, control.number, "order", "", type(error).__name__, str(error))
            if denied is not None:
                return denied
        for control in pipeline.counting:
            control.passed(wish)
        if pipeline.soft and self.warns is not None:
            self.warns.passed(wish, pipeline.soft)
        return None

    def slippage_bps(self, strategy: str, instrument: Instrument) -> Decimal | None:
        """Return the tightest cap of an emulated market order in any scope, in basis points; None where none is set."""
        return self.pipeline(strategy, instrument).slippage_bps

    def cancel_windows(self, strategy: str, instrument: Instrument) -> tuple[CancelWindow, ...]:
        """Return where the cancels of a (strategy, instrument) are counted."""
        return self.pipeline(strategy, instrument).cancels

    def restored(self, orders: Iterable[LiveOrder], instruments: Mapping[InstrumentId, Instrument]) -> None:
        """Count what left before a restart, so that a limit in time holds across it."""
        for order in orders:
            if order.origin is not Origin.EXTERNAL:
                for control in self.pipeline(order.strategy, instruments[order.instrument]).counting:
                    control.restored(order)

    def pipeline(self, strategy: str, instrument: Instrument) -> Pipeline:
        """Return the controls of a (strategy, instrument), made now if need be."""
        key = (strategy, instrument.id)
        found = self._pipelines.get(key)
        if found is None:
            scoped = self._scoped(strategy, instrument)
            caps = (limits.max_slippage_bps for _, limits in scoped("max_slippage_bps"))
            cap = min((cap for cap in caps if cap is not None), default=None)
            soft = () if self.warns is None else self.warns.controls(instrument.id, scoped)
            found = Pipeline((c for build in self._builders for c in build(instrument.id, scoped)), cap, soft)
            self._pipelines[key] = found
        return found

    def _scoped(self, strategy: str, instrument: Instrument) -> Scoped:
        settings = self._settings
        scopes = [("order", settings.order.over(self._own))]
        if strategy in self._strategies:
            scopes.append((f"strategy:{strategy}", self._strategies[strategy]))
        if instrument.id in settings.instruments:
            scopes.append((f"instrument:{instrument.id}", settings.instruments[instrument.id]))
        if instrument.venue in settings.venues:
            scopes.append((f"venue:{instrument.venue}", settings.venues[instrument.venue]))
        scopes.append(("account", settings.account))

        def scoped(name: str) -> list[tuple[str, Limits]]:
            return [(scope, limits) for scope, limits in scopes if getattr(limits, name) is not None]

        return scoped
