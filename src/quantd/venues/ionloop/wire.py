"""What ionloop sends and takes, field by field: typed decoders for the envelope and for each payload.

Used by `translate`, `classify` and the connector. Unknown fields and unknown words never break decoding; a missing or
malformed field that we need does. Money is an exact, finite Decimal; nothing here knows the domain.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

from quantd.venues.parsing import CANNOT_READ, Finite

Instant = str
"""ISO-8601 in UTC, read by `parsing.instant_ns`: a time that cannot be read must not make an order unreadable."""

Price = str | float
"""Market data: text as the venue sends it, or a number should it ever change its mind."""

_Payload = TypeVar("_Payload")


class Frame(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what holds no amounts: camelCase names."""


class Wire(Finite, frozen=True, rename="camel"):
    """Base of all payloads: camelCase names, and no Decimal that is not a number."""


class Meta(Frame, frozen=True):
    """What every answer says about itself."""

    request_id: str = ""
    timestamp: Instant | None = None


class ErrorBody(Frame, frozen=True):
    """A failure in the venue's words."""

    code: str
    message: str = ""


class Envelope(Frame, frozen=True):
    """The frame of every answer, good or bad."""

    success: bool
    data: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorBody | None = None
    meta: Meta = Meta()


class MarketItem(Wire, frozen=True):
    """A row of the list of markets."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class Markets(Wire, frozen=True):
    """The list of markets, each of them a `MarketItem`."""

    items: tuple[msgspec.Raw, ...]


class MarketRules(Wire, frozen=True):
    """Trading rules of one market; its assets stand in the list only."""

    symbol: str
    status: str
    tick_size: Decimal
    step_size: Decimal
    min_notional: Decimal | None = None


class Ticker(Wire, frozen=True):
    """Best prices of one market; the time is the envelope's."""

    symbol: str
    bid: Price
    ask: Price
    last_price: Price | None = None
    volume24h: Price | None = msgspec.field(default=None, name="volume24h")
    high24h: Price | None = msgspec.field(default=None, name="high24h")
    low24h: Price | None = msgspec.field(default=None, name="low24h")


class OrderBook(Wire, frozen=True):
    """Depth of one market; pairs of price and quantity, best first."""

    symbol: str
    bids: tuple[tuple[Price, Price], ...]
    asks: tuple[tuple[Price, Price], ...]
    sequence: int = 0


class NewOrder(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a create; its field order is fixed, so that equal terms give equal bytes."""

    symbol: str
    side: str
    type: str
    quantity: str
    price: str
    time_in_force: str


class OrderWire(Wire, frozen=True):
    """One order as create and get answer it. Rows of the list lack `type`, `price` and `created_at`."""

    id: str
    symbol: str
    side: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    type: str = ""
    price: Decimal | None = None
    created_at: Instant | None = None


class OrderPage(Wire, frozen=True):
    """One page of orders."""

    items: tuple[OrderWire, ...]
    page: int | None = None
    page_size: int | None = None


class CancelledWire(Wire, frozen=True):
    """The answer to a cancel; it does not say what was filled."""

    id: str
    status: str = ""


class BalanceWire(Wire, frozen=True):
    """One asset: what can be used, and what working orders and pending withdrawals hold."""

    asset: str
    available: Decimal
    locked: Decimal


class Portfolio(Wire, frozen=True):
    """Balances of the account."""

    balances: tuple[BalanceWire, ...]


class Wallet(Wire, frozen=True):
    """Balances of one wallet; the types seen are ``spot`` and ``funding``."""

    id: str
    type: str
    balances: tuple[BalanceWire, ...]


class Wallets(Wire, frozen=True):
    """All wallets."""

    wallets: tuple[Wallet, ...]


class Transaction(Wire, frozen=True):
    """A row of the ledger. Only a trade's fields are documented; `asset` and `amount` are read if they come."""

    id: str
    type: str
    created_at: Instant
    symbol: str = ""
    quantity: Decimal | None = None
    fee: Decimal | None = None
    asset: str = ""
    amount: Decimal | None = None


class TransactionPage(Wire, frozen=True):
    """One page of the ledger."""

    items: tuple[Transaction, ...]
    page: int | None = None
    page_size: int | None = None


class NewWebhook(msgspec.Struct, frozen=True, rename="camel"):
    """The body that registers a webhook."""

    url: str
    events: tuple[str, ...]
    secret: str

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"NewWebhook(url={self.url!r}, events={self.events!r})"


class WebhookWire(Wire, frozen=True):
    """A registered webhook."""

    id: str
    url: str
    status: str = ""


class StatusWire(Wire, frozen=True):
    """State of the venue by part; words seen are ``operational`` and ``degraded``."""

    api: str
    matching_engine: str
    withdrawals: str = ""


class WebhookEvent(Wire, frozen=True):
    """A notice that the venue delivered; `data` depends on `type` and is documented for fills only."""

    id: str
    type: str
    created_at: Instant
    version: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class WebhookOrder(Wire, frozen=True):
    """The order in a notice."""

    order_id: str
    symbol: str
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    status: str = ""


_ENVELOPE = msgspec.json.Decoder(Envelope)
_DECODERS: dict[type, msgspec.json.Decoder] = {}  # type: ignore[type-arg]  # one cache for decoders of every payload


def envelope(body: bytes) -> Envelope | None:
    """Return the envelope in `body`, None when there is none (HTML, empty, cut off)."""
    try:
        return _ENVELOPE.decode(body)
    except CANNOT_READ:
        return None


def decode(kind: type[_Payload], data: bytes | msgspec.Raw) -> _Payload:
    """Return the payload of type `kind` in `data`.

    Raises:
        msgspec.DecodeError: when it is not there; names the field.
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    value: _Payload = decoder.decode(data)
    return value


encode = msgspec.json.Encoder().encode
"""Return a body's bytes, compact; the same value always gives the same bytes."""
