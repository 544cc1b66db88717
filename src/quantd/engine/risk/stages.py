"""Control 33: staged release. And what "tighter" means for each limit, which caps and changes at run time both need.

A strategy in its canary stage has the tightest of its own limits, of `risk.canary` and of the caps built in here: no
configuration raises those, only the next stage does. A strategy in its paper stage is kept from real venues by the
configuration's checks.
"""

from decimal import Decimal
from typing import Any, Literal

from quantd.engine.risk.limits import Limits, RateLimit

Stage = Literal["paper", "canary", "live"]

CANARY = Limits(
    max_order_notional=Decimal(1_000),
    price_collar_bps=Decimal(200),
    max_open_orders=5,
    max_daily_orders=200,
    max_daily_notional=Decimal(25_000),
    max_gross_notional=Decimal(5_000),
    max_daily_loss=Decimal(250),
)
"""What no strategy in its canary stage exceeds, whatever is configured; money in the base currency."""

_MORE_IS_TIGHTER = frozenset(
    {
        "min_margin_ratio",
        "resume_after_s",
        "duplicate_window_s",
        "fires_window_s",
        "move_window_s",
        "reject_cooldown_s",
        "reserve",
    }
)
_STRICT = ("cancel_oldest", "deny", "reduce", "halt", "flatten")
"""Words of limits, each stricter than those of its limit before it."""


def staged(limits: Limits, stage: str, canary: Limits) -> Limits:
    """Return what holds for a strategy in its stage.

    Args:
        limits: The strategy's own, defaults merged in.
        stage: ``paper``, ``canary`` or ``live``.
        canary: The configured caps.
    """
    return tighter(tighter(limits, canary), CANARY) if stage == "canary" else limits


def tighter(limits: Limits, caps: Limits) -> Limits:
    """Return for each limit the tighter of the two; one that is not set binds nothing."""
    values = {}
    for name in limits.__struct_fields__:
        mine, cap = getattr(limits, name), getattr(caps, name)
        values[name] = cap if mine is None else mine if cap is None else _tighter(name, mine, cap)
    return Limits(**values)


def loosened(before: Limits, after: Limits) -> tuple[str, ...]:
    """Return the names of the limits that `after` makes looser in any respect."""
    held = tighter(after, before)
    return tuple(name for name in before.__struct_fields__ if getattr(held, name) != getattr(after, name))


def _tighter(name: str, one: Any, other: Any) -> Any:
    """Return the tighter of two values of one limit; of two that cannot be ordered, what both allow."""
    if isinstance(one, bool):
        return one or other  # `long_only` forbids, `drawdown_trailing` measures from higher up
    if isinstance(one, str):
        return max(one, other, key=_STRICT.index)
    if isinstance(one, RateLimit):
        return min(one, other, key=lambda rate: (rate.count / rate.per_s, rate.count))
    if name == "restricted":
        return tuple(dict.fromkeys((*one, *other)))
    if isinstance(one, tuple):
        return tuple(each for each in one if each in other) or other
    return max(one, other) if name in _MORE_IS_TIGHTER else min(one, other)
