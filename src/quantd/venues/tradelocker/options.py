"""What a TradeLocker connector is told at its construction, and what it can do.

Used by the composition root and by the connector. Opens nothing.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from quantd.domain.capabilities import Capabilities, LotWrite, Support, Tag
from quantd.domain.cash import PositionMode
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OperationKind, TimeInForce
from quantd.venues.budget import Limit
from quantd.venues.tradelocker.api import Credentials
from quantd.venues.tradelocker.limits import BEFORE_CONFIG
from quantd.venues.tradelocker.market import RESOLUTIONS
from quantd.venues.tradelocker.search import QUIET_PERIOD_S


class TradeLockerOptions(msgspec.Struct, frozen=True):
    """What the composition root takes from the settings; `Credentials` shows no secret."""

    credentials: Credentials
    mode: PositionMode = PositionMode.HEDGING
    """The API does not tell it."""
    protection: Literal["venue", "engine"] = "venue"
    commission_per_lot: Decimal = ZERO
    """In the account's currency; the API does not tell it."""
    limits: tuple[Limit, ...] = BEFORE_CONFIG
    """Budgets of what the server's table does not list."""


def capabilities(options: TradeLockerOptions) -> Capabilities:
    """Return what the venue can do.

    A trailing stop is the engine's work, as the unit of its distance is not documented.
    """
    native, emulated, refused = Support.NATIVE, Support.EMULATED, Support.REFUSED
    writes = {LotWrite.CLOSE_WHOLE, LotWrite.CLOSE_PART}
    repeatable = {LotWrite.CLOSE_WHOLE}
    holds = options.protection == "venue"
    if holds:
        writes.add(LotWrite.PROTECT)
        repeatable.add(LotWrite.PROTECT)
    return Capabilities(
        market=native,
        limit=native,
        stop=native,
        stop_limit=emulated,
        time_in_force={
            TimeInForce.GTC: native,
            TimeInForce.IOC: emulated,
            TimeInForce.FOK: refused,
            TimeInForce.DAY: refused,
            TimeInForce.GTD: emulated,
        },
        post_only=refused,
        reduce_only=emulated,
        amend=native,
        trailing=emulated,
        bracket=native if holds else emulated,
        identity=Tag(),
        quiet_period_s=QUIET_PERIOD_S,
        repeat_safe=frozenset({OperationKind.CANCEL, OperationKind.AMEND}),
        native_bars_s=frozenset(RESOLUTIONS),
        quotes_at_once=1,
        cancel_all=native,
        lot_writes=frozenset(writes),
        repeat_safe_lot_writes=frozenset(repeatable),
    )
