"""The orderly end of a real daemon: what is under way settles before `at_shutdown`, and a second signal is faster."""

import time
from decimal import Decimal

import pytest

from quantd.engine.state import State
from tests.process.harness import SIGKILL, SIGTERM, quantd, until
from tests.process.test_ionloop_process import Site
from tests.process.test_ionloop_process import site as ionloop
from tests.process.truth import differences, folded

site = ionloop

BUYER = '''
from typing import ClassVar

from quantd import Market, Quote, Strategy


class Buyer(Strategy):
    """Buys once in its life, at the first quote."""

    bought: bool = False
    needs: ClassVar = {Market}

    def setup(self) -> None:
        self.quotes(self.instruments[0])

    def save(self) -> bool:
        return self.bought

    def load(self, state: bool, version: int) -> None:
        self.bought = state

    def on_quote(self, quote: Quote) -> None:
        if not self.bought:
            self.bought = True
            self.buy(quote.instrument, "0.02", Market())
'''
STRATEGY = """
  - {id: buyer, use: buyer.Buyer, instruments: [ionloop:BTC-USDT], at_shutdown: flatten, risk: {max_position: 1}}
"""


BOUGHT_AND_SOLD = [("buy", Decimal("0.02")), ("sell", Decimal("0.02"))]


def traded(state: State) -> list[tuple[str, Decimal]]:
    """What each order came to."""
    return [(order.spec.side.value, order.filled) for order in state.orders.all_orders() if order.filled]


@pytest.fixture
def buying(site: Site) -> Site:
    """A daemon's configuration with one strategy, which buys once."""
    site.configure()
    (site.directory / "strategies").mkdir()
    (site.directory / "strategies/buyer.py").write_text(BUYER)
    head, _, tail = (site.directory / "q.yaml").read_text().partition("strategies:\n")
    tail = tail[tail.index("feeds:") :]
    text = f"{head}strategies:{STRATEGY}strategies_dir: strategies\n{tail}".replace(
        "idempotency: true", "timeout_s: 30"
    )
    (site.directory / "q.yaml").write_text(text)
    return site


@pytest.mark.timeout(120)
def test_an_entry_that_is_under_way_at_the_signal_is_closed_by_at_shutdown_once_it_is_known(buying: Site) -> None:
    buying.venue.post("faults", [{"route": "create_order", "action": "delay_after", "delay_s": 3, "times": 1}])
    with quantd(["run", "q.yaml"], buying.directory) as daemon:
        daemon.wait_line("order_intended", 60)
        began = time.monotonic()
        assert daemon.signal(SIGTERM) == 0
        assert time.monotonic() - began < 12
    state = folded(buying.directory / "var/q.db")
    assert traded(state) == BOUGHT_AND_SOLD
    # The prices of the last fills are confirmed by the next start.
    told = differences(state, buying.venue.read("state"))
    assert [one for one in told if not one.startswith("USDT")] == []


@pytest.mark.timeout(120)
def test_a_second_signal_ends_it_within_seconds_and_nothing_is_lost(buying: Site) -> None:
    buying.venue.post("faults", [{"route": "create_order", "action": "delay_after", "delay_s": 25, "times": 1}])
    with quantd(["run", "q.yaml"], buying.directory) as daemon:
        daemon.wait_line("order_intended", 60)
        daemon.popen.send_signal(SIGTERM)
        daemon.wait_line("stopping", 5)
        time.sleep(1)
        assert daemon.popen.poll() is None, "it did not wait for the write under way"
        began = time.monotonic()
        assert daemon.signal(SIGTERM) == 0
        assert time.monotonic() - began < 5
    with quantd(["journal", "verify", "var/q.db"], buying.directory) as verify:
        assert verify.popen.wait(30) == 0, verify.text()
    buying.venue.post("faults", [], method="PUT")
    with quantd(["run", "q.yaml"], buying.directory) as daemon:
        until(lambda: daemon.metric("quantd_unknown_operations", venue="ionloop") == 0, 60, "nothing unknown")
        until(lambda: len(daemon.lines("order_filled")) == 2, 60, "the entry found, and the close that was left to do")
        assert buying.settle(daemon) == []
        daemon.signal(SIGKILL)
    assert traded(folded(buying.directory / "var/q.db")) == BOUGHT_AND_SOLD
