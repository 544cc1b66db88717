"""The back office of a simulated OANDA: what no client can do, and the exact truth of its accounts.

Used by the venue for its admin route: deposits and withdrawals, market hours, financing, the token.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.instruments import MarketStatus
from quantd.domain.market import StatusChanged
from quantd.domain.numbers import ZERO, decimal_from_text, plain
from quantd.exchange import Exchange, Refused
from quantd.simulators.oanda.access import Access
from quantd.simulators.oanda.answers import money
from quantd.simulators.oanda.booking import Booking
from quantd.simulators.oanda.options import VENUE, InstrumentRules, Setup
from quantd.simulators.oanda.orders import OrderDesk
from quantd.simulators.oanda.prices import PriceDesk
from quantd.simulators.oanda.records import MEMBERS, Account, TradeRecord
from quantd.simulators.oanda.trades import TradeDesk
from quantd.simulators.venue import Json

_STATUSES = {"open": MarketStatus.OPEN, "closed": MarketStatus.CLOSED, "halted": MarketStatus.HALTED}


class MarketCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``market``."""

    instrument: str
    status: Literal["open", "closed", "halted"]


class _Venue(Protocol):
    """What the office needs of the venue."""

    setup: Setup
    exchange: Exchange
    accounts: dict[str, Account]
    instruments: dict[str, InstrumentRules]
    access: Access
    booking: Booking
    orders: OrderDesk
    trades: TradeDesk
    prices: PriceDesk


