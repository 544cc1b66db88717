"""What is asked of the simulated exchange and what it answers: values, never exceptions.

`Refused.code` is one of a bounded set, so that each venue simulator can map it to its own error:
``unknown_account, unknown_instrument, bad_quantity, below_minimum, above_maximum, below_min_notional,
above_max_notional, bad_price, bad_trigger, bad_expiry, price_band, no_price, no_rate, market_closed, market_halted,
delisted, post_only_market, reduce_only_market, would_cross, self_trade, would_not_reduce,
insufficient_balance, insufficient_margin, duplicate_client_order_id, no_such_order, order_ended, no_such_lot,
fifo_violation, unsupported``.
"""

from decimal import Decimal

import msgspec

from quantd.domain.cash import PositionMode
from quantd.domain.lots import LotProtection
from quantd.domain.orders import Effect, OrderSpec
from quantd.domain.reports import OrderReport
from quantd.exchange.rules import AccountSetup


class NewOrder(msgspec.Struct, frozen=True):
    """An order to be placed."""

    client_order_id: str
    """Empty where the venue knows none."""
    spec: OrderSpec
    protection: LotProtection | None = None
    """Exits for the lot that it opens (margin accounts)."""
    tag: str = ""
    """Carried by the order and by the lot that it opens."""
    lot: str = ""
    """The lot that it closes; empty for what the account's mode decides."""


class OrderChange(msgspec.Struct, frozen=True):
    """New terms of a working order; None leaves a term as it is."""

    quantity: Decimal | None = None
    """The new total."""
    price: Decimal | None = None
    trigger: Decimal | None = None
    expires_at_ns: int | None = None


class Placed(msgspec.Struct, frozen=True):
    """The order stands; it can fill at the earliest on the next market event of its instrument."""

    venue_order_id: str
    report: OrderReport


class Cancelled(msgspec.Struct, frozen=True):
    """The order is gone; the report says what it had filled."""

    report: OrderReport


class Amended(msgspec.Struct, frozen=True):
    """The order has its new terms."""

    report: OrderReport


class ProtectionSet(msgspec.Struct, frozen=True):
    """A lot has its new exits; the reports of all exits that were placed, moved or removed."""

    reports: tuple[OrderReport, ...]


class Refused(msgspec.Struct, frozen=True):
    """A definite no; nothing changed."""

    code: str
    detail: str = ""


def of_a_book(spec: OrderSpec, setup: AccountSetup) -> OrderSpec:
    """Return the terms of an order that its sender holds to one of several books on the account.

    The exchange would hold what reduces to the account's position, which is the sum of the books: it would refuse to close
    one that another stands against, and on spot to buy back what a book has sold. Where positions are lots of their
    own, or exits hang on them, each is one book's, and closing stays closing.
    """
    shares = setup.mode is PositionMode.NETTING and not setup.lot_per_trade
    effect = Effect.AUTO if shares else spec.effect
    if not spec.reduce_only and effect is spec.effect:
        return spec
    return msgspec.structs.replace(spec, reduce_only=False, effect=effect)
