"""What the connector is given, and what it declares."""

from typing import Final

import msgspec

from quantd.domain.capabilities import Capabilities, Echo, LotWrite, Support
from quantd.domain.cash import PositionMode
from quantd.domain.orders import OperationKind, TimeInForce

QUIET_PERIOD_S: Final = 20.0
"""How long after a write its absence from the log proves nothing: it may be under way, and reads lag. Assumed; the
longest lag that was ever published is half a second."""
GRANULARITIES: Final = {
    5: "S5", 10: "S10", 15: "S15", 30: "S30", 60: "M1", 120: "M2", 240: "M4", 300: "M5", 600: "M10", 900: "M15",
    1_800: "M30", 3_600: "H1", 7_200: "H2", 10_800: "H3", 14_400: "H4", 21_600: "H6", 28_800: "H8", 43_200: "H12",
    86_400: "D",
}  # fmt: skip
"""Candles by their length in seconds; weeks and months are left out."""


class OandaOptions(msgspec.Struct, frozen=True):
    """What the composition root takes from the settings; the token is not shown."""

    token: str
    account: str
    mode: PositionMode = PositionMode.NETTING
    """What the account is expected to be, until the venue tells."""
    home_currency: str = "USD"
    """Likewise."""
    first_in_first_out: bool = False
    """A US account: the API does not tell it."""

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"OandaOptions(account={self.account!r})"


def capabilities() -> Capabilities:
    """Return what an account can do, netting or hedging."""
    emulated, refused, native = Support.EMULATED, Support.REFUSED, Support.NATIVE
    return Capabilities(
        market=native,
        limit=native,
        stop=native,
        stop_limit=emulated,
        time_in_force={
            TimeInForce.GTC: native,
            TimeInForce.IOC: native,
            TimeInForce.FOK: native,
            TimeInForce.DAY: native,
            TimeInForce.GTD: native,
        },
        post_only=refused,
        reduce_only=native,
        amend=native,
        trailing=native,
        bracket=native,
        identity=Echo(),
        quiet_period_s=QUIET_PERIOD_S,
        # A replace by the order's number cannot double it: the number is gone with the first.
        repeat_safe=frozenset({OperationKind.CANCEL, OperationKind.AMEND}),
        native_bars_s=frozenset(GRANULARITIES),
        lot_writes=frozenset(LotWrite),
        repeat_safe_lot_writes=frozenset({LotWrite.CLOSE_WHOLE, LotWrite.PROTECT}),
    )
