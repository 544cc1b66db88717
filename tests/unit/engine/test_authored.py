"""Whatever an author's code hands in, what is recorded of it can be written to a journal and read back.

Method: a strategy hands in a value of another type than it should; every fact goes through the journal's own codec. A fact
that cannot be written ends the daemon, and one that cannot be read keeps it from ever starting again.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

import pytest

from quantd.app.storage import codec
from quantd.domain.facts import Fact, OrderIntended, RequestDenied, TargetSet
from quantd.domain.orders import Limit, Market, Protect, Stop, StopLimit, TimeInForce
from quantd.domain.strategy_facts import StrategyFaulted, StrategySaved
from quantd.engine.risk.wish import Denial, Denied
from quantd.journal.records import Record
from quantd.testing.builders import BTC, Puppet, Rig, make_plain_capabilities

Script = Callable[[Any], Any]
ODD: Callable[[Any], Any] = lambda value: value


class Numpys(float):
    """As numpy's floats are."""


class Word(str):
    """As the labels of a data frame are."""

    __slots__ = ()


class Silent(Exception):
    """Has no words."""

    def __str__(self) -> str:
        raise ValueError


def recorded(script: Script, rig: Rig | None = None) -> Sequence[Fact]:
    """Run a script in a hook; what was recorded, written and read back."""
    rig = rig or Rig()
    before = len(rig.facts)
    rig.do(script)
    known = codec()
    drafts = [known.encode(fact) for fact in rig.facts[before:]]
    return [known.decode(Record(n, *draft, b"")) for n, draft in enumerate(drafts, start=1)]


def fail(error: BaseException) -> Script:
    def script(_strategy: Any) -> None:
        raise error

    return script


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda s: s.buy(BTC, 1, Limit(99), why=None), ""),
        (lambda s: s.buy(BTC, 1, Limit(99), why=1.5), "1.5"),
        (lambda s: s.buy(BTC, 1, Limit(99), why=Word("cross")), "cross"),
        (lambda s: s.buy(BTC, 1, Limit(99), why="\ud800 über"), "? über"),
        (lambda s: s.buy(Word(BTC), Numpys(1), Limit(Numpys(99))), ""),
        (lambda s: s.buy(BTC, 1, Limit(99, post_only=ODD(1), reduce_only=ODD(0))), ""),
        (lambda s: s.buy(BTC, 1, Limit(99, time_in_force=TimeInForce.GTD, expires_at_ns=ODD(1.7e18))), ""),
        (lambda s: s.buy(BTC, 1, Limit(99, time_in_force=ODD("gtc"))), ""),
        (lambda s: s.buy(BTC, 1, Market(good_for_s=Numpys(3))), ""),
        (lambda s: s.buy(BTC, 1, Stop(Numpys(105), good_for_s=3)), ""),
        (lambda s: s.buy(BTC, 1, StopLimit(Numpys(105), Numpys(106))), ""),
        (lambda s: s.buy(BTC, 1, Limit(99), protect=Protect(Numpys(95), Numpys(110), Numpys(3))), ""),
        (lambda s: s.buy(BTC, 1, Limit(99), protect=Protect(stop=95, take=10**30)), ""),
    ],
)
def test_an_order_is_recorded_as_what_its_author_meant(script: Script, why: str) -> None:
    (order,) = recorded(script)
    assert isinstance(order, OrderIntended)
    assert order.spec.instrument == BTC
    assert order.why == why


@pytest.mark.parametrize(
    "script",
    [
        lambda s: s.target(Word(BTC), Numpys(2), Limit(Numpys(99)), why=None),
        lambda s: s.target(BTC, 2, Market(good_for_s=Numpys(5)), why=7),
        lambda s: s.target(BTC, 2, protect=Protect(stop=Numpys(95))),
    ],
)
def test_so_is_a_target(script: Script) -> None:
    target, order = recorded(script)
    assert isinstance(target, TargetSet)
    assert isinstance(order, OrderIntended)
    assert order.spec.quantity == 2


@pytest.mark.parametrize("error", [ValueError("\ud800"), Silent()])
def test_a_fault_is_recorded_whatever_it_says(error: Exception) -> None:
    (fault, *_) = recorded(fail(error))
    assert isinstance(fault, StrategyFaulted)
    assert fault.error.startswith(type(error).__name__)


def test_a_state_is_saved_under_a_version_that_is_a_number() -> None:
    class Saving(Puppet):
        state_version = cast(int, "2")

        def save(self) -> Any:
            return {"n": 1}

    rig = Rig(strategies={"s1": Saving()})
    saved = [fact for fact in rig.facts if isinstance(fact, StrategySaved)]
    assert [fact.version for fact in saved] == [2]


@pytest.mark.parametrize(
    "how",
    [None, 5, "market", Market(good_for_s=1e12), Limit(99, TimeInForce.GTD, expires_at_ns=10**30)],
)
def test_what_is_no_way_to_trade_is_its_authors_fault_and_nothing_is_sent(how: Any) -> None:
    rig = Rig()
    assert [type(fact) for fact in recorded(lambda s: s.buy(BTC, 1, how), rig)][:1] == [StrategyFaulted]
    assert rig.commands == []


@pytest.mark.parametrize("price", [float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity")])
@pytest.mark.parametrize("name", ["stop", "take", "trail"])
def test_an_entry_whose_exits_are_no_numbers_is_denied(name: str, price: Decimal | float) -> None:
    """A stop below an average that is not warm yet: found out with the fill, it ended the daemon, which held on naked."""
    rig = Rig(capabilities=make_plain_capabilities())
    denied = rig.do(lambda s: s.buy(BTC, 1, Limit(99), protect=Protect(**{name: price})))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.MALFORMED
    rig.do(lambda s: s.target(BTC, 2, Limit(99), protect=Protect(**{name: price})))
    assert [fact.code for fact in rig.of(RequestDenied)] == [Denial.MALFORMED.value] * 2
    assert (rig.commands, rig.state.targets) == ([], {})
