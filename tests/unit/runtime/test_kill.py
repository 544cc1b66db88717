"""The kill path on threads, against switches that refuse, ask for patience, or lie dead; and the copy of the orders."""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pytest

from quantd.clock import SystemClock
from quantd.domain.events import ALL
from quantd.domain.orders import Limit
from quantd.ports import KillAnswer, KillTarget
from quantd.runtime.kill import KillPath, Working, WorkingOrders
from quantd.testing.builders import BTC, Rig

CLOCK = SystemClock()
GONE = KillAnswer(True)


class Switch:
    """A venue whose answers a test gives, and which notes when it was asked."""

    def __init__(self, answer: Callable[[str, int], KillAnswer] = lambda order, asked: GONE) -> None:
        self.answer = answer
        self.asked: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def cancel(self, venue_order_id: str) -> KillAnswer:
        with self._lock:
            before = sum(one == venue_order_id for _, one in self.asked)
            self.asked.append((CLOCK.monotonic_ns() / 1e9, venue_order_id))
        return self.answer(venue_order_id, before)


class Book(WorkingOrders):
    """Orders by venue, as a test says."""

    def __init__(self, **venues: list[str]) -> None:
        super().__init__()
        self.ids = venues

    def of(self, venue: str, scopes: Collection[str] = (ALL,)) -> list[str]:
        return list(self.ids.get(venue, ()))


class Scene:
    """One kill path with switches by venue, all at `rate` a second."""

    def __init__(
        self, book: WorkingOrders, *, rate: float = 2_000, disk: Callable[[], None] = lambda: None, **venues: Switch
    ) -> None:
        self.latched: list[tuple[str, str]] = []
        self.scopes: list[str] = []
        self.sent: dict[str, int] = {}
        self._done = {name: threading.Event() for name in venues}
        self._disk = disk
        targets = {name: KillTarget(switch, "cancel_order", 1, 1 / rate) for name, switch in venues.items()}
        self.path = KillPath(targets, book, latch=self.latch, clock=CLOCK, ended=self.ended)
        self.path.late_s = self.path.pause_s = 0.1

    def latch(self, scope: str, by: str, why: str) -> None:
        self._disk()
        self.latched.append((by, why))
        self.scopes.append(scope)

    def ended(self, venue: str, count: int) -> None:
        self.sent[venue] = count
        self._done[venue].set()

    def wait(self, venue: str) -> None:
        assert self._done[venue].wait(20), f"{venue} is not done"


def test_the_latch_is_written_before_the_first_cancel_leaves() -> None:
    seen: list[int] = []

    def look(order: str, asked: int) -> KillAnswer:
        seen.append(len(scene.latched))
        return GONE

    switch = Switch(look)
    scene = Scene(Book(a=["1", "2", "3"]), a=switch)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert seen == [1, 1, 1]
    assert scene.latched == [("ann", "drill")]
    assert scene.sent == {"a": 3}
    assert not scene.path.unlatched, "the file says it now"


def test_an_order_is_asked_for_until_the_venue_confirms_it_and_a_dead_venue_delays_no_other() -> None:
    stubborn = Switch(lambda order, asked: GONE if order != "2" or asked >= 2 else KillAnswer(False, "http_500"))
    dead = Switch(lambda order, asked: KillAnswer(False, "NotSent: refused"))
    scene = Scene(Book(a=["1", "2"], b=["9"]), a=stubborn, b=dead)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert [order for _, order in stubborn.asked].count("2") == 3
    assert [order for _, order in stubborn.asked].count("1") == 1
    assert scene.path.busy == {"b"}
    dead.answer = lambda order, asked: GONE
    scene.wait("b")


def test_a_disk_that_refuses_or_hangs_keeps_no_cancel_back_and_the_process_stays_halted() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    hung = threading.Event()

    def hang() -> None:
        hung.wait()

    for disk in (full, hang):
        switch = Switch()
        scene = Scene(Book(a=["1"]), disk=disk, a=switch)
        scene.path.fire("ann", "drill")
        scene.wait("a")
        assert len(switch.asked) == 1
        assert scene.path.unlatched == {ALL}
    hung.set()


def test_cancels_leave_at_the_rate_and_wait_where_the_venue_asks_for_it() -> None:
    switch = Switch()
    scene = Scene(Book(a=[str(one) for one in range(41)]), rate=100, a=switch)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    times = sorted(at for at, _ in switch.asked)
    assert times[-1] - times[0] >= 39 / 100 * 0.99, "one token at once, the others at 100 a second"

    patient = Switch(lambda order, asked: KillAnswer(False, "rate_limited", 0.6) if not asked else GONE)
    scene = Scene(Book(a=["1"]), a=patient)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert patient.asked[1][0] - patient.asked[0][0] >= 0.6


def test_orders_that_were_on_their_way_are_cancelled_when_they_become_known() -> None:
    book = Book(a=["1"])

    def late(order: str, asked: int) -> KillAnswer:
        if order == "1":
            book.ids["a"].append("2")
        return GONE

    switch = Switch(late)
    scene = Scene(book, a=switch)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert [order for _, order in switch.asked] == ["1", "2"]


def test_a_raising_switch_counts_as_not_confirmed() -> None:
    def fault(order: str, asked: int) -> KillAnswer:
        if not asked:
            raise ValueError("a fault of ours")
        return GONE

    switch = Switch(fault)
    scene = Scene(Book(a=["1"]), a=switch)
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert len(switch.asked) == 2


