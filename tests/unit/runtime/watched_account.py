"""An account that a follower watches: a paper connector that can turn out otherwise, real follower and engine."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quantd.clock import LoopClock
from quantd.domain.cash import PositionMode
from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.events import AccountOpened, Event, ReconcileAction, TradingState
from quantd.domain.facts import InstrumentRecorded
from quantd.domain.instruments import Instrument
from quantd.domain.orders import OrderRef
from quantd.domain.outcomes import Resolution
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.differences import Policies
from quantd.errors import Unavailable, VenueError
from quantd.ports import Connector
from quantd.runtime.accounts import AccountFollower
from quantd.runtime.executor import Executor
from quantd.runtime.writes import is_unknown
from quantd.testing.builders import Rig
from quantd.testing.observer import RecordingObserver
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperData, PaperSettings, SyntheticData, SyntheticInstrument

Resolvable = Submit | Amend | Cancel | CloseLot | SetProtection


class Revealing(PaperConnector):
    """Learns at its start that the account hedges, and fails the first time it is asked."""

    failures = 1
    reads_orders = True
    finds: Resolution | None = None
    """What became of every write that it is asked for."""
    converts: str | None = None
    """The symbol that converts whatever currency is asked for."""
    later: Callable[[], None] | None = None
    """Called by each snapshot: what the account shows may change while it is watched."""

    def __init__(self, venue: str, settings: PaperSettings, clock: LoopClock) -> None:
        super().__init__(venue, settings, clock)
        self.shown: list[dict[str, Any]] = []
        """What the next snapshots show instead of the truth, one after the other."""
        self.relisted: list[tuple[Instrument, ...] | VenueError] = []
        """What the next looks at the trading rules show instead, likewise."""
        self.lists: dict[str, Instrument] = {}
        """What each look at the trading rules shows instead, by symbol."""

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Show orders as they wait, unless they cannot be read."""
        if not self.reads_orders:
            raise Unavailable(self.venue, "order_reports", "down")
        return ()

    async def start(self) -> None:
        """Read what the account is, once the venue answers."""
        if self.failures:
            self.failures -= 1
            raise Unavailable(self.venue, "start", "down")
        self.account = msgspec.structs.replace(self.account, mode=PositionMode.HEDGING, home_currency="EUR")
        await super().start()

    async def resolve(self, command: Resolvable, sent_at_ns: int) -> Resolution:
        """Say what became of a write."""
        return self.finds or await super().resolve(command, sent_at_ns)

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Tell the rules."""
        if self.lists:
            return tuple(self.lists[symbol] for symbol in symbols)
        told = self.relisted.pop(0) if self.relisted else await super().instruments(symbols)
        if isinstance(told, VenueError):
            raise told
        return told

    async def conversion(self, currency: str, into: str) -> str | None:
        """Tell what converts a currency."""
        return self.converts or await super().conversion(currency, into)

    async def snapshot(self) -> AccountSnapshot:
        """Tell the account, and what it is by now."""
        if self.later is not None:
            self.later()
        snapshot = await super().snapshot()
        return msgspec.structs.replace(snapshot, **self.shown.pop(0)) if self.shown else snapshot


def connector(clock: LoopClock) -> Revealing:
    """Return a margin account that the configuration takes for a netting one in dollars."""
    market = SyntheticData(instruments=(SyntheticInstrument(symbol="BTC-USD", price=Decimal(100)),))
    data = PaperData(synthetic=market)
    settings = PaperSettings(data=data, balances={"USD": Decimal(1_000)}, account="margin", reconcile="adopt")
    return Revealing("paper", settings, clock)


class Desk:
    """A follower on an engine that knows no account yet, and everything that it was told."""

    def __init__(self, clock: LoopClock, symbols: Sequence[str] = ("BTC-USD",), held: Sequence[str] = ()) -> None:
        self.clock = clock
        self.connector = connector(self.clock)
        self.rig = Rig()
        policies = self.rig.engine.context.policies["paper"] = Policies(ReconcileAction.ADOPT)
        self.told: list[Event] = []
        self.observer = observer = RecordingObserver()
        self.executor = Executor(
            {"paper": self.connector},
            self.emit,
            clock=self.clock,
            observer=observer,
            scopes=lambda write: (),
            halted=lambda scopes: TradingState.ACTIVE,
            is_unknown=lambda order, number: is_unknown(self.rig.engine, order, number),
        )
        self.symbols, self.held, self.policies = symbols, held, policies
        self.follower = self.follow(self.connector)

    def follow(self, connector: Connector) -> AccountFollower:
        """Return a follower of the account through a connector."""
        return AccountFollower(
            connector,
            self.symbols,
            held=self.held,
            engine=self.rig.engine,
            emit=self.emit,
            executor=self.executor,
            clock=self.clock,
            random=random.Random(1),
            observer=self.observer,
            policies=self.policies,
            orders_every_s=5,
            account_every_s=5,
        )

    def emit(self, event: Event) -> None:
        """Note an event and give it to the engine."""
        self.told.append(event)
        self.rig.handle(event)

    async def write(self) -> None:
        """Carry out what is sent or asked for, for ever."""
        async with asyncio.TaskGroup() as tasks:
            self.executor.attach(tasks)
            await asyncio.Event().wait()

    def rules(self) -> list[Decimal]:
        """Return the lot of each version of the rules that was recorded."""
        return [one.instrument.lot for one in self.rig.facts if isinstance(one, InstrumentRecorded)]

    def opened(self) -> list[AccountOpened]:
        """Return what was said of the account."""
        return [one for one in self.told if isinstance(one, AccountOpened)]
