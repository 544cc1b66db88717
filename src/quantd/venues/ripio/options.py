"""What a Ripio connector is told at its construction, and what it can do.

Used by the composition root and by the connector. Opens nothing.
"""

from typing import Final

import msgspec

from quantd.domain.capabilities import Capabilities, Echo, Support
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OperationKind, TimeInForce
from quantd.venues.ripio.signing import TOLERANCE_MS

LAG_S: Final = 10.0
"""Assumed: within this time after its creation an order shows in every list. The documents say nothing of a lag."""


class RipioOptions(msgspec.Struct, frozen=True):
    """What the composition root takes from the settings."""

    fees: FeeSchedule
    """Where the venue does not tell the account's own."""
    prefix: str = "/trade"
    """The gateway's part of every path; it is signed."""
    tolerance_ms: int = TOLERANCE_MS
    home_currency: str = "BRL"


def quiet_period_s(tolerance_ms: int) -> float:
    """Return how long after a write its absence proves nothing.

    A request that is held up on its way for longer than its tolerance is refused (documented): from then on it can only
    be the lists that are late.
    """
    return tolerance_ms / 1000 + LAG_S


def capabilities(tolerance_ms: int = TOLERANCE_MS) -> Capabilities:
    """Return what the venue can do."""
    emulated, refused, native = Support.EMULATED, Support.REFUSED, Support.NATIVE
    return Capabilities(
        market=native,
        limit=native,
        stop=emulated,
        stop_limit=native,
        time_in_force={
            TimeInForce.GTC: native,
            TimeInForce.IOC: native,
            TimeInForce.FOK: native,
            TimeInForce.DAY: refused,
            TimeInForce.GTD: native,
        },
        post_only=native,
        reduce_only=emulated,
        amend=native,
        trailing=emulated,
        bracket=emulated,
        identity=Echo(),
        quiet_period_s=quiet_period_s(tolerance_ms),
        repeat_safe=frozenset({OperationKind.CANCEL}),
        cancel_all=native,
    )
