"""The runner and the executor: facts on disk before commands leave, and what happens when the disk refuses.

Method: the real runner, executor and engine in virtual time; a journal whose commits take a second, or fail; a venue
that remembers what reached it and when.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any

import pytest

from quantd.clock import LoopClock
from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import Event, HaltOrdered, JobDone, OperationSent, OutcomeReceived, TradingState
from quantd.domain.facts import Fact, OrderIntended, StateSet
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, Limit, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome
from quantd.errors import JournalFailed
from quantd.feeds.conflation import Inbox
from quantd.runtime.executor import Executor
from quantd.runtime.runner import Runner
from quantd.runtime.writes import is_unknown
from quantd.testing.builders import BTC, Rig
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver

COMMIT_S = 1.0


class SlowJournal:
    """Commits after a second; from `fails_after` facts on the disk refuses."""

    def __init__(self, clock: LoopClock, fails_after: int | None = None) -> None:
        self.durable: list[tuple[float, Fact]] = []
        self._clock = clock
        self._fails_after = fails_after

    async def append(self, facts: Sequence[Fact]) -> None:
        """Write after a while, or refuse."""
        await asyncio.sleep(COMMIT_S)
        if self._fails_after is not None and len(self.durable) + len(facts) > self._fails_after:
            raise JournalFailed("the disk is full")
        self.durable += [(self._clock.monotonic_ns() / 1e9, fact) for fact in facts]


class Venue:
    """Remembers what reached it; asks for the last look like a connector's HTTP does."""

    venue = "paper"

    def __init__(self, clock: LoopClock, wait_s: float = 0.0) -> None:
        self.reached: list[tuple[float, object]] = []
        self.last_look: Callable[[], str | None] = lambda: None
        self.fault: Exception | None = None
        self._clock = clock
        self._wait_s = wait_s

    async def _take(self, command: object) -> Outcome:
        await asyncio.sleep(self._wait_s)
        if self.fault is not None:
            raise self.fault
        reason = self.last_look()
        if reason is not None:
            return NotExecuted(reason)
        self.reached.append((self._clock.monotonic_ns() / 1e9, command))
        return Accepted()

    async def submit(self, command: Submit) -> Outcome:
        """Take an order."""
        return await self._take(command)

    async def cancel(self, command: Cancel) -> Outcome:
        """Take a cancel."""
        return await self._take(command)


class Site:
    """A runner around a rig's engine."""

    def __init__(self, clock: LoopClock, journal: SlowJournal, venue: Venue) -> None:
        self.clock = clock
        self.rig = Rig()
        self.rig.engine.take_facts()
        self.journal, self.venue = journal, venue
        self.inbox = Inbox()
        self.latched: list[StateSet] = []
        self.state = TradingState.ACTIVE
        self.executor = Executor(
            {"paper": venue},  # type: ignore[dict-item]  # the two writes are all that is used
            self.inbox.put,
            clock=clock,
            observer=RecordingObserver(),
            scopes=lambda write: (),
            halted=lambda scopes: self.state,
            is_unknown=lambda order, number: is_unknown(self.rig.engine, order, number),
        )
        venue.last_look = self.executor.last_look
        self.runner = Runner(
            self.rig.engine,
            self.inbox,
            journal,
            self.executor,
            clock=clock,
            observer=RecordingObserver(),
            latch=self.latched.append,
            watch=lambda facts: None,
        )

    def place(self, count: int = 1) -> None:
        """Have the strategy place orders at the next step."""
        puppet = self.rig.strategies["s1"]
        puppet.script = lambda s: [s.buy(BTC, n + 1, Limit(90)) for n in range(count)]
        self.inbox.put(JobDone("s1", "script", b"", self.clock.now_ns()))


def drive(
    script: Callable[[Site], Coroutine[Any, Any, None]], *, fails_after: int | None = None, wait_s: float = 0.0
) -> Site:
    """Run a runner in virtual time beside `script`, and end both."""

    async def main(clock: LoopClock) -> Site:
        site = Site(clock, SlowJournal(clock, fails_after), Venue(clock, wait_s))
        async with asyncio.TaskGroup() as tasks:
            site.executor.attach(tasks)
            running = tasks.create_task(site.runner.run())
            await script(site)
            running.cancel()
        return site

    return run_virtual(main)


