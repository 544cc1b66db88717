"""Sends the engine's commands to connectors and brings their outcomes back as events.

Runs after the commands' facts are on disk. Takes a last look just before bytes leave: halts, deadlines, withdrawn
submits. Writes of one order never overlap, since the engine has one in flight at a time. Decides nothing else. A
connector's own fault in a write leaves its outcome unknown, as an answer that nobody can read: only engine and journal
end the process.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import NamedTuple

import structlog

from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, Command, SetProtection, Submit, venue_of
from quantd.domain.events import OperationResolved, OperationSent, OutcomeReceived, TradingState
from quantd.domain.outcomes import (
    Accepted,
    NotExecuted,
    Rejected,
    Resolution,
    Scheduled,
    StillUnknown,
    Unknown,
)
from quantd.errors import VenueError
from quantd.ports import Clock, Connector, Emit, Observer
from quantd.runtime.writes import Write, send

Scopes = Callable[[Write], tuple[str, ...]]
"""The scopes whose halts concern a write."""
Halted = Callable[[tuple[str, ...]], TradingState]
"""The strictest state that the halt latch holds for these scopes, read now."""

_log = structlog.get_logger("quantd.executor")
_CURRENT: ContextVar["_Sending | None"] = ContextVar("sending", default=None)
_OUTCOMES = {
    Accepted: "accepted",
    Scheduled: "scheduled",
    Rejected: "rejected",
    NotExecuted: "not_executed",
    Unknown: "unknown",
}
_OPERATIONS = {
    Submit: "submit",
    Amend: "amend",
    Cancel: "cancel",
    CloseLot: "close_lot",
    SetProtection: "set_protection",
}

_FIRST_LOOK_S = 0.5
_LOOK_MAX_S = 8.0
_NAMED_WAIT_MAX_S = 60.0
"""A venue that is down may be back long before it says, and what is unknown keeps its instrument shut."""


class _Sending(NamedTuple):
    """What the current task sends."""

    write: Write
    is_resend: bool
    """The same key and bytes again, to find out what became of the first."""


class Executor:
    """Carries commands out, each in a task of its own.

    Args:
        connectors: By venue.
        emit: The inbox.
        clock: For deadlines and times of sending.
        observer: Gets ``quantd_order_operations_total``, ``quantd_order_ack_seconds`` and what lies between tick and order.
        scopes: See `Scopes`.
        halted: See `Halted`.
        is_unknown: Whether nobody knows yet what became of a write, by client order id and number of the operation: a
            person may have said it, or the order ended, while the venue is still being asked.
    """

    def __init__(  # noqa: PLR0913 -- the seam where the outside meets
        self,
        connectors: Mapping[str, Connector],
        emit: Emit,
        *,
        clock: Clock,
        observer: Observer,
        scopes: Scopes,
        halted: Halted,
        is_unknown: Callable[[str, int], bool],
    ) -> None:
        self._connectors = connectors
        self._emit = emit
        self._clock = clock
        self._observer = observer
        self._scopes = scopes
        self._halted = halted
        self._is_unknown = is_unknown
        self._tasks: asyncio.TaskGroup | None = None
        self._unsent: dict[str, bool] = {}
        """Client order id of a submit that has not left -> whether it was withdrawn."""
        self._ticks: dict[str, int] = {}
        """Client order id of a submit that has not left -> when the market data that led to it was received."""
        self._resolving: set[tuple[str, int]] = set()
        self.in_flight = 0
        """Writes that are under way."""
        self.faults = 0
        """Writes and questions that ended in a connector's own fault."""
        self._answered = asyncio.Event()
        self.is_stopped = False
        """Nothing but cancels leaves any more."""

    async def drained(self) -> None:
        """Return once no write is under way."""
        while self.in_flight:
            self._answered.clear()
            await self._answered.wait()

    def attach(self, tasks: asyncio.TaskGroup) -> None:
        """Use `tasks` for everything that is sent."""
        self._tasks = tasks

    def execute(self, commands: Iterable[Command], ticks: Mapping[str, int] | None = None) -> None:
        """Start carrying out commands, in order.

        Args:
            commands: What to do.
            ticks: Client order id -> when the market data that led to it was received, nanoseconds UTC.
        """
        if ticks:
            self._ticks.update(ticks)
        tasks = self._tasks
        assert tasks is not None, "the executor has no task group yet"
        for command in commands:
            if isinstance(command, Cancel) and command.operation == 0:
                if command.client_order_id in self._unsent:
                    self._unsent[command.client_order_id] = True
                continue
            if isinstance(command, Submit):
                self._unsent[command.client_order_id] = False
            name = f"send {type(command).__name__.lower()}"
            if isinstance(command, CancelAll):
                tasks.create_task(self._cancel_all(command), name=name)
            else:
                self.in_flight += 1
                tasks.create_task(self._carry_out(command), name=name)

    def last_look(self, _lane: object = None) -> str | None:
        """Decide whether the current task's write may leave now; the connectors' HTTP asks this.

        Returns:
            None to let it go, else a bounded reason. Cancels always go.
        """
        sending = _CURRENT.get()
        if sending is None:
            return None
        write = sending.write
        if sending.is_resend:
            if not self._is_unknown(write.client_order_id, write.operation):
                return "settled"
            return self._refusal(write, None, is_exit=isinstance(write, Submit) and write.exit)
        if isinstance(write, Submit):
            if self._unsent.pop(write.client_order_id, False):
                return "withdrawn"
            refusal = self._refusal(write, write.deadline_at_ns, is_exit=write.exit)
        elif isinstance(write, Amend | CloseLot):
            refusal = self._refusal(write, write.deadline_at_ns, is_exit=isinstance(write, CloseLot))
        else:
            refusal = None
        if refusal is None:
            now_ns = self._clock.now_ns()
            tick_at_ns = self._ticks.pop(write.client_order_id, 0)
            if tick_at_ns:
                took_s = (now_ns - tick_at_ns) / 1e9
                self._observer.observe(
                    "quantd_tick_to_order_seconds", took_s, write.client_order_id, venue=venue_of(write)
                )
            self._emit(OperationSent(write.client_order_id, write.operation, now_ns))
        return refusal

    def _refusal(self, write: Write, deadline_at_ns: int | None, *, is_exit: bool) -> str | None:
        if self.is_stopped:
            return "stopping"
        if deadline_at_ns is not None and self._clock.now_ns() > deadline_at_ns:
            return "deadline"
        state = self._halted(self._scopes(write))
        if state is TradingState.HALTED or (state is TradingState.REDUCING and not is_exit):
            return "halted"
        return None

    async def _carry_out(self, command: Write) -> None:
        _CURRENT.set(_Sending(command, is_resend=False))
        began_ns = self._clock.monotonic_ns()
        connector = self._connectors[venue_of(command)]
        try:
            outcome = await send(connector, command)
        except Exception as error:  # noqa: BLE001 -- boundary: one venue's code must not end what trades at the others
            outcome = Unknown(self._fault(command, error))
        finally:
            self.in_flight -= 1
            self._answered.set()
            if isinstance(command, Submit):
                self._unsent.pop(command.client_order_id, None)
                self._ticks.pop(command.client_order_id, None)
        venue, operation, result = connector.venue, _OPERATIONS[type(command)], _OUTCOMES[type(outcome)]
        self._observer.count("quantd_order_operations_total", 1, venue=venue, operation=operation, outcome=result)
        if isinstance(outcome, NotExecuted):
            self._observer.count("quantd_stale_commands_total", 1, venue=venue, operation=operation)
        elif not isinstance(outcome, Unknown):
            took_s = (self._clock.monotonic_ns() - began_ns) / 1e9
            self._observer.observe(
                "quantd_order_ack_seconds", took_s, command.client_order_id, venue=venue, operation=operation
            )
        self._emit(OutcomeReceived(command.client_order_id, command.operation, outcome, self._clock.now_ns()))

    async def _cancel_all(self, command: CancelAll) -> None:
        outcome = await self._connectors[command.venue].cancel_all(command)
        self._observer.count(
            "quantd_order_operations_total",
            1,
            venue=command.venue,
            operation="cancel_all",
            outcome=_OUTCOMES[type(outcome)],
        )

    # -- unknown outcomes ----------------------------------------------------------------------------------------

    def resolve(self, command: Write, sent_at_ns: int) -> None:
        """Ask the venue what became of a write until it is known; one question at a time for each write."""
        key = (command.client_order_id, command.operation)
        if key in self._resolving or venue_of(command) not in self._connectors:
            return  # a venue that is no longer configured cannot be asked: a person says what became of it
        self._resolving.add(key)
        tasks = self._tasks
        assert tasks is not None, "the executor has no task group yet"
        tasks.create_task(self._resolve(command, sent_at_ns, key), name="resolve")

    async def _resolve(self, command: Write, sent_at_ns: int, key: tuple[str, int]) -> None:
        _CURRENT.set(_Sending(command, is_resend=True))
        connector = self._connectors[venue_of(command)]
        wait_s = _FIRST_LOOK_S
        try:
            while True:
                await asyncio.sleep(wait_s)
                if not self._is_unknown(*key):
                    return
                resolution = await self._look(connector, command, sent_at_ns)
                if not isinstance(resolution, StillUnknown):
                    break
                wait_s = min(resolution.retry_after_s or min(wait_s * 2, _LOOK_MAX_S), _NAMED_WAIT_MAX_S)
        finally:
            self._resolving.discard(key)
        self._emit(OperationResolved(command.client_order_id, command.operation, resolution, self._clock.now_ns()))

    async def _look(self, connector: Connector, command: Write, sent_at_ns: int) -> Resolution:
        try:
            return await connector.resolve(command, sent_at_ns)
        except VenueError as error:
            return StillUnknown(type(error).__name__.lower())
        except Exception as error:  # noqa: BLE001 -- boundary: as for a write
            return StillUnknown(self._fault(command, error))

    def _fault(self, command: Write, error: Exception) -> str:
        """Tell of a connector's own fault, and return what it leaves unknown."""
        self.faults += 1
        operation, order = _OPERATIONS[type(command)], command.client_order_id
        _log.exception("connector_failed", venue=venue_of(command), operation=operation, client_order_id=order)
        return f"fault: {type(error).__name__}"
