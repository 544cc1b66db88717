"""The order desk of a simulated TradeLocker: creates, changes, cancels and lists orders and executions.

Used by the venue. The exchange holds the orders; the desk knows only what the exchange does not: the price at which a
market order was submitted, and refused creates that are listed all the same.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, OrderKind, OrderState, Role
from quantd.exchange import Exchange, NewOrder, OrderChange, OrderView, Refused
from quantd.simulators.tradelocker.answers import NS_PER_MS, NS_PER_S, Failed, RefusedByVenue
from quantd.simulators.tradelocker.columns import milliseconds, number, row, whole_seconds
from quantd.simulators.tradelocker.ids import Ids
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules, Switches
from quantd.simulators.tradelocker.routes import Asked
from quantd.simulators.tradelocker.terms import Wanted, decimal_of
from quantd.simulators.venue import Json

_STATUS = {OrderState.FILLED: "Filled", OrderState.REJECTED: "Refused", OrderState.CANCELLED: "Cancelled"}
_SESSION = "Order cannot be created since trading out of session is forbidden."
_WORDS = {
    "market_closed": _SESSION,
    "market_halted": _SESSION,
    "delisted": _SESSION,
    "reduce_only_market": "Order cannot be created. Only positions closing is allowed",
    "post_only_market": "Order cannot be created since order type is not allowed for current session.",
    "bad_quantity": "{qty=[must be a multiple of lotStep]}",
    "below_minimum": "{qty=[must not be less than minLot]}",
    "above_maximum": "{qty=[must not be greater than maxLot]}",
}
"""The venue's words by the exchange's code, as far as they were seen; the rest is assumed."""


class OrderDesk:
    """Orders of all accounts.

    Args:
        exchange: Holds them.
        rules: Instruments by tradable id.
        ids: Both ways.
        switches: How it behaves.
    """

    def __init__(
        self, exchange: Exchange, rules: Mapping[str, InstrumentRules], ids: Ids, *, switches: Switches
    ) -> None:
        self._exchange = exchange
        self.rules = rules
        self.by_instrument = {one.instrument().id: one for one in rules.values()}
        self._ids = ids
        self._switches = switches
        self._submitted_at: dict[str, str] = {}
        """Price at submission by order, of market orders."""
        self._refused: dict[str, list[tuple[int, Json]]] = {}
        self.strategy_ids: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()

    # --- writes -----------------------------------------------------------------------------------------------------

    def create(self, wanted: Wanted, account: AccountRules, now_ns: int) -> Json:
        """Place an order.

        Raises:
            RefusedByVenue: the exchange does not take it.
        """
        spec = wanted.spec
        new = NewOrder("", spec, wanted.protection, tag=wanted.strategy_id)
        answer = self._exchange.submit(account.id, new, now_ns)
        if isinstance(answer, Refused):
            self.counts[f"refused_{answer.code}"] += 1
            if self._switches.list_refused:
                self._list_refused(wanted, account, now_ns)
            raise RefusedByVenue(self._refusal(answer, wanted))
        self.counts["created"] += 1
        if wanted.strategy_id:
            self.strategy_ids[(account.id, wanted.strategy_id)] += 1
        quote = self._exchange.quote(spec.instrument)
        if spec.kind is OrderKind.MARKET and quote is not None:
            self._submitted_at[answer.venue_order_id] = str(quote.ask if spec.side.value == "buy" else quote.bid)
        self._meet(wanted.rules, now_ns)
        return {"orderId": self._ids.shown(answer.venue_order_id)}

    def _refusal(self, answer: Refused, wanted: Wanted) -> str:
        if answer.code == "insufficient_margin":
            side = wanted.spec.side.value.capitalize()
            return f"Not enough margin to create Order {side}   {wanted.spec.quantity} "
        return _WORDS.get(answer.code, f"Order cannot be created. {answer.code} {answer.detail}".strip())

    def _list_refused(self, wanted: Wanted, account: AccountRules, now_ns: int) -> None:
        listed = self._refused.setdefault(account.id, [])
        spec = wanted.spec
        cells = {
            "id": str(2**61 + len(listed)), "tradableInstrumentId": str(wanted.rules.tradable_id),
            "routeId": str(wanted.rules.trade_route), "qty": number(spec.quantity), "side": spec.side.value,
            "type": spec.kind.value, "status": "Refused", "filledQty": None, "price": number(spec.price),
            "stopPrice": number(spec.trigger), "createdDate": milliseconds(now_ns),
            "lastModified": whole_seconds(now_ns), "isOpen": "false", "strategyId": wanted.strategy_id or None,
        }  # fmt: skip
        listed.append((now_ns, cells))

    def _meet(self, rules: InstrumentRules, now_ns: int) -> None:
        if self._switches.fill_at_once:
            self._exchange.requote(rules.instrument().id, now_ns)

    def modify(self, order_id: str, body: Mapping[str, Any], account: AccountRules, now_ns: int) -> Json:
        """Change a working order; its id stays.

        Raises:
            Failed: there is none (404), or a member is malformed (400).
            RefusedByVenue: it has ended, or the terms are not taken.
        """
        order = self.find(order_id, account)
        if any(body.get(name) is not None for name in ("stopLoss", "takeProfit", "trStopOffset")):
            raise RefusedByVenue("exits of a pending order cannot be changed in this simulation; change its position's")
        if self._switches.ignore_changes:
            return {"orders": [self.row("ordersConfig", order)]}
        price, trigger = decimal_of(body, "price"), decimal_of(body, "stopPrice")
        if order.origin == "protection" and order.state not in ENDS:
            self._move_exit(order, price, trigger, account=account, now_ns=now_ns)
        else:
            quantity = decimal_of(body, "qty")
            answer = self._exchange.amend(
                account.id, order.venue_order_id, OrderChange(quantity, price, trigger), now_ns
            )
            if isinstance(answer, Refused):
                raise RefusedByVenue(f"Order cannot be modified. {answer.code}")
            self._meet(self.by_instrument[order.spec.instrument], now_ns)
        self.counts["modified"] += 1
        return {"orders": [self.row("ordersConfig", self.find(order_id, account))]}

    def _move_exit(self, order: OrderView, price: Any, trigger: Any, *, account: AccountRules, now_ns: int) -> None:
        lot = next(one for one in self._exchange.lots(account.id) if one.lot.venue_id == order.lot)
        exits = lot.lot.protection
        if order.role is Role.TARGET:
            exits = LotProtection(exits.stop, price or exits.take, exits.trail)
        elif order.role is Role.STOP:
            exits = LotProtection(trigger or exits.stop, exits.take, exits.trail)
        answer = self._exchange.set_protection(account.id, order.lot, exits, now_ns)
        if isinstance(answer, Refused):
            raise RefusedByVenue(f"Order cannot be modified. {answer.code}")

    def cancel(self, order_id: str, account: AccountRules, now_ns: int) -> None:
        """Cancel a working order; one that guards a position leaves the position without it.

        Raises:
            Failed: there is none (404).
            RefusedByVenue: it has ended.
        """
        order = self.find(order_id, account)
        if order.state in ENDS:
            self.counts["cancelled_too_late"] += 1
            raise RefusedByVenue("Order is in final state")
        if order.origin == "protection":
            lot = next(one for one in self._exchange.lots(account.id) if one.lot.venue_id == order.lot)
            had = lot.lot.protection
            exits = LotProtection(
                None if order.role is Role.STOP else had.stop,
                None if order.role is Role.TARGET else had.take,
                None if order.role is Role.TRAIL else had.trail,
            )
            self._exchange.set_protection(account.id, order.lot, exits, now_ns)
        else:
            self._exchange.cancel(account.id, order.venue_order_id, now_ns)
        self.counts["cancels"] += 1

    def cancel_all(self, asked: Asked, account: AccountRules, now_ns: int) -> None:
        """Cancel all pending orders or an instrument's; assumed: positions keep their exits."""
        rules = self.rules.get(asked.query.get("tradableInstrumentId", ""))
        if "tradableInstrumentId" in asked.query and rules is None:
            raise RefusedByVenue("Instrument not found")
        gone = self._exchange.cancel_all(
            account.id, now_ns, instrument=None if rules is None else rules.instrument().id
        )
        self.counts["cancels"] += len(gone)

    def find(self, order_id: str, account: AccountRules) -> OrderView:
        """Return an account's order.

        Raises:
            Failed: there is none (404).
        """
        found = self._exchange.order(account.id, self._ids.order(order_id)) if self._ids.order(order_id) else None
        if found is None:
            raise Failed(404, f"order {order_id[:32]} not found")
        return found

    # --- lists ------------------------------------------------------------------------------------------------------

    def listed(self, asked: Asked, account: AccountRules, now_ns: int) -> Json:
        """Return the orders that work, exits of positions among them."""
        rows = [
            self.row("ordersConfig", one)
            for one in self._exchange.orders(account.id, working=True)
            if self._is_asked(one, asked) and now_ns >= one.accepted_at_ns + self._lag_ns
        ]
        return {"orders": rows}

    def history(self, asked: Asked, account: AccountRules, now_ns: int, *, rows_max: int) -> Json:
        """Return the orders that have ended, newest first, as many as there is room for."""
        timed = [
            (one.accepted_at_ns, self.row("ordersHistoryConfig", one))
            for one in self._exchange.orders(account.id, working=False)
            if self._is_asked(one, asked) and now_ns >= (one.ended_at_ns or 0) + self._lag_ns
        ]
        more = self._switches.more_columns
        timed += [
            (at_ns, row("ordersHistoryConfig", cells, more=more)) for at_ns, cells in self._refused.get(account.id, [])
        ]
        timed.sort(key=lambda one: one[0], reverse=True)
        return {"ordersHistory": [one for _, one in timed[:rows_max]], "hasMore": len(timed) > rows_max}

    @property
    def _lag_ns(self) -> int:
        return round(self._switches.look_up_lag_s * NS_PER_S)

    def _is_asked(self, order: OrderView, asked: Asked) -> bool:
        """Tell whether filters let an order pass; assumed: times are those of creation, both inclusive."""
        created_ms = order.accepted_at_ns // NS_PER_MS
        wanted = asked.query.get("tradableInstrumentId")
        if wanted is not None and wanted != str(self.by_instrument[order.spec.instrument].tradable_id):
            return False
        return milliseconds_of(asked, "from", 0) <= created_ms <= milliseconds_of(asked, "to", 2**62)

    def executions(self, account: AccountRules) -> Json:
        """Return the fills of the session, which is the simulator's life."""
        told = []
        for trade in self._exchange.trades(account.id):
            cells = {
                "id": self._ids.shown(trade.id), "price": number(trade.price), "side": trade.side.value,
                "createdDate": milliseconds(trade.occurred_at_ns), "qty": number(trade.quantity),
                "orderId": self._ids.shown(trade.venue_order_id),
                "positionId": self._ids.shown(trade.lots[-1].lot) if trade.lots else None,
                "tradableInstrumentId": str(self.by_instrument[trade.instrument].tradable_id),
            }  # fmt: skip
            told.append(row("filledOrdersConfig", cells, more=self._switches.more_columns))
        return {"executions": told}

    def row(self, key: str, order: OrderView) -> list[Any]:
        """Return an order as a row; what closes a position does not carry the strategy's id."""
        spec, rules = order.spec, self.by_instrument[order.spec.instrument]
        status = _STATUS.get(order.state, "Cancelled" if order.state in ENDS else "New")
        exits = order.protection or LotProtection()
        is_market = spec.kind is OrderKind.MARKET
        stop_type = "absolute" if exits.stop is not None else None
        cells = {
            "id": self._ids.shown(order.venue_order_id), "tradableInstrumentId": str(rules.tradable_id),
            "routeId": str(rules.trade_route), "qty": f"{spec.quantity:.2f}", "side": spec.side.value,
            "type": spec.kind.value,
            "status": status.upper() if self._switches.status_words == "upper" else status,
            "filledQty": number(order.filled_quantity) if order.filled_quantity > ZERO else None,
            "avgPrice": number(order.average_price),
            "price": self._submitted_at.get(order.venue_order_id) if is_market else number(spec.price),
            "stopPrice": "0" if is_market else number(spec.trigger), "validity": "IOC" if is_market else "GTC",
            "createdDate": milliseconds(order.accepted_at_ns), "lastModified": whole_seconds(order.updated_at_ns),
            "isOpen": "false" if order.state in ENDS else "true",
            "positionId": self._ids.shown(order.lot) if order.lot else None,
            "stopLoss": number(exits.stop), "takeProfit": number(exits.take),
            "stopLossType": "trailingOffset" if exits.trail is not None else stop_type,
            "takeProfitType": "absolute" if exits.take is not None else None,
            "strategyId": (order.tag or None) if order.role is Role.ENTRY else None,
        }  # fmt: skip
        if spec.quantity != spec.quantity.quantize(spec.quantity.__class__("0.01")):
            cells["qty"] = number(spec.quantity)
        return row(key, cells, more=self._switches.more_columns)


def milliseconds_of(asked: Asked, name: str, otherwise: int) -> int:
    """Return a query parameter that is a time.

    Raises:
        Failed: it is none (400).
    """
    text = asked.query.get(name)
    if text is None:
        return otherwise
    if not text.isascii() or not text.isdigit():
        raise Failed(400, f"{name}: expected milliseconds")
    return int(text)
