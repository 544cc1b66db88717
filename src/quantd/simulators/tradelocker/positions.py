"""Positions and the state of an account, as TradeLocker shows and changes them.

Used by the venue. A close answers without an order's id, and its part may be asked for again and closes more then.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.exchange import Exchange, LotView, Refused
from quantd.simulators.tradelocker.answers import NS_PER_S, Failed, RefusedByVenue
from quantd.simulators.tradelocker.columns import COLUMNS, milliseconds, number, row
from quantd.simulators.tradelocker.ids import Ids
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules, Switches
from quantd.simulators.tradelocker.routes import Asked
from quantd.simulators.tradelocker.terms import check_exits, decimal_of
from quantd.simulators.venue import Json


class PositionDesk:
    """Positions of all accounts."""

    def __init__(
        self, exchange: Exchange, rules: Mapping[str, InstrumentRules], ids: Ids, *, switches: Switches
    ) -> None:
        self._exchange = exchange
        self._rules = rules
        self._by_instrument = {one.instrument().id: one for one in rules.values()}
        self._ids = ids
        self._switches = switches
        self.counts: Counter[str] = Counter()

    def listed(self, account: AccountRules, now_ns: int) -> Json:
        """Return the open positions; the prices of their exits are in the list of orders only."""
        lag_ns = round(self._switches.look_up_lag_s * NS_PER_S)
        lots = (one for one in self._exchange.lots(account.id) if now_ns >= one.opened_at_ns + lag_ns)
        return {"positions": [self._row(one) for one in lots]}

    def _row(self, view: LotView) -> list[Any]:
        lot, rules = view.lot, self._by_instrument[view.lot.instrument]
        stop = view.stop_order or view.trail_order
        cells = {
            "id": self._ids.shown(lot.venue_id), "tradableInstrumentId": str(rules.tradable_id),
            "routeId": str(rules.trade_route), "side": lot.side.value, "qty": number(lot.quantity),
            "avgPrice": number(lot.open_price), "stopLossId": self._ids.shown(stop) if stop else None,
            "takeProfitId": self._ids.shown(view.take_order) if view.take_order else None,
            "openDate": milliseconds(view.opened_at_ns), "unrealizedPl": number(view.unrealised),
            "strategyId": lot.tag or None,
        }  # fmt: skip
        return row("positionsConfig", cells, more=self._switches.more_columns)

    def find(self, position_id: str, account: AccountRules) -> LotView:
        """Return an account's open position.

        Raises:
            Failed: there is none (404).
        """
        wanted = self._ids.lot(position_id)
        for view in self._exchange.lots(account.id):
            if view.lot.venue_id == wanted:
                return view
        raise Failed(404, f"position {position_id[:32]} not found")

    def modify(self, position_id: str, body: Mapping[str, Any], account: AccountRules, now_ns: int) -> None:
        """Set, move or (null) take away exits; what is absent stays.

        Raises:
            Failed: there is no such position (404), or a member is malformed (400).
            RefusedByVenue: an exit lies on the wrong side of the price.
        """
        view = self.find(position_id, account)
        had = view.lot.protection
        exits = LotProtection(
            stop=decimal_of(body, "stopLoss") if "stopLoss" in body else had.stop,
            take=decimal_of(body, "takeProfit") if "takeProfit" in body else had.take,
            trail=decimal_of(body, "trailingOffset") if "trailingOffset" in body else had.trail,
        )
        quote = self._exchange.quote(view.lot.instrument)
        if quote is not None:
            is_long = view.lot.side is Side.BUY
            price = Decimal(repr(quote.bid if is_long else quote.ask))
            check_exits(
                LotProtection(exits.stop if exits.stop != had.stop else None, exits.take if exits.take != had.take else None),
                is_long=is_long, price=price,
            )  # fmt: skip
        answer = self._exchange.set_protection(account.id, view.lot.venue_id, exits, now_ns)
        if isinstance(answer, Refused):
            raise RefusedByVenue(f"Position cannot be modified. {answer.code}")
        self.counts["modified"] += 1

    def close(self, position_id: str, body: Mapping[str, Any], account: AccountRules, now_ns: int) -> None:
        """Close a position, or ``qty`` lots of it; 0 is all of it.

        Raises:
            Failed: there is no such position (404), or ``qty`` is malformed (400).
            RefusedByVenue: the exchange does not take it.
        """
        view = self.find(position_id, account)
        quantity = decimal_of(body, "qty")
        if quantity is None or quantity < 0:
            raise RefusedByVenue("{qty=[must be greater than or equal to 0]}")
        first = self._first_part(view, quantity or view.lot.quantity)
        if first:
            self._close(view, first, account, now_ns)
            quantity = quantity and quantity - first
        self._close(view, quantity or None, account, now_ns)

    def _first_part(self, view: LotView, quantity: Decimal) -> Decimal:
        """Return what the first of two orders closes; nothing where one closes all."""
        step = self._by_instrument[view.lot.instrument].lot_step
        return (quantity / 2).quantize(step, ROUND_DOWN) if self._switches.close_in_two else ZERO

    def close_all(self, asked: Asked, account: AccountRules, now_ns: int) -> None:
        """Close all positions, or those of one instrument.

        Raises:
            RefusedByVenue: there is no such instrument, or the exchange does not take a close.
        """
        wanted = asked.query.get("tradableInstrumentId")
        if wanted is not None and wanted not in self._rules:
            raise RefusedByVenue("Instrument not found")
        for view in self._exchange.lots(account.id):
            if wanted is None or self._rules[wanted].instrument().id == view.lot.instrument:
                self._close(view, None, account, now_ns)

    def _close(self, view: LotView, quantity: Decimal | None, account: AccountRules, now_ns: int) -> None:
        answer = self._exchange.close_lot(account.id, view.lot.venue_id, quantity, now_ns)
        if isinstance(answer, Refused):
            raise RefusedByVenue(f"Position cannot be closed. {answer.code}")
        self.counts["closes"] += 1
        if self._switches.fill_at_once:
            self._exchange.requote(view.lot.instrument, now_ns)

    def state(self, account: AccountRules) -> Json:
        """Return the account's sums as one flat array of numbers."""
        sums = self._exchange.margin(account.id)
        assert sums is not None, f"account {account.id} has no margin"
        trades = self._exchange.trades(account.id)
        fees = sum((amount for trade in trades for _, amount in trade.fees), ZERO)
        cells: dict[str, Decimal | int] = {
            "balance": sums.balance, "projectedBalance": sums.equity, "availableFunds": sums.available,
            "cashBalance": sums.balance, "withdrawalAvailable": sums.available, "initialMarginReq": sums.used,
            "maintMarginReq": sums.used, "marginWarningLevel": 100, "stopOutLevel": 50, "warningMarginReq": sums.used,
            "marginBeforeWarning": sums.available, "todayGross": sums.realised, "todayFees": fees,
            "todayNet": sums.realised - fees, "todayVolume": sum((trade.quantity for trade in trades), ZERO),
            "todayTradesCount": len(trades), "openGrossPnL": sums.unrealised, "openNetPnL": sums.unrealised,
            "positionsCount": len(self._exchange.lots(account.id)),
            "ordersCount": len(self._exchange.orders(account.id, working=True)),
        }  # fmt: skip
        found = [cells.get(name, 0) for name in COLUMNS["accountDetailsConfig"]]
        return {"accountDetailsData": [0, *found] if self._switches.more_columns else found}
