"""One strategy's fault stays its own: what the others do is what they would have done without it, and hardly later.

Three strategies misbehave at once, under the real watchdog: one raises on every bar, one sleeps for 30 s in a callback,
one storms orders. The fourth is compared with itself alone, fact by fact.
"""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from quantd.clock import SystemClock
from quantd.domain.facts import Fact
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.domain.orders import Limit, Stop
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.orders import Order
from quantd.engine.strategy import Strategy
from quantd.runtime.watchdog import POLL_S, Watchdog
from quantd.testing.builders import BTC, Rig, make_instrument, make_plain_capabilities

DEADLINE_S = 0.1
SLACK_S = 0.25
"""For a machine that is busy with other things."""
BARS = 60
ETH = "paper:ETH-USD"
CLOCK = SystemClock()


class Good(Strategy):
    """Trades to and fro on every third bar."""

    def setup(self) -> None:
        self.series = self.bars(BTC)
        self.count = 0

    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count % 3 == 0:
            send, price = (self.buy, bar.close - 10) if self.count % 2 else (self.sell, bar.close + 10)
            send(BTC, self.count, Limit(price), why=f"bar {self.count}")


class Raising(Good):
    """Raises on every bar."""

    def on_bar(self, bar: Bar) -> None:
        raise ZeroDivisionError("on every bar")


class Sleeping(Good):
    """Sleeps in a callback."""

    def on_bar(self, bar: Bar) -> None:
        time.sleep(30)


class Storming(Good):
    """Answers each end of an order with a new one that it takes back at once: one event keeps the engine for ever."""

    def on_bar(self, bar: Bar) -> None:
        self.storm()

    def on_order(self, order: Order) -> None:
        self.storm()

    def storm(self) -> None:
        placed = self.buy(ETH, 1, Stop(105))
        if isinstance(placed, Order):
            self.cancel(placed)


@contextmanager
def watched(rig: Rig, folder: Path) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    watchdog = Watchdog(
        rig.engine.context,
        dict.fromkeys(rig.strategies, DEADLINE_S),
        clock=CLOCK,
        beat=lambda turned: turned(),
        kill=lambda by, why, scope: None,
        kill_file=folder / "kill",
    )
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(folder: Path, **strategies: Strategy) -> tuple[Rig, list[float]]:
    """Give every strategy the same bars; the rig, and the seconds that each bar took."""
    instruments = [make_instrument(), make_instrument(ETH)]
    rig = Rig(strategies=strategies, instruments=instruments, capabilities=make_plain_capabilities())
    took_s = []
    with watched(rig, folder):
        for number in range(BARS):
            opened_at_ns = rig.now_ns
            rig.now_ns += 60_000_000_000
            close = 100 + number % 5
            bar = Bar(
                InstrumentId(BTC), opened_at_ns, rig.now_ns, close, close + 1, close - 1, close, 1, rig.now_ns
            )  # fmt: skip
            began_ns = CLOCK.monotonic_ns()
            rig.handle(bar)
            took_s.append((CLOCK.monotonic_ns() - began_ns) / 1e9)
    return rig, took_s


def told(rig: Rig, strategy: str) -> list[str]:
    """The facts of one strategy, with its orders numbered from 1: ids count over all strategies."""
    ids: dict[str, str] = {}

    def number(found: "re.Match[str]") -> str:
        return ids.setdefault(found[0], f"order {len(ids) + 1}")

    texts = [msgspec.json.encode(fact).decode() for fact in rig.facts if _strategy_of(rig, fact) == strategy]
    return [re.sub(r"q0test-1-\w+", number, text) for text in texts]


def _strategy_of(rig: Rig, fact: Fact) -> str:
    order = rig.state.orders.get(getattr(fact, "client_order_id", ""))
    return str(getattr(fact, "strategy", "")) or ("" if order is None else order.strategy)


def test_the_others_decide_as_without_them_and_are_delayed_by_one_deadline_for_each_quarantine(tmp_path: Path) -> None:
    alone, _ = run(tmp_path, good=Good())
    crowd, took_s = run(tmp_path, raising=Raising(), sleeping=Sleeping(), storming=Storming(), good=Good())
    assert len(told(alone, "good")) >= BARS // 3
    assert told(crowd, "good") == told(alone, "good")
    faults = {one.strategy: one.error for one in crowd.of(StrategyFaulted)}
    assert faults["raising"] == "ZeroDivisionError: on every bar"
    assert faults["sleeping"] == f"overran its deadline of {DEADLINE_S} s"
    assert "storming" in faults
    assert "good" not in faults
    assert len(crowd.of(StrategyFaulted)) == 3, "each was quarantined once"
    late = [one for one in took_s if one > DEADLINE_S / 2]
    print(f"longest bar {max(took_s):.3f} s, {len(late)} late of {len(took_s)}; deadline {DEADLINE_S} s")
    assert len(late) <= 2, "once for each quarantine that takes its deadline"
    assert max(took_s) < 2 * DEADLINE_S + POLL_S + SLACK_S