def test_no_order_leaves_before_its_intent_is_on_disk() -> None:
    async def script(site: Site) -> None:
        site.place(2)
        await asyncio.sleep(COMMIT_S / 2)
        assert site.venue.reached == []
        await asyncio.sleep(5)

    site = drive(script)
    written = {fact.client_order_id: at for at, fact in site.journal.durable if isinstance(fact, OrderIntended)}
    sent = {command.client_order_id: at for at, command in site.venue.reached if isinstance(command, Submit)}
    assert len(sent) == 2
    assert all(sent[one] >= written[one] for one in sent)


def test_a_disk_that_refuses_stops_every_order_and_lets_cancels_go() -> None:
    async def main(clock: LoopClock) -> Site:
        site = Site(clock, SlowJournal(clock, fails_after=10), Venue(clock))
        order = site.rig.do(lambda s: s.buy(BTC, 5, Limit(95)))
        site.rig.accept(order)
        site.rig.engine.take_facts()

        def replace(strategy: Any) -> None:
            strategy.cancel(order)
            for n in range(20):
                strategy.buy(BTC, n + 1, Limit(90))

        async with asyncio.TaskGroup() as tasks:
            site.executor.attach(tasks)
            puppet = site.rig.strategies["s1"]
            puppet.script = replace
            with pytest.raises(JournalFailed):
                await site.runner.step([JobDone("s1", "script", b"", clock.now_ns())])
        return site

    site = run_virtual(main)
    assert [type(command) for _, command in site.venue.reached] == [Cancel]
    assert site.executor.is_stopped


def test_a_halt_reaches_the_latch_before_the_journal() -> None:
    async def script(site: Site) -> None:
        site.inbox.put(HaltOrdered("all", TradingState.HALTED, "ann", "drill", 1, site.clock.now_ns()))
        await asyncio.sleep(COMMIT_S / 2)
        assert [fact.scope for fact in site.latched] == ["all"]
        assert site.journal.durable == []
        await asyncio.sleep(2)

    assert drive(script).journal.durable


def test_an_order_that_waited_past_its_deadline_or_into_a_halt_does_not_leave() -> None:
    async def late(site: Site) -> None:
        site.place()
        await asyncio.sleep(10)

    async def halted(site: Site) -> None:
        site.place()
        await asyncio.sleep(COMMIT_S + 0.1)
        site.state = TradingState.HALTED
        await asyncio.sleep(10)

    for script, wait_s, reason in ((late, 5.0, "deadline"), (halted, 0.5, "halted")):
        site = drive(script, wait_s=wait_s)
        assert site.venue.reached == []
        ends = [order.reason for order in site.rig.state.orders.all_orders()]
        assert ends == [reason]
        assert site.rig.state.portfolio.open_orders["account"] == 0


def test_times_never_go_back_whatever_the_sources_say() -> None:
    async def script(site: Site) -> None:
        now_ns = site.clock.now_ns() + 60_000_000_000
        events: list[Event] = [
            HaltOrdered("strategy:s2", TradingState.REDUCING, "ann", "drill", 1, now_ns),
            HaltOrdered("instrument:x", TradingState.REDUCING, "ann", "drill", 2, now_ns - 30_000_000_000),
        ]
        for event in events:
            site.inbox.put(event)
        await asyncio.sleep(3)

    site = drive(script)
    times = [fact.at_ns for _, fact in site.journal.durable]
    assert times == sorted(times)
    assert len(set(times)) == 1


def test_the_engine_learns_when_bytes_leave_and_what_came_of_them() -> None:
    seen: list[type] = []

    async def script(site: Site) -> None:
        put = site.inbox.put

        def watched(event: Event) -> None:
            seen.append(type(event))
            put(event)

        site.executor._emit = watched
        site.place()
        await asyncio.sleep(5)

    drive(script)
    assert seen[:2] == [OperationSent, OutcomeReceived]


def test_a_write_to_a_venue_that_is_no_longer_configured_is_asked_for_nowhere_and_ends_nothing() -> None:
    """It stays unknown until a person says what became of it; the daemon goes on."""

    async def script(site: Site) -> None:
        gone = OrderSpec(InstrumentId("gone:ETH-USD"), Side.BUY, Decimal(1), OrderKind.MARKET)
        site.executor.resolve(Submit(ClientOrderId("q0test-1-9"), 1, gone, 0, 0), 0)
        await asyncio.sleep(5)

    assert drive(script).venue.reached == []


def test_a_fault_of_a_connector_s_own_in_a_write_leaves_it_unknown_and_ends_nothing() -> None:
    async def script(site: Site) -> None:
        site.venue.fault = KeyError("of the connector")
        site.place()
        await asyncio.sleep(5)

    site = drive(script)
    (order,) = site.rig.state.orders.open_orders()
    assert order.is_unknown
    assert site.executor.faults == 1
