"""The same scenes with exits held by the engine and by the venue, on netting and hedging accounts: the same result.

Method: the real engine over the real simulated exchange, one event at a time, with the abilities that a paper venue
declares for each setting; the venue's snapshot follows each event, a tick of the engine follows that.
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantd.backtest.orders import perform
from quantd.domain.commands import CancelAll
from quantd.domain.events import AccountOpened, OutcomeReceived
from quantd.domain.facts import ExternalOrderSeen, FillRecorded, OrderIntended
from quantd.domain.instruments import FeeSchedule
from quantd.domain.market import Quote
from quantd.domain.orders import Limit, Market, Protect, Role
from quantd.domain.protection_facts import ProtectionOverdue
from quantd.exchange import Exchange, ExchangeRules
from quantd.testing.builders import BTC, OPEN_HANDED, SECOND_NS, Puppet, Rig, make_instrument
from quantd.venues.paper.rules import ACCOUNT, account_of, capabilities_of, setup_of
from quantd.venues.paper.settings import PaperData, PaperSettings, SyntheticData, SyntheticInstrument
from tests.invariants import check_image, check_rig

D = Decimal
RULES = make_instrument(margin_rate=D("0.05"), fees=FeeSchedule(taker=D("0.001")))
VARIANTS = [(holder, mode) for holder in ("engine", "venue") for mode in ("netting", "hedging")]


class Bench:
    """An engine on an exchange."""

    def __init__(self, holder: Any, mode: Any) -> None:
        data = PaperData(synthetic=SyntheticData(instruments=(SyntheticInstrument(symbol="BTC-USD", price=D(100)),)))
        self.settings = PaperSettings(
            data=data, balances={"USD": D(100_000)}, account="margin", positions=mode, protection=holder
        )
        account = account_of("paper", self.settings)
        setup = setup_of(account, self.settings.balances, self.settings)
        self.exchange = Exchange([RULES], {ACCOUNT: setup}, rules=ExchangeRules())
        self.rig = self.make()
        self.rig.handle(AccountOpened(account, self.rig.now_ns))
        self.price = D(100)
        self.quote(100)

    def make(self, **more: Any) -> Rig:
        """Return a rig on the venue's abilities."""
        rig = Rig(
            instruments=[RULES],
            capabilities=capabilities_of(self.settings),
            margin=True,
            strategies={"s1": Puppet()},
            balances={"USD": 100_000},
            price=None,
            defaults=OPEN_HANDED,
            **more,
        )
        rig.commands.clear()
        return rig

    def tell(self, event: Any) -> None:
        """Give an event to the engine, and carry out what follows until nothing does."""
        waiting = deque(self.rig.handle(event))
        self.carry_out(waiting)

    def carry_out(self, waiting: Any) -> None:
        """Carry out commands and what follows from them."""
        while waiting:
            command = waiting.popleft()
            if isinstance(command, CancelAll) or not command.operation:
                continue
            outcome = perform(self.exchange, ACCOUNT, command, self.rig.now_ns)
            told = OutcomeReceived(command.client_order_id, command.operation, outcome, self.rig.now_ns)
            waiting += self.rig.handle(told)

    def quote(self, price: Any) -> None:
        """Move the market: fills first, then the strategies' sight of it, a snapshot and a tick."""
        self.rig.now_ns += SECOND_NS
        self.price = D(str(price))
        event = self.shows(float(price))
        for told in self.exchange.handle(event):
            self.tell(told.report)
        self.tell(event)
        self.rig.now_ns += SECOND_NS
        self.tell(self.exchange.snapshot(ACCOUNT, "paper", self.rig.now_ns))
        self.carry_out(deque(self.rig.wait(0.5)))

    def shows(self, price: float) -> Quote:
        """Return how the market shows a price."""
        return Quote(BTC, price, price, self.rig.now_ns)

    def do(self, act: Callable[[Any], Any]) -> Any:
        """Let the strategy act, and the market stand still for a moment, so that it is filled."""
        before = len(self.rig.commands)
        answer = self.rig.do(act)
        self.carry_out(deque(self.rig.commands[before:]))
        self.quote(self.price)
        return answer

    def restart(self) -> None:
        """Fold the facts in a new engine."""
        now_ns = self.rig.now_ns
        self.rig = self.make(facts=self.rig.facts)
        self.rig.now_ns = now_ns
        self.rig.engine.lose_in_flight("restart", now_ns)
        self.quote(self.price)

    def result(self) -> tuple[Decimal, list[Role], int]:
        """Return what is held, which exits closed it, and the profit in whole dollars."""
        rig = self.rig
        roles: list[Role] = [one.role for one in rig.of(OrderIntended) if one.role is not Role.ENTRY and one.parent]
        roles += [one.role for one in rig.of(ExternalOrderSeen)]
        book = rig.state.portfolio.book("s1", BTC)
        assert not rig.state.portfolio.book("", BTC).quantity, "nothing is EXTERNAL"
        return book.quantity, roles, round(book.realised)

    def check(self) -> None:
        """The venue's lots are what the engine holds, guards cover no more than that, the money is the same."""
        rig = self.rig
        theirs = self.exchange.snapshot(ACCOUNT, "paper", rig.now_ns)
        held = rig.state.portfolio.nets[BTC].quantity
        assert sum((lot.signed for lot in theirs.lots), D(0)) == held
        guarded = sum((guard.quantity for guard in rig.state.guarding.held.values()), D(0))
        assert abs(guarded) <= abs(held)
        assert rig.state.portfolio.account("paper").totals["USD"] == theirs.balances[0].total
        assert rig.of(ProtectionOverdue) == []
        check_rig(rig)
        check_image(rig)