def test_a_second_kill_while_one_is_under_way_is_latched_and_cancels_nothing_twice() -> None:
    hold = threading.Event()
    switch = Switch(lambda order, asked: (hold.wait(), GONE)[1])
    scene = Scene(Book(a=["1"]), a=switch)
    scene.path.fire("ann", "first")
    scene.path.fire("ann", "second")
    hold.set()
    scene.wait("a")
    assert len(switch.asked) == 1
    assert set(scene.latched) == {("ann", "first"), ("ann", "second")}, "the first may have been cleared by a person"


@pytest.mark.parametrize(("scope", "cancelled"), [(ALL, {"s1b", "s2b"}), ("strategy:s1", {"s1b"})])
def test_a_kill_holds_though_a_dead_venue_still_keeps_an_older_one_under_way(scope: str, cancelled: set[str]) -> None:
    end = threading.Event()
    dead = Switch(lambda order, asked: KillAnswer(end.is_set(), "refused"))
    alive = Switch()
    book = Desks()
    resumed, book._venues["b"] = book._venues["b"], {}
    scene = Scene(book, a=dead, b=alive)
    scene.path.fire("ann", "first")
    scene.wait("b")
    scene._done["b"].clear()
    book._venues["b"] = resumed  # a person has resumed the venue that works, and it trades again
    scene.path.fire("ann", "second", scope)
    scene.wait("b")
    assert asked(b=alive) == cancelled
    assert scene.latched == [("ann", "first"), ("ann", "second")]
    end.set()
    scene.wait("a")


def test_the_copy_of_the_orders_follows_the_facts() -> None:
    rig, book = Rig(), WorkingOrders()
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(90)))
    book.facts(rig.facts, rig.state)
    assert (book.of("paper"), book.unnamed("paper")) == ([], 1), "sent, and not answered"
    rig.accept(order)
    book.facts(rig.facts, rig.state)
    assert (book.of("paper"), book.unnamed("paper")) == ([f"v-{order.id}"], 0)
    folded = WorkingOrders()
    folded.fill(rig.state.orders.open_orders())
    assert folded.of("paper") == book.of("paper")
    rig.fill(order)
    book.facts(rig.facts, rig.state)
    assert (book.of("paper"), book.unnamed("paper")) == ([], 0)


class Desks(WorkingOrders):
    """Two strategies on two venues, an order each."""

    def __init__(self) -> None:
        super().__init__()
        self._venues = {
            venue: {f"{one}{venue}": Working(one, f"{venue}:BTC-USD", (f"{one}{venue}",)) for one in ("s1", "s2")}
            for venue in ("a", "b")
        }


def asked(**switches: Switch) -> set[str]:
    return {order for switch in switches.values() for _, order in switch.asked}


@pytest.mark.parametrize(
    ("scope", "cancelled"),
    [
        ("strategy:s1", {"s1a", "s1b"}),
        ("venue:b", {"s1b", "s2b"}),
        ("instrument:a:BTC-USD", {"s1a", "s2a"}),
        (ALL, {"s1a", "s1b", "s2a", "s2b"}),
    ],
)
def test_a_kill_keeps_to_its_scope(scope: str, cancelled: set[str]) -> None:
    a, b = Switch(), Switch()
    scene = Scene(Desks(), a=a, b=b)
    scene.path.fire("ann", "drill", scope)
    for venue in ("b",) if scope == "venue:b" else ("a", "b"):
        scene.wait(venue)
    assert asked(a=a, b=b) == cancelled
    assert scene.scopes == [scope]


def test_a_wider_kill_takes_over_one_that_a_dead_venue_holds_up() -> None:
    wider = threading.Event()
    dead = Switch(lambda order, asked: GONE if wider.is_set() else KillAnswer(False, "refused"))
    alive = Switch()
    scene = Scene(Desks(), a=dead, b=alive)
    scene.path.fire("ann", "one strategy", "strategy:s1")
    scene.wait("b")
    assert asked(b=alive) == {"s1b"}
    scene._done["b"].clear()
    scene.path.fire("ann", "everything")
    scene.wait("b")
    assert asked(b=alive) == {"s1b", "s2b"}
    wider.set()
    scene.wait("a")
    assert asked(a=dead) == {"s1a", "s2a"}
    assert scene.latched == [("ann", "one strategy"), ("ann", "everything")]


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """Let no thread be started whose name begins with one of these."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith(names):
            raise RuntimeError("can't start new thread")
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield


def test_a_kill_without_a_thread_says_so_keeps_the_process_halted_and_can_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    switch = Switch()
    scene = Scene(Book(a=["1"]), a=switch)
    with no_threads(monkeypatch, "kill"), pytest.raises(RuntimeError, match="can't start new thread"):
        scene.path.fire("ann", "drill")
    assert not scene.path.busy
    assert scene.path.unlatched == {ALL}
    scene.path.fire("ann", "drill")
    scene.wait("a")
    assert len(switch.asked) == 1


def test_a_kill_that_has_one_thread_alone_does_all_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Switch(), Switch()
    scene = Scene(Book(a=["1", "2", "3"], b=["4"]), a=a, b=b)
    with no_threads(monkeypatch, "kill "):
        scene.path.fire("ann", "drill")
        scene.wait("a")
        scene.wait("b")
    assert asked(a=a, b=b) == {"1", "2", "3", "4"}
    assert scene.latched == [("ann", "drill")]
    assert scene.path.busy == frozenset()
