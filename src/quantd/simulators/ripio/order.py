"""One order as the venue keeps and shows it, in the three forms that its documents have.

Made and changed by the order desk, from the exchange's reports alone.
"""

from decimal import Decimal

from quantd.domain.numbers import ZERO, plain
from quantd.domain.orders import OrderState, TimeInForce
from quantd.domain.reports import OrderReport
from quantd.exchange import Trade
from quantd.simulators.ripio.answers import instant, number
from quantd.simulators.ripio.terms import Terms
from quantd.simulators.venue import Json

OPEN = "open"
PARTIAL = "executed_partially"
COMPLETE = "executed_completely"
CANCELED = "canceled"
PENDING = "pending_creation"
STATUSES = (OPEN, PARTIAL, COMPLETE, CANCELED, PENDING)
_WORKING = {OrderState.WORKING: OPEN, OrderState.PARTIALLY_FILLED: PARTIAL, OrderState.FILLED: COMPLETE}


class VenueOrder:
    """One order. Amounts are in base, values in quote."""

    __slots__ = (
        "account",
        "amount",
        "cost",
        "created_at_ns",
        "exchange_id",
        "fees",
        "filled",
        "id",
        "place",
        "price",
        "status",
        "terms",
        "trades",
        "updated_at_ns",
        "value",
    )  # fmt: skip

    def __init__(self, terms: Terms, account: str, amount: Decimal, value: Decimal) -> None:
        self.terms = terms
        self.account = account
        self.amount = amount
        """Requested, as it is now."""
        self.value = value
        """Requested; of an order without price and value what it was worth at the market."""
        self.price = terms.price if terms.type != "trailing" else None
        self.id = self.exchange_id = ""
        self.place = 0
        """1, 2, ... in order of creation."""
        self.created_at_ns = self.updated_at_ns = 0
        self.status = OPEN
        self.filled = self.cost = ZERO
        self.fees: tuple[tuple[str, Decimal], ...] = ()
        self.trades: list[Trade] = []

    def take(self, report: OrderReport, now_ns: int) -> None:
        """Follow the exchange."""
        self.filled = report.filled_quantity
        self.fees = report.fees or ()
        self.updated_at_ns = now_ns
        self.status = _WORKING.get(report.state, CANCELED)

    def add(self, trade: Trade) -> None:
        """Take in one of its executions."""
        self.trades.append(trade)
        self.cost += trade.quantity * trade.price

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in (OPEN, PARTIAL)

    @property
    def at_once(self) -> bool:
        """Whether it never rests."""
        return self.terms.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)

    @property
    def symbol(self) -> str:
        """Its pair."""
        return self.terms.pair.rules.symbol

    @property
    def average(self) -> Decimal | None:
        """Average price of what was executed, to twelve decimals."""
        return (self.cost / self.filled).quantize(Decimal("1e-12")) if self.filled else None

    @property
    def requested_value(self) -> Decimal:
        """What it was to be worth."""
        return self.amount * self.price if self.price is not None else self.value

    @property
    def remaining(self) -> tuple[Decimal, Decimal]:
        """(amount, value) still to be executed, or given up."""
        if self.status == COMPLETE:
            return ZERO, ZERO
        amount = self.amount - self.filled
        value = amount * self.price if self.price is not None else max(self.value - self.cost, ZERO)
        return amount, value

    @property
    def fee(self) -> Decimal:
        """Paid so far, in the one currency that it is taken in."""
        return sum((amount for _, amount in self.fees), ZERO)

    # --- how it is shown --------------------------------------------------------------------------------------------

    def created(self, status: str, skew_ns: int) -> Json:
        """Return it as a create answers it: without price, type and fills."""
        amount, value = self.remaining
        return {
            "id": self.id, "external_id": self.terms.external_id, "pair": self.symbol, "side": self.terms.side.value,
            "status": status, "create_date": instant(self.created_at_ns + skew_ns),
            "requested_amount": number(self.amount), "requested_value": number(self.requested_value),
            "executed_amount": number(self.filled), "remaining_amount": number(amount),
            "remaining_value": number(value),
        }  # fmt: skip

    def canceled(self, status: str, skew_ns: int) -> Json:
        """Return it as a cancel answers it."""
        return {
            **self.created(status, skew_ns),
            "price": _optional(self.price), "type": self.terms.type, "total_value": number(self.cost),
            "update_date": instant(self.updated_at_ns + skew_ns),
        }  # fmt: skip

    def listed(self, status: str, skew_ns: int) -> Json:
        """Return it as the user's orders list it."""
        extra = {
            name: number(value)
            for name in ("stop_price", "distance", "step_amount")
            if (value := getattr(self.terms, name)) is not None
        }
        return {**self.canceled(status, skew_ns), "fee": number(self.fee), **extra}

    def whole(self, status: str, skew_ns: int) -> Json:
        """Return it as a look-up answers it, with its average price and its executions (which have no ids)."""
        return {
            **self.listed(status, skew_ns),
            "average_execution_price": _optional(self.average),
            "transactions": [
                {
                    "amount": number(trade.quantity), "price": number(trade.price),
                    "total_value": number(trade.quantity * trade.price),
                    "fee": number(sum((amount for _, amount in trade.fees), ZERO)),
                    "fee_currency": trade.fees[0][0] if trade.fees else self.received,
                    "create_date": instant(trade.occurred_at_ns + skew_ns),
                }
                for trade in self.trades
            ],
        }  # fmt: skip

    def truth(self) -> Json:
        """Return it exactly, with all that no client sees; decimals as text."""
        return {
            "id": self.id, "external_id": self.terms.external_id, "account": self.account, "pair": self.symbol,
            "side": self.terms.side.value, "type": self.terms.type, "status": self.status,
            "price": None if self.price is None else plain(self.price), "amount": plain(self.amount),
            "executed": plain(self.filled), "cost": plain(self.cost),
            "fees": {asset: plain(amount) for asset, amount in self.fees},
            "createdAtNs": self.created_at_ns, "updatedAtNs": self.updated_at_ns,
            "fills": [
                {
                    "id": trade.id, "quantity": plain(trade.quantity), "price": plain(trade.price),
                    "fees": {asset: plain(amount) for asset, amount in trade.fees},
                    "liquidity": trade.liquidity.value, "occurredAtNs": trade.occurred_at_ns,
                }
                for trade in self.trades
            ],
        }  # fmt: skip

    @property
    def received(self) -> str:
        """The currency that it brings in, and in which its fees are taken."""
        return self.terms.pair.rules.base if self.terms.is_buy else self.terms.pair.rules.quote


def _optional(value: Decimal | None) -> Decimal | None:
    return None if value is None else number(value)
