"""The kill path: latch the halt, then cancel every working order of a scope, from threads of its own.

Needs neither the loop, the strategies, the API nor the journal: it has its own connections, rate tokens kept back for it
and a copy of the working orders. Sends nothing but cancels, and repeats each until the venue confirms it.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import structlog

from quantd.domain.events import ALL
from quantd.domain.facts import Fact
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State
from quantd.ports import Clock, KillTarget

WORKERS = 8
"""Requests of one venue that may be under way at once."""
LATCH_WAIT_S = 2.0
"""Longest wait for a disk that does not answer before the cancels go out all the same."""
_PAUSE_MAX_S = 5.0
_NS = 1_000_000_000

_log = structlog.get_logger("quantd.kill")


class Working(NamedTuple):
    """One open order, as far as a kill has to know it."""

    strategy: str
    instrument: str
    venue_ids: tuple[str, ...]

    def is_in(self, scopes: Collection[str]) -> bool:
        """Whether any of the scopes covers it."""
        venue = self.instrument.partition(":")[0]
        own = (ALL, f"venue:{venue}", f"strategy:{self.strategy}", f"instrument:{self.instrument}")
        return any(one in scopes for one in own)


class WorkingOrders:
    """All open orders by venue. Written by the runner's thread, read by others without a lock."""

    def __init__(self) -> None:
        self._venues: dict[str, dict[str, Working]] = {}

    def fill(self, orders: Iterable[LiveOrder]) -> None:
        """Take in what is open after a fold."""
        for order in orders:
            self._note(order)

    def facts(self, facts: Iterable[Fact], state: State) -> None:
        """Follow what was recorded."""
        for fact in facts:
            order = state.orders.get(getattr(fact, "client_order_id", ""))
            if order is not None:
                self._note(order)

    def _note(self, order: LiveOrder) -> None:
        venue = self._venues.setdefault(order.instrument.partition(":")[0], {})
        if order.is_open:
            venue[order.client_order_id] = Working(order.strategy, order.instrument, tuple(order.venue_order_ids))
        else:
            venue.pop(order.client_order_id, None)

    def of(self, venue: str, scopes: Collection[str] = (ALL,)) -> list[str]:
        """Return the venue ids of the venue's open orders in any of the scopes."""
        return [one for order in self._copy(venue) if order.is_in(scopes) for one in order.venue_ids]

    def unnamed(self, venue: str, scopes: Collection[str] = (ALL,)) -> int:
        """Return how many open orders in any of the scopes have no venue id yet: sent and not answered."""
        return sum(not order.venue_ids for order in self._copy(venue) if order.is_in(scopes))

    def _copy(self, venue: str) -> Iterable[Working]:
        # dict.copy() is one step of the interpreter, so another thread cannot change it half-way.
        return self._venues.get(venue, {}).copy().values()


