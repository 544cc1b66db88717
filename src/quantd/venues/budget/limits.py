"""What a venue permits, as data: limits, the server's model behind each, and the lanes of the requests.

Each venue package declares its limits with these values; `RateBudget` keeps to them. Holds no state and no clock.

A `Bucket` refills steadily and lets an idle caller send a burst (GCRA). A `Window` counts the requests of the last
`seconds`. Where a venue does not say which of the two it runs, declare a `Window`: requests that satisfy a sliding
window of (limit, seconds) also satisfy a fixed window and a bucket of that burst.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Literal

import msgspec

CLOCK_MARGIN = 0.001
"""Our second may be this much shorter than the venue's; NTP slews a clock by at most half of it."""


class Lane(IntEnum):
    """Who goes first when the budget is short; a lower number overtakes every higher one."""

    CANCEL = 0
    FLATTEN = 1
    RECONCILE = 2
    SUBMIT = 3
    ACCOUNT = 4
    MARKET_DATA = 5

    @property
    def upper(self) -> bool:
        """Whether the lane may use the headroom that the others must leave."""
        return self <= Lane.RECONCILE


class Bucket(msgspec.Struct, frozen=True):
    """A token bucket: `rate_per_s` requests a second for ever, `burst` at once after a pause."""

    rate_per_s: float
    burst: float
    transit_s: float = 1.0
    """An unanswered request is taken to have arrived after this long; until then it may still arrive with the next."""

    def __post_init__(self) -> None:
        """Refuse values that no server can mean."""
        if self.rate_per_s <= 0 or self.burst < 1 or self.transit_s <= 0:
            raise ValueError(f"a bucket needs rate_per_s > 0, burst >= 1 and transit_s > 0, found {self}")

    @property
    def capacity(self) -> float:
        """The weight that may leave at once."""
        return self.burst


class Window(msgspec.Struct, frozen=True):
    """A sliding window: at most `limit` requests in any `seconds`."""

    limit: float
    seconds: float
    margin_s: float = 0.005
    """Added to `seconds` before a slot is used again, for coarse server clocks."""

    def __post_init__(self) -> None:
        """Refuse values that no server can mean."""
        if self.limit < 1 or self.seconds <= 0 or self.margin_s < 0:
            raise ValueError(f"a window needs limit >= 1, seconds > 0 and margin_s >= 0, found {self}")

    @property
    def capacity(self) -> float:
        """The weight that may leave at once."""
        return self.limit


class Limit(msgspec.Struct, frozen=True):
    """One limit of a venue: what it counts, for whom, and with which weights.

    `routes` maps a route's name to the weight of one request; ``"*"`` stands for every other route. Routes named in
    the same limit are linked: they draw from one budget. A request draws on every limit that names its route.
    """

    name: str
    model: Bucket | Window
    routes: Mapping[str, float] = msgspec.field(default_factory=lambda: {"*": 1})
    scope: Literal["key", "address"] = "key"
    """``address`` limits are shared by all accounts that reach the venue from this machine."""
    headroom: float | None = None
    """Weight that submits and polls leave to cancels, flattening and reconciliation; 4 % of the capacity by default."""

    def __post_init__(self) -> None:
        """Refuse weights that could never be granted."""
        for route, weight in self.routes.items():
            if not 0 < weight <= self.model.capacity:
                raise ValueError(
                    f"limit {self.name!r}: weight of {route!r} is {weight}, expected 0 < weight <= capacity"
                )
        if self.headroom is not None and self.headroom < 0:
            raise ValueError(f"limit {self.name!r}: headroom is {self.headroom}, expected 0 or more")

    def weight(self, route: str) -> float | None:
        """Return what one request to `route` weighs here, None where it does not count."""
        return self.routes.get(route, self.routes.get("*"))


def with_models(limits: Sequence[Limit], models: Mapping[str, Bucket | Window]) -> tuple[Limit, ...]:
    """Return limits with other models for those named, as an owner sets them instead of the documented ones.

    Raises:
        ValueError: when a name is none of theirs.
    """
    names = {limit.name for limit in limits}
    unknown = sorted(set(models) - names)
    if unknown:
        raise ValueError(f"no such rate limit: {', '.join(unknown)}; expected some of {', '.join(sorted(names))}")
    return tuple(msgspec.structs.replace(limit, model=models.get(limit.name, limit.model)) for limit in limits)
