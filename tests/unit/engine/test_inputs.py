"""What led to an order, a target or a denial stands in its fact, and so in `quantd why`."""

from typing import Any

from quantd.control.sentences import sentence
from quantd.domain.events import CancelOrdered, FlattenOrdered, TimerFired
from quantd.domain.facts import OrderIntended, RequestDenied, TargetSet
from quantd.domain.market import Bar, Quote
from quantd.domain.orders import Limit, Market
from quantd.engine.inputs import input_of
from quantd.testing.builders import BTC, Puppet, Rig


class Deciding(Puppet):
    """Orders at each bar and quote, and at a timer."""

    def setup(self) -> None:
        self.bars(BTC)
        self.quotes(BTC)
        self.timer("close", every_s=60.0)

    def on_bar(self, bar: Bar) -> None:
        self.buy(BTC, 1, Limit(90), why="cross up")

    def on_quote(self, quote: Quote) -> None:
        if quote.bid < 100:
            self.buy(BTC, 0 if quote.bid < 98 else 0.5, Limit(80))

    def on_timer(self, name: str) -> None:
        self.target(BTC, 2, Market())


def rig_of() -> tuple[Rig, Any]:
    rig = Rig(strategies={"s1": Deciding()})
    return rig, rig.strategies["s1"]


def test_an_order_names_the_bar_that_it_was_decided_at() -> None:
    rig, _ = rig_of()
    opened = rig.now_ns // 60_000_000_000 * 60_000_000_000
    rig.now_ns = opened + 60_000_000_000
    rig.handle(Bar(BTC, opened, rig.now_ns, 99.0, 101.0, 98.0, 100.5, 1.0, rig.now_ns))
    (intent,) = rig.of(OrderIntended)
    assert intent.input == f"bar of 60 s of {BTC}, close 100.5"
    assert "because: cross up, at bar of 60 s of paper:BTC-USD, close 100.5; the gate" in sentence(intent)


def test_an_order_names_the_quote_a_target_its_timer_and_a_denial_what_was_denied_at() -> None:
    rig, _ = rig_of()
    rig.quote(99)
    assert rig.of(OrderIntended)[-1].input.startswith(f"quote of {BTC}, ")
    rig.handle(TimerFired("s1", "close", rig.now_ns, rig.now_ns))
    assert rig.of(TargetSet)[0].input == "timer close"
    assert rig.of(OrderIntended)[-1].input == "timer close"
    rig.quote(97)
    denied = rig.of(RequestDenied)[-1]
    assert denied.input.startswith(f"quote of {BTC}, "), "a quantity of nothing"
    assert f", at {denied.input}: " in sentence(denied)


def test_what_a_person_had_done_names_the_person() -> None:
    rig, _ = rig_of()
    rig.hold(1)
    rig.handle(FlattenOrdered("all", "ann", "drill", rig.now_ns))
    assert rig.of(TargetSet)[-1].input == "FlattenOrdered by ann"
    assert input_of(CancelOrdered("all", "ann", rig.now_ns)) == "CancelOrdered by ann"
    assert input_of(None) == ""