class KillPath:
    """Carries kills out. One more while one is under way at a venue widens it there, at the same pace.

    Each is latched anew, and reaches the venues that are done with the one before: a dead venue may keep that one under
    way for hours, and a person may have resumed the others meanwhile.

    Args:
        targets: By venue; those without one have nothing to cancel outside this process.
        working: The copy of the working orders.
        latch: Writes the halt, given scope, who and why; raises when the disk refuses.
        clock: For pacing.
        ended: Called from a thread when a venue is done, with its name and how many requests were sent.
    """

    def __init__(
        self,
        targets: Mapping[str, KillTarget],
        working: WorkingOrders,
        *,
        latch: Callable[[str, str, str], None],
        clock: Clock,
        ended: Callable[[str, int], None],
    ) -> None:
        self._targets = targets
        self._working = working
        self._latch = latch
        self._clock = clock
        self._ended = ended
        self._begin = threading.Lock()
        self._scopes: dict[str, frozenset[str]] = {}
        """By venue, what is being killed there; changed with `busy`."""
        self.busy: frozenset[str] = frozenset()
        """Venues whose orders are being cancelled."""
        self.late_s = 1.0
        """Seconds that it waits for orders that were on their way when it began."""
        self.pause_s = 0.5
        """Seconds before what was not confirmed is tried again; doubled each time, up to 5."""
        self.unlatched: frozenset[str] = frozenset()
        """Scopes that are killed and that no file says so of yet: this process must keep them halted by itself."""

    def fire(self, by: str, why: str, scope: str = ALL) -> None:
        """Kill a scope; returns at once. A venue whose orders are being cancelled already is not begun twice.

        Raises:
            RuntimeError: when no thread can be started now. Nothing is under way by this call, so it can be repeated; this
                process stays halted by `unlatched`.
        """
        with self._begin:
            self.unlatched |= {scope}
            kind, _, venue = scope.partition(":")
            wanted = {venue} & set(self._targets) if kind == "venue" else set(self._targets)
            for name in wanted:
                self._scopes[name] = self._scopes.get(name, frozenset()) | {scope}
            begun = frozenset(wanted - self.busy)
            self.busy |= begun
            try:
                threading.Thread(target=self._carry_out, args=(by, why, scope, begun), name="kill", daemon=True).start()
            except RuntimeError:
                self._forget(begun)
                raise

    def _carry_out(self, by: str, why: str, scope: str, venues: Collection[str]) -> None:
        began_ns = self._clock.monotonic_ns()
        # In a thread: a disk that hangs must not keep the cancels from leaving.
        writing = _thread("kill latch", self._write_latch, scope, by, why)
        if writing is not None:
            writing.join(LATCH_WAIT_S)
        else:
            self._write_latch(scope, by, why)
        threads = {name: _thread(f"kill {name}", self._venue, name, began_ns) for name in venues}
        _say("kill_began", scope=scope, by=by, reason=why, is_latched=scope not in self.unlatched)
        for name, thread in threads.items():
            if thread is None:
                self._venue(name, began_ns)
        for thread in threads.values():
            if thread is not None:
                thread.join()
        _say("kill_ended", scope=scope, duration_s=self._since_s(began_ns))

    def _write_latch(self, scope: str, by: str, why: str) -> None:
        try:
            self._latch(scope, by, why)
        except Exception as error:  # noqa: BLE001 -- boundary: whatever the disk does, the cancels must leave
            _say("kill_not_latched", scope=scope, error=str(error))
        else:
            with self._begin:
                self.unlatched -= {scope}

    def _venue(self, name: str, began_ns: int) -> None:
        round_ = _Round(self._targets[name], self._clock)
        count, pause_s = 0, self.pause_s
        is_late = False
        while True:
            scopes = self._scopes[name]  # read anew each time: a wider kill may have come
            todo = self._todo(name, round_.gone)
            if todo:
                reason = round_.run(todo)
                count += len(todo)
                if reason:
                    if pause_s == self.pause_s:
                        _say("kill_venue_failing", venue=name, reason=reason)
                    threading.Event().wait(pause_s)
                    pause_s = min(pause_s * 2, _PAUSE_MAX_S)
            elif not is_late:
                is_late = True
                threading.Event().wait(self.late_s)
            elif self._is_done(name, round_.gone):
                break
        took_s, unnamed = self._since_s(began_ns), self._working.unnamed(name, scopes)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._ended(name, count)
        _say("kill_venue_done", venue=name, cancelled=len(round_.gone), unnamed=unnamed, duration_s=took_s)

    def _todo(self, venue: str, gone: set[str]) -> list[str]:
        return [one for one in self._working.of(venue, self._scopes[venue]) if one not in gone]

    def _is_done(self, venue: str, gone: set[str]) -> bool:
        """Tell whether nothing is left, and leave; a kill that comes later begins this venue anew."""
        with self._begin:
            if self._todo(venue, gone):
                return False
            self._forget({venue})
            return True

    def _forget(self, venues: Collection[str]) -> None:
        """Take venues for done; with the lock held."""
        self.busy -= set(venues)
        for name in venues:
            del self._scopes[name]

    def _since_s(self, began_ns: int) -> float:
        return round((self._clock.monotonic_ns() - began_ns) / _NS, 3)


class _Round:
    """Sends cancels to one venue, several at a time and at the venue's rate."""

    def __init__(self, target: KillTarget, clock: Clock) -> None:
        self.gone: set[str] = set()
        self._switch = target.switch
        self._interval_ns = round(target.interval_s * _NS)
        self._clock = clock
        self._pace = threading.Lock()
        # A full bucket of `at_once` tokens: the next may leave that many intervals ago.
        self._next_ns = clock.monotonic_ns() - target.at_once * self._interval_ns
        self._room_ns = target.at_once * self._interval_ns
        self._reason = ""

    def run(self, todo: list[str]) -> str:
        """Try to cancel each once; return why some could not be, empty when all are gone."""
        waiting = deque(todo)
        self._reason = ""
        workers = [_thread("kill worker", self._work, waiting) for _ in todo[1:WORKERS]]
        self._work(waiting)  # this thread works too: it may be the only one that there is
        for worker in workers:
            if worker is not None:
                worker.join()
        return self._reason

    def _work(self, waiting: "deque[str]") -> None:
        while True:
            try:
                order = waiting.popleft()
            except IndexError:
                return
            self._wait()
            try:
                answer = self._switch.cancel(order)
            except Exception as error:  # noqa: BLE001 -- boundary: one cancel's fault must not end the others
                self._reason = f"{type(error).__name__}: {error}"
                continue
            if answer.gone:
                self.gone.add(order)
                continue
            self._reason = answer.reason
            if answer.retry_after_s:
                with self._pace:
                    self._next_ns = self._clock.monotonic_ns() + round(answer.retry_after_s * _NS)

    def _wait(self) -> None:
        """Wait for this request's place in the rate."""
        with self._pace:
            now_ns = self._clock.monotonic_ns()
            at_ns = max(self._next_ns, now_ns - self._room_ns)
            self._next_ns = at_ns + self._interval_ns
        if at_ns > now_ns:
            threading.Event().wait((at_ns - now_ns) / _NS)


def _thread(name: str, target: Callable[..., None], *args: object) -> threading.Thread | None:
    """Start a thread; None when the system has none left: then its work is the caller's."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


def _say(event: str, **fields: object) -> None:
    with contextlib.suppress(OSError, ValueError):  # the disk of the log may be full
        _log.critical(event, **fields)
