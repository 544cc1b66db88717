"""A short session of a venue's connector, the engine, the journal and the metrics, and what must hold whatever is answered.

The engine is driven as the daemon's runner and executor do it, in one task: market data pass the quality gate, commands go
to the connector, outcomes and reports come back, facts are encoded, decoded and folded. Every oddity in what comes of it is
kept as a finding.
"""

import asyncio
import random
import re
import sqlite3
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import closing
from typing import Any, Final, TypeVar

from quantd.domain.commands import Cancel, CancelAll, Command, Submit
from quantd.domain.events import (
    AccountOpened,
    Event,
    FlattenOrdered,
    InstrumentListed,
    OperationResolved,
    OperationSent,
    OutcomeReceived,
    ReconcileAction,
    ReconcileOrdered,
    StatusChanged,
    StrategyStarted,
    TimePassed,
)
from quantd.domain.facts import Fact, Reconciled
from quantd.domain.instruments import InstrumentId
from quantd.domain.outcomes import Ambiguous, Outcome, Unknown
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.differences import Policies
from quantd.engine.images import dump, restore
from quantd.engine.rates import Rates
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.state import State
from quantd.errors import VenueError
from quantd.feeds.quality import QualityGate
from quantd.journal.memory import MemoryJournal
from quantd.journal.projections import projections
from quantd.journal.records import RecordCodec
from quantd.runtime.vouched import Vouched
from quantd.runtime.watcher import Watcher
from quantd.runtime.writes import send, write_of
from quantd.testing.observer import RecordingObserver
from tests.contract.conformance.rig import Rig
from tests.contract.odd_answers import Oddity, OddTransport
from tests.contract.odd_findings import booked, unsound, where
from tests.contract.odd_trader import Trader

_T = TypeVar("_T")
_LOOKS: Final = 9
_ALL: Final = "all"