def stopped(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95, take=120)))
    for price in (98, 96, 94, 93):
        bench.quote(price)


def taken(bench: Bench) -> None:
    bench.do(lambda s: s.sell(BTC, 2, Market(), protect=Protect(stop=105, take=90)))
    for price in (96, 92, 89, 88):
        bench.quote(price)


def trailed(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(trail=5)))
    for price in (104, 110, 107, 104, 103):
        bench.quote(price)


def entered_in_parts(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 1, Market(), protect=Protect(stop=90)))
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95)))
    for price in (96, 94, 93):
        bench.quote(price)


def left_by_itself(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95)))
    bench.do(lambda s: s.close(BTC))
    for price in (96, 94, 90):
        bench.quote(price)


def shrunk(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 3, Market(), protect=Protect(stop=95)))
    bench.do(lambda s: s.sell(BTC, 1, Market(reduce_only=True)))
    for price in (96, 94, 93):
        bench.quote(price)


def flipped(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95)))
    bench.do(lambda s: s.target(BTC, -2, Market(), protect=Protect(stop=105)))
    for price in (100, 100, 103, 106, 107):
        bench.quote(price)


def moved(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=90)))
    bench.quote(110)
    bench.do(lambda s: s.protect(BTC, Protect(stop=108)))
    for price in (109, 107, 106):
        bench.quote(price)


def taken_off(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95)))
    bench.do(lambda s: s.protect(BTC, Protect()))
    for price in (96, 94, 90):
        bench.quote(price)


def protected_later(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market()))
    bench.do(lambda s: s.protect(BTC, Protect(stop=97)))
    for price in (98, 96, 95):
        bench.quote(price)


def restarted(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Market(), protect=Protect(stop=95, trail=8)))
    bench.quote(105)
    bench.restart()
    for price in (104, 98, 96, 95):
        bench.quote(price)


def resting(bench: Bench) -> None:
    bench.do(lambda s: s.buy(BTC, 2, Limit(99), protect=Protect(stop=95)))
    for price in (98.5, 98, 94, 93):
        bench.quote(price)


SCENES: dict[Callable[[Bench], None], tuple[Decimal, list[Role]]] = {
    stopped: (D(0), [Role.STOP]),
    taken: (D(0), [Role.TARGET]),
    trailed: (D(0), [Role.TRAIL]),
    entered_in_parts: (D(1), [Role.STOP]),
    left_by_itself: (D(0), []),
    shrunk: (D(0), [Role.STOP]),
    flipped: (D(0), [Role.STOP]),
    moved: (D(0), [Role.STOP]),
    taken_off: (D(2), []),
    protected_later: (D(0), [Role.STOP]),
    restarted: (D(0), [Role.TRAIL]),
    resting: (D(0), [Role.STOP]),
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_scene_ends_alike_whoever_holds_the_exits(scene: Callable[[Bench], None]) -> None:
    profits = []
    for holder, mode in VARIANTS:
        bench = Bench(holder, mode)
        scene(bench)
        quantity, roles, profit = bench.result()
        assert (quantity, roles) == SCENES[scene], f"{holder}, {mode}"
        bench.check()
        profits.append(profit)
        fills = bench.rig.of(FillRecorded)
        assert {one.strategy for one in fills} == {"s1"}
    assert max(profits) - min(profits) <= 8, f"a venue's stop fills a quote earlier than ours: {profits}"
