"""The rate budget of one venue account: asks every limit, grants permits by lane, learns from the venue's answers.

Used by `VenueHttp` before each request, by the connectors to correct it, by the journal to carry bans and long counts
over a restart. Never sends, never polls: each wait is one exact timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping

import msgspec

from quantd.errors import QuantdError
from quantd.ports import Clock, Observer
from quantd.venues.budget.limits import Bucket, Lane, Limit
from quantd.venues.budget.models import NEVER, LimitState, WindowState, is_wait, state_of
from quantd.venues.budget.queues import Draws, Permit, Queues, Waiter, earliest

_SECOND = 1_000_000_000
_TIMER_FLOOR_S = 1e-6
_REPORT_EVERY_NS = 250_000_000
_LANES = tuple(lane.name.lower() for lane in Lane)
_BAN_FIRST_S = 120.0
_BAN_MAX_S = 3 * 86_400.0
_BAN_MEMORY_S = 86_400.0


class NoBudget(QuantdError):
    """The request cannot leave before its deadline; nothing was sent.

    Args:
        reason: ``"rate_limited"`` or ``"banned"``.
        retry_after_s: When it could have left, as far as known.
    """

    def __init__(self, venue: str, route: str, reason: str, retry_after_s: float | None) -> None:
        super().__init__(f"{venue}: {route}: {reason}, could leave in {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class BudgetState(msgspec.Struct, frozen=True):
    """What must survive a restart; times are wall nanoseconds UTC."""

    ban_until_ns: int = 0
    bans_in_row: int = 0
    paused_until_ns: Mapping[str, int] = {}
    """Pauses that the venue asked for, by limit."""
    used: Mapping[str, tuple[tuple[int, float], ...]] = {}
    """Windows of a minute and longer: by limit, (time the weight comes back, weight)."""


class KillAllowance(msgspec.Struct, frozen=True):
    """What the kill path may send on its own, from any thread, without asking the budget."""

    count: int
    """Requests that may leave at once."""
    interval_s: float
    """Seconds between further ones, at the venue's full rate: nothing else sends any more by then."""


class AddressPool:
    """What all accounts that reach one host from this machine share: address limits and bans."""

    def __init__(self) -> None:
        self.states: dict[str, LimitState] = {}
        self.members: list[RateBudget] = []
        self.ban_until = 0
        """Monotonic nanoseconds."""
        self.bans_in_row = 0
        self.restored: set[str] = set()
        """Limits whose counts of an earlier process are taken over: each account has kept them."""

    def state(self, limit: Limit) -> LimitState:
        """Return the shared state of an address limit; the declaration seen last decides its numbers."""
        known = self.states.get(limit.name)
        if known is None or type(known.limit.model) is not type(limit.model):
            known = self.states[limit.name] = state_of(limit)
        else:
            known.apply(limit)
        return known