class Session:
    """One session; `findings` tells what must not have happened."""

    def __init__(self, rig: Rig, oddity: Oddity | None = None) -> None:
        self.rig = rig
        self.oddity = oddity
        self.findings: list[str] = []
        self._renames = oddity is not None and str(oddity.path[-1:]).lower().strip("(),'").endswith("id")
        """An order under a wrong id is followed for ever, and never taken for ended."""
        self._exits: set[str] = set()
        """Orders that hang on a lot in the last snapshot: its protection, and nobody's orders."""
        self.is_over = False
        """The engine has failed: in the daemon the process would have ended."""

    async def run(self) -> None:
        """Run the session."""
        rig = self.rig
        rig.connector = rig.connect()
        self.connector = Vouched(rig.connector)
        rig.move(rig.bid, rig.ask)
        self._tamper()
        self._build()
        with closing(self.database):
            await self._play()

    async def _play(self) -> None:
        await self._bring_up()
        for _ in range(_LOOKS):
            if self.is_over:
                return
            await self._look()
        await self._handle(FlattenOrdered(_ALL, "tester", "end", self.now_ns))
        await self._look()
        await self._resolve()
        self._audit()
        await self._heal()

    def _tamper(self) -> None:
        http: Any = vars(self.rig.connector)["_http"]
        self.transport = OddTransport(http._transport, self.oddity)
        http._transport = self.transport

    def _build(self) -> None:
        rig, connector = self.rig, self.rig.connector
        self.id = InstrumentId(f"{connector.venue}:{rig.symbol}")
        self.currency = re.split("[-_]", rig.symbol)[-1][-4:] if re.search("[-_]", rig.symbol) else "USD"
        self.observer = RecordingObserver()
        self.strategy = Trader(rig.quantity)
        self.engine = Engine(
            EngineSettings(journal_id="cf", epoch=1),
            RiskSettings(base_currency=self.currency),
            [(StrategySetup(id="trader", instruments=(self.id,)), self.strategy, Limits())],
            make_random=random.Random,
            log=lambda name: lambda *args, **kwargs: None,
        )
        self.engine.connect(connector.venue, connector.capabilities)
        self.engine.context.policies[connector.venue] = Policies(ReconcileAction.REFUSE)
        self.engine.declare()
        self.watcher = Watcher(self.engine, self.observer, rig.clock)
        self.gate = QualityGate(rig.clock, self.observer)
        self.journal: MemoryJournal[Fact] = MemoryJournal(RecordCodec(Fact), encode=True)
        self.codec: RecordCodec[Fact] = RecordCodec(Fact)
        self.shadow = State(Rates(self.currency))
        self.database = sqlite3.connect(":memory:")
        self.tables = projections()
        for table in self.tables:
            table.create(self.database)

    @property
    def now_ns(self) -> int:
        """Wall time."""
        return self.rig.clock.now_ns()

    # -- what the daemon's parts do ------------------------------------------------------------------------------

    async def _bring_up(self) -> None:
        connector = self.connector
        for _ in range(4):
            if await self._asked("start", self._start()):
                break
            await asyncio.sleep(5)
        else:
            return
        await self._handle(AccountOpened(connector.account, self.now_ns))
        for instrument in self.instruments:
            await self._handle(InstrumentListed(instrument, self.now_ns))
        await self._asked("conversion", connector.conversion("USDT", "USD"))
        await self._reconcile()
        await self._handle(StrategyStarted("trader", self.now_ns))

    async def _start(self) -> bool:
        await self.connector.start()
        self.instruments = await self.connector.instruments([self.rig.symbol])
        (self.rig.instrument,) = self.instruments
        return True

    async def _reconcile(self) -> None:
        snapshot = await self._asked("snapshot", self.connector.snapshot())
        if snapshot is not None:
            await self._handle(AccountOpened(self.connector.account, self.now_ns))
            await self._handle(ReconcileOrdered(snapshot, ReconcileAction.ADOPT, self.now_ns))

    async def _look(self) -> None:
        """Let a second and a half pass, and ask for everything that the daemon's tasks ask for."""
        rig, connector = self.rig, self.connector
        await asyncio.sleep(1.5)
        rig.move(rig.bid, rig.ask)
        if not hasattr(rig, "instrument"):
            return
        one = rig.instrument
        await self._handle(TimePassed(self.now_ns))
        statuses = await self._asked("statuses", connector.statuses([one]))
        for id, status in (statuses or {}).items():
            await self._market(StatusChanged(InstrumentId(id), status, self.now_ns))
        for quote in await self._asked("quotes", connector.quotes([one])) or ():
            await self._market(quote)
        book = await self._asked("book", connector.book(one, 3))
        if book is not None:
            await self._market(book)
        for interval_s in sorted(connector.capabilities.native_bars_s)[:1]:
            for bar in await self._asked("bars", connector.bars(one, interval_s, 3)) or ():
                await self._market(bar)
        await self._resolve()
        working = [order.ref() for order in self.engine.state.orders.open_orders() if order.is_acknowledged]
        for report in await self._asked("order_reports", connector.order_reports(working)) or ():
            await self._handle(report)
        snapshot = await self._asked("snapshot", connector.snapshot())
        if snapshot is not None:
            self._exits = {report.venue_order_id for report in snapshot.orders if report.lot}
            await self._handle(snapshot)

    async def _resolve(self) -> None:
        for order in self.engine.state.orders.open_orders():
            operation = order.operation
            write = write_of(order, self.engine) if order.is_unknown else None
            if write is None or operation is None:
                continue
            found = await self._asked("resolve", self.connector.resolve(write, operation.since_ns))
            if found is not None and not isinstance(found, Ambiguous):
                await self._handle(OperationResolved(order.client_order_id, operation.number, found, self.now_ns))

    async def _market(self, event: Event) -> None:
        for good in self.gate.admit(event):
            await self._handle(good)

    async def _handle(self, event: Event) -> None:
        waiting: list[Event] = [event]
        while waiting and not self.is_over:
            commands = self._step(waiting.pop(0))
            for command in commands:
                waiting += await self._carry_out(command)

    def _step(self, event: Event) -> Sequence[Command]:
        try:
            commands = self.engine.handle(event)
            facts = self.engine.take_facts()
            self._write(facts)
            self.watcher.facts(facts)
            self.watcher.sample()
            self._know()
        except Exception:  # noqa: BLE001 - whatever it is, it would end the daemon
            self._found(f"ENGINE {type(event).__name__}")
            self.is_over = True
            return ()
        return commands

    def _know(self) -> None:
        """Tell the connector which of the venue's ids the engine knows, as the daemon does."""
        known = {id for order in self.engine.state.orders.all_orders() for id in order.venue_order_ids}
        for holder in (self.rig, getattr(self.rig, "pair", None)):
            getattr(holder, "known", set[str]()).update(known)

    def _write(self, facts: Sequence[Fact]) -> None:
        first = self.journal.count
        self.journal.append(facts)
        for record in self.journal.records[first:]:
            self.shadow.apply(self.codec.decode(record))
        numbered = list(enumerate(facts, first + 1))
        if numbered:
            for table in self.tables:
                table.apply(self.database, numbered)
        for fact in facts:
            if isinstance(fact, StrategyFaulted):
                self.findings.append(f"STRATEGY {fact.error}")
            self._sound(f"FACT {type(fact).__name__}", fact)

    async def _carry_out(self, command: Command) -> Iterable[Event]:
        self._sound(f"COMMAND {type(command).__name__}", command)
        if isinstance(command, Submit):
            self._sane(command)
        try:
            outcome = await self._sent(command)
        except Exception as error:  # noqa: BLE001 - a write never raises
            self._found(f"WRITE {type(command).__name__}")
            outcome = Unknown(type(error).__name__)
        if outcome is None or isinstance(command, CancelAll):
            return ()
        return (
            OperationSent(command.client_order_id, command.operation, self.now_ns),
            OutcomeReceived(command.client_order_id, command.operation, outcome, self.now_ns),
        )

    async def _sent(self, command: Command) -> Outcome | None:
        if isinstance(command, CancelAll):
            return await self.connector.cancel_all(command)
        if isinstance(command, Cancel) and not command.operation:
            return None
        return await send(self.connector, command)

    async def _asked(self, name: str, read: Awaitable[_T]) -> _T | None:
        try:
            return await asyncio.wait_for(read, 120)
        except VenueError:
            if self.oddity is None:
                self._found(f"USUALLY {name}")
            return None
        except Exception:  # noqa: BLE001 - a read raises nothing else
            self._found(f"READ {name}")
            return None

    # -- what must hold ------------------------------------------------------------------------------------------

    def _found(self, what: str) -> None:
        self.findings.append(f"{what}: {where()}")

    def _sane(self, command: Submit) -> None:
        spec = command.spec
        bound = 20 * self.rig.quantity
        for value, name in ((spec.quantity, "quantity"), (spec.price, "price"), (spec.trigger, "trigger")):
            if value is not None and value <= 0:
                self.findings.append(f"TRADES {name} {value}")
        if spec.quantity > bound:
            self.findings.append(f"TRADES quantity {spec.quantity}, meant at most {bound}")

    def _sound(self, place: str, value: Any) -> None:
        self.findings += [f"{place}: {flaw}" for flaw in unsound(value)]

    def _audit(self) -> None:
        """Hold the folded state against the engine's, and a snapshot of it against itself."""
        if self.is_over:
            return
        try:
            image = dump(self.engine.state)
            if booked(image) != booked(dump(self.shadow)):
                self.findings.append("FOLD differs from the engine's state")
            again = State(Rates(self.currency))
            restore(again, image)
            if dump(again) != image:
                self.findings.append("SNAPSHOT differs from what it was made of")
        except Exception:  # noqa: BLE001 - a restart would fail the same way
            self._found("SNAPSHOT")

    async def _heal(self) -> None:
        """Once the venue answers properly again, so does the connector."""
        if self.is_over or not self.transport.changed:
            return
        self.transport.is_healed = True
        connector = self.connector
        failing = []
        for _ in range(20):
            await asyncio.sleep(60)
            self.rig.move(self.rig.bid, self.rig.ask)
            failing = [
                name
                for name, read in (("start", self._start), ("snapshot", connector.snapshot))
                if await self._asked(name, read()) is None
            ]
            if not failing:
                (one,) = self.instruments
                if not await self._asked("quotes", connector.quotes([one])):
                    failing = ["quotes"]
            if not failing:
                await self._agree()
                return
        self.findings.append(f"HEALTHY again, and still no {' and no '.join(failing)}")

    def _is_told(self) -> bool:
        """Whether reconciliation has said that there is an order of which it knows nothing."""
        facts = (self.codec.decode(record) for record in self.journal.records if record.kind == "Reconciled")
        return any("foreign_order" in fact.differences for fact in facts if isinstance(fact, Reconciled))

    async def _agree(self) -> None:
        """Once healthy, what we believe of the account is what the venue holds, within the looks of ten minutes."""
        differences = []
        for _ in range(10):
            for _ in range(2):
                await asyncio.sleep(29)
                await self._look()
            truth, state = self.rig.truth(), self.engine.state
            ours = state.portfolio.account(self.connector.venue).totals
            open_ids = {
                order.venue_order_ids[-1]
                for order in state.orders.open_orders()
                if order.venue_order_ids and not order.held
            }
            differences = [
                f"{asset} {ours.get(asset)}, {total}"
                for asset, total in truth.totals.items()
                if ours.get(asset) != total
            ]
            differences += [f"order {one} works here only" for one in open_ids - truth.working if not self._renames]
            known = {id for order in state.orders.all_orders() for id in order.venue_order_ids}
            lost = truth.working - known - self._exits
            if lost and not self._is_told():
                differences.append(f"orders {sorted(lost)} work there, and nobody knows of them")
            if not differences or self.is_over:
                return
        self.findings.append(f"AGREES not: {'; '.join(differences)}")
