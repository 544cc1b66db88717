"""What a backtest says of its accounts is what the exchange under it says: random strategies, every kind of account."""

import random
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd import Bar, Fill, InstrumentId, Limit, Market, Order, Protect, Stop, Strategy
from quantd.backtest import Backtest, SimulatedVenue, summarise
from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.facts import OrderMoved
from quantd.domain.instruments import FeeSchedule
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.testing.builders import make_account, make_capabilities, make_instrument, make_lot_capabilities
from tests.unit.backtest.rig import BTC, FEE, MINUTE_NS, START_NS, bars

ETH = InstrumentId("paper:ETH-USD")
CENT = Decimal("0.01")
KINDS = ("spot", "netting", "hedging")


def run(
    kind: str,
    strategies: dict[str, Strategy],
    events: Iterable[Bar],
    *,
    exits_at_venue: bool = False,
    latency_ns: int = 0,
) -> tuple[Backtest, Exchange]:
    """Run strategies on one account with 100,000 USD, and on spot 500 of each base asset."""
    margin, hedging = kind != "spot", kind == "hedging"
    listed = tuple(
        make_instrument(one, fees=FeeSchedule(FEE, FEE), margin_rate=CENT * 5 if margin else None) for one in (BTC, ETH)
    )
    wide = Limits(max_quote_age_s=86_400.0, price_collar_bps=Decimal(2_000))
    setups = [StrategySetup(id=name, instruments=(BTC, ETH)) for name in strategies]
    engine = Engine(
        EngineSettings(journal_id="t", epoch=1, naked_after_s=125.0),
        RiskSettings(base_currency="USD", order=wide),
        [(setup, strategies[setup.id], Limits()) for setup in setups],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    engine.declare()
    setup = AccountSetup(
        kind=AccountKind.MARGIN if margin else AccountKind.SPOT,
        mode=PositionMode.HEDGING if hedging else PositionMode.NETTING,
        balances={"USD": Decimal(100_000)} | ({} if margin else {"BTC": Decimal(500), "ETH": Decimal(500)}),
        lot_per_trade=exits_at_venue,
    )
    exchange = Exchange(listed, {"1": setup}, rules=ExchangeRules(latency_ns=latency_ns))
    capabilities = make_lot_capabilities() if exits_at_venue or hedging else make_capabilities()
    account = make_account(margin=margin, hedging=hedging)
    return Backtest(engine, [SimulatedVenue(account, capabilities, exchange, listed)], events).run(), exchange


class Whim(Strategy):
    """Does something or other at each bar, by its seed, the time and the instrument."""

    needs: ClassVar[set[type]] = {Limit, Market, Protect, Stop}

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def setup(self) -> None:
        for one in self.instruments:
            self.bars(one)

    def on_bar(self, bar: Bar) -> None:
        chance = random.Random(f"{self.seed}:{bar.closed_at_ns}:{bar.instrument}")
        one, close, act = bar.instrument, bar.close, chance.randrange(10)
        is_buy = chance.random() < 0.5
        quantity, order, away = Decimal(chance.randrange(1, 2_000)) / 1_000, self.buy if is_buy else self.sell, 0.01
        sign = 1 if is_buy else -1
        exits = (
            Protect(stop=close * (1 - sign * 0.03), take=close * (1 + sign * 0.03)) if chance.random() < 0.5 else None
        )
        if act == 0:
            order(one, quantity, Market(reduce_only=chance.random() < 0.5))
        elif act == 1:
            order(one, quantity, Limit(close * (1 + chance.uniform(-away, away))), protect=exits)
        elif act == 2:
            order(one, quantity, Stop(close * (1 + sign * chance.uniform(0, away))))
        elif act == 3:
            self.target(
                one, chance.choice([-2, -1, 0, 1, 2]), protect=exits if self.position(one).quantity == 0 else None
            )
        elif act == 4:
            self.close(one)
        elif act == 5:
            self.cancel_all(one)

    def on_fill(self, order: Order, fill: Fill) -> None:
        if random.Random(f"{self.seed}:{fill.id}").random() < 0.2:
            self.close(order.instrument)


def market(seed: int) -> list[Bar]:
    """Return bars of both instruments that wander and have wicks, some of them missing."""
    chance = random.Random(f"market:{seed}")
    made = []
    for instrument in (BTC, ETH):
        last = 100.0
        for number in range(60):
            opened = START_NS + number * MINUTE_NS
            first, close = (round(last * (1 + chance.gauss(0, 0.004)), 2) for _ in range(2))
            high, low = max(first, close) + chance.randrange(40) / 100, min(first, close) - chance.randrange(40) / 100
            last = close
            if chance.random() < 0.95:
                closed = opened + MINUTE_NS
                made.append(Bar(instrument, opened, closed, first, round(high, 2), round(low, 2), close, 9.0, closed))
    return sorted(made, key=lambda bar: bar.closed_at_ns)


@given(
    st.integers(0, 1 << 30),
    st.sampled_from(KINDS),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([0, 5_000_000_000, 90_000_000_000]),
)
def test_balances_positions_and_worth_are_the_exchange_s_after_every_run(
    seed: int, kind: str, count: int, exits_at_venue: bool, latency_ns: int
) -> None:
    exits_at_venue = exits_at_venue and kind != "spot"
    if exits_at_venue and kind == "netting":
        count = 1  # exits that hang on a netting account's trades: an instrument belongs to one strategy
    whims: dict[str, Strategy] = {f"s{number}": Whim(seed + number) for number in range(count)}
    events = market(seed)
    made, exchange = run(kind, whims, events, exits_at_venue=exits_at_venue, latency_ns=latency_ns)
    state = made.engine.state
    told = {balance.asset: balance.total for balance in exchange.balances("1")}
    ours = state.portfolio.accounts["paper"].totals
    assert {asset: float(total) for asset, total in ours.items()} == pytest.approx(
        {asset: float(total) for asset, total in told.items()}, rel=1e-12, abs=1e-9
    )
    margin = exchange.margin("1")
    closes = {bar.instrument: Decimal(repr(bar.close)) for bar in events}
    worth = told["USD"] + told["BTC"] * closes[BTC] + told["ETH"] * closes[ETH] if margin is None else margin.equity
    assert made.equity.values[-1] == pytest.approx(float(worth), rel=1e-12)
    assert state.equity("paper") == pytest.approx(worth, rel=Decimal("1e-12"))
    profits = sum(one.profit for one in summarise(made).strategies)
    assert profits == pytest.approx(made.equity.values[-1] - made.equity.values[0], abs=1e-6) or margin is None
    assert not made.faults


class Plan(Strategy):
    """Sets its book of BTC to what the plan says at each bar; keeps it where the plan says nothing."""

    def __init__(self, *plan: int | None) -> None:
        super().__init__()
        self.plan = iter(plan)

    def setup(self) -> None:
        self.bars(BTC)

    def on_bar(self, bar: Bar) -> None:
        wanted = next(self.plan, None)
        if wanted is not None:
            self.target(bar.instrument, wanted)


def both(closes: list[float]) -> list[Bar]:
    return sorted(bars(closes) + bars(closes, instrument=ETH), key=lambda bar: bar.closed_at_ns)


def held(made: Backtest) -> dict[str, Decimal]:
    return {book.strategy: book.quantity for book in made.engine.state.portfolio.books(BTC)}


def test_two_strategies_on_opposite_sides_of_a_netting_account_are_worth_what_the_account_is() -> None:
    strategies: dict[str, Strategy] = {"long": Plan(2), "short": Plan(None, -1)}
    made, exchange = run("netting", strategies, both([100.0, 100.0, 110.0, 120.0, 120.0]))
    assert held(made) == {"long": 2, "short": -1}
    margin = exchange.margin("1")
    assert margin is not None
    fees = (2 * 100 + 110) * 0.001  # two bought at the open of 100, one sold at that of 110
    assert made.equity.values[-1] == pytest.approx(float(margin.equity)) == pytest.approx(100_000 + 40 - 10 - fees)


@pytest.mark.parametrize(
    ("kind", "strategies", "left"),
    [
        ("netting", {"long": Plan(1, None, 0), "short": Plan(None, -1)}, {"long": 0, "short": -1}),
        ("spot", {"seller": Plan(-1, None, 0)}, {"seller": 0}),
    ],
)
def test_a_book_is_closed_also_where_the_account_has_nothing_that_it_would_reduce(
    kind: str, strategies: dict[str, Strategy], left: dict[str, int]
) -> None:
    made, _ = run(kind, strategies, both([100.0] * 7))
    assert held(made) == left
    assert not [fact for fact in made.journal.facts if isinstance(fact, OrderMoved)]  # nothing was refused


class Straddle(Strategy):
    """Waits on both sides of the market; later closes what it thinks it has, and opens again."""

    needs: ClassVar[set[type]] = {Market, Stop}

    def setup(self) -> None:
        self.bars(BTC)
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count == 1:
            self.buy(bar.instrument, 1, Stop(102))
            self.sell(bar.instrument, 1, Stop(98))
        elif self.count == 5:
            self.target(bar.instrument, 1)
        elif self.count == 7:
            self.close(bar.instrument)


def test_lots_that_stand_against_each_other_are_worth_what_the_exchange_says() -> None:
    closes = [100.0, 100.0, 103.0, 96.0, 96.0, 90.0, 95.0, 110.0, 110.0, 120.0]
    made, exchange = run("hedging", {"one": Straddle()}, both(closes))
    assert held(made) == {"one": 0}
    assert [lot.lot.signed for lot in made.engine.state.lots["paper"].all()] == [-1, 1]
    margin = exchange.margin("1")
    assert margin is not None
    assert made.equity.values[-1] == pytest.approx(float(margin.equity))
    assert made.engine.state.equity("paper") == margin.equity
