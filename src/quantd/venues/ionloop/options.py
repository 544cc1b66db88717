"""What an ionloop connector is told at its construction, and what it can do.

Used by the composition root and by the connector. Opens nothing.
"""

from collections.abc import Mapping

import msgspec

from quantd.domain.capabilities import Capabilities, Key, NoIdentity, Support
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import TimeInForce
from quantd.venues.budget import Limit
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.search import KEY_TTL_S, QUIET_PERIOD_S


class IonloopOptions(msgspec.Struct, frozen=True):
    """What the composition root takes from the settings; the secret is not shown."""

    api_key: str
    fees: FeeSchedule
    """The API does not tell fees."""
    idempotency: bool = False
    """Rely on Idempotency-Key to resend a create; only after the venue was seen to honour it."""
    paths: Mapping[str, str] = {}
    """Overrides of path templates by name."""
    limits: tuple[Limit, ...] = LIMITS
    """Budgets as configured; the ticker's limits are added for the symbols that are read."""
    home_currency: str = "USDT"

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"IonloopOptions(idempotency={self.idempotency}, home_currency={self.home_currency!r})"


def capabilities(*, idempotency: bool) -> Capabilities:
    """Return what the venue can do; all but standing limit orders is the engine's work."""
    emulated, refused = Support.EMULATED, Support.REFUSED
    return Capabilities(
        market=emulated,
        limit=Support.NATIVE,
        stop=emulated,
        stop_limit=emulated,
        time_in_force={
            TimeInForce.GTC: Support.NATIVE,
            TimeInForce.IOC: emulated,
            TimeInForce.FOK: refused,
            TimeInForce.DAY: refused,
            TimeInForce.GTD: emulated,
        },
        post_only=refused,
        reduce_only=emulated,
        amend=emulated,
        trailing=emulated,
        bracket=emulated,
        identity=Key(KEY_TTL_S) if idempotency else NoIdentity(),
        quiet_period_s=QUIET_PERIOD_S,
        quotes_at_once=1,
    )
