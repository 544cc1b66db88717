"""The routes of the control API: path, who may ask, what is taken and answered, and who answers.

One table, read by the listener to serve them and by the OpenAPI document to describe them.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from quantd.control import action_answers as done
from quantd.control import answers as a
from quantd.control import requests as r
from quantd.control import views
from quantd.control.actions import Actions
from quantd.control.daemon_access import DaemonAccess
from quantd.control.dead_man import DeadMan
from quantd.control.decisions import Decisions
from quantd.control.limit_views import limits
from quantd.control.recent import Glance, History, Recent
from quantd.control.refusal import Refusal, unknown
from quantd.control.reloading import ReloadAnswer, reload
from quantd.control.tokens import Caller
from quantd.control.trail import Trail
from quantd.domain.events import ALL, TradingState


class Call(NamedTuple):
    """One request, after every check."""

    caller: Caller
    given: Any
    """The body or the query parameters, of the route's `takes`."""
    id: str
    """What stands for ``{id}`` in the path."""


class Services(NamedTuple):
    """What the routes answer from."""

    daemon: DaemonAccess
    trail: Trail
    actions: Actions
    decisions: Decisions
    dead_man: DeadMan | None
    """None: no sign of life is expected."""
    recent: Recent


class Route(NamedTuple):
    """One route."""

    method: str
    path: str
    """With ``{id}`` for a last segment that names something."""
    scopes: tuple[str, ...]
    """Any of them opens it; `admin` opens everything."""
    takes: Any
    """A Struct, or a union of Structs. Query parameters of a GET, the body of a POST."""
    answers: type[msgspec.Struct]
    summary: str
    handle: Callable[[Services, Call], Awaitable[msgspec.Struct]]
    is_routine: bool = False
    """Whether it comes all the time and orders nothing: the journal does not keep it."""
    is_stream: bool = False
    """Whether it answers again and again, by server-sent events."""

    @property
    def action(self) -> str:
        """The bounded name under which it stands in the journal; empty where it does not stand there."""
        return "" if self.is_routine else self.path.removeprefix("/v1/").rstrip("s") if self.method == "POST" else ""


async def _status(services: Services, call: Call) -> msgspec.Struct:
    return views.status(services.daemon)


async def _orders(services: Services, call: Call) -> msgspec.Struct:
    query: r.OrdersQuery = call.given
    if query.all:
        return await services.trail.orders(query)
    shown = [views.order_view(order) for order in services.daemon.engine.state.orders.open_orders()]
    wanted = (query.strategy, query.instrument)
    found = [one for one in shown if wanted[0] in (None, one.strategy) and wanted[1] in (None, one.instrument)]
    found.sort(key=lambda one: (one.created_at_ns, one.client_order_id), reverse=True)
    return a.Orders(tuple(found))


async def _fills(services: Services, call: Call) -> msgspec.Struct:
    return await services.trail.fills(call.given)


async def _positions(services: Services, call: Call) -> msgspec.Struct:
    return views.positions(services.daemon.engine.state)


async def _balances(services: Services, call: Call) -> msgspec.Struct:
    return views.balances(services.daemon.engine.state)


async def _limits(services: Services, call: Call) -> msgspec.Struct:
    return limits(services.daemon)


async def _denials(services: Services, call: Call) -> msgspec.Struct:
    return await services.trail.denials(call.given)


async def _history(services: Services, call: Call) -> msgspec.Struct:
    return services.recent.history()


async def _glance(services: Services, call: Call) -> msgspec.Struct:
    return services.recent.glance()


async def _why_order(services: Services, call: Call) -> msgspec.Struct:
    return await services.trail.order_chain(call.id, call.given.limit)


async def _why_strategy(services: Services, call: Call) -> msgspec.Struct:
    desk = services.daemon.engine.desks.get(call.id)
    if desk is None:
        raise unknown("strategy", call.id, ", ".join(services.daemon.engine.desks))
    steps = await services.trail.decisions(call.id, call.given.limit)
    return a.StrategyChain(
        call.id, views.strategy_state(desk), tuple(views.blockers(services.daemon, desk)), tuple(steps)
    )


async def _halt(services: Services, call: Call) -> msgspec.Struct:
    return await services.actions.halt(call.caller, call.given)


async def _resume(services: Services, call: Call) -> msgspec.Struct:
    return await services.actions.resume(call.caller, call.given)


