"""Money that moves without a trade, and what an account is.

External flows (deposits, withdrawals, transfers) change balances but neither profit nor drawdown.
"""

from decimal import Decimal
from enum import Enum

import msgspec


class CashFlowKind(Enum):
    """Why money moved."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    FINANCING = "financing"
    FUNDING = "funding"
    DIVIDEND = "dividend"
    FEE = "fee"
    ADJUSTMENT = "adjustment"

    @property
    def is_external(self) -> bool:
        """Whether the flow is the owner's doing and no result of trading."""
        return self in (CashFlowKind.DEPOSIT, CashFlowKind.WITHDRAWAL, CashFlowKind.TRANSFER)


class CashFlow(msgspec.Struct, frozen=True, gc=False):
    """One movement of `amount` (signed) of `asset` on a venue's account."""

    venue: str
    id: str
    kind: CashFlowKind
    asset: str
    amount: Decimal
    occurred_at_ns: int
    instrument: str = ""
    inferred: bool = False
    """Worked out from a difference of balances: the venue does not tell single movements."""


class AccountKind(Enum):
    """How an account holds what it trades."""

    SPOT = "spot"
    """Assets change hands; nothing can be sold that is not there."""
    MARGIN = "margin"
    """Positions against margin in a home currency."""


class PositionMode(Enum):
    """Whether opposite trades cancel out."""

    NETTING = "netting"
    HEDGING = "hedging"


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One asset of an account: `total` = `free` + `locked`."""

    asset: str
    total: Decimal
    free: Decimal
    locked: Decimal


class Account(msgspec.Struct, frozen=True, gc=False):
    """What a venue's account is; read at start."""

    venue: str
    id: str
    kind: AccountKind
    mode: PositionMode
    home_currency: str
    first_in_first_out: bool = False
    """Lots must be closed oldest first (US accounts)."""
