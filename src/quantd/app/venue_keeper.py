"""One venue from its first question to the last: account up, warm-up, feeds, and looking after all of it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from quantd.app.feeds import FeedBuilder, FeedTask, wants
from quantd.app.ledgers import follow_cash
from quantd.app.notes import keep_notes
from quantd.app.shared import Shared
from quantd.app.transactions import follow_log, resume_log
from quantd.app.warm_up import WarmUp
from quantd.app.webhooks import keep_registered
from quantd.domain.events import CREDENTIALS_CAUSE, TradingState, VenueChanged
from quantd.domain.facts import Fact, OperationSettled
from quantd.domain.instruments import symbol_of
from quantd.ports import Clock, Emit
from quantd.runtime.accounts import AccountFollower
from quantd.runtime.vouched import Vouched

_log = structlog.get_logger("quantd.app")
_TAKEN = ("accepted", "scheduled")
"""What became of a write whose credentials were accepted."""


def credentials_refused(emit: Emit, clock: Clock) -> Callable[[str, str], None]:
    """Return what is called with venue and reason when a write shows that our credentials are not accepted.

    The venue takes exits only until it takes a write again, until reads that were refused as well are answered, or until a
    person resumes it: that reads go on proves nothing, for a key may read what it may not trade.
    """

    def refused(venue: str, reason: str) -> None:
        _log.error("venue_refused_credentials", venue=venue, error=reason)
        told = f"credentials refused: {reason}; mended? resume venue:{venue} by page or API, or restart"
        emit(VenueChanged(venue, TradingState.HALTED, told, clock.now_ns(), CREDENTIALS_CAUSE))

    return refused


class VenueKeeper:
    """Runs one venue of a daemon."""

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = name
        self._parts = shared.venues[name]
        settings = self._parts.settings
        self.follower = AccountFollower(
            Vouched(self._parts.connector),
            sorted({symbol_of(one) for one in wants(shared.engine, name).instruments}),
            held=self._held(),
            engine=shared.engine,
            emit=shared.emit,
            executor=shared.executor,
            clock=shared.clock,
            random=shared.random,
            observer=shared.observer,
            policies=shared.engine.context.policies[name],
            orders_every_s=settings.orders_every_s,
            account_every_s=settings.account_every_s,
        )
        self._warm_up = WarmUp(shared, name)
        self._failing: set[str] = set()
        """What has failed by a fault of its own and has not run calmly since."""
        shared.fact_readers.append(self._heard)

    def _heard(self, facts: Sequence[Fact]) -> None:
        """Follow what became of writes.

        What a close was refused for may be gone by the venue's own exit. What the venue takes shows that it accepts our
        credentials again.
        """
        for fact in facts:
            if not isinstance(fact, OperationSettled):
                continue
            order = self._shared.engine.state.orders.get(fact.client_order_id)
            if order is None or order.instrument.partition(":")[0] != self._name:
                continue
            if fact.result == "rejected" and order.lot:
                self.follower.look_soon()
            elif fact.result in _TAKEN and fact.by == "venue" and self._are_refused:
                self._tell(TradingState.ACTIVE, "", CREDENTIALS_CAUSE)

    @property
    def _are_refused(self) -> bool:
        return CREDENTIALS_CAUSE in self._shared.engine.context.venue_reasons.get(self._name, {})

    async def run(self) -> None:
        """Bring the venue up, then keep its data and its account coming; for ever.

        Prices and the account do not wait for the warm-up: history may be slow, and the engine's stops and fills are not to be.
        """
        shared, parts = self._shared, self._parts
        if parts.log is not None:
            resume_log(shared, self._name, parts.log)
        if parts.notes is not None:
            keep_notes(shared, self._name, parts.notes)
        await self.follower.bring_up()
        builder = FeedBuilder(
            shared.settings,
            self._warm_up.emit,
            clock=shared.clock,
            observer=shared.observer,
            on_bar=shared.bars.append,
            on_change=shared.feed_changed,
            fed=self._warm_up.fed,
            is_fed=self._warm_up.done,
        )
        wanted = wants(shared.engine, self._name)
        feeds = builder.venue(parts.settings, parts.connector, self.follower.instruments, wanted, streamed=parts.prices)
        await self._supervise([*feeds, *self._followed()])

    def _followed(self) -> Iterator[FeedTask]:
        """Yield what follows the account: looks at it, and all by which the venue tells of it unasked."""
        shared, name, parts = self._shared, self._name, self._parts
        yield f"orders {name}", self.follower.follow_orders
        yield f"account {name}", self.follower.follow_account
        yield f"rules {name}", self.follower.follow_rules
        hints, log, stream, cash_flows = parts.hints, parts.log, parts.stream, parts.cash_flows
        if hints is not None:
            yield f"hints {name}", lambda: hints(self.follower.look_now)
        if log is not None:
            yield f"log {name}", lambda: follow_log(shared, name, log)
        if stream is not None:
            yield f"stream {name}", lambda: stream(self.follower.instruments, shared.emit)
        if cash_flows is not None:
            yield f"cash {name}", lambda: follow_cash(shared, name, cash_flows)

    def _held(self) -> list[str]:
        """What is held or ordered there from before, and no strategy trades any more."""
        engine, venue = self._shared.engine, self._name
        symbols = set[str]()
        for order in engine.state.orders.open_orders():
            if order.instrument.partition(":")[0] == venue:
                symbols.add(symbol_of(order.instrument))
        for book in engine.state.portfolio.books():
            if book.quantity and book.instrument.venue == venue:
                symbols.add(book.instrument.symbol)
        return sorted(symbols - {symbol_of(one) for one in wants(engine, venue).instruments})

    async def _supervise(self, feeds: list[FeedTask]) -> None:
        shared = self._shared
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._warm_up.run(), name=f"warm-up {self._name}")
            if self._parts.webhook is not None:
                register = keep_registered(shared, self._name, self._parts.webhook)
                tasks.create_task(register, name=f"webhook {self._name}")
            for name, work in feeds:
                kept = shared.supervisor.keep(name, work, partial(self._unwell, name), partial(self._well, name))
                tasks.create_task(kept, name=name)

    def _unwell(self, name: str, reason: str) -> None:
        """Take exits only from now on."""
        self._failing.add(name)
        self._tell(TradingState.REDUCING, reason, f"task {name}")

    def _well(self, name: str) -> None:
        """End the cause that had been this work's failure."""
        if name in self._failing:
            self._failing.discard(name)
            self._tell(TradingState.ACTIVE, "", f"task {name}")

    def _tell(self, state: TradingState, reason: str, cause: str) -> None:
        if state is TradingState.ACTIVE:
            _log.info("venue_cause_over", venue=self._name, cause=cause)
        else:
            _log.warning("venue_takes_exits_only", venue=self._name, cause=cause, reason=reason)
        self._shared.emit(VenueChanged(self._name, state, reason, self._shared.clock.now_ns(), cause))