class RateBudget:
    """Permits for the requests of one account.

    One event loop; not for other threads. Invariant: the weight in flight and used on each limit never exceeds what
    the venue permits, whatever the network does to the order and the timing of the requests.
    """

    def __init__(
        self, venue: str, limits: Iterable[Limit], *, clock: Clock, observer: Observer, pool: AddressPool | None = None
    ) -> None:
        self.venue = venue
        self._clock = clock
        self._now = clock.monotonic_ns
        self._observer = observer
        self._pool = pool if pool is not None else AddressPool()
        self._pool.members.append(self)
        self._states: dict[str, LimitState] = {}
        self._routes: dict[str, Draws] = {}
        self._queues = Queues()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._reported_at = -_REPORT_EVERY_NS
        self._begins_used = False
        self._silent_until = 0
        self._adopt(limits)

    def _adopt(self, limits: Iterable[Limit]) -> None:
        states: dict[str, LimitState] = {}
        for limit in limits:
            if limit.name in states:
                raise ValueError(f"{self.venue}: two limits are named {limit.name!r}")
            known = self._states.get(limit.name)
            if limit.scope == "address":
                state = self._pool.state(limit)
                if self._serve not in state.listeners:
                    state.listeners.append(self._serve)
            elif known is not None and type(known.limit.model) is type(limit.model):
                state = known
                state.apply(limit)
            else:
                state = self._fresh(limit)
            states[limit.name] = state
        self._states = states
        self._routes.clear()

    def begin_used(self) -> None:
        """Take every limit that nobody remembers for used up: an earlier process may have used it a moment ago.

        For a start after another one; limits added later begin so, too. Long windows are restored instead.
        """
        self._begins_used = True
        for name, state in list(self._states.items()):
            self._states[name] = self._aged(state)

    def _fresh(self, limit: Limit) -> LimitState:
        state = state_of(limit)
        return self._aged(state) if self._begins_used else state

    def _aged(self, state: LimitState) -> LimitState:
        if not (isinstance(state, WindowState) and state.persistent):
            state.learn(0, None, self._now())
        return state

    def reconfigure(self, limits: Iterable[Limit]) -> None:
        """Replace the limits, as read from the venue; counts of limits that keep name and model go on."""
        waiting = self._queues.drain()
        self._adopt(limits)
        for waiter in waiting:
            self._queues.add(waiter, self._draws(waiter.route))
        self._serve()

    def _draws(self, route: str) -> Draws:
        draws = self._routes.get(route)
        if draws is None:
            weighed = [(state, state.limit.weight(route)) for state in self._states.values()]
            draws = self._routes[route] = tuple((state, weight) for state, weight in weighed if weight is not None)
        return draws

    @property
    def _closed_until(self) -> int:
        return max(self._pool.ban_until, self._silent_until)

    def _ready_at(self, draws: Draws, lane: Lane, now: int) -> int:
        return max(self._closed_until, earliest(draws, lane, now))

    # --- permits ---

    def try_acquire(self, route: str, lane: Lane) -> Permit | None:
        """Return a permit if the request may leave now and nobody waits, else None."""
        if self._queues.waiting:
            return None
        draws = self._draws(route)
        now = self._now()
        if self._pool.ban_until > now or self._silent_until > now:
            return None
        for state, weight in draws:
            if state.ready_at(weight, lane, now) > now:
                return None
        self._observer.observe("quantd_rate_wait_seconds", 0.0, venue=self.venue, lane=_LANES[lane])
        return self._permit(draws, now)

    async def acquire(self, route: str, lane: Lane, deadline_ns: int | None = None) -> Permit:
        """Wait for the right to send one request to `route`, all of its limits at once.

        Args:
            route: A name that the limits know, else it falls under ``"*"``.
            lane: Who goes first.
            deadline_ns: Monotonic nanoseconds by which the request must leave; None waits for as long as it takes.

        Raises:
            NoBudget: it cannot leave before the deadline; raised as soon as that is certain.
        """
        permit = self.try_acquire(route, lane)
        if permit is not None:
            return permit
        loop = asyncio.get_running_loop()
        now = self._now()
        deadline = NEVER if deadline_ns is None else deadline_ns
        waiter = Waiter(route, lane, loop.create_future(), since=now, deadline=deadline)
        self._queues.add(waiter, self._draws(route))
        if deadline < NEVER:
            waiter.timer = loop.call_later(max(0, deadline - now) / _SECOND, self._expire, waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                waiter.future.result().unsent()  # granted, but the caller went away before it could use it
            else:
                waiter.future.cancel()
                self._serve()
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()

    def _permit(self, draws: Draws, now: int) -> Permit:
        permit = Permit([(state, state.draw(weight, now)) for state, weight in draws], self._now, self._serve)
        if now - self._reported_at >= _REPORT_EVERY_NS:
            self.report()
        return permit

    def _grant(self, waiter: Waiter, draws: Draws) -> None:
        now = self._now()
        permit = self._permit(draws, now)
        permit.waited_ns = now - waiter.since
        lane = _LANES[waiter.lane]
        self._observer.observe("quantd_rate_wait_seconds", permit.waited_ns / _SECOND, venue=self.venue, lane=lane)
        waiter.future.set_result(permit)

    def _serve(self) -> None:
        """Grant what may leave, and set the timer for the next."""
        if not self._queues.waiting:
            return
        now = self._now()
        wake, hopeless = self._queues.serve(self._grant, now=now, not_before=self._closed_until)
        for waiter in hopeless:
            self._too_late(waiter)
        if wake < NEVER and (self._timer is None or wake < self._timer_at):
            if self._timer is not None:
                self._timer.cancel()
            # Loops fire a timer up to their resolution early; the floor makes sure that such a loop turn ends.
            delay_s = max((wake - now) / _SECOND, _TIMER_FLOOR_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)
            self._timer_at = wake

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self._serve()

    def _expire(self, waiter: Waiter) -> None:
        self._too_late(waiter)
        self._serve()

    def _too_late(self, waiter: Waiter) -> None:
        if waiter.future.done():
            return
        now = self._now()
        at = self._ready_at(self._draws(waiter.route), waiter.lane, now)
        reason = "banned" if self._pool.ban_until > now else "rate_limited"
        retry_after_s = None if at >= NEVER else max(0.0, (at - now) / _SECOND)
        waiter.future.set_exception(NoBudget(self.venue, waiter.route, reason, retry_after_s))

    # --- corrections ---

    def penalise(self, route: str, retry_after_s: float | None) -> float:
        """Note that the venue refused a request to `route` for too many requests (429).

        The limits that name the route pause for `retry_after_s`, else for 1 s, doubled with each refusal in a row up to 60 s.
        One that counts every route pauses only where no limit names the route: a ticker that was asked too often must not
        keep cancels back. A refusal while another limit is paused tells that it is the wide one after all: it pauses too,
        before a venue takes us for somebody who goes on after a 429.

        Returns:
            The seconds of the pause.
        """
        self._observer.count("quantd_rate_limited_total", venue=self.venue)
        now = self._now()
        paused_s = retry_after_s or 0.0
        draws = [state for state, _ in self._draws(route)]
        named = [state for state in draws if route in state.limit.routes]
        is_second = any(one.paused_until > now for one in self._states.values() if one not in named)
        for state in draws if is_second or not named else named:
            paused_s = max(paused_s, state.pause(now, retry_after_s))
        return paused_s

    def ban(self, retry_after_s: float | None) -> float:
        """Silence all accounts at this address (418): for `retry_after_s`, else for 2 minutes, doubled with each ban.

        Returns:
            The seconds of the ban.
        """
        self._observer.count("quantd_rate_bans_total", venue=self.venue)
        pool, now = self._pool, self._now()
        if now > pool.ban_until + _BAN_MEMORY_S * _SECOND:
            pool.bans_in_row = 0
        # Requests that were on their way when the ban began are refused by the same ban; they do not double it.
        if now >= pool.ban_until:
            pool.bans_in_row += 1
        own_s = min(_BAN_FIRST_S * 2.0 ** min(pool.bans_in_row - 1, 20), _BAN_MAX_S)
        pool.ban_until = max(
            pool.ban_until, now + math.ceil((retry_after_s if is_wait(retry_after_s) else own_s) * _SECOND)
        )
        for member in pool.members:
            member._serve()
        return (pool.ban_until - now) / _SECOND

    def learn(self, limit: str, remaining: float, reset_s: float | None = None) -> None:
        """Correct a limit downwards by what the venue's headers say is left; an unknown name is ignored."""
        state = self._states.get(limit)
        if state is not None:
            state.learn(remaining, reset_s, self._now())

    def reserve_for_kill(self, route: str, count: int) -> KillAllowance:
        """Keep the weight of `count` requests to `route` back from all lanes, for the kill path.

        Returns:
            What could be kept; a limit always leaves room for one ordinary request.
        """
        interval_s = 0.0
        for state, weight in self._draws(route):
            count = min(count, math.floor(state.reserve(count * weight) / weight))
            model = state.limit.model
            per_s = model.rate_per_s if isinstance(model, Bucket) else model.limit / model.seconds
            interval_s = max(interval_s, weight / per_s)
        return KillAllowance(count, interval_s)

    def silence(self, seconds: float) -> None:
        """Let nothing of this account out for so long: its kill path is sending at the venue's full rate."""
        self._silent_until = max(self._silent_until, self._now() + math.ceil(seconds * _SECOND))

    def spent(self, route: str, count: int) -> None:
        """Count requests that the kill path has sent by itself."""
        now = self._now()
        for state, weight in self._draws(route):
            state.learn(max(0.0, state.left_ratio(now) * state.capacity - count * weight), None, now)

    # --- state and figures ---

    def state(self) -> BudgetState:
        """Return what must survive a restart."""
        now = self._now()
        to_wall = self._clock.now_ns() - now
        windows = {n: s for n, s in self._states.items() if isinstance(s, WindowState) and s.persistent}
        return BudgetState(
            ban_until_ns=self._pool.ban_until + to_wall if self._pool.bans_in_row else 0,
            bans_in_row=self._pool.bans_in_row,
            paused_until_ns={n: s.paused_until + to_wall for n, s in self._states.items() if s.paused_until > now},
            used={n: tuple((at + to_wall, weight) for at, weight in s.entries(now)) for n, s in windows.items()},
        )

    def counted(self) -> dict[str, float]:
        """Return what was ever counted on each window of a minute and longer, in shares of what it permits."""
        windows = {n: s for n, s in self._states.items() if isinstance(s, WindowState) and s.persistent}
        return {name: state.counted / state.capacity for name, state in windows.items()}

    def restore(self, state: BudgetState) -> None:
        """Take over what an earlier process counted; call once, before the first request."""
        now = self._now()
        to_wall = self._clock.now_ns() - now
        if state.bans_in_row >= self._pool.bans_in_row:
            self._pool.bans_in_row = state.bans_in_row
            self._pool.ban_until = max(self._pool.ban_until, state.ban_until_ns - to_wall)
        for name, until_ns in state.paused_until_ns.items():
            if name in self._states:
                self._states[name].paused_until = max(self._states[name].paused_until, until_ns - to_wall)
        for name, entries in state.used.items():
            window = self._states.get(name)
            if not isinstance(window, WindowState) or name in self._pool.restored:
                continue
            if self._pool.states.get(name) is window:
                self._pool.restored.add(name)
            for release_at_ns, weight in entries:
                if release_at_ns - to_wall > now:
                    # No later than a whole window, should the wall clock have been set back.
                    window.add(min(release_at_ns - to_wall, now + window.regain_ns(weight)), weight)

    def left(self) -> dict[str, float]:
        """Return the share left of each limit, 0 to 1; 0 for all during a ban."""
        now = self._now()
        banned = self._closed_until > now
        return {name: 0.0 if banned else state.left_ratio(now) for name, state in self._states.items()}

    def report(self) -> None:
        """Set the gauges; called by itself at most four times a second while requests leave.

        A limit of one request at a time is a pace: nothing is left of it after each request, and nobody can act on that.
        """
        self._reported_at = self._now()
        for name, ratio in self.left().items():
            if self._states[name].limit.model.capacity <= 1:
                continue
            self._observer.gauge("quantd_rate_budget_left_ratio", ratio, venue=self.venue, limit=name)
