"""Follows one account: brings it up, reconciles, and then keeps asking for its orders and balances.

The order is: credentials and rules, unknown writes, a snapshot to reconcile with, then ready. A venue that cannot
answer is not ready, says why, and is tried again; the other venues go on. What keeps one instrument from being traded (a
write that stays unknown, a delisting) keeps no other one from it: without prices the engine's stops see nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog

from quantd.domain.cash import Account
from quantd.domain.events import (
    ACCOUNT_CAUSE,
    CREDENTIALS_CAUSE,
    AccountOpened,
    Event,
    InstrumentListed,
    ReconcileOrdered,
    TradingState,
    VenueChanged,
)
from quantd.domain.instruments import Instrument
from quantd.engine.core import Engine
from quantd.engine.differences import COUNTED, TAKE, Policies, plan
from quantd.engine.orders import LiveOrder
from quantd.errors import AuthFailed, VenueError
from quantd.ports import Clock, Connector, Emit, Observer, Random
from quantd.runtime.executor import Executor
from quantd.runtime.trading_rules import RulesReader
from quantd.runtime.writes import sent_at_ns, write_of

_log = structlog.get_logger("quantd.accounts")
_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 30.0
_ORDERS, _ACCOUNT = "orders", "account"
_LOOK_AGAIN_S = 1.0
"""Between the two looks of a start that finds differences."""
_RESOLVE_S = 15.0
"""How long a start waits for unknown writes, beyond twice the venue's quiet period."""
_RULES_EVERY_S = 900.0
_REFUSED_S = 300.0
"""Between two tries of a start whose credentials are refused: a venue in maintenance refuses good ones, too."""


