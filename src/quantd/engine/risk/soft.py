"""Control 25, its soft half: a share of each hard limit at which people are told, once for each crossing, and no more.

The same controls are asked with smaller limits, after the gate let an order pass; what they answer never blocks. Who is
over is part of the state, so that a restart tells nobody twice.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import SoftLimitCrossed
from quantd.engine.context import Context
from quantd.engine.risk.budgets import daily_budgets
from quantd.engine.risk.exposure import exposure_controls
from quantd.engine.risk.gate import Builder, Control, Scoped
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Wish

_LOSSES = ("max_daily_loss", "max_drawdown")
_BUDGETS = ("max_daily_orders", "max_daily_notional", "max_daily_fees")
_EXPOSURE = (
    "max_open_orders",
    "max_open_notional",
    "max_position",
    "max_long",
    "max_short",
    "max_gross_notional",
    "max_net_notional",
    "max_leverage",
    "max_share",
    "capital",
)
_BY_INSTRUMENT = frozenset({"max_position", "max_long", "max_short", "max_share"})
_FREE_BALANCE = 18


class SoftControl(NamedTuple):
    """A control that is asked at a share of one limit."""

    name: str
    scope: str
    soft: object
    hard: object
    control: Control


def soft_share(limits: Limits, name: str) -> Decimal | int | None:
    """Return the value at which a limit warns, None where it does not."""
    hard = getattr(limits, name)
    if hard is None or limits.soft_pct is None:
        return None
    share = hard * limits.soft_pct / 100
    return max(int(share), 1) if isinstance(hard, int) else Decimal(share)


def soft_names(limits: Limits) -> list[str]:
    """Return the names of the limits of one scope that warn."""
    return [name for name in (*_BUDGETS, *_EXPOSURE, *_LOSSES) if soft_share(limits, name) is not None]


def soft_controls(instrument: InstrumentId, scoped: Scoped) -> Iterable[SoftControl]:
    """Make the controls that warn for one (strategy, instrument)."""
    if not scoped("soft_pct"):
        return
    builders: tuple[tuple[Builder, tuple[str, ...]], ...] = ((daily_budgets, _BUDGETS), (exposure_controls, _EXPOSURE))
    for build, names in builders:
        for name in names:
            for scope, limits in scoped(name):
                soft = soft_share(limits, name)
                if soft is None:
                    continue
                for control in build(instrument, _only(name, scope, msgspec.convert({name: soft}, Limits))):
                    if control.number != _FREE_BALANCE:
                        yield SoftControl(name, scope, soft, getattr(limits, name), control)


def _only(limit: str, scope: str, limits: Limits) -> Scoped:
    """Return the limits of a scope as a builder asks for them, all but one of them unset."""

    def scoped(name: str) -> list[tuple[str, Limits]]:
        return [(scope, limits)] if name == limit else []

    return scoped


class SoftLimits:
    """Tells of crossings, by facts."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def controls(self, instrument: InstrumentId, scoped: Scoped) -> Iterable[SoftControl]:
        """Return what `passed` is to be called with for one (strategy, instrument)."""
        return soft_controls(instrument, scoped)

    def passed(self, wish: Wish, controls: Iterable[SoftControl]) -> None:
        """Look at an order that passed the gate; one that only reduces tells nothing."""
        if wish.exit:
            return
        for one in controls:
            denied = one.control.check(wish)
            if denied is None or denied.code is not Denial.RATE_MISSING:
                about = wish.instrument.id if one.name in _BY_INSTRUMENT else ""
                self.seen((one.scope, one.name, about), one.soft, one.hard, None if denied is None else denied.observed)

    def seen(self, key: tuple[str, str, str], soft: object, hard: object, observed: object) -> None:
        """Record a crossing of the soft limit (scope, name, instrument or nothing) if it is one; None means below."""
        is_over = observed is not None
        if is_over is not (key in self._context.state.tallies.soft):
            seen = "" if observed is None else str(observed)
            self._context.record(SoftLimitCrossed(*key, is_over, str(soft), str(hard), seen, self._context.now_ns))
