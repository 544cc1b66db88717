"""The watchdog's thread on real signals: who is interrupted and where, who is not, and what ends in the kill path."""

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quantd.clock import SystemClock
from quantd.domain.events import JobDone
from quantd.domain.facts import OrderIntended, RequestDenied
from quantd.domain.orders import Limit
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.strategy import Strategy
from quantd.runtime.watchdog import POLL_S, Watchdog, scope_of
from quantd.testing.builders import BTC, Rig

CLOCK = SystemClock()
DEADLINE_S = 0.1


class Doing(Strategy):
    """Does what a test says, in a module that is not quantd's."""

    def __init__(self, what: Callable[[Any], None]) -> None:
        self.what = what

    def on_job(self, name: str, result: Any, error: str) -> None:
        self.what(self)


class Site:
    """An engine with two strategies under a watchdog."""

    def __init__(self, what: Callable[[Any], None], folder: Path) -> None:
        self.rig = Rig(strategies={"s1": Doing(what), "s2": Doing(lambda s: s.buy(BTC, 1, Limit(90)))})
        self.kills: list[tuple[str, str]] = []
        self.killed = threading.Event()
        self.folder = folder
        self.refusals = 0
        self.refused_with_file: list[bool] = []
        self.turning = True
        self.watchdog = Watchdog(
            self.rig.engine.context,
            {"s1": DEADLINE_S, "s2": DEADLINE_S},
            clock=CLOCK,
            beat=lambda turned: turned() if self.turning else None,
            kill=self.kill,
            kill_file=folder / "kill",
        )

    def kill(self, by: str, why: str, scope: str) -> None:
        if self.refusals:
            self.refusals -= 1
            self.refused_with_file.append((self.folder / "kill").exists())
            raise RuntimeError("can't start new thread")
        self.kills.append((by, why))
        self.scope = scope
        self.killed.set()

    def call(self, strategy: str = "s1") -> float:
        """Call its hook; the seconds that it took."""
        began_ns = CLOCK.monotonic_ns()
        self.rig.handle(JobDone(strategy, "go", b"", self.rig.now_ns))
        return (CLOCK.monotonic_ns() - began_ns) / 1e9

    def orders(self, strategy: str) -> int:
        return sum(isinstance(one, OrderIntended) and one.strategy == strategy for one in self.rig.facts)

    def faults(self) -> list[tuple[str, str, str]]:
        return [(one.strategy, one.hook, one.error) for one in self.rig.facts if isinstance(one, StrategyFaulted)]


@contextmanager
def watched(what: Callable[[Any], None], folder: Path) -> Iterator[Site]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    site = Site(what, folder)
    site.watchdog.start()
    try:
        yield site
    finally:
        site.watchdog.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spin(_: Any) -> None:
    while True:
        pass


def sleep(_: Any) -> None:
    time.sleep(30)


def ask(strategy: Any) -> None:
    while True:
        strategy.position(BTC)


def swallow(_: Any) -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # noqa: BLE001, S110 -- what a careless author writes
            pass


def order_for_ever(strategy: Any) -> None:
    while True:
        strategy.buy(BTC, 1, Limit(90))


def order_and_spin(strategy: Any) -> None:
    strategy.buy(BTC, 1, Limit(90))
    strategy.buy(BTC, 1, Limit(89))
    spin(strategy)


REASON = "overran its deadline of 0.1 s"


@pytest.mark.parametrize("what", [spin, sleep, ask, swallow, order_and_spin])
def test_a_callback_past_its_deadline_is_interrupted_wherever_it_sits(
    what: Callable[[Any], None], tmp_path: Path
) -> None:
    with watched(what, tmp_path) as site:
        took_s = site.call()
        assert DEADLINE_S <= took_s < DEADLINE_S + 1.0
        assert site.faults() == [("s1", "on_job", REASON)]
        site.call("s2")
        assert site.orders("s2") == 1, "the other strategy is called as ever"
        assert site.call() < DEADLINE_S, "the interrupted one is not called any more"
        assert site.orders("s1") == (2 if what is order_and_spin else 0)
        (cut,) = site.rig.engine.context.take_interruptions()
        assert cut.acts == (2 if what is order_and_spin else 0)


