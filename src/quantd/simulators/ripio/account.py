"""The user's money: balances, fees, and the statement of what moved.

Used by the venue. Balances are the exchange's own.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.numbers import decimal_from_text, plain
from quantd.exchange import Exchange, LedgerEntry, LedgerReason, Refused
from quantd.simulators.ripio.answers import instant, number
from quantd.simulators.ripio.lists import cut, pagination, read_page, read_window
from quantd.simulators.ripio.options import VENUE
from quantd.simulators.ripio.pairs import Pairs
from quantd.simulators.venue import Json

STATEMENT_SIZE = 200
_WORDS = {LedgerReason.OPENING: "deposit", LedgerReason.TRADE: "trade", LedgerReason.FEE: "fee"}


class Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the commands ``deposit`` and ``withdraw``."""

    asset: str
    amount: str
    account: str = "main"


class Accounts:
    """Reads the exchange's accounts."""

    def __init__(self, exchange: Exchange, pairs: Pairs) -> None:
        self._exchange = exchange
        self._pairs = pairs
        self._moved = 0

    def balances(self, account: str, query: Mapping[str, str], now_ns: int) -> list[Json]:
        """Answer the balances, of all assets or of those that are named."""
        wanted = query.get("currency_code")
        return [
            {
                "currency_code": balance.asset, "available_amount": number(balance.free),
                "locked_amount": number(balance.locked), "last_update": instant(now_ns),
            }
            for balance in self._exchange.balances(account)
            if wanted is None or balance.asset in wanted.split(",")
        ]  # fmt: skip

    def trading_fees(self, query: Mapping[str, str]) -> list[Json]:
        """Answer a pair's fees, in percent.

        Raises:
            Problem: the pair is none.
        """
        rules = self._pairs.find(query.get("pair")).rules
        fees = {"maker": number(rules.maker_fee * 100), "taker": number(rules.taker_fee * 100)}
        return [{"side": "buy", **fees}, {"side": "sell", **fees}]

    def fees_and_limits(self) -> list[Json]:
        """Answer the fees by currency, as fractions."""
        return [
            {
                "currency_code": pair.rules.base,
                "operations": [
                    {"operation_name": "Tax over buy/sell, executed", "tax_index": number(pair.rules.maker_fee)},
                    {"operation_name": "Tax over buy/sell, executor", "tax_index": number(pair.rules.taker_fee)},
                ],
            }
            for pair in self._pairs.listed.values()
        ]

    def statement(self, account: str, query: Mapping[str, str], now_ns: int, *, skew_ns: int) -> Json:
        """Answer what moved the balances, newest first, by the venue's clock.

        Raises:
            Problem: a filter or a page is none.
        """
        window = read_window(query, ("start_time", "end_time"), now_ns + skew_ns)
        page = read_page({name: text for name, text in query.items() if name != "c"}, STATEMENT_SIZE)
        wanted = query.get("currency_code")
        rows = [
            entry for entry in reversed(self._exchange.ledger(account))
            if window[0] <= entry.occurred_at_ns + skew_ns <= window[1] and wanted in (None, entry.asset)
        ]  # fmt: skip
        shown, _ = cut(rows, page, lambda entry: entry.id)
        return {"statement": [_moved(entry, skew_ns) for entry in shown], "pagination": pagination(page, rows)}

    def transfer(self, wanted: Transfer, sign: int, now_ns: int) -> Json:
        """Book a deposit (1) or a withdrawal (-1).

        Raises:
            ValueError: when there is no such account, no such amount, or too little is free.
        """
        amount = decimal_from_text(wanted.amount)
        if amount <= 0 or wanted.account not in self._exchange.accounts():
            raise ValueError(f"expected an account and an amount above 0, found {wanted.account!r}, {wanted.amount}")
        kind = CashFlowKind.DEPOSIT if sign > 0 else CashFlowKind.WITHDRAWAL
        self._moved += 1
        flow = CashFlow(VENUE, f"{kind.value}-{self._moved}", kind, wanted.asset, Decimal(sign) * amount, now_ns)
        answer = self._exchange.move_cash(wanted.account, flow)
        match answer:
            case Refused(code, detail):
                raise ValueError(f"{code}: {detail}")
        return {"asset": wanted.asset, "amount": plain(amount), "account": wanted.account}

    def state(self) -> Json:
        """Return all balances exactly."""
        return {
            account: {
                balance.asset: {
                    "total": plain(balance.total), "free": plain(balance.free), "locked": plain(balance.locked),
                }
                for balance in self._exchange.balances(account)
            }
            for account in self._exchange.accounts()
        }  # fmt: skip


def _moved(entry: LedgerEntry, skew_ns: int) -> Json:
    return {
        "amount": number(entry.amount), "after_balance": number(entry.balance), "currency": entry.asset,
        "date": instant(entry.occurred_at_ns + skew_ns), "operation": entry.kind or _WORDS.get(entry.reason, entry.reason.value),
    }  # fmt: skip