class Office:
    """Acts on all accounts."""

    def __init__(self, venue: _Venue) -> None:
        self._venue = venue

    def open_accounts(self, now_ns: int) -> None:
        """Enter the first transactions of all accounts: their creation, a name, and the opening deposit."""
        setup = self._venue.setup
        for account in self._venue.accounts.values():
            site, division, user, number = (int(part) for part in account.id.split("-"))
            account.log.begin(now_ns)
            account.log.append(
                "CREATE",
                {"divisionID": division, "siteID": site, "accountUserID": user, "accountNumber": number,
                 "homeCurrency": account.rules.currency},
            )  # fmt: skip
            account.log.append("CLIENT_CONFIGURE", {"alias": account.alias})
            account.balance = account.rules.balance
            account.log.begin(now_ns)
            account.log.append("TRANSFER_FUNDS", _transfer(account.rules.balance, account.balance))
        assert setup.accounts, "an environment without accounts serves nobody"

    # --- commands ---------------------------------------------------------------------------------------------------

    def command(self, name: str, arguments: Json, now_ns: int) -> Json:
        """Do ``deposit`` or ``withdraw`` (account, amount), ``market`` (instrument, status), ``financing`` (days), ``token``.

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        if name == "token":
            self._venue.access.change_token(str(arguments["token"]))
            return {}
        if name == "market":
            wanted = msgspec.convert(arguments, MarketCommand)
            if wanted.instrument not in self._venue.instruments:
                raise ValueError(f"no instrument {wanted.instrument!r}; there are {', '.join(self._venue.instruments)}")
            event = StatusChanged(self._venue.instruments[wanted.instrument].id, _STATUSES[wanted.status], now_ns)
            self._venue.booking.take(self._venue.exchange.handle(event), now_ns)
            return arguments
        if name == "financing":
            self._finance(decimal_from_text(str(arguments.get("days", 1))), now_ns)
            return arguments
        if name not in ("deposit", "withdraw"):
            raise ValueError(f"no command {name!r}; there are deposit, withdraw, market, financing, token")
        account = self._venue.accounts.get(str(arguments.get("account")))
        if account is None:
            raise ValueError(f"no account {arguments.get('account')!r}")
        amount = decimal_from_text(str(arguments.get("amount")))
        kind = CashFlowKind.DEPOSIT if name == "deposit" else CashFlowKind.WITHDRAWAL
        signed = amount if name == "deposit" else ZERO - amount
        flow = CashFlow(VENUE, f"{name}-{now_ns}", kind, account.rules.currency, signed, now_ns)
        match self._venue.exchange.move_cash(account.id, flow):
            case Refused(code, detail):
                raise ValueError(f"{code}: {detail}")
        account.balance += signed
        account.log.begin(now_ns)
        account.log.append("TRANSFER_FUNDS", _transfer(signed, account.balance))
        return arguments

    def _finance(self, days: Decimal, now_ns: int) -> None:
        """Charge all accounts for holding, as at 17:00 in New York."""
        rates = {one.id: (one.long_rate, one.short_rate) for one in self._venue.setup.instruments}
        held = {
            account.id: {view.lot.venue_id: view.financing for view in self._venue.exchange.lots(account.id)}
            for account in self._venue.accounts.values()
        }
        self._venue.exchange.accrue_financing(rates, days, now_ns)
        for account in self._venue.accounts.values():
            parts: list[tuple[TradeRecord, Decimal]] = []
            for view in self._venue.exchange.lots(account.id):
                amount = view.financing - held[account.id][view.lot.venue_id]
                if amount:
                    parts.append((account.by_lot[view.lot.venue_id], amount))
            if parts:
                self._enter_financing(account, parts, now_ns)

    def _enter_financing(self, account: Account, parts: Iterable[tuple[TradeRecord, Decimal]], now_ns: int) -> None:
        positions: dict[str, list[Json]] = {}
        sums: dict[str, Decimal] = {}
        for trade, amount in parts:
            name = trade.rules.name
            trade.financing += amount
            position = account.position(trade.rules)
            (position.long if trade.is_long else position.short).financing += amount
            positions.setdefault(name, []).append({"tradeID": str(trade.id), "financing": money(amount)})
            sums[name] = sums.get(name, ZERO) + amount
        total = sum(sums.values(), ZERO)
        account.balance += total
        account.financing += total
        account.log.begin(now_ns)
        account.log.append(
            "DAILY_FINANCING",
            {
                "financing": money(total), "accountBalance": money(account.balance),
                "accountFinancingMode": "DAILY",
                "positionFinancings": [
                    {"instrument": name, "financing": money(sums[name]), "openTradeFinancings": told}
                    for name, told in positions.items()
                ],
            },
        )  # fmt: skip

    # --- truth ------------------------------------------------------------------------------------------------------

    def counters(self) -> Json:
        """Return orders by what became of them, what a client should not do, and prices for a status line."""
        accounts = self._venue.accounts.values()
        counts = self._venue.orders.counts
        quotes = {name: self._venue.prices.quote(rules) for name, rules in self._venue.instruments.items()}
        return {
            "orders": {
                **counts,
                "open": sum(len(one.pending) for one in accounts),
                "fills": sum(len(self._venue.exchange.trades(one.id)) for one in accounts),
                "closes": self._venue.trades.closes,
            },
            "violations": {
                "client_id_twice": sum(count - 1 for count in self._venue.orders.client_ids.values() if count > 1)
            },
            "prices": {name: (str(one[0]), str(one[1])) for name, one in quotes.items() if one is not None},
        }

    def state(self, now_ns: int) -> Json:
        """Return balances, orders and trades; decimals are text."""
        told: Json = {"now_ns": now_ns, "balances": {}, "opening_balances": {}, "orders": [], "lots": []}
        for account in self._venue.accounts.values():
            balances = self._venue.exchange.snapshot(account.id, VENUE, now_ns).balances
            told["balances"][account.id] = {
                one.asset: {"total": f"{one.total:f}", "free": f"{one.free:f}"} for one in balances
            }
            told["opening_balances"][account.id] = {account.rules.currency: f"{account.rules.balance:f}"}
            for order in account.orders.values():
                told["orders"].append(
                    {
                        "id": str(order.id), "account": account.id, "symbol": order.rules.name, "type": order.type,
                        "clientOrderID": order.client_id, "state": order.state, "units": plain(order.units),
                        "filledUnits": plain(self._filled(account, order.shown.get("fillingTransactionID"))),
                    }
                )  # fmt: skip
            for trade in account.open_trades.values():
                guards = {MEMBERS[kind]: self._venue.orders.shown(account, one) for kind, one in trade.guards.items()}
                told["lots"].append(
                    {
                        "id": str(trade.id), "account": account.id, "symbol": trade.rules.name,
                        "side": "buy" if trade.is_long else "sell", "quantity": plain(abs(trade.units)),
                        "openPrice": plain(trade.open_price), "clientTradeID": trade.client_id,
                        "stop": guards.get("stopLoss", {}).get("price"),
                        "take": guards.get("takeProfit", {}).get("price"),
                        "trail": guards.get("trailingStopLoss", {}).get("distance"),
                    }
                )  # fmt: skip
        return told

    def _filled(self, account: Account, fill_id: str | None) -> Decimal:
        return ZERO if fill_id is None else decimal_from_text(account.log.get(int(fill_id))["units"])


def _transfer(amount: Decimal, balance: Decimal) -> Json:
    return {"amount": money(amount), "fundingReason": "CLIENT_FUNDING", "accountBalance": money(balance)}
