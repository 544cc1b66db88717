"""The loop: when orders fill, what follows what, and virtual time."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from quantd import SMA, Bar, Denied, Fill, Limit, Order, OrderState, Quote, Side, Stop, Strategy
from quantd.backtest import BacktestFailed, summarise
from quantd.domain.facts import Fact, OrderIntended
from quantd.domain.instruments import InstrumentId
from quantd.engine.risk.limits import Limits
from quantd.errors import ConfigError
from quantd.exchange import ExchangeRules
from quantd.journal.memory import MemoryJournal
from quantd.journal.records import RecordCodec
from tests.unit.backtest.rig import MINUTE_NS, START_NS, backtest, bars, quotes


class Recorder(Strategy):
    """Buys one on the first bar and notes all that it is told, with the engine's time."""

    every: str | None = None

    def setup(self) -> None:
        self.series = self.bars(every=self.every)
        self.seen: list[tuple[str, int, Any]] = []

    def note(self, what: str, value: Any) -> None:
        self.seen.append((what, round(self.now.timestamp()) * 1_000_000_000 - START_NS, value))

    def on_bar(self, bar: Bar) -> None:
        self.note("bar", bar.close)
        if len([one for one in self.seen if one[0] == "bar"]) == 1:
            self.act(bar)

    def act(self, bar: Bar) -> None:
        self.buy(bar.instrument, 1)

    def on_fill(self, order: Order, fill: Fill) -> None:
        self.note("fill", fill.price)

    def on_denied(self, denied: Denied, instrument: InstrumentId) -> None:
        self.note("denied", denied.code)

    def on_timer(self, name: str) -> None:
        self.note("timer", name)

    def on_job(self, name: str, result: Any, error: str) -> None:
        self.note("job", error or result)


def test_a_market_order_fills_at_the_open_of_the_bar_after_the_one_that_caused_it() -> None:
    strategy = Recorder()
    run = backtest(strategy, bars([100.0, 101.0, 102.0])).run()
    assert [one[0] for one in strategy.seen] == ["bar", "fill", "bar", "bar"]
    assert strategy.seen[1] == ("fill", 2 * MINUTE_NS, Decimal("100.00"))
    assert [fact.fill.price for fact in run.fills] == [Decimal(100)]


def test_a_resting_limit_fills_when_a_later_bar_reaches_it_and_at_its_own_price() -> None:
    class Low(Recorder):
        def act(self, bar: Bar) -> None:
            self.buy(bar.instrument, 1, Limit(98.5))

    run = backtest(Low(), bars([100.0, 99.5, 99.0, 98.0, 99.0])).run()
    assert [(fact.fill.price, fact.at_ns) for fact in run.fills] == [(Decimal("98.50"), START_NS + 4 * MINUTE_NS)]


def test_a_fill_can_cause_the_next_order_which_fills_a_bar_later() -> None:
    class There(Recorder):
        def on_fill(self, order: Order, fill: Fill) -> None:
            super().on_fill(order, fill)
            if fill.price == 100:
                self.sell(order.instrument, 1)

    run = backtest(There(), bars([100.0, 101.0, 102.0, 103.0])).run()
    assert [fact.fill.price for fact in run.fills] == [Decimal(100), Decimal(101)]


def test_latency_beyond_a_bar_lets_an_order_wait_for_the_bar_that_comes_after_it() -> None:
    slow = ExchangeRules(latency_ns=90_000_000_000)
    run = backtest(Recorder(), bars([100.0, 101.0, 102.0, 103.0]), rules=slow).run()
    assert len(run.fills) == 1
    assert run.fills[0].at_ns >= START_NS + MINUTE_NS + 90_000_000_000


def test_bars_are_built_from_quotes_and_come_when_they_close() -> None:
    strategy = Recorder()
    backtest(strategy, quotes([100.0 + step for step in range(14)], step_s=10.0)).run()
    assert [one for one in strategy.seen if one[0] == "bar"] == [
        ("bar", MINUTE_NS, 105.0),
        ("bar", 2 * MINUTE_NS, 111.0),
    ]


def test_quote_driven_orders_take_the_next_quotes_far_side() -> None:
    class Once(Strategy):
        def setup(self) -> None:
            self.quotes()
            self.done = False

        def on_quote(self, quote: Quote) -> None:
            if not self.done:
                self.done = True
                self.buy(quote.instrument, 1)

    run = backtest(Once(), quotes([100.0, 110.0, 120.0], step_s=1.0)).run()
    assert [fact.fill.price for fact in run.fills] == [Decimal("120.01")]  # the first quote is what starts it


