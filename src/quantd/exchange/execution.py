"""Books executions and ends of orders, and gathers what there is to report of an event.

Used by the matching and by the entry of orders. It decides no price and no quantity.
"""

from decimal import Decimal

from quantd.domain.fills import Fill, Liquidity, Quality
from quantd.domain.orders import OrderState
from quantd.exchange.accounts import AccountBook, Deal, Ledger, Settled
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder, add_fees
from quantd.exchange.rules import ExchangeRules
from quantd.exchange.views import ExchangeReport, Trade

_MAKER = Liquidity.MAKER
_TAKER = Liquidity.TAKER
_CONFIRMED = Quality.CONFIRMED
_FILLED = OrderState.FILLED
_PARTIALLY_FILLED = OrderState.PARTIALLY_FILLED


class Execution:
    """The exchange's bookkeeping hand."""

    __slots__ = ("_touched", "ledger", "orders", "rules", "sequence", "trades")

    def __init__(self, rules: ExchangeRules) -> None:
        self.rules = rules
        self.ledger = Ledger(rules.keep_history)
        self.orders = 0
        """Orders numbered so far."""
        self.trades = 0
        self.sequence = 0
        self._touched: dict[str, ExchangeOrder] = {}

    def next_order_id(self) -> str:
        """Return the next venue order id."""
        self.orders += 1
        return f"{self.rules.order_prefix}{self.orders}"

    def next_sequence(self) -> int:
        """Return the next place in time."""
        self.sequence += 1
        return self.sequence

    def touch(self, order: ExchangeOrder) -> None:
        """Have an order reported with this event."""
        self._touched[order.id] = order

    def forget(self, order: ExchangeOrder) -> None:
        """Leave an order out of the event's reports; its answer tells it."""
        self._touched.pop(order.id, None)

    def reports(self, at_ns: int) -> list[ExchangeReport]:
        """Return a report for each touched order, in the order in which they were touched."""
        touched = self._touched
        if not touched:
            return []
        reports = [ExchangeReport(order.account.id, order.report(at_ns)) for order in touched.values()]
        self._touched = {}
        return reports

    def fill(self, order: ExchangeOrder, market: MarketState, deal: Deal, against: str = "") -> None:
        """Book one execution of an order.

        The quantity must be allowed and at most what remains.
        """
        quantity, price, at_ns = deal.quantity, deal.price, deal.at_ns
        assert 0 < quantity <= order.quantity - order.filled, f"{order.id}: {quantity} of {order.remaining} left"
        account = order.account
        if not order.fresh:
            self._touched.pop(order.id, None)  # told where it first traded: an account's profit goes by that order
        self._touched[order.id] = order  # and before the exits that settling places or ends
        settled = account.settle(order, market, deal)
        order.filled += quantity
        order.cost += quantity * price
        order.updated_at_ns = at_ns
        if settled.fees:
            order.fees = add_fees(order.fees, settled.fees)
        liquidity = _MAKER if deal.maker else _TAKER
        lots = settled.lots
        if lots:
            fills = _by_lot(deal, settled, liquidity, account)
        else:
            fills = [Fill(deal.trade_id, quantity, price, _CONFIRMED, settled.fees, liquidity, at_ns)]
        order.fresh += fills
        if self.rules.keep_history:
            order.fills += fills
            account.trades.append(_trade(order, deal, settled, liquidity, against))
        else:
            order.fills = fills
        if order.filled == order.quantity:
            self.end(order, market, _FILLED, "", at_ns)
        else:
            order.state = _PARTIALLY_FILLED

    def deal(self, quantity: Decimal, price: Decimal, maker: bool, at_ns: int) -> Deal:
        """Return a numbered execution, to be filled."""
        self.trades += 1
        return Deal(f"{self.rules.trade_prefix}{self.trades}", quantity, price, maker, at_ns)

    def end(self, order: ExchangeOrder, market: MarketState, state: OrderState, reason: str, at_ns: int) -> None:
        """End an order: out of the market, its reservation freed, out of the working orders."""
        if order.place is not None:
            market.remove(order)
        order.state = state
        order.reason = reason
        order.ended_at_ns = at_ns
        order.updated_at_ns = at_ns
        if state is not _FILLED:  # a whole fill has freed everything
            order.account.release(order)
        order.account.archive(order)
        self._touched[order.id] = order

    def cancel(self, order: ExchangeOrder, market: MarketState, reason: str, at_ns: int) -> None:
        """End an order as cancelled."""
        self.end(order, market, OrderState.CANCELLED, reason, at_ns)


def _by_lot(deal: Deal, settled: Settled, liquidity: Liquidity, account: AccountBook) -> list[Fill]:
    """Return a fill for each lot that an execution opened or closed; the first carries the fees.

    What opened is told with a profit of zero: who books several fills of one moment in another order, or an opposite lot
    as a reduction, would take it for profit.
    """
    home = account.setup.home_currency
    return [
        Fill(
            deal.trade_id if not number else f"{deal.trade_id}.{number + 1}",
            change.quantity,
            deal.price,
            _CONFIRMED,
            () if number else settled.fees,
            liquidity,
            deal.at_ns,
            change.lot,
            settled=(home, change.profit),
        )
        for number, change in enumerate(settled.lots)
    ]


def _trade(order: ExchangeOrder, deal: Deal, settled: Settled, liquidity: Liquidity, against: str) -> Trade:
    return Trade(
        deal.trade_id, order.account.id, order.id, order.client_order_id or "", order.instrument, order.spec.side,
        deal.quantity, deal.price, settled.fees, liquidity, deal.at_ns, against, settled.profit, settled.lots,
    )  # fmt: skip
