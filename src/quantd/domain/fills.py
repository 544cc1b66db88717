"""Executions, as far as a venue tells them."""

from decimal import Decimal
from enum import Enum

import msgspec


class Quality(Enum):
    """How sure a fill's price and fee are. Quantity is always the venue's word."""

    CONFIRMED = "confirmed"
    ESTIMATED = "estimated"
    """The price is a bound or an average; a correction may follow."""


class Liquidity(Enum):
    """Whether the order waited in the book or took from it."""

    MAKER = "maker"
    TAKER = "taker"
    UNKNOWN = "unknown"


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution of one order.

    `id` is the venue's trade id, else ``<venue order id>/<cumulative quantity>``.
    """

    id: str
    quantity: Decimal
    price: Decimal
    quality: Quality = Quality.CONFIRMED
    fees: tuple[tuple[str, Decimal], ...] = ()
    """(asset, amount); positive amounts are costs."""
    liquidity: Liquidity = Liquidity.UNKNOWN
    occurred_at_ns: int | None = None
    lot: str = ""
    """The venue's id of the lot that it opened or closed, where there is one."""
    fees_estimated: bool = False
    """The fees are ours by the schedule, the venue does not tell them for this fill; the price may be sure all the same."""
    settled: tuple[str, Decimal] | None = None
    """(currency, signed amount) that the venue booked for what the fill closed, at its own conversion rate; fees apart."""
