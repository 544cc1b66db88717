"""What a venue can do, declared by its connector and held against what strategies need at load."""

from enum import Enum

import msgspec

from quantd.domain.orders import OperationKind, TimeInForce


class Support(Enum):
    """How a wish is met at a venue."""

    NATIVE = "native"
    EMULATED = "emulated"
    """The engine does it: a market order as a capped limit, a stop by a trigger, an amend as cancel and new."""
    REFUSED = "refused"


class Key(msgspec.Struct, frozen=True, tag="key"):
    """Idempotency by key: resending the same key and bytes within `ttl_s` is safe. After that an order is found by its terms.

    At most one unresolved submit for (account, instrument, side, type, price, quantity), as with none.
    """

    ttl_s: float


class Echo(msgspec.Struct, frozen=True, tag="echo"):
    """The venue stores our client order id and finds orders by it."""


class Tag(msgspec.Struct, frozen=True, tag="tag"):
    """The venue carries our id in a free field that its listings show."""


class NoIdentity(msgspec.Struct, frozen=True, tag="none"):
    """Nothing of ours is stored: an order is found only by its terms.

    At most one unresolved submit for (account, instrument, side, type, price, quantity).
    """


class LotWrite(Enum):
    """What can be written about one lot. Repeating a part closes more, repeating the whole does not."""

    CLOSE_WHOLE = "close_whole"
    CLOSE_PART = "close_part"
    PROTECT = "protect"


Identity = Key | Echo | Tag | NoIdentity


class Capabilities(msgspec.Struct, frozen=True):
    """One venue's abilities. What is emulated is refused where emulation would be a lie (FOK, post-only)."""

    market: Support
    limit: Support
    stop: Support
    stop_limit: Support
    time_in_force: dict[TimeInForce, Support]
    post_only: Support
    reduce_only: Support
    amend: Support
    trailing: Support
    bracket: Support
    """Stop and take attached to the position at the venue."""
    identity: Identity
    quiet_period_s: float
    """How long after a write "not found" proves nothing."""
    repeat_safe: frozenset[OperationKind] = frozenset({OperationKind.CANCEL})
    """Writes that may be repeated while their outcome is unknown."""
    native_bars_s: frozenset[int] = frozenset()
    """Intervals in seconds for which the venue has bars; others are built from quotes."""
    quotes_at_once: int = 0
    """Instruments that the venue answers for by one request; 0 for all. With 1 each is asked for by itself: one that is slow
    or fails holds no other up."""
    books: bool = True
    cancel_all: Support = Support.EMULATED
    lot_writes: frozenset[LotWrite] = frozenset()
    """What `CloseLot` and `SetProtection` can do; empty where holdings have no lots of their own."""
    repeat_safe_lot_writes: frozenset[LotWrite] = frozenset()
    """Those of `lot_writes` that may be repeated while their outcome is unknown."""
