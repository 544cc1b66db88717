"""The daemon: builds everything from a configuration, runs it, and ends it in order.

Start: locks, fold, unknown writes, venues with reconciliation, feeds, warm-up, strategies. Stop: no new entries, writes
under way settled to a deadline, each strategy's `at_shutdown`, journal closed, locks released last.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Sequence

import structlog

import quantd
from quantd.app.aftermath import Aftermath
from quantd.app.budgets import BudgetKeeper
from quantd.app.control import build_control
from quantd.app.disk import DiskKeeper
from quantd.app.ending import cancel_entries, end_trading, fault_of
from quantd.app.engine import build_engine
from quantd.app.feeds import log_change
from quantd.app.input_recorder import InputRecorder
from quantd.app.latches import LatchFollower
from quantd.app.listeners import Listeners
from quantd.app.notifications import Notifications
from quantd.app.readiness import VenueGauges, reasons_of
from quantd.app.recordings import check_recordings
from quantd.app.schedules import build_scheduler
from quantd.app.shared import Shared
from quantd.app.starter import start_strategies
from quantd.app.storage import Storage, fold, latch_state_set, open_input_log, open_storage, this_run
from quantd.app.strategies import Prepared, one_strategy_each, prepare, source_hashes
from quantd.app.surveillance import Lookout
from quantd.app.venue_keeper import VenueKeeper, credentials_refused
from quantd.app.venues import build_venues, over_http, reopen_paper
from quantd.app.watchdog import Safety
from quantd.app.webhooks import build_webhooks
from quantd.config import Settings
from quantd.domain.capabilities import Capabilities
from quantd.domain.events import HaltOrdered, TimePassed, TradingState
from quantd.domain.facts import Fact, StateSet
from quantd.domain.instruments import InstrumentId
from quantd.engine.core import Engine
from quantd.engine.images import dump
from quantd.engine.tallies import RESTART
from quantd.errors import JournalFailed
from quantd.feeds.conflation import Inbox
from quantd.feeds.store import BarStore
from quantd.journal.writer import JournalWriter
from quantd.ports import Clock
from quantd.runtime.accounts import AccountFollower
from quantd.runtime.executor import Executor
from quantd.runtime.jobs import Jobs
from quantd.runtime.runner import Runner
from quantd.runtime.stopwatch import Stopwatch
from quantd.runtime.supervisor import Supervisor
from quantd.runtime.vouched import Vouched, sound_only
from quantd.runtime.wall import watch_wall
from quantd.runtime.watcher import Watcher
from quantd.runtime.writes import is_unknown
from quantd.telemetry.health import HealthListener
from quantd.telemetry.lag import LoopLag
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.parts import MakeTransport, Surroundings, VenueParts

_log = structlog.get_logger("quantd.app")
TICK_S = 0.5


class Daemon:
    """One run of the daemon.

    Args:
        settings: The loaded configuration.
        clock: Time.
        observer: Metrics.
        transport: How requests reach venues; a simulator in memory in simulations.
        clean: Takes secrets out of a text that leaves the process.
        read: Loads the configuration anew, for a reload; None where it comes from no files.
    """

    def __init__(  # noqa: PLR0913 -- its surroundings
        self,
        settings: Settings,
        *,
        clock: Clock,
        observer: PrometheusObserver,
        transport: MakeTransport = over_http,
        clean: Callable[[str], str] = str,
        read: Callable[[], Settings] | None = None,
    ) -> None:
        self.settings = settings
        self._read = read
        self.clock = clock
        self.observer = observer
        self.inbox = Inbox(settings.feeds.conflate_above, observer)
        self.emit = sound_only(self.inbox.put)
        self.stopping = asyncio.Event()
        self.stop_reason = ""
        self.failed = False
        """Whether the end was a fault's doing: the exit code tells."""
        self.venues: dict[str, VenueParts] = {}
        self.followers: dict[str, AccountFollower] = {}
        self.strategies: tuple[Prepared, ...] = ()
        self.failures: Sequence[object] = ()
        self._transport, self._clean = transport, clean
        self._phase = "starting"
        self._storage: Storage
        self.engine: Engine
        self._journal: JournalWriter[Fact]
        self.executor: Executor
        self._watcher: Watcher
        self.bars: BarStore
        self._listeners: Listeners | None = None
        self._disk: DiskKeeper | None = None
        self._input_log: InputRecorder | None = None

    # -- building ------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Make all parts, take the locks and fold the journal; nothing is sent or asked yet.

        Raises:
            ConfigProblems: something of the configuration does not fit together.
            JournalError: the journal or a lock cannot be had.
        """
        settings, clock, observer = self.settings, self.clock, self.observer
        around = Surroundings(
            clock,
            observer,
            last_look=lambda lane: self.executor.last_look(lane),
            known_venue_ids=self._known_venue_ids,
            auth_failed=credentials_refused(self.emit, clock),
            transport=self._transport,
            doubtful=self._in_doubt,
            clean=self._clean,
        )
        self.venues = build_venues(settings, around)
        capabilities = {name: parts.connector.capabilities for name, parts in self.venues.items()}
        self.strategies, self.failures = prepare(settings, capabilities)
        one_strategy_each(settings, self.strategies, {name: one.connector for name, one in self.venues.items()})
        check_recordings(settings, self.strategies)
        self._open_disk()
        try:
            self._assemble(capabilities)
        except BaseException:
            if self._input_log is not None:
                self._input_log.close()
            self._storage.close()
            raise

    def _assemble(self, capabilities: dict[str, Capabilities]) -> None:
        """Make what stands on the journal, and fold it."""
        settings, clock, observer = self.settings, self.clock, self.observer
        meta = self._storage.store.meta
        self.engine = build_engine(settings, self.strategies, meta.journal_id, meta.epoch)
        for name, known in capabilities.items():
            self.engine.connect(name, known)
        self.engine.declare()
        self._this_run = this_run(settings, meta, source_hashes(self.strategies), clock.now_ns())
        recovery = fold(self._storage.store, self.engine, self._this_run)
        reopen_paper(self.venues, self.engine.state)
        self._budgets = BudgetKeeper(self.venues, self.emit, clock)
        self._budgets.restore(self.engine.state.cursors, is_first_run=self.engine.state.run is None)
        self._latches = LatchFollower(self._storage.latch, self.engine, self.emit, clock)
        self._watcher = Watcher(self.engine, observer, clock)
        self._venue_gauges = VenueGauges(self.engine, observer)
        observer.gauge("quantd_journal_epoch", meta.epoch)
        Stopwatch(clock, observer).attach(self.engine)
        self._build_runner()
        self._runner.records = recovery.records
        self._jobs = Jobs(self.engine, self.emit, clock)
        self._shared = Shared(
            settings=settings,
            read=self._read,
            clock=clock,
            observer=observer,
            random=random.Random(0),
            engine=self.engine,
            emit=self.emit,
            executor=self.executor,
            supervisor=Supervisor(observer),
            bars=self.bars,
            venues=self.venues,
            followers=self.followers,
            feed_changed=log_change,
        )
        self._notifications = Notifications(self._shared, self.reasons, self._clean)
        self._lookout = Lookout(self._shared)
        self._aftermath = Aftermath(
            self._shared, watcher=self._watcher, safety=self.safety, latches=self._latches, jobs=self._jobs
        )

    def _build_runner(self) -> None:
        """Make what carries commands out and what puts the engine's events through."""
        settings, clock, observer = self.settings, self.clock, self.observer
        self.safety = Safety(self.venues, self._storage.latch, self.engine, clock)
        self.executor = Executor(
            {name: Vouched(parts.connector) for name, parts in self.venues.items()},
            self.emit,
            clock=clock,
            observer=observer,
            scopes=self.safety.scopes,
            halted=self.safety.halted,
            is_unknown=lambda order, number: is_unknown(self.engine, order, number),
        )
        store, version = self._storage.store, quantd.__version__
        self._input_log = open_input_log(settings, store, clock, version) if settings.journal.record else None
        self._runner = Runner(
            self.engine,
            self.inbox,
            self._journal,
            self.executor,
            clock=clock,
            observer=observer,
            latch=self._latches.decided,
            watch=self._watch,
            input_log=self._input_log,
        )

    def _open_disk(self) -> None:
        """Open all that a run keeps on disk; simulations keep it in memory."""
        accounts = {name: parts.connector.account.id for name, parts in self.venues.items()}
        self._storage = open_storage(self.settings, accounts, self.clock)
        store, failed = self._storage.store, self._journal_failed
        self._journal = JournalWriter(store, clock=self.clock, observer=self.observer, on_failure=failed)
        self.bars = BarStore(self.settings.feeds.bar_store, keep=self.settings.feeds.bar_store_keep)

    def _known_venue_ids(self, instrument: InstrumentId) -> Iterable[str]:
        orders = self.engine.state.orders.all_orders()
        return {one for order in orders if order.instrument == instrument for one in order.venue_order_ids}

    # -- what happens on the way ---------------------------------------------------------------------------------

    def _watch(self, facts: Sequence[Fact]) -> None:
        self._aftermath.took(facts)

    def _in_doubt(self, instrument: InstrumentId, why: str) -> None:
        scope, generation = f"instrument:{instrument}", self.engine.state.halt_generation + 1
        self.emit(HaltOrdered(scope, TradingState.HALTED, "resolution", why, generation, self.clock.now_ns()))

    def _journal_failed(self, error: BaseException) -> None:
        self.failed = True
        self.observer.count("quantd_journal_failures_total")
        now_ns = self.clock.now_ns()
        latch_state_set(self._storage.latch, StateSet("all", TradingState.HALTED, "journal", str(error), 0, now_ns))
        _log.critical("journal_failed", error=str(error))
        self._notifications.journal_failed(str(error))
        self.stop("journal failed")

    def reasons(self) -> Sequence[str]:
        """Return why the daemon is not ready; empty when it trades."""
        return reasons_of(self._phase, self.followers.values(), self.failures, self.engine)

    # -- running -------------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """Ask for the orderly end; the second call hurries it."""
        if self.stopping.is_set():
            self._hurry.set()
        self.stop_reason = self.stop_reason or reason
        self.stopping.set()

    async def run(self) -> int:
        """Run until `stop` is called; return the exit code."""
        self._hurry = asyncio.Event()
        try:
            await self._run()
        finally:
            self._storage.locks.close()
        return 1 if self.failed else 0

    async def _run(self) -> None:
        try:
            await self._journal.start()
            await self.bars.start(self.clock.now_ns())
            async with asyncio.TaskGroup() as tasks:
                writes = tasks.create_task(self._writes(), name="writes")
                runner = tasks.create_task(self._run_engine(), name="runner")
                self._begin()
                await self._start_services()
                background = tasks.create_task(self._background(), name="background")
                await self.stopping.wait()
                await self._end(background)
                runner.cancel()
                writes.cancel()
        except Exception as error:
            if not self.failed:  # by what runs beside the engine, or at the end: nobody said so yet
                self.failed, self.stop_reason = True, fault_of(error)
            raise
        finally:
            try:
                await self._close()
            finally:
                await self._notifications.end(self.stop_reason, failed=self.failed)

    def _begin(self) -> None:
        """Say what this run is made of, and that what was under way before it may or may not have happened."""
        now_ns = self._this_run.at_ns
        self.engine.begin(self._this_run)
        self.engine.lose_in_flight(RESTART, now_ns)
        self._latches.start()
        self.emit(TimePassed(now_ns))

    async def _writes(self) -> None:
        """Everything that is sent, and every question after what became of it; ends by cancellation."""
        async with asyncio.TaskGroup() as tasks:
            self.executor.attach(tasks)
            self._jobs.attach(tasks)
            await asyncio.Event().wait()

    async def _run_engine(self) -> None:
        try:
            await self._runner.run()
        except JournalFailed:
            self.stop("journal failed")
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failed = True
            self.stop(f"runner: {error}")
            raise

    async def _start_services(self) -> None:
        at = self.settings.health
        health = HealthListener(at.host, at.port, reasons=self.reasons, observer=self.observer, clean=self._clean)
        control = build_control(self._shared, self._storage, self.strategies, self.reasons, self._clean)
        self._listeners = Listeners(health, build_webhooks(self._shared), control)
        self._disk = DiskKeeper(self._shared, self._journal, self._input_log)
        await self._listeners.start()

    async def _background(self) -> None:
        """Everything that runs beside the engine; ends by cancellation."""
        enabled = [one for one in self.settings.strategies if one.enabled]
        scheduler = build_scheduler(self.settings, enabled, self.engine, self.clock, self.observer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(LoopLag(self.clock, self.observer).run(), name="loop lag")
            tasks.create_task(watch_wall(self.clock, self.emit, self.observer), name="wall clock")
            tasks.create_task(self._tick(), name="tick")
            tasks.create_task(self._notifications.run(), name="notifications")
            if self._disk is not None:
                tasks.create_task(self._disk.run(), name="disk")
            if self._listeners is not None and self._listeners.dead_man is not None:
                tasks.create_task(self._listeners.dead_man.run(), name="dead-man's switch")
            tasks.create_task(scheduler.run(self.emit), name="scheduler")
            for name in self.venues:
                keeper = VenueKeeper(self._shared, name)
                self.followers[name] = keeper.follower
                tasks.create_task(keeper.run(), name=f"venue {name}")
            tasks.create_task(start_strategies(self._shared), name="strategy starter")
            self._phase = "running"

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.emit(TimePassed(self.clock.now_ns()))
            self._latches.look()
            self._budgets.look()
            self._watcher.sample()
            self._venue_gauges.sample(self.followers.values())
            self._jobs.start_waiting()
            self.observer.gauge("quantd_ready", 0.0 if self.reasons() else 1.0)
            self._lookout.look()
            self.observer.gauge("quantd_leader", float(all(lock.is_held for lock in self._storage.held)))
            if self._runner.records >= self.settings.journal.snapshot_every:
                self._runner.records = 0
                with contextlib.suppress(JournalFailed):  # `_journal_failed` was told: the end needs what runs here
                    await self._journal.snapshot(dump(self.engine.state))

    # -- the end -------------------------------------------------------------------------------------------------

    async def _end(self, background: "asyncio.Task[None]") -> None:
        """End the trading; then the background goes."""
        self._phase = "stopping"
        _log.info("stopping", reason=self.stop_reason)
        if self._journal.failure is None:
            await end_trading(self._shared, self.inbox, self._hurry, self.stop_reason)
        self.executor.is_stopped = True
        if self._journal.failure is not None:
            # Memory is ahead of disk: the latch is written, nothing new may leave; cancels add no exposure and may.
            await cancel_entries(self._shared, self.inbox)
        background.cancel()

    async def _close(self) -> None:
        if self._listeners is not None:
            await self._listeners.stop()
        for parts in self.venues.values():
            await parts.connector.close()
        await self.bars.stop()
        if self._input_log is not None:
            self._input_log.close()
        if self._journal.failure is None:
            # What a fault left half done is in no record: with it the state is no snapshot of the journal.
            if not self.engine.context.facts:
                await self._journal.snapshot(dump(self.engine.state))
            await self._journal.close()
        _log.info("stopped", reason=self.stop_reason, fills=self._watcher.fills)
