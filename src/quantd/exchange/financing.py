"""Money that moves without a trade: deposits, withdrawals, and the cost of holding.

Used by `Exchange`. When financing is due is the caller's business.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.exchange.accounts import AccountBook
from quantd.exchange.margin import MarginAccount
from quantd.exchange.requests import Refused
from quantd.exchange.views import LedgerReason

_YEAR_DAYS = Decimal(365)
_OWNERS = frozenset({CashFlowKind.WITHDRAWAL, CashFlowKind.TRANSFER})


def move_cash(account: AccountBook, flow: CashFlow) -> CashFlow | Refused:
    """Book a cash flow on one account."""
    if flow.amount < 0 and flow.kind in _OWNERS:
        free = account.free(flow.asset)
        if isinstance(account, MarginAccount) and flow.asset == account.home:
            free = min(free, account.sums().available)
        if free + flow.amount < 0:
            return Refused("insufficient_balance", f"{free} {flow.asset} free, {-flow.amount} wanted")
    about = ("", "", flow.instrument, flow.kind.value)
    account.move(flow.asset, flow.amount, LedgerReason.CASH, flow.occurred_at_ns, about)
    if isinstance(account, MarginAccount):
        account.look_again()
    return flow


def accrue(
    accounts: Iterable[AccountBook], rates: Mapping[InstrumentId, tuple[Decimal, Decimal]], days: Decimal, now_ns: int
) -> tuple[tuple[str, CashFlow], ...]:
    """Charge or pay every margin account's lots for the time that they were held."""
    flows: list[tuple[str, CashFlow]] = []
    for account in accounts:
        if not isinstance(account, MarginAccount):
            continue
        for position in list(account.positions.values()):
            instrument = position.market.instrument
            mid, conversion = position.market.mid(), account.rate(instrument)
            yearly = rates.get(instrument.id)
            if yearly is None or mid is None or conversion is None:
                continue
            amount = ZERO
            for lot in position.lots.values():
                rate = yearly[0] if lot.is_long else yearly[1]
                part = instrument.notional(lot.quantity, mid) * conversion * rate * days / _YEAR_DAYS
                step = account.rules.asset_steps.get(account.home)
                if step is not None:
                    part = (part / step).to_integral_value(ROUND_HALF_EVEN) * step
                lot.financing += part
                amount += part
            if amount:
                flow = CashFlow(
                    venue=instrument.venue, id=f"{account.id}-{instrument.symbol}-{now_ns}",
                    kind=CashFlowKind.FINANCING, asset=account.home, amount=amount, occurred_at_ns=now_ns,
                    instrument=instrument.id,
                )  # fmt: skip
                move_cash(account, flow)
                flows.append((account.id, flow))
    return tuple(flows)