def test_no_hook_is_called_before_all_series_are_warm_as_live() -> None:
    class Layered(Recorder):
        def setup(self) -> None:
            super().setup()
            self.slow = self.bars(every="5m").track(SMA(3))
            self.timer("tick", every_s=20)

        def note(self, what: str, value: Any) -> None:
            super().note(what, self.slow.ready)

        def on_start(self) -> None:
            self.note("start", None)

    strategy = Layered()
    result = summarise(backtest(strategy, bars([100.0] * 30), scheduled=True).run())
    assert strategy.seen[0][:2] == ("start", strategy.seen[1][1])
    assert {told for _, _, told in strategy.seen[2:]} == {True}
    assert len(strategy.seen) > 20
    assert result.strategies[0].gaps == ()


def test_a_strategy_whose_warm_up_never_ended_is_told() -> None:
    class Slow(Recorder):
        def setup(self) -> None:
            super().setup()
            self.series.track(SMA(50))

    strategy = Slow()
    (one,) = summarise(backtest(strategy, bars([100.0] * 30)).run()).strategies
    assert strategy.seen == []
    assert one.gaps == ("never began: it had 30 of the 50 bars of 60 s of paper:BTC-USD that its warm-up takes",)


def test_longer_bars_are_joined_from_the_datas_and_do_not_reach_the_exchange() -> None:
    strategy = Recorder()
    strategy.every = "5m"
    closes = [100.0 + step for step in range(20)]
    run = backtest(strategy, bars(closes)).run()
    kept = [bar for bar in strategy.seen if bar[0] == "bar"]
    assert all(at % (5 * MINUTE_NS) == (-START_NS) % (5 * MINUTE_NS) for _, at, _ in kept)
    assert len(kept) == 3
    first = kept[0]
    assert [(fact.fill.price, fact.at_ns - START_NS) for fact in run.fills] == [
        (Decimal(str(first[2])), first[1] + MINUTE_NS)
    ]


def test_data_of_longer_bars_than_a_strategy_wants_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"wants bars of 60 s, the data are bars of 3600 s"):
        backtest(Recorder(), bars([1.0, 2.0], interval_ns=60 * MINUTE_NS)).run()


def test_no_data_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no events"):
        backtest(Recorder(), []).run()


def test_timers_fire_at_their_own_time_between_events_however_far_apart_these_are() -> None:
    class Timed(Recorder):
        def setup(self) -> None:
            super().setup()
            self.timer("tick", every_s=20)

    strategy = Timed()
    backtest(strategy, bars([100.0, 101.0, 102.0]), scheduled=True).run()
    fired = [at for what, at, _ in strategy.seen if what == "timer"]
    assert fired == sorted(fired)
    assert len(fired) == 7  # the first with the bar that brings a price
    assert {later - earlier for earlier, later in pairwise(fired)} == {20_000_000_000}


def test_a_target_that_was_denied_for_a_passing_reason_is_tried_again_by_the_tick() -> None:
    class Late(Recorder):
        def setup(self) -> None:
            super().setup()
            self.timer("buy", every_s=50)

        def on_timer(self, name: str) -> None:
            if not self.position().quantity:
                self.target(self.instrument, 1)

        def act(self, bar: Bar) -> None:
            return

    run = backtest(Late(), bars([100.0] * 6), limits=Limits(max_quote_age_s=5.0), scheduled=True).run()
    assert run.denials[("one", "reference")] >= 1
    assert len(run.fills) == 1


def test_slow_work_is_done_at_once_and_its_result_comes_a_second_later() -> None:
    class Working(Recorder):
        def act(self, bar: Bar) -> None:
            self.job("sum", sum, [1, 2, 3])
            self.job("fail", int, "x")

    strategy = Working()
    backtest(strategy, bars([100.0, 101.0, 102.0])).run()
    told = [(at, value) for what, at, value in strategy.seen if what == "job"]
    assert told[0] == (MINUTE_NS + 1_000_000_000, 6)
    assert told[1][1].startswith("ValueError")


def test_a_strategy_that_raises_is_quarantined_and_the_others_go_on() -> None:
    class Broken(Recorder):
        def act(self, bar: Bar) -> None:
            raise ArithmeticError("no")

    sound = Recorder()
    run = backtest({"broken": Broken(), "sound": sound}, bars([100.0, 101.0, 102.0])).run()
    assert [(one.strategy, one.error) for one in run.faults] == [("broken", "ArithmeticError: no")]
    assert [fact.strategy for fact in run.fills] == ["sound"]


def test_a_strategy_that_sends_without_end_ends_the_run_with_the_reason() -> None:
    class Endless(Recorder):
        def act(self, bar: Bar) -> None:
            self.buy(bar.instrument, 1, Limit(99.0))

        def on_order(self, order: Order) -> None:
            if order.is_open:
                self.cancel(order)
            else:
                self.buy(order.instrument, 1, Limit(99.0))

    with pytest.raises(BacktestFailed, match="sends without end"):
        backtest(Endless(), bars([100.0, 101.0])).run()


