"""The venue's ledger and wallets: transactions, portfolio, deposits and withdrawals.

Used by the venue and the order desk. Balances are the exchange's; the funding wallet never moves.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.numbers import ZERO, decimal_from_text
from quantd.exchange import Exchange, Refused
from quantd.simulators.ionloop.envelope import NS_PER_S, Problem, instant, instant_ns, plain
from quantd.simulators.ionloop.options import VENUE, ApiKey, Setup, Switches
from quantd.simulators.ionloop.routes import Asked
from quantd.simulators.ionloop.terms import read_page
from quantd.simulators.ionloop.webhooks import Webhooks
from quantd.simulators.venue import Json

PAGE_SIZE = 100
_KINDS = ("trade", "deposit", "withdrawal", "fee")


class _Row(msgspec.Struct, frozen=True):
    """A transaction; `shown` lacks the time, which the venue's clock gives."""

    account: str
    kind: str
    at_ns: int
    shown: Json


class Ledger:
    """Transactions of all accounts."""

    def __init__(self, exchange: Exchange, webhooks: Webhooks, setup: Setup, switches: Switches, *, tag: str) -> None:
        self._exchange = exchange
        self._webhooks = webhooks
        self._setup = setup
        self._switches = switches
        self._tag = tag
        self._rows: list[_Row] = []

    # --- entries ----------------------------------------------------------------------------------------------------

    def trade(self, account: str, symbol: str, quantity: Decimal, fee: Decimal, now_ns: int) -> None:
        """Enter a trade; the row names neither order nor side nor price."""
        self._enter(account, "trade", {"symbol": symbol, "quantity": plain(quantity), "fee": plain(fee)}, now_ns)

    def transfer(self, account: str, asset: str, amount: Decimal, now_ns: int) -> Json:
        """Book a deposit, or a withdrawal of a negative amount.

        Raises:
            ValueError: when there is no such account, or too little is free.
        """
        kind = CashFlowKind.DEPOSIT if amount > 0 else CashFlowKind.WITHDRAWAL
        flow = CashFlow(VENUE, f"txn_{self._tag}{len(self._rows) + 1}", kind, asset, amount, now_ns)
        answer = self._exchange.move_cash(account, flow)
        match answer:
            case Refused(code, detail):
                raise ValueError(f"{code}: {detail}")
        shown = {"asset": asset, "amount": plain(abs(amount))}
        self._webhooks.emit(account, f"wallet.{kind.value}.created", shown, now_ns)
        return self._enter(account, kind.value, shown, now_ns)

    def _enter(self, account: str, kind: str, fields: Json, now_ns: int) -> Json:
        shown = {"id": f"txn_{self._tag}{len(self._rows) + 1}", "type": kind, **fields}
        self._rows.append(_Row(account, kind, now_ns, shown))
        self._webhooks.emit(account, "transaction.completed", self._shown(self._rows[-1]), now_ns)
        return shown

    def _time_ns(self, row: _Row) -> int:
        """Return the whole second that the venue's clock shows of a row."""
        return (row.at_ns + round(self._switches.clock_skew_s * NS_PER_S)) // NS_PER_S * NS_PER_S

    def _shown(self, row: _Row) -> Json:
        return {**row.shown, "createdAt": instant(self._time_ns(row))}

    # --- routes -----------------------------------------------------------------------------------------------------

    def transactions(self, asked: Asked, key: ApiKey) -> Json:
        """Answer route 11.

        Raises:
            Problem: the window, the type or the page is none.
        """
        kind = asked.query.get("type")
        if kind is not None and kind not in _KINDS:
            raise Problem("VALIDATION_ERROR", f"type must be one of {', '.join(_KINDS)}")
        from_ns, to_ns = _window(asked.query)
        page, size = read_page(asked, PAGE_SIZE)
        rows = [
            row for row in reversed(self._rows)
            if row.account == key.account and kind in (None, row.kind) and from_ns <= self._time_ns(row) <= to_ns
        ]  # fmt: skip
        items = [self._shown(row) for row in rows[(page - 1) * size : page * size]]
        return {"items": items, "page": page, "pageSize": size}

    def portfolio(self, key: ApiKey) -> Json:
        """Answer route 9."""
        balances = self._spot(key.account)
        if self._switches.portfolio_with_funding:
            for asset, amount in self._setup.funding.get(key.account, {}).items():
                available, locked = balances.get(asset, (ZERO, ZERO))
                balances[asset] = (available + amount, locked)
        return {"balances": _shown_balances(balances)}

    def wallets(self, key: ApiKey, query: Mapping[str, str]) -> Json:
        """Answer route 10.

        Raises:
            Problem: the type is none.
        """
        kind = query.get("type")
        if kind not in (None, "spot", "funding"):
            raise Problem("VALIDATION_ERROR", "type must be spot or funding")
        funding = {asset: (amount, ZERO) for asset, amount in self._setup.funding.get(key.account, {}).items()}
        wallets = [
            {"id": "wal_main", "type": "spot", "balances": _shown_balances(self._spot(key.account))},
            {"id": "wal_funding", "type": "funding", "balances": _shown_balances(funding)},
        ]
        return {"wallets": [wallet for wallet in wallets if kind in (None, wallet["type"])]}

    def _spot(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        return {balance.asset: (balance.free, balance.locked) for balance in self._exchange.balances(account)}

    # --- truth ------------------------------------------------------------------------------------------------------

    def state(self) -> Json:
        """Return all balances and transactions exactly."""
        return {
            "balances": {
                account: {
                    balance.asset: {
                        "total": plain(balance.total), "free": plain(balance.free), "locked": plain(balance.locked),
                    }
                    for balance in self._exchange.balances(account)
                }
                for account in self._exchange.accounts()
            },
            "transactions": [{**self._shown(row), "account": row.account} for row in self._rows],
        }  # fmt: skip


def transfer_from(arguments: Json) -> tuple[str, str, Decimal]:
    """Return account, asset and amount (above zero) of an admin's deposit or withdrawal.

    Raises:
        ValueError: when they are not there.
    """
    account, asset = str(arguments.get("account", "main")), str(arguments.get("asset", ""))
    amount = str(arguments.get("amount", ""))
    if not asset:
        raise ValueError("expected asset and amount as text")
    value = decimal_from_text(amount)
    if value <= 0:
        raise ValueError(f"expected an amount above 0, found {amount}")
    return account, asset, value


def _shown_balances(balances: dict[str, tuple[Decimal, Decimal]]) -> list[Json]:
    return [
        {"asset": asset, "available": plain(available), "locked": plain(locked)}
        for asset, (available, locked) in sorted(balances.items())
    ]


def _window(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the window of `from` and `to`, open where one is missing; a bad one is a 400 on this route."""
    from_text, to_text = query.get("from"), query.get("to")
    from_ns = 0 if from_text is None else instant_ns(from_text)
    to_ns = 1 << 63 if to_text is None else instant_ns(to_text)
    if from_ns is None or to_ns is None or from_ns >= to_ns:
        raise Problem("VALIDATION_ERROR", "Invalid window", status=400)
    return from_ns, to_ns