async def _cancel(services: Services, call: Call) -> msgspec.Struct:
    return await services.actions.cancel(call.caller, call.given)


async def _flatten(services: Services, call: Call) -> msgspec.Struct:
    return await services.actions.flatten(call.caller, call.given)


async def _order(services: Services, call: Call) -> msgspec.Struct:
    return await services.actions.order(call.caller, call.given)


async def _reconcile(services: Services, call: Call) -> msgspec.Struct:
    return await services.decisions.reconcile(call.caller, call.given)


async def _resolve(services: Services, call: Call) -> msgspec.Struct:
    return await services.decisions.resolve(call.caller, call.given)


async def _heartbeat(services: Services, call: Call) -> msgspec.Struct:
    switch = services.dead_man
    if switch is None:
        raise Refusal(409, "no_dead_man", "the configuration has no control.dead_man_s: nobody waits for a heartbeat")
    silent_s = switch.silent_s
    switch.beat()
    latch = services.daemon.engine.state.latches.get(ALL)
    return done.HeartbeatAnswer(switch.limit_s, silent_s, (latch.state if latch else TradingState.ACTIVE).value)


async def _reload(services: Services, call: Call) -> msgspec.Struct:
    return await reload(services.daemon.reloader, services.actions, call.caller, call.given)


_READ = ("read", "trade", "halt")
ROUTES = (
    Route("GET", "/v1/status", _READ, r.NoParameters, a.Status, "The daemon at a glance", _status),
    Route("GET", "/v1/orders", _READ, r.OrdersQuery, a.Orders, "Open orders, or all of them by page", _orders),
    Route("GET", "/v1/fills", _READ, r.FillsQuery, a.Fills, "Fills by page", _fills),
    Route("GET", "/v1/positions", _READ, r.NoParameters, a.Positions, "What each strategy holds", _positions),
    Route("GET", "/v1/balances", _READ, r.NoParameters, a.Balances, "What the accounts hold", _balances),
    Route("GET", "/v1/limits", _READ, r.NoParameters, a.LimitList, "Limits in effect and their use", _limits),
    Route("GET", "/v1/denials", _READ, r.DenialsQuery, a.Denials, "What the risk gate denied, by page", _denials),
    Route("GET", "/v1/history", _READ, r.NoParameters, History, "Equity and prices of the last hour", _history),
    Route("GET", "/v1/stream", _READ, r.NoParameters, Glance, "How things stand, each second", _glance, is_stream=True),
    Route("GET", "/v1/why/order/{id}", _READ, r.StepsQuery, a.OrderChain, "The chain behind an order", _why_order),
    Route(
        "GET",
        "/v1/why/strategy/{id}",
        _READ,
        r.StepsQuery,
        a.StrategyChain,
        "Why a strategy trades or not",
        _why_strategy,
    ),
    Route("POST", "/v1/halt", ("halt",), r.HaltRequest, done.HaltAnswer, "Halt a scope, latched", _halt),
    Route("POST", "/v1/resume", ("halt",), r.ResumeRequest, done.HaltAnswer, "Clear a scope", _resume),
    Route(
        "POST", "/v1/cancel", ("trade", "halt"), r.CancelRequest, done.CancelAnswer, "Cancel a scope's orders", _cancel
    ),
    Route(
        "POST", "/v1/flatten", ("trade",), r.FlattenRequest, done.FlattenAnswer, "Close a scope, in two steps", _flatten
    ),
    Route("POST", "/v1/orders", ("trade",), r.OrderRequest, done.OrderAnswer, "An order by hand", _order),
    Route(
        "POST",
        "/v1/reconcile",
        ("trade",),
        r.ReconcileRequest,
        done.ReconcileAnswer,
        "Compare with a venue",
        _reconcile,
    ),
    Route(
        "POST", "/v1/resolve", ("admin",), r.ResolveRequest, done.ResolveAnswer, "Decide an unknown outcome", _resolve
    ),
    Route(
        "POST",
        "/v1/heartbeat",
        ("trade", "halt"),
        r.HeartbeatRequest,
        done.HeartbeatAnswer,
        "A sign of life",
        _heartbeat,
        is_routine=True,
    ),
    Route("POST", "/v1/reload", ("admin",), r.ReloadRequest, ReloadAnswer, "Take over changed strategies", _reload),
)
"""Every route but the document's own."""