def test_a_callback_within_its_deadline_is_left_alone(tmp_path: Path) -> None:
    with watched(lambda _: time.sleep(DEADLINE_S - 2 * POLL_S), tmp_path) as site:
        for _ in range(5):
            site.call()
        assert site.faults() == []


def test_an_engine_call_is_never_torn(tmp_path: Path) -> None:
    with watched(order_for_ever, tmp_path) as site:
        # Begun orders are finished first; a machine that is busy with other work needs seconds for what takes a tenth of one.
        assert site.call() < DEADLINE_S + 3.0, "an order is not waited for longer than it takes"
        assert len(site.faults()) == 1
        (cut,) = site.rig.engine.context.take_interruptions()
        intended = [one for one in site.rig.facts if isinstance(one, OrderIntended)]
        denied = [one for one in site.rig.facts if isinstance(one, RequestDenied)]
        assert len(intended) + len(denied) == cut.acts, "every order that was begun was finished"
        assert len({one.client_order_id for one in intended}) == len(intended)


def test_c_code_that_ignores_signals_ends_in_the_kill_path_which_names_it(tmp_path: Path) -> None:
    def hash_for_long(_: Any) -> None:
        hashlib.pbkdf2_hmac("sha256", b"key", b"salt", 12_000_000)

    with watched(hash_for_long, tmp_path) as site:
        site.watchdog.stalled_after_s = 0.5
        site.turning = False  # the loop cannot turn while the callback sits in C
        site.call()
        assert site.killed.is_set(), "the kill began while the engine's thread was in C code"
        by, why = site.kills[0]
        assert by == "watchdog"
        assert why == "the event loop has stood still for 0.5 s in s1.on_job.hash_for_long"
        assert site.faults() == [("s1", "on_job", REASON)], "and when C gave the thread back, it was interrupted"


def test_the_kill_signal_is_taken_by_the_watchdog_while_a_strategy_spins(tmp_path: Path) -> None:
    def signal_and_spin(strategy: Any) -> None:
        # To its thread: threads of earlier tests do not hold the signal, and one that gets it would end pytest.
        (watchdog,) = (thread.ident for thread in threading.enumerate() if thread.name == "watchdog")
        assert watchdog is not None
        signal.pthread_kill(watchdog, signal.SIGUSR1)
        spin(strategy)

    with watched(signal_and_spin, tmp_path) as site:
        site.call()
        assert site.kills == [("operator", "SIGUSR1")]


def until_gone(file: Path) -> None:
    for _ in range(500):
        if not file.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{file} is still there")


def test_the_kill_file_kills_once_and_is_taken_away(tmp_path: Path) -> None:
    with watched(spin, tmp_path) as site:
        (tmp_path / "kill").touch()
        assert site.killed.wait(5)
        until_gone(tmp_path / "kill")
        assert site.kills == [("operator", "file kill")]
        assert site.scope == "all"


def test_a_kill_that_cannot_begin_is_begun_as_soon_as_it_can_and_its_file_stays_until_then(tmp_path: Path) -> None:
    with watched(spin, tmp_path) as site:
        site.refusals = 5
        (tmp_path / "kill").touch()
        assert site.killed.wait(5), "the watchdog goes on"
        until_gone(tmp_path / "kill")
        assert site.kills == [("operator", "file kill")]
        assert site.refused_with_file == [True] * 5


@pytest.mark.parametrize(
    ("content", "scope"),
    [
        ("", "all"),
        ("all\n", "all"),
        ("strategy:s1\n", "strategy:s1"),
        ("instrument:paper:BTC-USD", "instrument:paper:BTC-USD"),
        ("venue:", "all"),
        ("strategy s1", "all"),
        ("x" * 500, "all"),
    ],
)
def test_a_kill_file_holds_its_scope_and_what_is_not_understood_means_all(
    tmp_path: Path, content: str, scope: str
) -> None:
    file = tmp_path / "kill"
    file.write_text(content)
    assert scope_of(file) == scope


def test_a_kill_file_that_cannot_be_read_means_all(tmp_path: Path) -> None:
    (tmp_path / "kill").mkdir()
    assert scope_of(tmp_path / "kill") == "all"
