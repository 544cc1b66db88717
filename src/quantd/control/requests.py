"""What the control API takes: bodies and query parameters, each a Struct that refuses what it does not know.

Used by the routes and by the OpenAPI document. Holds no behaviour.
"""

from typing import Annotated, Literal

import msgspec

_END = "$(?!\\n)"
"""The end of a text, in Python as in JSON Schema: Python's ``$`` alone also fits before a last line break, and a halt of
``all\\n`` would be latched and stop nothing."""
Scope = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^(all|(venue|strategy|instrument):[A-Za-z0-9._:/-]{{1,80}}){_END}",
        examples=["all", "venue:paper", "strategy:btc-cross", "instrument:paper:BTC-USDT"],
    ),
]
Why = Annotated[
    str, msgspec.Meta(min_length=1, max_length=300, pattern=f"^[^\\s\\x00-\\x20\\x7f-\\xa0][^\\x00-\\x1f\\x7f]*{_END}")
]
Name = Annotated[str, msgspec.Meta(pattern=f"^[A-Za-z0-9][A-Za-z0-9 ._@-]{{0,63}}{_END}")]
Amount = Annotated[str, msgspec.Meta(pattern=f"^[0-9]{{1,15}}(\\.[0-9]{{1,18}})?{_END}", examples=["0.01"])]
"""A decimal number as text: nothing is lost, and nothing is infinite."""
InstrumentName = Annotated[str, msgspec.Meta(pattern=f"^[A-Za-z0-9_-]{{1,32}}:[A-Za-z0-9._/-]{{1,48}}{_END}")]
StrategyName = Annotated[str, msgspec.Meta(pattern=f"^[a-z0-9][a-z0-9_-]{{0,31}}{_END}")]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=500)]
_TIME = "([0-9]{1,18}|[1-8][0-9]{18})"
OrdersCursor = Annotated[str, msgspec.Meta(pattern=f"^({_TIME}:[A-Za-z0-9._:-]{{1,128}})?{_END}")]
FillsCursor = Annotated[str, msgspec.Meta(pattern=f"^({_TIME}:[0-9]{{1,18}})?{_END}")]
"""The `next` of the page before, as it is."""
Seq = Annotated[int, msgspec.Meta(ge=1, le=9_007_199_254_740_991)]


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A route that takes none."""


class OrdersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which orders."""

    all: bool = False
    """Ended ones too, from the journal, newest first."""
    strategy: StrategyName | None = None
    instrument: InstrumentName | None = None
    limit: PageSize = 100
    before: OrdersCursor = ""


class FillsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which fills."""

    strategy: StrategyName | None = None
    instrument: InstrumentName | None = None
    limit: PageSize = 100
    before: FillsCursor = ""


class DenialsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which denials."""

    strategy: StrategyName | None = None
    limit: PageSize = 100
    before: Seq = 9_007_199_254_740_991


class StepsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of a chain."""

    limit: PageSize = 100


class HaltRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Halt a scope, or let it only reduce."""

    why: Why
    scope: Scope = "all"
    state: Literal["halted", "reducing"] = "halted"


class ResumeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clear a scope."""

    scope: Scope
    why: Why
    by: Name | None = None
    """Another person in whose name this is done; `admin` only."""


class CancelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cancel all open orders of a scope."""

    scope: Scope


class FlattenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Close all positions of a scope: first without `confirm`, then with the one that was answered."""

    scope: Scope
    why: Why
    confirm: Annotated[str, msgspec.Meta(pattern=f"^[A-Za-z0-9_-]{{1,64}}{_END}")] | None = None


class OrderByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """An order by hand; it passes the risk gate and stands in EXTERNAL's book."""

    instrument: InstrumentName
    side: Literal["buy", "sell"]
    quantity: Amount
    why: Why
    reduce_only: bool = False


class MarketOrder(OrderByHand, frozen=True, tag="market", forbid_unknown_fields=True, kw_only=True):
    """At the best price to be had."""


class LimitOrder(OrderByHand, frozen=True, tag="limit", forbid_unknown_fields=True, kw_only=True):
    """At a price or better."""

    price: Amount
    time_in_force: Literal["gtc", "ioc", "fok", "day"] = "gtc"
    post_only: bool = False


class StopOrder(OrderByHand, frozen=True, tag="stop", forbid_unknown_fields=True, kw_only=True):
    """At market once the price has reached a trigger."""

    trigger: Amount


class StopLimitOrder(OrderByHand, frozen=True, tag="stop_limit", forbid_unknown_fields=True, kw_only=True):
    """At a price or better once the price has reached a trigger."""

    trigger: Amount
    price: Amount


OrderRequest = MarketOrder | LimitOrder | StopOrder | StopLimitOrder
"""The four kinds of order by hand, told apart by `kind`."""


class ReconcileRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Compare our books with a venue's."""

    venue: Annotated[str, msgspec.Meta(pattern=f"^[A-Za-z0-9_-]{{1,32}}{_END}")]
    apply: Literal["adopt", "close", "ignore", "refuse"] | None = None
    """Carry the plan out by this policy; `admin` only, and only with `plan`."""
    plan: Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{16}}{_END}")] | None = None
    """The digest of the plan that was answered before; another one by now is refused."""


class ResolveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Say what became of a write whose outcome is unknown, in one's own name."""

    order: Annotated[str, msgspec.Meta(pattern=f"^[A-Za-z0-9-]{{1,64}}{_END}")]
    outcome: Literal["not_executed", "accepted"]
    why: Why
    by: Name | None = None
    """Who decided, where it is not the token's owner."""
    venue_order_id: Annotated[str, msgspec.Meta(pattern=f"^[ -~]{{1,128}}{_END}")] | None = None
    """The venue's id of a submit that was accepted."""


class HeartbeatRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sign of life for the dead-man's switch."""


class ReloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Take over strategies that changed in the configuration's files."""

    plan: Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{16}}{_END}")] | None = None
    """The digest of the plan that was answered before; without it nothing is applied."""
