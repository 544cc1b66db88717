"""What operators do through the control API: halt, resume, cancel, flatten, order.

Each action is an event in the inbox, so that it takes the way of all events: engine, gate, journal, executor. A halt is
in the latch's file before that. Never calls the engine and never a venue.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from quantd.control import views
from quantd.control.action_answers import (
    CancelAnswer,
    FlattenAnswer,
    HaltAnswer,
    OrderAnswer,
)
from quantd.control.daemon_access import DaemonAccess
from quantd.control.receipts import Receipts
from quantd.control.refusal import Refusal, unknown
from quantd.control.requests import (
    CancelRequest,
    FlattenRequest,
    HaltRequest,
    LimitOrder,
    MarketOrder,
    OrderRequest,
    ResumeRequest,
    StopLimitOrder,
    StopOrder,
)
from quantd.control.tokens import Caller
from quantd.control.trail import denial_view
from quantd.domain.events import (
    CREDENTIALS_CAUSE,
    CancelOrdered,
    Event,
    FlattenOrdered,
    HaltOrdered,
    OperatorActed,
    OrderOrdered,
    Resumed,
    TradingState,
)
from quantd.domain.facts import Fact, OrderIntended, RequestDenied
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import How, Limit, Market, Origin, Side, Stop, StopLimit, TimeInForce
from quantd.errors import JournalError
from quantd.journal.latch import Halt

CONFIRM_S = 60
"""How long a plan to flatten may be confirmed."""
_PLANS_MAX = 100
_ACCEPTED = "accepted"


class _Plan(msgspec.Struct, frozen=True):
    scope: str
    by: str
    expires_ns: int
    """Monotonic."""


class Actions:
    """Carries out operators' requests.

    Args:
        daemon: What they act on.
        receipts: Told of every batch of facts.
        wait_s: How long an answer waits for the engine.
    """

    def __init__(self, daemon: DaemonAccess, receipts: Receipts, *, wait_s: float) -> None:
        self._daemon = daemon
        self._receipts = receipts
        self._wait_s = wait_s
        self._plans: dict[str, _Plan] = {}

    def refused(self, caller: Caller, action: str, code: str) -> None:
        """Have it journalled that somebody known to us was refused something."""
        self._daemon.emit(OperatorActed("", caller.name, action, "", code, self._daemon.clock.now_ns()))

    async def halt(self, caller: Caller, body: HaltRequest) -> HaltAnswer:
        """Halt a scope or let it only reduce: the latch's file first, then the engine."""
        self._known(body.scope)
        now_ns, state = self._daemon.clock.now_ns(), TradingState(body.state)
        generation = self._daemon.engine.state.halt_generation + 1
        try:
            content = await asyncio.to_thread(
                self._daemon.latch.halt, Halt(body.scope, state, caller.name, body.why, now_ns)
            )
            generation = max(generation, content.generation)
        except JournalError:
            pass  # the halt holds in this process all the same, and the engine journals it
        order = HaltOrdered(body.scope, state, caller.name, body.why, generation, self._daemon.clock.now_ns())
        request, facts = await self.act(caller, "halt", body, order)
        latch = self._daemon.engine.state.latches.get(body.scope)
        holds = state if latch is None else latch.state
        return HaltAnswer(request, facts is not None, body.scope, holds.value, caller.name)

    async def resume(self, caller: Caller, body: ResumeRequest) -> HaltAnswer:
        """Clear a scope's latch, in the caller's name or, for `admin`, in another's."""
        if body.by is not None and not caller.may("admin"):
            raise Refusal(403, "scope_missing", "to resume in another's name takes a token with the scope admin")
        daemon, by = self._daemon, body.by or caller.name
        in_file = any(halt.scope == body.scope for halt in daemon.latch.read().halts)
        if not in_file and body.scope not in daemon.engine.state.latches and not self._are_refused(body.scope):
            raise Refusal(409, "not_halted", f"nothing is halted with the scope {body.scope}")
        why = body.why if by == caller.name else f"{body.why} (by token {caller.name})"
        if in_file:
            clear = daemon.latch.clear
            now_ns = daemon.clock.now_ns()
            await asyncio.to_thread(lambda: clear(body.scope, by=by, why=why, at_ns=now_ns))
        request, facts = await self.act(
            caller, "resume", body, Resumed(body.scope, by, why, self._daemon.clock.now_ns())
        )
        latch = daemon.engine.state.latches.get(body.scope)
        holds = TradingState.ACTIVE if latch is None else latch.state
        return HaltAnswer(request, facts is not None, body.scope, holds.value, by)

    def _are_refused(self, scope: str) -> bool:
        """Whether a venue of the scope refuses our credentials: who has mended them says so by resuming it."""
        reasons = self._daemon.engine.context.venue_reasons.items()
        return any(CREDENTIALS_CAUSE in causes and scope in ("all", f"venue:{venue}") for venue, causes in reasons)

    async def cancel(self, caller: Caller, body: CancelRequest) -> CancelAnswer:
        """Cancel every open order of a scope."""
        self._known(body.scope)
        orders = self._orders_of(body.scope)
        event = CancelOrdered(body.scope, caller.name, self._daemon.clock.now_ns())
        request, facts = await self.act(caller, "cancel", body, event)
        return CancelAnswer(request, facts is not None, body.scope, orders)

    async def flatten(self, caller: Caller, body: FlattenRequest) -> FlattenAnswer:
        """Answer a plan and what confirms it; carry it out once it is confirmed."""
        self._known(body.scope)
        now_ns = self._daemon.clock.monotonic_ns()
        self._plans = {key: one for key, one in self._plans.items() if one.expires_ns > now_ns}
        orders, books = self._orders_of(body.scope), views.closing(self._daemon.engine.state, body.scope)
        halted = views.halted_scopes(self._daemon.engine.state, books)
        if body.confirm is None:
            if len(self._plans) >= _PLANS_MAX:
                raise Refusal(429, "too_many_plans", "confirm one of those that were answered, or wait a minute")
            confirm = self._daemon.draw()
            self._plans[confirm] = _Plan(body.scope, caller.name, now_ns + CONFIRM_S * 1_000_000_000)
            expires_at_ns = self._daemon.clock.now_ns() + CONFIRM_S * 1_000_000_000
            return FlattenAnswer(body.scope, False, confirm, expires_at_ns, orders, books, halted)
        known = self._plans.get(body.confirm)
        if known is None or (known.scope, known.by) != (body.scope, caller.name):
            raise Refusal(409, "not_confirmed", "no plan of yours for this scope goes by that confirmation any more")
        del self._plans[body.confirm]
        event = FlattenOrdered(body.scope, caller.name, body.why, self._daemon.clock.now_ns())
        told = msgspec.structs.replace(body, confirm=None)
        request, facts = await self.act(caller, "flatten", told, event)
        return FlattenAnswer(body.scope, True, "", 0, orders, books, halted, request, facts is not None)

    async def order(self, caller: Caller, body: OrderRequest) -> OrderAnswer:
        """Send an order by hand through the gate; say which it became, or why not."""
        state = self._daemon.engine.state
        instrument = InstrumentId(body.instrument)
        if instrument not in state.portfolio.instruments:
            raise unknown("instrument", body.instrument)
        event = OrderOrdered(
            instrument,
            Side(body.side),
            Decimal(body.quantity),
            _how(body),
            caller.name,
            self._daemon.clock.now_ns(),
            body.why,
        )
        request, facts = await self.act(caller, "order", body, event)
        if facts is None:
            return OrderAnswer(request, False, "", None)
        for fact in facts:
            if isinstance(fact, OrderIntended) and fact.origin is Origin.OPERATOR:
                live = state.orders.get(fact.client_order_id)
                return OrderAnswer(
                    request, True, fact.client_order_id, None if live is None else views.order_view(live)
                )
            if isinstance(fact, RequestDenied):
                detail = f"{fact.code}: limit {fact.limit}, observed {fact.observed}"
                raise Refusal(409, "denied", detail, denial=denial_view(0, fact))
        raise Refusal(
            500, "no_trace", "neither an order nor a denial is known of it: look at the orders before you repeat it"
        )

    # -- parts ---------------------------------------------------------------------------------------------------

    async def act(
        self, caller: Caller, action: str, body: msgspec.Struct, event: Event, *, then: Sequence[Event] = ()
    ) -> tuple[str, Sequence[Fact] | None]:
        """Put an action into the inbox, who asked first, and wait for what comes of it."""
        request = self._receipts.draw()
        self._receipts.expect(request)
        detail = msgspec.json.encode(body).decode()
        self._daemon.emit(OperatorActed(request, caller.name, action, detail, _ACCEPTED, event.received_at_ns))
        self._daemon.emit(event)  # nothing may come between: the facts of both are told together
        for one in then:
            self._daemon.emit(one)
        return request, await self._receipts.wait(request, self._wait_s)

    def _orders_of(self, scope: str) -> tuple[str, ...]:
        return tuple(
            order.client_order_id
            for order in self._daemon.engine.state.orders.open_orders()
            if views.in_scope(scope, order.strategy, order.instrument)
        )

    def _known(self, scope: str) -> None:
        """Refuse a scope that holds nothing: a halt with a misspelt name would halt nothing at all."""
        kind, _, name = scope.partition(":")
        engine = self._daemon.engine
        if kind == "venue" and name not in self._daemon.venues:
            raise unknown("venue", name, ", ".join(self._daemon.venues))
        if kind == "strategy" and name not in engine.desks:
            books = {book.strategy for book in engine.state.portfolio.books()}
            if name not in books:  # one that was taken out of the configuration may still hold something
                raise unknown("strategy", name, ", ".join(engine.desks))
        if kind == "instrument" and InstrumentId(name) not in engine.state.portfolio.instruments:
            raise unknown("instrument", name)


def _how(body: OrderRequest) -> How:
    match body:
        case MarketOrder():
            return Market(reduce_only=body.reduce_only)
        case LimitOrder():
            return Limit(Decimal(body.price), TimeInForce(body.time_in_force), body.post_only, body.reduce_only)
        case StopOrder():
            return Stop(Decimal(body.trigger), body.reduce_only)
        case StopLimitOrder():
            return StopLimit(Decimal(body.trigger), Decimal(body.price), body.reduce_only)
    assert_never(body)
