"""What a request writes at a venue, in the words of the checker."""

from decimal import Decimal
from typing import NamedTuple


class Create(NamedTuple):
    """A request that places an order and names it."""

    client_order_id: str
    operation: int | None
    """Which write of the order, where the venue is told."""
    body: bytes


class Terms(NamedTuple):
    """What an order is, where nothing else tells it from another."""

    side: str
    quantity: Decimal
    price: Decimal | None
    """None at the market."""


class Nameless(NamedTuple):
    """A request that places an order and carries no id of ours."""

    terms: Terms


class CancelOne(NamedTuple):
    """A request that cancels one order."""

    venue_order_id: str


Writes = Create | Nameless | CancelOne
