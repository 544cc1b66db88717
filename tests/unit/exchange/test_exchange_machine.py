"""A state machine over two spot accounts and a margin account: random orders, changes, cancels and prices.

The books are kept a second time from the trades and the ledger alone, and must agree after every step.
"""

from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from quantd.domain.fills import Liquidity
from quantd.domain.instruments import FeeSchedule
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import ENDS, OrderState, Side, TimeInForce
from quantd.exchange import (
    Amended,
    Cancelled,
    DepthRules,
    ExchangeReport,
    ExchangeRules,
    NewOrder,
    OrderChange,
    OrderView,
    Placed,
    SelfTrade,
    Trade,
)  # fmt: skip
from tests.unit.exchange.scenes import BTC, BUY, SECOND, D, exchange, instrument, margin, spec, spot

ACCOUNTS = ("a", "b", "c")
SPOT = ("a", "b")
OPENING = {"USD": D(2000), "BTC": D(20)}
prices = st.integers(90, 110)
quantities = st.sampled_from(["0.5", "1", "2", "5"])


class ExchangeMachine(RuleBasedStateMachine):
    """Anything that two people and a gambler may do at an exchange."""

    behaviour = ExchangeRules()
    fee_asset = "quote"
    bars = False

    def __init__(self) -> None:
        super().__init__()
        fees = FeeSchedule(maker=D("0.001"), taker=D("0.002"), asset=self.fee_asset)
        opening = {asset: str(amount) for asset, amount in OPENING.items()}
        self.venue = exchange(
            spot(**opening), spot(**opening), margin("500"), rules=self.behaviour,
            instruments=(instrument(fees=fees, margin_rate="0.1"),),
        )  # fmt: skip
        self.now = 0
        self.event: Quote | Bar | Book | None = None
        self.told: dict[str, Decimal] = {}
        self.seen: dict[str, int] = dict.fromkeys(ACCOUNTS, 0)
        self.rank: dict[str, int] = {}
        """Each order's place in time, which a new price or a larger quantity takes from it."""
        self.on_its_way: dict[str, int] = {}
        """When an order arrives that has not met the market in its present terms."""

    def goes_last(self, order_id: str) -> None:
        """Note that an order goes to the end of the queue, and that it is not there yet."""
        self.rank[order_id] = max(self.rank.values(), default=0) + 1
        self.on_its_way[order_id] = self.now + self.behaviour.latency_ns

    def take(self, reports: "list[ExchangeReport] | tuple[ExchangeReport, ...]") -> None:
        """Check that reports are cumulative and that their fills are told once."""
        for told in reports:
            report = told.report
            before = self.told.get(report.venue_order_id, D(0))
            assert report.filled_quantity == before + sum((fill.quantity for fill in report.fills), D(0))
            self.told[report.venue_order_id] = report.filled_quantity

    def new_trades(self) -> list[Trade]:
        """Return the trades since the last look, in the order in which they happened."""
        trades: list[Trade] = []
        for account in ACCOUNTS:
            trades += self.venue.trades(account, self.seen[account])
            self.seen[account] = len(self.venue.trades(account))
        return sorted(trades, key=lambda trade: int(trade.id[1:]))

    @rule(
        account=st.sampled_from(ACCOUNTS), side=st.sampled_from(Side), quantity=quantities,
        price=st.none() | prices, trigger=st.none() | st.none() | prices,
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]),
        flag=st.sampled_from(["", "", "post_only", "reduce_only"]),
    )  # fmt: skip
    def submit(
        self,
        account: str,
        side: Side,
        quantity: str,
        price: int | None,
        trigger: int | None,
        tif: TimeInForce,
        flag: str,
    ) -> None:
        """Place any order; it must not fill at once."""
        flags: dict[str, Any] = {flag: True} if flag else {}
        if tif is TimeInForce.GTD:
            flags["expires_at_ns"] = self.now + 3 * SECOND
        terms = spec(
            side, quantity, None if price is None else str(price),
            trigger=None if trigger is None else str(trigger), tif=tif, **flags,
        )  # fmt: skip
        before = self.venue.balances(account)
        answer = self.venue.submit(account, NewOrder("", terms), self.now)
        if isinstance(answer, Placed):
            assert answer.report.state is OrderState.WORKING
            assert not answer.report.filled_quantity
            self.goes_last(answer.venue_order_id)
        else:
            assert self.venue.balances(account) == before

    @rule(account=st.sampled_from(ACCOUNTS), number=st.integers(0, 30))
    def cancel(self, account: str, number: int) -> None:
        """Cancel some working order."""
        working = self.venue.orders(account, working=True)
        if working:
            answer = self.venue.cancel(account, working[number % len(working)].venue_order_id, self.now)
            assert isinstance(answer, Cancelled)

    @rule(account=st.sampled_from(ACCOUNTS), number=st.integers(0, 30), quantity=quantities, price=st.none() | prices)
    def amend(self, account: str, number: int, quantity: str, price: int | None) -> None:
        """Change some working order; what is refused changes nothing."""
        working = self.venue.orders(account, working=True)
        if not working:
            return
        before = working[number % len(working)], self.venue.balances(account)
        new_price = D(price) if price is not None and before[0].spec.price is not None else None
        change = OrderChange(quantity=D(quantity), price=new_price)
        answer = self.venue.amend(account, before[0].venue_order_id, change, self.now)
        if not isinstance(answer, Amended):
            assert (self.venue.order(account, before[0].venue_order_id), self.venue.balances(account)) == before
        elif D(quantity) > before[0].spec.quantity or new_price not in (None, before[0].spec.price):
            self.goes_last(before[0].venue_order_id)

    @rule(price=prices, spread=st.integers(0, 3), size=st.sampled_from([0.0, 0.5, 3.0]), shape=st.integers(0, 2))
    def move(self, price: int, spread: int, size: float, shape: int) -> None:
        """Let the market move and check who got what."""
        self.now += SECOND
        if self.bars:
            low, high = float(price - spread), float(price + spread)
            self.event = Bar(BTC, self.now - SECOND, self.now, low, high, low, high, 10 * size, self.now)
        elif shape:
            self.event = Quote(BTC, float(price), float(price + spread), self.now, None, size, size)
        else:
            levels = [(i, 1.0 + size) for i in range(3)]
            bids = tuple((float(price - i), quantity) for i, quantity in levels)
            asks = tuple((float(price + spread + i), quantity) for i, quantity in levels)
            self.event = Book(BTC, bids, asks, self.now)
        standing = {
            order.venue_order_id: order for account in ACCOUNTS for order in self.venue.orders(account, working=True)
        }
        self.take(list(self.venue.handle(self.event)))
        self.check_trades(standing)

    @rule()
    def requote(self) -> None:
        """Match once more against the present event."""
        standing = {
            order.venue_order_id: order for account in ACCOUNTS for order in self.venue.orders(account, working=True)
        }
        self.take(list(self.venue.requote(BTC, self.now)))
        self.check_trades(standing)

    def check_trades(self, standing: dict[str, OrderView]) -> None:
        """Check prices, sides and priorities of what has just been traded."""
        trades = self.new_trades()
        by_order = {(trade.venue_order_id, trade.against): trade for trade in trades if trade.against}
        for trade in trades:
            order = self.venue.order(trade.account, trade.venue_order_id)
            assert order is not None
            limit = order.spec.price
            if limit is not None:
                assert trade.price <= limit if trade.side is BUY else trade.price >= limit
            assert not (order.spec.post_only and trade.liquidity is Liquidity.TAKER)
            if trade.against:
                other = by_order[trade.against, trade.venue_order_id]
                assert (other.price, other.side) == (trade.price, trade.side.opposite)
                assert {other.liquidity, trade.liquidity} == {Liquidity.MAKER, Liquidity.TAKER}
            if trade.liquidity is Liquidity.MAKER and not self.bars:
                self.check_priority(trade, standing)
        self.on_its_way = {order_id: due for order_id, due in self.on_its_way.items() if due > self.now}

    def check_priority(self, trade: Trade, standing: dict[str, OrderView]) -> None:
        """Check that no better, or equal and older, untouched order of the side stands while this one traded.

        What was still on its way when the event came is not asked: the event meets the resting orders first.
        """
        mine = standing.get(trade.venue_order_id)
        if mine is None or mine.spec.price is None:
            return
        rank = self.rank[trade.venue_order_id]
        for order in standing.values():
            now = self.venue.order(order.account, order.venue_order_id)
            assert now is not None
            price = order.spec.price
            if now.state in ENDS or price is None or order.spec.side is not trade.side or order is mine:
                continue
            if order.spec.trigger is not None or order.venue_order_id in self.on_its_way:
                continue
            if now.filled_quantity != order.filled_quantity:
                continue
            assert price <= mine.spec.price if trade.side is BUY else price >= mine.spec.price, (order, trade)
            if price == mine.spec.price and mine.spec.trigger is None:
                assert self.rank[order.venue_order_id] > rank, (order, trade)

    @invariant()
    def free_and_locked_make_the_total_and_nothing_is_negative(self) -> None:
        """Spot balances are never below zero, and locked is what the working orders hold."""
        for account in ACCOUNTS:
            for balance in self.venue.balances(account):
                assert balance.free + balance.locked == balance.total
                if account in SPOT:
                    assert balance.free >= 0, balance
                    assert balance.locked >= 0, balance
                    if not self.venue.orders(account, working=True):
                        assert balance.locked == 0, balance

    @invariant()
    def every_asset_is_conserved(self) -> None:
        """Balances are the opening, plus what was traded, less fees; and equal the ledger's sums."""
        for account in SPOT:
            expected = dict(OPENING)
            for trade in self.venue.trades(account):
                signed = trade.quantity if trade.side is BUY else -trade.quantity
                expected["BTC"] += signed
                expected["USD"] -= signed * trade.price
                for asset, amount in trade.fees:
                    expected[asset] -= amount
            assert {balance.asset: balance.total for balance in self.venue.balances(account)} == expected
        for account in ACCOUNTS:
            for balance in self.venue.balances(account):
                entries = [entry for entry in self.venue.ledger(account) if entry.asset == balance.asset]
                assert sum(entry.amount for entry in entries) == balance.total
                assert not entries or entries[-1].balance == balance.total

    @invariant()
    def orders_are_filled_by_their_fills_and_never_beyond(self) -> None:
        """Filled quantity, average price and fees follow from the fills; FOK is all or nothing."""
        for account in ACCOUNTS:
            for order in self.venue.orders(account):
                filled = sum((fill.quantity for fill in order.fills), D(0))
                assert filled == order.filled_quantity <= order.spec.quantity
                assert (order.state is OrderState.FILLED) is (filled == order.spec.quantity)
                assert (order.ended_at_ns is None) is (order.state not in ENDS)
                if order.spec.time_in_force is TimeInForce.FOK:
                    assert filled in (D(0), order.spec.quantity)

    @invariant()
    def margin_account_holds_what_it_traded(self) -> None:
        """Lots sum up to the trades; cash is the opening plus profit less fees."""
        held = sum((trade.quantity if trade.side is BUY else -trade.quantity for trade in self.venue.trades("c")), D(0))
        assert sum((lot.lot.signed for lot in self.venue.lots("c")), D(0)) == held
        view = self.venue.margin("c")
        assert view is not None
        fees = sum((amount for trade in self.venue.trades("c") for _, amount in trade.fees), D(0))
        assert abs(view.balance - (D(500) + view.realised - fees)) < D("1e-20")


class BarMachine(ExchangeMachine):
    """The same against bars, with a cap on volume."""

    behaviour = ExchangeRules(volume_cap=0.1, slippage_bps=5.0)
    bars = True


class DeepMachine(ExchangeMachine):
    """The same with synthetic depth, latency, impact, base fees and no self-trades."""

    behaviour = ExchangeRules(
        latency_ns=SECOND // 2, depth=DepthRules(levels=4, step_ticks=100), impact_bps=20.0,
        self_trade=SelfTrade.REFUSE, seed=7,
    )  # fmt: skip
    fee_asset = "received"


def _test(machine: type[ExchangeMachine]) -> type:
    case = machine.TestCase
    case.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
    return case


TestExchange = _test(ExchangeMachine)
TestBars = _test(BarMachine)
TestDepth = _test(DeepMachine)
