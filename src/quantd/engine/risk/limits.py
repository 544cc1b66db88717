"""What the risk gate may be told: one set of limits, the scopes in which each of them makes sense, and the whole of them.

Filled by the configuration loader, read by the gate and by operator commands. Holds no checks of orders and no state;
a limit that is None does not bind. Money is in the base currency of the configuration, a quantity in its instrument's
own unit, so a limit in quantities is refused where it would add up different instruments.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from quantd.domain.orders import OrderKind, Side, TimeInForce

Scope = Literal["order", "strategy", "instrument", "venue", "account"]
"""Where a set of limits stands: defaults for each order, one strategy, one instrument, one venue, or everything."""


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `count` messages in any `per_s` seconds."""

    count: int
    """Messages allowed in the window; at least 1."""
    per_s: float
    """Length of the sliding window in seconds; above 0."""
    policy: Literal["deny", "queue"] = "deny"
    """What happens to a new order above the limit: `deny` at once, or `queue` until there is room. Amendments are
    denied, cancels always wait."""
    max_wait_s: float = 1.0
    """With `queue`: seconds after which a waiting message is denied; above 0."""

    def __post_init__(self) -> None:
        """Refuse windows that allow nothing.

        Raises:
            ValueError: when a number is out of its range.
        """
        if self.count < 1:
            raise ValueError("count: expected at least 1")
        if not 0 < self.per_s < float("inf"):
            raise ValueError("per_s: expected above 0")
        if not 0 < self.max_wait_s < float("inf"):
            raise ValueError("max_wait_s: expected above 0")


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of one scope; None means that this scope sets none."""

    max_order_quantity: Decimal | None = None
    """Largest quantity of one order, in the instrument's unit."""
    max_order_notional: Decimal | None = None
    """Largest value of one order, in the base currency."""
    price_collar_bps: Decimal | None = None
    """Basis points that an order's price may lie beyond the reference on the side that pays (buys above, sells below)."""
    passive_collar_bps: Decimal | None = None
    """Basis points that an order's price may lie from the reference on the side that waits; none by default."""
    max_quote_age_s: float | None = None
    """Seconds after which a quote no longer counts as a reference price."""
    max_rate_age_s: float | None = None
    """Seconds after which a rate that converts into the base currency no longer counts for new exposure; those in which its
    market is closed do not count. 300 in `order` without it; backtests have none without it."""
    max_jump_pct: Decimal | None = None
    """Per cent that the reference may move from one quote to the next before new exposure is denied."""
    max_spread_bps: Decimal | None = None
    """Basis points between bid and ask above which new exposure pauses."""
    max_move_pct: Decimal | None = None
    """Per cent between the lowest and the highest price within `move_window_s` above which new exposure pauses."""
    move_window_s: float | None = None
    """Seconds over which `max_move_pct` looks; 60 without it."""
    resume_after_s: float | None = None
    """Seconds for which fresh prices must show a calm market after a pause, a halt or a start before new exposure."""
    order_types: tuple[OrderKind, ...] | None = None
    """Types of order that are allowed; every type without it."""
    time_in_force: tuple[TimeInForce, ...] | None = None
    """Times in force that are allowed; every one without it."""
    sides: tuple[Side, ...] | None = None
    """Sides on which new exposure is allowed; both without it."""
    long_only: bool | None = None
    """Deny what would make a position short."""
    restricted: tuple[str, ...] | None = None
    """Instruments (`venue:SYMBOL`) in which no new exposure is allowed; exits stay possible."""
    duplicate_window_s: float | None = None
    """Seconds within which the same wish of the same strategy counts as a duplicate and is denied."""
    self_match: Literal["deny", "cancel_oldest"] | None = None
    """What happens to an order that would trade with one of our own: `deny` it, or `cancel_oldest` first."""
    submit_rate: RateLimit | None = None
    """Limit of new orders in time."""
    amend_rate: RateLimit | None = None
    """Limit of amendments in time."""
    cancel_rate: RateLimit | None = None
    """Limit of cancels in time; cancels of a halt or a kill pass it."""
    max_fires: int | None = None
    """New orders of a strategy in one instrument within `fires_window_s`, above which the strategy is disabled until a
    named person resumes it."""
    fires_window_s: float | None = None
    """Seconds within which `max_fires` counts; 60 without it."""
    max_consecutive_rejects: int | None = None
    """Writes in a row that were refused or not answered, at which the strategy or venue is latched as reducing."""
    reject_cooldown_s: float | None = None
    """Seconds after which such a latch opens by itself, once; without it, and the next time, a person must."""
    max_daily_orders: int | None = None
    """New orders in one trading day; exits count and pass."""
    max_daily_notional: Decimal | None = None
    """Largest value traded in one trading day, bought and sold alike, open orders included, in the base currency."""
    max_daily_fees: Decimal | None = None
    """Largest sum of fees in one trading day, those that open orders will cost included, in the base currency."""
    max_order_to_trade: Decimal | None = None
    """Submits, amendments and cancels for each trade of the trading day; exits and cancels count and pass."""
    max_open_orders: int | None = None
    """Largest number of orders that work or are on their way."""
    max_open_notional: Decimal | None = None
    """Largest value of all orders that work or are on their way, in the base currency."""
    max_position: Decimal | None = None
    """Largest worst-case position on either side, in the instrument's unit."""
    max_long: Decimal | None = None
    """Largest worst-case long position, in the instrument's unit."""
    max_short: Decimal | None = None
    """Largest worst-case short position, in the instrument's unit, as a positive number."""
    max_gross_notional: Decimal | None = None
    """Largest sum of the worst-case values of all positions, regardless of side, in the base currency."""
    max_net_notional: Decimal | None = None
    """Largest worst-case value of longs less shorts, either way, in the base currency."""
    max_leverage: Decimal | None = None
    """Largest worst-case gross value as a multiple of equity."""
    max_share: Decimal | None = None
    """Largest share of equity that one instrument's worst-case value may have; above 0, at most 1."""
    capital: Decimal | None = None
    """Money allotted: what positions and orders may bind at the most, in the base currency."""
    reserve: Decimal | None = None
    """Money that must stay free whatever is ordered, in the base currency."""
    min_margin_ratio: Decimal | None = None
    """Least equity as a multiple of margin used: below it new exposure is denied and the venue latched as reducing. Set
    it well above the venue's own margin call."""
    max_daily_loss: Decimal | None = None
    """Loss since the start of the trading day, unrealised included, that trips `loss_action`, in the base currency."""
    max_drawdown: Decimal | None = None
    """Fall of equity that trips `loss_action`, in the base currency."""
    drawdown_trailing: bool | None = None
    """Measure `max_drawdown` from the highest equity so far (the default), or, if false, from the first equity."""
    loss_action: Literal["reduce", "halt", "flatten"] | None = None
    """What a loss limit does: only exits (`reduce`, the default), nothing but cancels (`halt`), or close all (`flatten`)."""
    soft_pct: Decimal | None = None
    """Per cent of each limit of exposure, of open orders, of the day and of loss in this scope, at which people are told;
    it never blocks."""
    max_slippage_bps: Decimal | None = None
    """Basis points beyond the touch at which a market order is capped where it is sent as a limit."""

    def __post_init__(self) -> None:
        """Refuse values that no limit can have.

        Raises:
            ValueError: with the field's name, when a number is out of its range or a list is empty.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None:
                continue
            wrong = refusal(name, value)
            if wrong is not None:
                raise ValueError(f"{name}: found {value}, expected {wrong}")

    def over(self, defaults: "Limits") -> "Limits":
        """Return these limits, with what they leave open taken from `defaults`."""
        return Limits(
            **{
                name: mine if (mine := getattr(self, name)) is not None else getattr(defaults, name)
                for name in self.__struct_fields__
            }
        )


_EVERYWHERE: tuple[Scope, ...] = ("order", "strategy", "instrument", "venue", "account")
_MARKET: tuple[Scope, ...] = ("order", "instrument", "venue", "account")
_ONE_UNIT: tuple[Scope, ...] = ("strategy", "instrument")
_FLOW: tuple[Scope, ...] = ("strategy", "venue", "account")
_OPEN: tuple[Scope, ...] = ("strategy", "instrument", "venue", "account")
_EQUITY: tuple[Scope, ...] = ("strategy", "account")

SCOPES: Mapping[str, tuple[Scope, ...]] = {
    "max_order_quantity": ("order", "strategy", "instrument"),
    "max_order_notional": _EVERYWHERE,
    "price_collar_bps": _EVERYWHERE,
    "passive_collar_bps": _EVERYWHERE,
    "max_quote_age_s": _EVERYWHERE,
    "max_rate_age_s": _EVERYWHERE,
    "max_jump_pct": _EVERYWHERE,
    "max_spread_bps": _MARKET,
    "max_move_pct": _MARKET,
    "move_window_s": _MARKET,
    "resume_after_s": _MARKET,
    "order_types": _EVERYWHERE,
    "time_in_force": _EVERYWHERE,
    "sides": _EVERYWHERE,
    "long_only": _EVERYWHERE,
    "restricted": ("strategy", "venue", "account"),
    "duplicate_window_s": _EVERYWHERE,
    "self_match": _EVERYWHERE,
    "submit_rate": _FLOW,
    "amend_rate": _FLOW,
    "cancel_rate": _FLOW,
    "max_fires": ("strategy",),
    "fires_window_s": ("strategy",),
    "max_consecutive_rejects": ("strategy", "venue"),
    "reject_cooldown_s": ("strategy", "venue"),
    "max_daily_orders": _OPEN,
    "max_daily_notional": _OPEN,
    "max_daily_fees": _OPEN,
    "max_order_to_trade": _OPEN,
    "max_open_orders": _OPEN,
    "max_open_notional": _OPEN,
    "max_position": _ONE_UNIT,
    "max_long": _ONE_UNIT,
    "max_short": _ONE_UNIT,
    "max_gross_notional": _OPEN,
    "max_net_notional": _OPEN,
    "max_leverage": ("venue", "account"),
    "max_share": ("venue", "account"),
    "capital": ("strategy",),
    "reserve": ("venue", "account"),
    "min_margin_ratio": ("venue", "account"),
    "max_daily_loss": _EQUITY,
    "max_drawdown": _EQUITY,
    "drawdown_trailing": _EQUITY,
    "loss_action": _EQUITY,
    "soft_pct": _OPEN,
    "max_slippage_bps": ("order", "strategy", "instrument", "venue"),
}
"""The scopes in which each limit makes sense; the loader refuses it elsewhere, so that none is accepted and then inert."""

_NUMERIC = frozenset(SCOPES) - {
    "order_types",
    "time_in_force",
    "sides",
    "long_only",
    "restricted",
    "self_match",
    "submit_rate",
    "amend_rate",
    "cancel_rate",
    "drawdown_trailing",
    "loss_action",
}
_MAY_BE_ZERO = frozenset({"reserve", "max_open_orders", "max_long", "max_short", "max_position", "max_net_notional"})
_WHOLE = frozenset({"max_open_orders", "max_fires", "max_consecutive_rejects", "max_daily_orders"})
_AT_MOST = {"max_share": 1, "soft_pct": 100}

REQUIRED_LIVE = ("max_gross_notional", "max_daily_loss", "max_open_orders")
"""Account limits without which a production venue does not start."""


def expectation(name: str) -> str | None:
    """Return in words the range of the numeric limit `name`, or None where it is not a plain number."""
    if name not in _NUMERIC:
        return None
    if name in _AT_MOST:
        return f"a number above 0 and at most {_AT_MOST[name]}"
    noun = "a whole number" if name in _WHOLE else "a number"
    return f"{noun}, at least 0" if name in _MAY_BE_ZERO else f"{noun} above 0"


def refusal(name: str, value: object) -> str | None:
    """Return what was expected when `value` is out of the range of the limit `name`, else None."""
    if isinstance(value, tuple) and not value and name != "restricted":
        return "at least one entry"
    if isinstance(value, bool) or not isinstance(value, Decimal | float | int):
        return None
    finite = value.is_finite() if isinstance(value, Decimal) else -float("inf") < value < float("inf")
    fits = finite and (value >= 0 if name in _MAY_BE_ZERO else value > 0) and value <= _AT_MOST.get(name, value)
    return None if fits else expectation(name)


class DayEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The wall-clock time at which a trading day ends and the next begins."""

    hour: int = 0
    """0 to 23."""
    minute: int = 0
    """0 to 59."""
    time_zone: str = "UTC"
    """Name in the IANA data base, e.g. ``America/New_York``."""


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All limits of a configuration."""

    base_currency: str
    """Currency of all money below."""
    day_ends: DayEnd = DayEnd()
    """When daily limits start afresh."""
    account: Limits = Limits()
    """Limits over everything together."""
    order: Limits = Limits()
    """Limits of each single order, whoever sends it."""
    strategy: Limits = Limits()
    """What a strategy's own limits leave open; already merged into each strategy's."""
    venues: Mapping[str, Limits] = {}
    """Limits by venue name."""
    instruments: Mapping[str, Limits] = {}
    """Limits by instrument id (`venue:SYMBOL`)."""
    canary: Limits = Limits()
    """Caps of strategies in their canary stage, beside the built-in ones."""
