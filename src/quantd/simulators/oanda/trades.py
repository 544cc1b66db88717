"""The trade desk of a simulated OANDA: lists, shows, closes and annotates trades.

Used by the venue. A 200 of a close says that the closing order was created; whether it filled or was cancelled is in the
answer's members.
"""

from decimal import Decimal
from typing import Any

from quantd.domain.numbers import ZERO
from quantd.domain.orders import Effect, OrderKind, OrderSpec, Side, TimeInForce
from quantd.simulators.oanda.answers import Answer, At, decimal_of, malformed, money, units_text
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.lists import page
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.orders import OrderDesk
from quantd.simulators.oanda.records import MEMBERS, Account, TradeRecord
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.oanda.terms import Rejected, Wanted, check_units, read_extensions
from quantd.simulators.oanda.words import done, not_found, refused
from quantd.simulators.venue import Json

_STATES = ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE", "ALL")


class TradeDesk:
    """Trades of all accounts."""

    def __init__(self, floor: Floor, orders: OrderDesk) -> None:
        self.orders = orders
        self._instruments = floor.instruments
        self._prices = floor.prices
        self._switches = floor.switches
        self.closes = 0

    # --- reads ------------------------------------------------------------------------------------------------------

    def listed(self, asked: Asked, account: Account) -> Answer:
        """Return a page of trades.

        Raises:
            Failed: a parameter is malformed (400).
        """
        state = asked.query.get("state", "OPEN")
        if state not in _STATES:
            raise malformed("state")
        source = account.open_trades if state == "OPEN" else account.trades
        chosen = (
            one for one in reversed(source.values())
            if state in ("ALL", "OPEN") or (state == "CLOSED") is not one.is_open
            if state != "CLOSE_WHEN_TRADEABLE"
        )  # fmt: skip
        return page(asked, chosen, self._instruments, lambda one: self.shown(account, one), "trades")

    def open(self, account: Account) -> Answer:
        """Return all open trades, newest first."""
        return Answer({"trades": [self.shown(account, one) for one in reversed(account.open_trades.values())]})

    def one(self, account: Account, specifier: str) -> Answer:
        """Return a trade.

        Raises:
            Failed: there is none (404).
        """
        found = account.find_trade(specifier)
        if found is None:
            raise not_found(account, "NO_SUCH_TRADE")
        return Answer({"trade": self.shown(account, found)})

    def shown(self, account: Account, trade: TradeRecord, *, summary: bool = False) -> Json:
        """Return a trade at the present price; a summary names what guards it by id only."""
        told: Json = {
            "id": str(trade.id), "instrument": trade.rules.name,
            "price": self._prices.text(trade.rules, trade.open_price), "openTime": At(trade.opened_ns),
            "initialUnits": units_text(trade.initial_units), "initialMarginRequired": money(trade.initial_margin),
            "state": "OPEN" if trade.is_open else "CLOSED", "currentUnits": units_text(trade.units),
            "realizedPL": money(trade.realized), "financing": money(trade.financing),
        }  # fmt: skip
        if self._switches.later_fields:
            told["dividendAdjustment"] = "0.0000"
        if trade.closed_units:
            told["averageClosePrice"] = self._prices.text(trade.rules, trade.closed_worth / trade.closed_units)
            told["closingTransactionIDs"] = list(trade.closing_ids)
        if trade.closed_ns is not None:
            told["closeTime"] = At(trade.closed_ns)
        else:
            told |= self.calculated(account, trade)
        if trade.extensions:
            told["clientExtensions"] = trade.extensions
        for kind, order in trade.guards.items():
            if summary:
                told[f"{MEMBERS[kind]}OrderID"] = str(order.id)
            else:
                told[f"{MEMBERS[kind]}Order"] = self.orders.shown(account, order)
        return told

    def calculated(self, account: Account, trade: TradeRecord) -> Json:
        """Return what of an open trade moves with the price."""
        rules, currency = trade.rules, account.rules.currency
        profit = self._prices.profit(rules, trade.units, trade.open_price, currency, mid=False)
        margin = self._prices.margin(rules, trade.units, account.rules)
        return {"unrealizedPL": money(profit), "marginUsed": money(margin)}

    # --- writes -----------------------------------------------------------------------------------------------------

    def close(self, act: Act, specifier: str, body: Json) -> Answer:
        """Close a trade, or a part of it.

        Raises:
            Failed: the units are malformed or rejected (400), or there is no such open trade (404).
        """
        account, before = act.account, act.begin()
        asked_for = body.get("units", "ALL")
        trade = account.find_trade(specifier)
        closing: Json = {
            "units": asked_for if isinstance(asked_for, str) else units_text(decimal_of(asked_for, "units"))
        }
        if specifier.startswith("@"):
            closing = {"clientTradeID": specifier[1:], **closing}
        if trade is not None:
            closing = {"tradeID": str(trade.id), **closing}
        elif not specifier.startswith("@"):
            closing = {"tradeID": specifier, **closing}
        fields: Json = {"timeInForce": "FOK", "positionFill": "REDUCE_ONLY", "tradeClose": closing}
        try:
            if trade is None or not trade.is_open:
                raise Rejected("TRADE_DOESNT_EXIST")
            fields["instrument"] = trade.rules.name
            units = self._units(asked_for, trade)
            fields["units"] = units_text(-units if trade.is_long else units)
            wanted = closing_order(trade.rules, -units if trade.is_long else units, fields)
            about = {"reason": "TRADE_CLOSE"}
            if self._is_blocked(account, trade):
                payload = self.orders.cancelled_at_once(act, wanted, about, "FIFO_VIOLATION")
            else:
                payload = self.orders.place(act, wanted, about, lot=trade.lot)
        except Rejected as rejection:
            told = {**fields, "reason": "TRADE_CLOSE", "rejectReason": rejection.reason}
            entry = account.log.append("MARKET_ORDER_REJECT", told)
            status = 404 if rejection.reason == "TRADE_DOESNT_EXIST" else 400
            raise refused(
                account, before, {"orderRejectTransaction": entry}, rejection.reason, status=status
            ) from rejection
        self.closes += 1
        return done(account, before, payload)

    def _units(self, asked_for: Any, trade: TradeRecord) -> Decimal:
        """Return the positive units that are to be closed."""
        held = abs(trade.units)
        if asked_for == "ALL":
            return held
        if asked_for is None or asked_for == "":
            raise Rejected("CLOSE_TRADE_PARTIAL_UNITS_MISSING")
        units = decimal_of(asked_for, "units")
        check_units(units, trade.rules)
        if units > held:
            raise Rejected("CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
        return units

    def _is_blocked(self, account: Account, trade: TradeRecord) -> bool:
        """Tell whether an older trade of the same instrument, side and size has to be closed first."""
        if not account.rules.first_in_first_out:
            return False
        return any(
            one.rules is trade.rules and one.units == trade.units and one.id < trade.id
            for one in account.open_trades.values()
        )

    def annotate(self, act: Act, specifier: str, body: Json) -> Answer:
        """Change what a client has attached to a trade.

        Raises:
            Failed: it is malformed or rejected (400), or there is no such open trade (404).
        """
        account, before = act.account, act.begin()
        kind, member = "TRADE_CLIENT_EXTENSIONS_MODIFY", "tradeClientExtensionsModify"
        trade = account.find_trade(specifier)
        fields: Json = {"tradeID": str(trade.id)} if trade is not None else {}
        if trade is None:
            fields = {"clientTradeID": specifier[1:]} if specifier.startswith("@") else {"tradeID": specifier}
        elif trade.client_id:
            fields["clientTradeID"] = trade.client_id
        try:
            if trade is None or not trade.is_open:
                raise Rejected("TRADE_DOESNT_EXIST")
            change = read_extensions(body.get("clientExtensions"), "clientExtensions", "CLIENT_TRADE")
            if not change:
                raise Rejected("CLIENT_EXTENSIONS_DATA_MISSING")
            others = (one for one in account.open_trades.values() if one is not trade)
            if "id" in change and any(one.client_id == change["id"] for one in others):
                raise Rejected("CLIENT_TRADE_ID_ALREADY_EXISTS")
        except Rejected as rejection:
            entry = account.log.append(f"{kind}_REJECT", {**fields, "rejectReason": rejection.reason})
            status = 404 if rejection.reason == "TRADE_DOESNT_EXIST" else 400
            raise refused(
                account, before, {f"{member}RejectTransaction": entry}, rejection.reason, status=status
            ) from rejection
        trade.extensions = {**trade.extensions, **change}
        entry = account.log.append(kind, {**fields, "tradeClientExtensionsModify": change})
        return done(account, before, {f"{member}Transaction": entry})

    def guard(self, act: Act, specifier: str, body: Json) -> Answer:
        """Set, replace and take away what guards a trade.

        Raises:
            Failed: a member is malformed or rejected (400), or there is no such open trade (404).
        """
        trade = act.account.find_trade(specifier)
        if trade is None or not trade.is_open:
            raise not_found(act.account, "NO_SUCH_TRADE")
        return self.orders.dependents.change(act, trade, body)


def closing_order(rules: InstrumentRules, units: Decimal, shown: Json) -> Wanted:
    """Return the market order that closes signed units (the closing sign), all of them or none."""
    side = Side.BUY if units > ZERO else Side.SELL
    spec = OrderSpec(
        rules.id, side, abs(units), OrderKind.MARKET, None, None, TimeInForce.FOK, reduce_only=True, effect=Effect.CLOSE
    )
    return Wanted("MARKET", rules, units, spec, shown, {})