class AccountFollower:
    """Keeps the engine informed of one venue's account.

    Args:
        connector: The venue.
        symbols: Venue symbols to read the rules of; the venue is not ready without any of them.
        held: More of them, which nothing trades any more, but of which something is held or ordered from before.
        engine: Read only: which orders work, what is unknown.
        emit: The inbox.
        executor: Asked to resolve writes whose outcome is unknown.
        policies: What differences are answered with.
    """

    def __init__(  # noqa: PLR0913 -- one account's surroundings
        self,
        connector: Connector,
        symbols: Iterable[str],
        *,
        engine: Engine,
        emit: Emit,
        executor: Executor,
        clock: Clock,
        random: Random,
        observer: Observer,
        policies: Policies,
        orders_every_s: float,
        account_every_s: float,
        held: Iterable[str] = (),
    ) -> None:
        self.venue = connector.venue
        self.connector = connector
        self.instruments: tuple[Instrument, ...] = ()
        self.is_ready = False
        self.reason = "starting"
        self._locked = connector.account.id
        self._told: Account | None = None
        """What the engine was last told that the account is."""
        self._rules = RulesReader(connector, symbols, held, engine=engine, emit=emit, clock=clock)
        self._engine = engine
        self._emit = emit
        self._executor = executor
        self._clock = clock
        self._random = random
        self._observer = observer
        self._policies = policies
        self._orders_every_s = orders_every_s
        self._account_every_s = account_every_s
        self._failing: set[str] = set()
        """The looks that were not answered last; the venue is ready again once none is left."""
        self._were_refused = False
        """Some look was, since the last time that all were answered."""
        self._wanted = asyncio.Event()
        self._orders_wanted = asyncio.Event()

    async def bring_up(self) -> None:
        """Get the venue ready, however long it takes.

        Refused credentials are tried again, but rarely: a person must look, and a venue may lock who knocks too often.

        Raises:
            AssertionError: the account is another than the one that is locked.
        """
        wait_s = _BACKOFF_FIRST_S
        while True:
            try:
                await self._bring_up()
            except AuthFailed as error:
                reason = f"credentials refused: {error.detail}"
                if self.reason != reason:
                    _log.error("venue_refused_credentials", venue=self.venue, error=str(error))
                self._tell(TradingState.HALTED, reason)
                await asyncio.sleep(_REFUSED_S)
                continue
            except VenueError as error:
                if self.reason != str(error):
                    _log.warning("venue_not_ready", venue=self.venue, error=str(error))
                self._tell(TradingState.REDUCING, str(error))
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001 -- boundary: one venue's code must not end what trades at the others
                _log.exception("venue_start_failed", venue=self.venue)
                self._tell(TradingState.REDUCING, f"start {self.venue}: {type(error).__name__}: {error}")
            else:
                return
            await asyncio.sleep(wait_s * (0.5 + self._random.random()))
            wait_s = min(wait_s * 2, _BACKOFF_MAX_S)

    async def _bring_up(self) -> None:
        await self.connector.start()
        self.instruments = await self._rules.read()
        self._tell_account()
        now_ns = self._clock.now_ns()
        for instrument in self.instruments:
            self._emit(InstrumentListed(instrument, now_ns))
        await self._resolve_all()
        await self._reconcile()
        await self._look_at_orders(everything=True)
        self._tell(TradingState.ACTIVE, "")
        _log.info("venue_ready", venue=self.venue, instruments=[one.symbol for one in self.instruments])

    async def _reconcile(self) -> None:
        """Tell the plan of differences, and have applied what a second look shows too; one look proves nothing.

        Balances are taken as they are, so that what a spot account traded while we were away shows nowhere else.
        """
        snapshot = await self.connector.snapshot()
        policies = self._policies
        differences = plan(self._engine.state, snapshot, policies)
        for one in differences:
            if one.action == TAKE:
                _log.warning(
                    "balance_changed_meanwhile", venue=self.venue, asset=one.subject, ours=one.ours, theirs=one.theirs
                )
        found = [one for one in differences if one.action in COUNTED]
        if found:
            for one in found:
                _log.warning(
                    "reconcile_plan",
                    venue=self.venue,
                    kind=one.kind,
                    subject=one.subject,
                    ours=one.ours,
                    theirs=one.theirs,
                    action=one.action,
                )
            self._emit(snapshot)
            self.reason = f"reconciling: {len(found)} differences are looked at again"
            await asyncio.sleep(_LOOK_AGAIN_S)
            snapshot = await self.connector.snapshot()
        self._tell_account()
        self._emit(ReconcileOrdered(snapshot, policies.default, self._clock.now_ns(), dict(policies.instruments)))

    async def _resolve_all(self) -> None:
        """Ask what became of every unknown write, and wait for that.

        What takes longer, or waits for a person, holds up its own instrument alone, as it does at any other time: the others'
        stops must see prices.
        """
        patience_s = _RESOLVE_S + 2 * self.connector.capabilities.quiet_period_s
        try:
            async with asyncio.timeout(patience_s):
                while unknown := [order for order in self._orders() if order.is_unknown]:
                    for order in unknown:
                        write = write_of(order, self._engine)
                        if write is not None:
                            self._executor.resolve(write, sent_at_ns(order))
                    self.reason = f"{len(unknown)} writes of unknown outcome"
                    await asyncio.sleep(0.25)
        except TimeoutError:
            left = [order.client_order_id for order in self._orders() if order.is_unknown]
            _log.warning("writes_still_unknown", venue=self.venue, orders=left)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Why each instrument that is wanted and could not be brought up is not traded."""
        return tuple(self._rules.left_out.values())

    def _orders(self) -> list[LiveOrder]:
        orders = self._engine.state.orders.open_orders()
        return [order for order in orders if order.instrument.partition(":")[0] == self.venue]

    def _tell(self, state: TradingState, reason: str) -> None:
        ready = state is TradingState.ACTIVE
        if ready != self.is_ready or reason != self.reason:
            self._emit(VenueChanged(self.venue, state, reason, self._clock.now_ns(), ACCOUNT_CAUSE))
        self.is_ready, self.reason = ready, reason

    # -- afterwards ----------------------------------------------------------------------------------------------

    def look_soon(self) -> None:
        """Ask for the account before its time: a fill has moved it."""
        self._wanted.set()

    def look_now(self) -> None:
        """Ask for our orders at once and for the account soon: the venue has hinted that something happened."""
        self._orders_wanted.set()
        self._wanted.set()

    async def follow_orders(self) -> None:
        """Ask for our working orders for ever, and at once after a hint."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._orders_every_s):
                    await self._orders_wanted.wait()
            self._orders_wanted.clear()
            await self._attempt(_ORDERS, lambda: self._look_at_orders(everything=False))

    async def follow_account(self) -> None:
        """Ask for balances, lots and open orders for ever, and soon after each fill."""
        while True:
            await self._attempt(_ACCOUNT, self._look_at_account)
            try:
                async with asyncio.timeout(self._account_every_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue
            self._wanted.clear()
            await asyncio.sleep(min(1.0, self._account_every_s))

    async def follow_rules(self) -> None:
        """Read the trading rules again for ever, and tell what has changed: by old ones a venue refuses exits, too."""
        while True:
            await asyncio.sleep(_RULES_EVERY_S)
            if not self.instruments:
                continue  # some venues would tell those of all their markets
            told = {one.id: one for one in self.instruments}
            try:
                told |= {one.id: one for one in await self._rules.again(one.symbol for one in self.instruments)}
            except VenueError as error:
                _log.warning("rules_not_read", venue=self.venue, error=str(error))
                continue
            before, self.instruments = self.instruments, tuple(told.values())
            for known, instrument in zip(before, self.instruments, strict=True):
                if instrument.version != known.version:
                    _log.warning(
                        "rules_changed", venue=self.venue, instrument=instrument.id, version=instrument.version
                    )
                    self._emit(InstrumentListed(instrument, self._clock.now_ns()))

    async def _attempt(self, name: str, look: Callable[[], Awaitable[bool]]) -> None:
        """Look once; a failing venue is not ready until the same look is answered, told once each way.

        Where all orders have ended meanwhile nothing was asked, which proves nothing: the account must be answered then.
        """
        try:
            was_answered = await look()
        except VenueError as error:
            if self.is_ready:
                _log.warning("venue_failing", venue=self.venue, error=str(error))
            self._failing.add(name)
            self._were_refused |= isinstance(error, AuthFailed)
            self._tell(TradingState.REDUCING, str(error))
            return
        if name in self._failing:
            self._failing.remove(name)
            if not was_answered:
                self._failing.add(_ACCOUNT)
                self.look_soon()
        if not self.is_ready and not self._failing:
            _log.info("venue_recovered", venue=self.venue)
            self._tell(TradingState.ACTIVE, "")
            if self._were_refused:  # to reads as to writes, and they are accepted now
                self._were_refused = False
                self._emit(VenueChanged(self.venue, TradingState.ACTIVE, "", self._clock.now_ns(), CREDENTIALS_CAUSE))
            self.look_soon()  # what happened in the gap shows in the account

    async def _look_at_orders(self, *, everything: bool) -> bool:
        """Ask for our working orders; False when there was nothing to ask."""
        working = [
            order.ref()
            for order in self._orders()
            if order.is_acknowledged
            and (everything or order.operation is None or order.is_unknown or order.pending_amend is not None)
        ]
        if working:
            self._emit_all(await self.connector.order_reports(working))
        return bool(working)

    async def _look_at_account(self) -> bool:
        try:
            snapshot = await self.connector.snapshot()
        except VenueError:
            self._observer.count("quantd_reconcile_runs_total", 1, venue=self.venue, result="failed")
            raise
        self._tell_account()
        if snapshot.equity is not None:
            self._observer.gauge(
                "quantd_venue_equity",
                float(snapshot.equity),
                venue=self.venue,
                currency=self.connector.account.home_currency,
            )
        if snapshot.margin_closeout is not None:
            self._observer.gauge(
                "quantd_venue_margin_closeout_ratio", float(snapshot.margin_closeout), venue=self.venue
            )
        self._emit(snapshot)
        return True

    def _tell_account(self) -> None:
        """Say what the account is, if it has not been said: read by the start, and with each snapshot."""
        account = self.connector.account
        assert account.id == self._locked, f"{self.venue}: account {account.id}, but {self._locked} is locked"
        if self._told != account:
            self._told = account
            self._emit(AccountOpened(account, self._clock.now_ns()))

    def _emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)
