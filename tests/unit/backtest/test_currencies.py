"""A dollar account on pairs that settle in yen, while the yen moves: what all figures say it has earned is what it has.

Against a ledger of its own, which knows cash, what was paid for what is open, and the rate of each moment.
"""

import random
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd import InstrumentId, Market, Quote, Strategy
from quantd.backtest import Backtest, SimulatedVenue, summarise
from quantd.backtest.equity import by_strategy
from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.facts import FillRecorded
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import Side
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange
from quantd.testing.builders import make_account, make_capabilities, make_instrument, make_lot_capabilities
from tests.unit.backtest.rig import START_NS

D = Decimal
SECOND_NS = 1_000_000_000
PAIRS = EUR_USD, USD_JPY, EUR_JPY = tuple(InstrumentId(f"paper:{one}") for one in ("EUR-USD", "USD-JPY", "EUR-JPY"))


class Whim(Strategy):
    """Wants something else now and then, by its seed."""

    needs: ClassVar[set[type]] = {Market}

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_quote(self, quote: Quote) -> None:
        chance = random.Random(f"{self.seed}:{quote.received_at_ns}")
        if chance.random() < 0.3:
            self.target(quote.instrument, chance.randrange(-5, 6) * 1_000)


def market(seed: int) -> Iterable[Quote]:
    """Yield quotes without a spread, so that what is held is worth the same to whoever looks."""
    chance, prices = random.Random(f"market:{seed}"), dict(zip(PAIRS, (1.2, 150.0, 180.0), strict=True))
    for step in range(120):
        pair = PAIRS[step % 3]
        prices[pair] *= 1 + chance.gauss(0, 0.02)
        price, at_ns = round(prices[pair], 2), START_NS + step * SECOND_NS
        yield Quote(pair, price, price, at_ns, at_ns)


def run(seed: int, *, hedging: bool) -> tuple[Backtest, Exchange]:
    fees = FeeSchedule(taker=D("0.0003"), per_unit=D("0.00001"), per_unit_asset="USD")
    listed = tuple(make_instrument(one, fees=fees, margin_rate=D("0.02"), lot=D(1)) for one in PAIRS)
    wide = Limits(max_quote_age_s=86_400.0, price_collar_bps=D(5_000))
    engine = Engine(
        EngineSettings(journal_id="t", epoch=1),
        RiskSettings(base_currency="USD", order=wide),
        [(StrategySetup(id="one", instruments=PAIRS), Whim(seed), Limits())],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    engine.declare()
    mode = PositionMode.HEDGING if hedging else PositionMode.NETTING
    setup = AccountSetup(kind=AccountKind.MARGIN, mode=mode, balances={"USD": D(100_000)})
    exchange = Exchange(listed, {"1": setup})
    capabilities = make_lot_capabilities() if hedging else make_capabilities()
    account = make_account(margin=True, hedging=hedging)
    return Backtest(engine, [SimulatedVenue(account, capabilities, exchange, listed)], market(seed)).run(), exchange


class Reckoning:
    """Cash, and what is open: at average cost where the account nets, lot by lot where it hedges."""

    def __init__(self, seed: int, *, hedging: bool) -> None:
        self.cash = D(100_000)
        self._lots: dict[InstrumentId, list[list[Decimal]]] = {one: [] for one in PAIRS}
        self._prices: dict[InstrumentId, Decimal] = {}
        self._quotes = iter(market(seed))
        self._hedging = hedging
        self._now_ns = 0

    def _dollars(self, pair: InstrumentId) -> Decimal:
        return D(1) if pair == EUR_USD else 1 / self._prices[USD_JPY]

    def _pass_to(self, at_ns: int) -> None:
        while self._now_ns < at_ns and (quote := next(self._quotes, None)) is not None:
            self._prices[quote.instrument], self._now_ns = D(repr(quote.bid)), quote.received_at_ns

    def take(self, fact: FillRecorded) -> None:
        self._pass_to(fact.at_ns)
        fill, rate = fact.fill, self._dollars(fact.instrument)
        left = self._close(fact.instrument, fill.quantity if fact.side is Side.BUY else -fill.quantity, fill.price)
        lots = self._lots[fact.instrument]
        if left and lots and not self._hedging:
            quantity = lots[0][0] + left
            lots[0] = [quantity, (lots[0][0] * lots[0][1] + left * fill.price) / quantity]
        elif left:
            lots.append([left, fill.price])
        self.cash -= fill.quantity * fill.price * D("0.0003") * rate + fill.quantity * D("0.00001")

    def _close(self, pair: InstrumentId, left: Decimal, price: Decimal) -> Decimal:
        lots = self._lots[pair]
        while left and lots and lots[0][0] * left < 0:
            part = min(abs(left), abs(lots[0][0])).copy_sign(lots[0][0])
            self.cash += part * (price - lots[0][1]) * self._dollars(pair)
            lots[0][0] -= part
            left += part
            if not lots[0][0]:
                del lots[0]
        return left

    def worth(self) -> Decimal:
        """Return what the account is worth when the market has passed."""
        self._pass_to(2**63)
        profits = [
            quantity * (self._prices[one] - paid) * self._dollars(one)
            for one in PAIRS
            for quantity, paid in self._lots[one]
        ]
        return sum(profits, self.cash)


@given(st.integers(0, 10_000), st.booleans())
def test_whatever_the_rates_do_every_figure_is_that_of_a_ledger_of_its_own(seed: int, hedging: bool) -> None:
    done, exchange = run(seed, hedging=hedging)
    state, result = done.engine.state, summarise(done)
    reckoning = Reckoning(seed, hedging=hedging)
    for fact in done.fills:
        reckoning.take(fact)
    worth, view = reckoning.worth(), exchange.margin("1")
    assert view is not None
    exact, profit = state.equity("paper"), done.engine.guards.losses.profit("account")
    assert exact is not None
    assert profit is not None
    for one in (view.equity, exact, 100_000 + profit):
        assert abs(one - worth) < D("1e-6")
    assert result.closing_equity == pytest.approx(float(worth), abs=1e-6)
    assert 100_000 + by_strategy(state)["one"] == pytest.approx(float(worth), abs=1e-6)
    assert result.total_return == pytest.approx(float(worth) / 100_000 - 1, abs=1e-10)
