"""What the connector is given, and what it declares."""

from typing import Final

import msgspec

from quantd.domain.capabilities import Capabilities, NoIdentity, Support
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OperationKind, TimeInForce
from quantd.venues.budget import Limit
from quantd.venues.hummingbot.limits import LIMITS

QUIET_PERIOD_S: Final = 15.0
"""How long after a placement its absence proves nothing: the queue may hold it, the database may not know it."""
IDLE_S: Final = 4.0
"""How long an idle connection is kept: the server closes it after 5 s (observed), and a placement on a dead one is unknown."""
INTERVALS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""Candles that every exchange's feed is assumed to have, by their length in seconds."""


class HummingbotOptions(msgspec.Struct, frozen=True):
    """What the composition root takes from the settings; the password is not shown."""

    username: str
    password: str
    account: str
    connector: str
    fees: FeeSchedule
    """The server tells fees after the fact, converted, or not at all."""
    limits: tuple[Limit, ...] = LIMITS

    def __repr__(self) -> str:
        """Leave the credentials out."""
        return f"HummingbotOptions(account={self.account!r}, connector={self.connector!r})"


def capabilities() -> Capabilities:
    """Return what a spot connector behind the server can do."""
    emulated, refused, native = Support.EMULATED, Support.REFUSED, Support.NATIVE
    return Capabilities(
        market=native,
        limit=native,
        stop=emulated,
        stop_limit=emulated,
        time_in_force={
            TimeInForce.GTC: native,
            TimeInForce.IOC: emulated,
            TimeInForce.FOK: refused,
            TimeInForce.DAY: refused,
            TimeInForce.GTD: emulated,
        },
        post_only=native,
        reduce_only=emulated,
        amend=emulated,
        trailing=emulated,
        bracket=emulated,
        identity=NoIdentity(),
        quiet_period_s=QUIET_PERIOD_S,
        repeat_safe=frozenset({OperationKind.CANCEL}),
        native_bars_s=frozenset(INTERVALS.values()),
        quotes_at_once=1,
    )
