"""What a simulated OANDA tells of accounts: the list, sums at the present price, instruments, configuration, changes.

Used by the venue. Margin and the close-out go by mid prices, profit by the side at which trades would be closed.
"""

from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.numbers import ZERO
from quantd.simulators.oanda.answers import Answer, At, Failed, malformed, money
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.options import InstrumentRules, Setup
from quantd.simulators.oanda.positions import PositionDesk
from quantd.simulators.oanda.records import Account, OrderRecord, TradeRecord
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.oanda.trades import TradeDesk
from quantd.simulators.venue import Json

_HALF = Decimal("0.5")
_NEVER = "0"


class AccountDesk:
    """All accounts of the token."""

    def __init__(self, floor: Floor, setup: Setup, trades: TradeDesk, *, positions: PositionDesk) -> None:
        self._setup = setup
        self._orders = trades.orders
        self._trades = trades
        self._positions = positions
        self._prices = floor.prices
        self._switches = floor.switches

    def listed(self) -> Answer:
        """Return the accounts that the token may use."""
        return Answer({"accounts": [{"id": one.id, "tags": []} for one in self._setup.accounts]})

    # --- sums -------------------------------------------------------------------------------------------------------

    def state(self, account: Account) -> Json:
        """Return what moves with the price."""
        trades = list(account.open_trades.values())
        names = {one.rules.name: one.rules for one in trades}
        used = sum((self._positions.margin(account, rules) for rules in names.values()), ZERO)
        worth = sum((self._prices.worth(one.rules, one.units, account.rules.currency) for one in trades), ZERO)
        unrealized = self._positions.profit(account, trades)
        by_mid = self._positions.profit(account, trades, mid=True)
        nav, nav_mid = account.balance + unrealized, account.balance + by_mid
        available = max(ZERO, nav_mid - used)
        call = used / nav_mid if nav_mid > 0 else ZERO
        told = {
            "unrealizedPL": money(unrealized), "NAV": money(nav), "marginUsed": money(used),
            "marginAvailable": money(available), "positionValue": money(worth),
            "marginCloseoutUnrealizedPL": money(by_mid), "marginCloseoutNAV": money(nav_mid),
            "marginCloseoutMarginUsed": money(used), "marginCloseoutPercent": f"{call * _HALF:.5f}",
            "marginCloseoutPositionValue": money(worth), "withdrawalLimit": money(min(available, account.balance)),
            "marginCallMarginUsed": money(used), "marginCallPercent": f"{call:.5f}",
        }  # fmt: skip
        if self._switches.extra_fields:
            told |= {"trueNAV": money(nav), "trueUnrealizedPL": money(unrealized)}
        return told

    def summary(self, account: Account) -> Json:
        """Return an account without its lists."""
        told: Json = {
            "id": account.id, "alias": account.alias, "currency": account.rules.currency,
            "balance": money(account.balance), "createdByUserID": self._setup.user_id,
            "createdTime": At(account.created_ns), "guaranteedStopLossOrderMode": "DISABLED", "pl": money(account.pl),
            "resettablePL": money(account.pl), "resettablePLTime": _NEVER, "financing": money(account.financing),
            "commission": money(account.commission), "guaranteedExecutionFees": "0.0000",
            "openTradeCount": len(account.open_trades),
            "openPositionCount": len({one.rules.name for one in account.open_trades.values()}),
            "pendingOrderCount": len(account.pending), "hedgingEnabled": account.rules.hedging,
            **self.state(account), "lastTransactionID": str(account.log.last_id),
        }  # fmt: skip
        if account.rules.margin_rate is not None:
            told["marginRate"] = f"{account.rules.margin_rate:f}"
        if account.last_fill_ns:
            told["lastOrderFillTimestamp"] = At(account.last_fill_ns)
        if self._switches.later_fields:
            told["dividendAdjustment"] = "0"
        return told

    def full(self, account: Account) -> Json:
        """Return an account with its open trades, positions and pending orders."""
        return {
            **self.summary(account),
            "trades": [self._trades.shown(account, one, summary=True) for one in account.open_trades.values()],
            "positions": self._positions.listed(account),
            "orders": [self._orders.shown(account, one) for one in account.pending.values()],
        }

    # --- instruments and configuration ------------------------------------------------------------------------------

    def instruments(self, asked: Asked, known: Mapping[str, InstrumentRules]) -> list[Json]:
        """Return the terms of instruments.

        Raises:
            Failed: one is not known (400).
        """
        names = asked.query["instruments"].split(",") if asked.query.get("instruments") else list(known)
        if any(name not in known for name in names):
            raise malformed("instruments")
        return [self._instrument(known[name]) for name in names]

    def _instrument(self, rules: InstrumentRules) -> Json:
        told: Json = {
            "name": rules.name, "type": rules.type, "displayName": f"{rules.base}/{rules.quote}",
            "pipLocation": rules.pip_location, "displayPrecision": rules.precision,
            "tradeUnitsPrecision": rules.units_precision, "minimumTradeSize": f"{rules.minimum:f}",
            "maximumTrailingStopDistance": self._prices.text(rules, rules.largest_trail),
            "minimumTrailingStopDistance": self._prices.text(rules, rules.least_trail),
            "maximumPositionSize": f"{rules.maximum_position:f}", "maximumOrderUnits": f"{rules.maximum:f}",
            "marginRate": f"{rules.margin_rate:f}",
        }  # fmt: skip
        if rules.commission:
            told["commission"] = {
                "commission": f"{rules.commission:f}", "unitsTraded": "1", "minimumCommission": "0",
            }  # fmt: skip
        if self._switches.later_fields:
            days = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
            charged = (1, 1, 3, 1, 1, 0, 0)
            told |= {
                "guaranteedStopLossOrderMode": "DISABLED", "tags": [{"type": "ASSET_CLASS", "name": rules.type}],
                "financing": {
                    "longRate": f"{rules.long_rate:f}", "shortRate": f"{rules.short_rate:f}",
                    "financingDaysOfWeek": [
                        {"dayOfWeek": day, "daysCharged": count} for day, count in zip(days, charged, strict=True)
                    ],
                },
            }  # fmt: skip
        return told

    def configure(self, act: Act, body: Json) -> Answer:
        """Change the alias; a margin rate of the client's is fixed in the simulation and refused.

        Raises:
            Failed: there is nothing to change, or the alias is no text (400).
        """
        account, before = act.account, act.begin()
        alias = body.get("alias")
        reason = ""
        if "marginRate" in body:
            reason = "MARGIN_RATE_INVALID"
        elif alias is None:
            reason = "CLIENT_CONFIGURE_DATA_MISSING"
        elif not isinstance(alias, str) or not alias:
            reason = "ALIAS_INVALID"
        last: Json = {}
        if reason:
            fields = {
                key: value for key, value in body.items() if key in ("alias", "marginRate") and isinstance(value, str)
            }
            entry = account.log.append("CLIENT_CONFIGURE_REJECT", {**fields, "rejectReason": reason})
            last = {"clientConfigureRejectTransaction": entry, "lastTransactionID": str(account.log.last_id)}
            raise Failed(400, reason.replace("_", " ").capitalize(), reason, last)
        account.alias = str(alias)
        entry = account.log.append("CLIENT_CONFIGURE", {"alias": alias})
        assert account.log.last_id == before + 1, "a configuration is one transaction"
        return Answer({"clientConfigureTransaction": entry, "lastTransactionID": str(account.log.last_id)})

    # --- changes ----------------------------------------------------------------------------------------------------

    def changes(self, asked: Asked, account: Account, last: int) -> Json:
        """Return what has happened since a transaction, and what moves with the price.

        Raises:
            Failed: the id is malformed (400), or none of the log (416).
        """
        text = asked.query.get("sinceTransactionID", "")
        if not text.isascii() or not text.isdigit():
            raise malformed("sinceTransactionID")
        since = int(text)
        if since > account.log.last_id:
            raise Failed(416, "The transaction range specified is invalid", "INVALID_TRANSACTION_RANGE")
        entries = list(account.log.between(since + 1, last))
        ended = {
            str(one.get("orderID")): one["type"] for one in entries if one["type"] in ("ORDER_FILL", "ORDER_CANCEL")
        }
        fills = [one for one in entries if one["type"] == "ORDER_FILL"]
        reduced = [one["tradeReduced"]["tradeID"] for one in fills if "tradeReduced" in one]
        closed = [part["tradeID"] for one in fills for part in one.get("tradesClosed", ())]
        opened = [one["tradeOpened"]["tradeID"] for one in fills if "tradeOpened" in one]
        names = sorted({one["instrument"] for one in fills})
        created = [account.orders[int(one["id"])] for one in entries if int(one["id"]) in account.orders]

        def order(record: OrderRecord) -> Json:
            return self._orders.shown(account, record)

        def trade(number: str) -> Json:
            return self._trades.shown(account, account.trades[int(number)], summary=True)

        return {
            "ordersCreated": [order(one) for one in created],
            "ordersCancelled": [order(account.orders[int(key)]) for key, kind in ended.items() if kind == "ORDER_CANCEL"],
            "ordersFilled": [order(account.orders[int(key)]) for key, kind in ended.items() if kind == "ORDER_FILL"],
            "ordersTriggered": [],
            "tradesOpened": [trade(one) for one in opened],
            "tradesReduced": [trade(one) for one in dict.fromkeys(reduced)],
            "tradesClosed": [trade(one) for one in closed],
            "positions": [self._positions.shown(account, account.positions[name]) for name in names],
            "transactions": entries,
        }  # fmt: skip

    def changing(self, account: Account) -> Json:
        """Return all that moves with the price: the account's sums, orders, trades and positions."""
        return {
            **self.state(account),
            "orders": [self._moving(account, one) for one in account.pending.values()],
            "trades": [
                {"id": str(one.id), **self._trades.calculated(account, one)} for one in account.open_trades.values()
            ],
            "positions": [self._calculated(account, name) for name in account.positions],
        }

    def _moving(self, account: Account, record: OrderRecord) -> Json:
        shown = self._orders.shown(account, record)
        told: Json = {"id": str(record.id)}
        level = shown.get("trailingStopValue", shown.get("price"))
        quote = self._prices.quote(record.rules)
        if "trailingStopValue" in shown:
            told["trailingStopValue"] = shown["trailingStopValue"]
        if level is not None and quote is not None:
            away = min(abs(Decimal(level) - one) for one in quote)
            told |= {"triggerDistance": self._prices.text(record.rules, away), "isTriggerDistanceExact": True}
        return told

    def _calculated(self, account: Account, name: str) -> Json:
        rules = account.positions[name].rules
        sides: tuple[list[TradeRecord], list[TradeRecord]] = self._positions.trades(account, rules)
        long, short = (self._positions.profit(account, side) for side in sides)
        return {
            "instrument": name, "netUnrealizedPL": money(long + short), "longUnrealizedPL": money(long),
            "shortUnrealizedPL": money(short), "marginUsed": money(self._positions.margin(account, rules)),
        }  # fmt: skip