def test_a_cancel_in_the_same_breath_as_its_order_leaves_nothing_working() -> None:
    class Hasty(Recorder):
        def act(self, bar: Bar) -> None:
            order = self.buy(bar.instrument, 1, Limit(50.0))
            assert isinstance(order, Order)
            self.cancel(order)

    run = backtest(Hasty(), bars([100.0, 49.0, 48.0])).run()
    assert not run.fills
    assert not run.engine.state.orders.has_open


def test_two_runs_give_the_same_journal_byte_for_byte() -> None:
    def checksum() -> tuple[int, bytes | str]:
        journal: MemoryJournal[Fact] = MemoryJournal(RecordCodec[Fact](Fact), encode=True)
        backtest(Recorder(), bars([100.0, 101.0, 99.0, 103.0]), journal=journal, scheduled=True).run()
        return journal.count, journal.checksum

    first = checksum()
    assert first[0] > 5
    assert checksum() == first


def test_progress_adds_up_to_the_events() -> None:
    told: list[int] = []
    run = backtest(Recorder(), bars([100.0] * 5_000)).run(lambda count, at_ns: told.append(count))
    assert sum(told) == run.events == 5_000
    assert len(told) > 1


class Seller(Strategy):
    """Buys at its third bar, and sells at half past an hour, or at a longer bar."""

    def __init__(self, every: str | None) -> None:
        super().__init__()
        self.every = every

    def setup(self) -> None:
        self.bars(every="1h")
        if self.every is None:
            self.timer("sell", cron="30 * * * *")
        else:
            self.bars(every=self.every)

    def on_bar(self, bar: Bar) -> None:
        if self.now.hour == 3 and bar.interval_ns == 60 * MINUTE_NS:
            self.buy(bar.instrument, 1)
        elif bar.interval_ns != 60 * MINUTE_NS:
            self.on_timer("")

    def on_timer(self, name: str) -> None:
        if self.position().quantity:
            self.target(self.instrument, 0)


class Bidder(Strategy):
    """Keeps a stop above the market, once more when the gate has taken it away: a sale waits until it is gone."""

    def setup(self) -> None:
        self.bars(every="1h")
        self.left = 2

    def on_bar(self, bar: Bar) -> None:
        if self.now.hour == 4:
            self.bid()

    def on_order(self, order: Order) -> None:
        if order.state is OrderState.CANCELLED:
            self.bid()

    def bid(self) -> None:
        if self.left:
            self.left -= 1
            self.buy(self.instrument, 1, Stop(105))


@pytest.mark.parametrize(("every", "asked_s"), [(None, 16_200), ("2h", 14_400)])
def test_what_is_denied_at_a_timer_or_a_joined_bar_is_tried_again_before_the_next_bar(
    every: str | None, asked_s: int
) -> None:
    hour_ns = 60 * MINUTE_NS
    shift_ns = 1_600_041_600_000_000_000 - START_NS  # to a midnight
    hourly = [
        msgspec.structs.replace(
            bar,
            opened_at_ns=bar.opened_at_ns + shift_ns,
            closed_at_ns=bar.closed_at_ns + shift_ns,
            received_at_ns=bar.closed_at_ns + shift_ns,
        )
        for bar in bars([100.0] * 7, interval_ns=hour_ns)
    ]
    strategies: dict[str, Strategy] = {"seller": Seller(every), "bidder": Bidder()}
    run = backtest(strategies, hourly, limits=Limits(max_quote_age_s=86_400.0), scheduled=True).run()
    sales = [fact for fact in run.journal.facts if isinstance(fact, OrderIntended) and fact.for_target]
    assert [(one.at_ns - START_NS - shift_ns) / 1e9 - asked_s for one in sales] == [3.0]
    assert run.denials == {("seller", "busy"): 2}
    assert [fact.side for fact in run.fills] == [Side.BUY, Side.SELL]


def test_a_joined_bar_whose_last_part_is_missing_comes_after_its_close_and_not_with_the_next_part() -> None:
    strategy = Recorder()
    strategy.every = "5m"
    strategy.act = lambda bar: None  # type: ignore[method-assign]  # it only looks
    five_ns = 5 * MINUTE_NS
    made = bars([100.0 + number for number in range(30)])
    whole = [bar.closed_at_ns for bar in made if not bar.closed_at_ns % five_ns][1:4]
    gaps = [bar for bar in made if not whole[1] - MINUTE_NS < bar.closed_at_ns < whole[1] + 2 * MINUTE_NS]
    backtest(strategy, gaps).run()
    told = {START_NS + at_ns for what, at_ns, _ in strategy.seen if what == "bar"}
    assert told.issuperset(whole), "to the second"
