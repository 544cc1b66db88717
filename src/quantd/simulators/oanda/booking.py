"""Turns what happens on the exchange into an account's transactions: fills, cancels, what guards a new trade.

Used by the venue after each market event and by the desks after each call of the exchange. One fill transaction tells
all that one event did to an order. What is left of a partly filled order is issued again under a new id, for there is
no resting order at OANDA that is partly filled.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from quantd.domain.instruments import symbol_of
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import ENDS, OrderState, Role, Side
from quantd.exchange import ExchangeReport, NewOrder, OrderView, Refused, Trade
from quantd.simulators.oanda.answers import At, money, units_text
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.guards import Guards
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.records import Account, OrderRecord, TradeRecord
from quantd.simulators.venue import Json

_REASONS = {
    "expired": "TIME_IN_FORCE_EXPIRED",
    "fok": "INSUFFICIENT_LIQUIDITY",
    "ioc": "INSUFFICIENT_LIQUIDITY",
    "insufficient_margin": "INSUFFICIENT_MARGIN",
    "lot_closed": "LINKED_TRADE_CLOSED",
    "delisted": "MARKET_HALTED",
}
_CLOSES = {
    "tradeClose": "MARKET_ORDER_TRADE_CLOSE",
    "longPositionCloseout": "MARKET_ORDER_POSITION_CLOSEOUT",
    "shortPositionCloseout": "MARKET_ORDER_POSITION_CLOSEOUT",
    "marginCloseout": "MARKET_ORDER_MARGIN_CLOSEOUT",
}


class Booking:
    """Keeps the logs of all accounts in step with the exchange."""

    def __init__(self, floor: Floor, accounts: dict[str, Account]) -> None:
        self._exchange = floor.exchange
        self._accounts = accounts
        self._instruments = floor.instruments
        self._prices = floor.prices
        self._switches = floor.switches
        self.guards = Guards(floor)

    # --- events -----------------------------------------------------------------------------------------------------

    def take(self, reports: Sequence[ExchangeReport], now_ns: int, request_id: str = "") -> None:
        """Enter what the exchange reports; without a request's id each account's part is a batch of its own."""
        while reports:
            touched: set[str] = set()
            for account_id in dict.fromkeys(one.account for one in reports):
                act = Act(self._accounts[account_id], now_ns, request_id)
                if not request_id:
                    act.begin()
                touched |= self._enter(act, [one for one in reports if one.account == account_id])
            # A guard that is through the market already fills at once, as was observed.
            reports = [again for name in sorted(touched) for again in self.requote(name, now_ns)]

    def requote(self, name: str, now_ns: int) -> Sequence[ExchangeReport]:
        """Let an instrument's orders meet the present price once more."""
        return self._exchange.requote(self._instruments[name].id, now_ns)

    def closing(self, trade: TradeRecord) -> Decimal | None:
        """Return the price at which a trade would be closed now."""
        return self._prices.closing(trade.rules, is_long=trade.is_long)

    def _enter(self, act: Act, reports: Iterable[ExchangeReport]) -> set[str]:
        """Enter an account's fills, then its cancels; return the instruments on which guards were set."""
        account = act.account
        opened: list[tuple[OrderRecord, TradeRecord]] = []
        trades = self._exchange.trades(account.id, account.seen_trades)
        account.seen_trades += len(trades)
        for order_id in dict.fromkeys(trade.venue_order_id for trade in trades):
            mine = [one for one in trades if one.venue_order_id == order_id]
            opened += self._fill(act, order_id, mine)
        for told in reports:
            view = self._exchange.order(account.id, told.report.venue_order_id)
            record = account.by_exchange.get(told.report.venue_order_id)
            if view is None or record is None or record.state != "PENDING" or view.state not in ENDS:
                continue
            trade = account.trades.get(record.trade)
            if trade is not None and trade.is_open:
                self.guards.remove(act, record)
            self.cancel(act, record, self._reason(view, record))
        # Only now: the same event may have closed again what it opened.
        return {
            trade.rules.name
            for record, trade in opened
            if trade.is_open and self.guards.set_on_fill(act, record, trade)
        }

    def _reason(self, view: OrderView, record: OrderRecord) -> str:
        if view.reason == "fok" and "priceBound" in record.shown:
            return "BOUNDS_VIOLATION"
        return _REASONS.get(view.reason, "INSUFFICIENT_LIQUIDITY")

    # --- orders -----------------------------------------------------------------------------------------------------

    def cancel(self, act: Act, record: OrderRecord, reason: str, **more: str) -> Json:
        """Enter the end of an order and return the transaction."""
        account = act.account
        fields: Json = {"orderID": str(record.id)}
        if record.client_id:
            fields["clientOrderID"] = record.client_id
        fields["reason"] = reason
        fields |= more
        trade = account.trades.get(record.trade)
        if reason == "LINKED_TRADE_CLOSED" and trade is not None and self._switches.extra_fields:
            fields |= {"closedTradeID": str(trade.id), "tradeCloseTransactionID": trade.closing_ids[-1]}
        entry = account.log.append("ORDER_CANCEL", fields)
        ended: Json = {"cancellingTransactionID": entry["id"], "cancelledTime": At(act.now_ns)}
        account.end(record, "CANCELLED", ended | more)
        return entry

    def _closed_out(self, account: Account, view: OrderView) -> OrderRecord:
        """Enter the order with which the exchange closes an account out."""
        rules = self._instruments[symbol_of(view.spec.instrument)]
        units = view.spec.quantity if view.spec.side is Side.BUY else -view.spec.quantity
        fields: Json = {
            "instrument": rules.name, "units": units_text(units), "timeInForce": "FOK", "positionFill": "REDUCE_ONLY",
            "marginCloseout": {"reason": "MARGIN_CHECK_VIOLATION"},
        }  # fmt: skip
        entry = account.log.append("MARKET_ORDER", {**fields, "reason": "MARGIN_CLOSEOUT"})
        return account.add(
            new_record(entry, fields, rules, units=units, exchange_id=view.venue_order_id)
        )  # fmt: skip

    def expire_guards(self, now_ns: int) -> None:
        """End the guards whose time has come; the exchange has none for them."""
        for account in self._accounts.values():
            if not account.guards_expire:
                continue
            due = [one for one in account.pending.values() if one.expires_ns is not None and one.expires_ns <= now_ns]
            for record in due:
                act = Act(account, now_ns)
                act.begin()
                self.guards.remove(act, record)
                self.cancel(act, record, "TIME_IN_FORCE_EXPIRED")
            account.guards_expire = any(one.expires_ns is not None for one in account.pending.values())

    # --- fills ------------------------------------------------------------------------------------------------------

    def _fill(self, act: Act, order_id: str, trades: Sequence[Trade]) -> list[tuple[OrderRecord, TradeRecord]]:
        """Enter what one event did to an order; return it with the trade that it opened."""
        account = act.account
        view = self._exchange.order(account.id, order_id)
        assert view is not None, f"{order_id} has traded and is not known"
        record = account.by_exchange.get(order_id) or self._closed_out(account, view)
        number = account.log.next_id
        sign = ONE if trades[0].side is Side.BUY else -ONE
        quantity = sum((one.quantity for one in trades), ZERO)
        worth = sum((one.quantity * one.price for one in trades), ZERO)
        fees = sum((amount for one in trades for _, amount in one.fees), ZERO)
        profit = sum((one.profit or ZERO for one in trades), ZERO)
        parts, opened = self._lots(act, record, trades, sign)
        price = self._prices.text(record.rules, worth / quantity)
        account.balance += profit - fees
        account.pl += profit
        account.commission += fees
        account.position(record.rules).commission += fees
        account.last_fill_ns = act.now_ns
        fields: Json = {"orderID": str(record.id)}
        if record.client_id:
            fields["clientOrderID"] = record.client_id
        fields |= {"instrument": record.rules.name, "units": units_text(sign * quantity)}
        if self._switches.later_fields:
            fields["requestedUnits"] = units_text(record.units or sign * quantity)
        fields |= self._prices.fill_fields(account.rules.currency, record.rules, later=self._switches.later_fields)
        fields |= {
            "price": price, "fullVWAP": price, "pl": money(profit), "financing": "0.0000", "commission": money(fees),
            "guaranteedExecutionFee": "0.0000", "accountBalance": money(account.balance),
            "halfSpreadCost": money(self._prices.half_spread(record.rules, quantity, account.rules.currency)),
            "reason": _fill_reason(record), **parts,
        }  # fmt: skip
        entry = account.log.append("ORDER_FILL", fields)
        assert entry["id"] == str(number), "a fill is entered between the trades that it changes and their guards"
        self._finish(act, record, entry)
        # What ends in part guards its trade no longer; it is told as issued again and cancelled.
        if view.state not in ENDS or (record.trade and view.state is not OrderState.FILLED):
            self._issue_again(act, record, view)
        return [] if opened is None else [(record, opened)]

    def _finish(self, act: Act, record: OrderRecord, entry: Json) -> None:
        ended: Json = {"fillingTransactionID": entry["id"], "filledTime": At(act.now_ns)}
        if "tradeOpened" in entry:
            ended["tradeOpenedID"] = entry["tradeOpened"]["tradeID"]
        if "tradeReduced" in entry:
            ended["tradeReducedID"] = entry["tradeReduced"]["tradeID"]
        if "tradesClosed" in entry:
            ended["tradeClosedIDs"] = [one["tradeID"] for one in entry["tradesClosed"]]
        act.account.end(record, "FILLED", ended)

    def _lots(
        self, act: Act, record: OrderRecord, trades: Sequence[Trade], sign: Decimal
    ) -> tuple[Json, TradeRecord | None]:
        """Book what a fill did to trades; return its members and the trade that it opened."""
        account = act.account
        sums: dict[str, list[Decimal]] = {}
        for trade in trades:
            for change in trade.lots:
                one = sums.setdefault(change.lot, [ZERO, ZERO, ZERO])
                one[0] += change.quantity
                one[1] += change.quantity * change.price
                one[2] += change.profit
        told: Json = {}
        opened = None
        for lot, (quantity, worth, profit) in sums.items():
            price = worth / quantity
            shown: Json = {"units": units_text(sign * quantity), "price": self._prices.text(record.rules, price)}
            cost = self._prices.half_spread(record.rules, quantity, account.rules.currency)
            held = account.by_lot.get(lot)
            if held is None:
                opened = self._opened(act, record, lot, units=sign * quantity, price=price)
                told["tradeOpened"] = {
                    "tradeID": str(opened.id), **shown, "guaranteedExecutionFee": "0.0000", "halfSpreadCost": money(cost),
                    "initialMarginRequired": money(opened.initial_margin),
                }  # fmt: skip
                if opened.extensions:
                    told["tradeOpened"]["clientExtensions"] = opened.extensions
                continue
            self._reduced(act, held, quantity, worth=worth, profit=profit)
            shown = {
                "tradeID": str(held.id), **shown, "realizedPL": money(profit), "financing": "0.0000",
                "guaranteedExecutionFee": "0.0000", "halfSpreadCost": money(cost),
            }  # fmt: skip
            if held.is_open:
                told["tradeReduced"] = shown
            else:
                told.setdefault("tradesClosed", []).append(shown)
        return told, opened

    def _opened(self, act: Act, record: OrderRecord, lot: str, *, units: Decimal, price: Decimal) -> TradeRecord:
        account, number = act.account, act.account.log.next_id
        margin = self._prices.margin(record.rules, units, account.rules)
        trade = TradeRecord(
            number, lot, record.rules, act.now_ns, units, price, margin, units,
            dict(record.shown.get("tradeClientExtensions", {})),
        )  # fmt: skip
        account.trades[number] = account.open_trades[number] = account.by_lot[lot] = trade
        account.position(record.rules)
        return trade

    def _reduced(self, act: Act, trade: TradeRecord, quantity: Decimal, *, worth: Decimal, profit: Decimal) -> None:
        account = act.account
        trade.units -= quantity if trade.is_long else -quantity
        trade.realized += profit
        trade.closed_units += quantity
        trade.closed_worth += worth
        trade.closing_ids.append(str(account.log.next_id))
        sums = account.position(trade.rules)
        (sums.long if trade.is_long else sums.short).pl += profit
        if not trade.units:
            trade.closed_ns = act.now_ns
            del account.open_trades[trade.id]

    # --- what is left -----------------------------------------------------------------------------------------------

    def _issue_again(self, act: Act, record: OrderRecord, view: OrderView) -> None:
        """Issue the rest of a partly filled order under a new id (assumed: reason REPLACEMENT)."""
        account, now_ns = act.account, act.now_ns
        left = view.spec.quantity - view.filled_quantity
        fields = {
            key: value for key, value in record.shown.items()
            if key not in _ENDED and key not in ("id", "createTime", "type", "state")
        }  # fmt: skip
        exchange_id = view.venue_order_id
        lot = view.lot if view.role is Role.CLOSE else ""
        if not record.trade:
            fields["units"] = units_text(left if record.units > 0 else -left)
        if not record.trade and view.origin == "client":
            self._exchange.cancel(account.id, exchange_id, now_ns)
            spec = view.spec.__class__(
                view.spec.instrument, view.spec.side, left, view.spec.kind, view.spec.price, view.spec.trigger,
                view.spec.time_in_force, view.spec.post_only, view.spec.reduce_only, view.spec.effect,
                view.spec.expires_at_ns,
            )  # fmt: skip
            placed = self._exchange.submit(account.id, NewOrder(record.client_id, spec, lot=lot), now_ns)
            if isinstance(placed, Refused):
                account.log.append(
                    f"{record.type}_ORDER_REJECT",
                    {**fields, "reason": "REPLACEMENT", "intendedReplacesOrderID": str(record.id),
                     "rejectReason": "INSUFFICIENT_MARGIN"},
                )  # fmt: skip
                return
            exchange_id = placed.venue_order_id
        fields["replacesOrderID"] = str(record.id)
        entry = account.log.append(f"{record.type}_ORDER", {**fields, "reason": "REPLACEMENT"})
        fresh = new_record(entry, fields, record.rules, units=ZERO, exchange_id=exchange_id)
        fresh.units = ZERO if record.trade else (left if record.units > 0 else -left)
        fresh.trade, fresh.expires_ns = record.trade, record.expires_ns
        account.add(fresh)
        record.shown["replacedByOrderID"] = entry["id"]
        if record.trade:
            account.trades[record.trade].guards[record.type] = fresh


_ENDED = frozenset(
    {"fillingTransactionID", "filledTime", "tradeOpenedID", "tradeReducedID", "tradeClosedIDs", "replacesOrderID",
     "replacedByOrderID"}
)  # fmt: skip


def _fill_reason(record: OrderRecord) -> str:
    for member, reason in _CLOSES.items():
        if member in record.shown:
            return reason
    return f"{record.type}_ORDER"


def new_record(entry: Json, fields: Json, rules: InstrumentRules, *, units: Decimal, exchange_id: str) -> OrderRecord:
    """Return the order that a transaction created; `fields` are the transaction's own, without its reason."""
    kind = str(entry["type"]).removesuffix("_ORDER")
    shown: Json = {
        "id": entry["id"], "createTime": entry["time"], "type": kind, **fields, "state": "PENDING",
    }  # fmt: skip
    return OrderRecord(int(entry["id"]), kind, rules, shown, entry["time"].ns, units, exchange_id)
