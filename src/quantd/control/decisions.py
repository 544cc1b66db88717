"""What only a person can decide through the control API: differences to a venue, and writes of unknown outcome.

A plan is answered first, with its digest; to apply it takes that digest, a second look at the venue that shows the same,
and the scope `admin`. An outcome is decided in somebody's name, with the reason in the journal.
"""

from collections.abc import Mapping

import msgspec

from quantd.control import views
from quantd.control.action_answers import DifferenceView, ReconcileAnswer, ResolveAnswer
from quantd.control.actions import Actions
from quantd.control.daemon_access import DaemonAccess
from quantd.control.refusal import Refusal, unknown
from quantd.control.requests import ReconcileRequest, ResolveRequest
from quantd.control.tokens import Caller
from quantd.domain.events import OperationResolved, ReconcileAction, ReconcileOrdered
from quantd.domain.facts import Reconciled
from quantd.domain.orders import OperationKind, OrderState
from quantd.domain.outcomes import Found, NotFound, Resolution
from quantd.domain.reports import OrderReport
from quantd.engine.differences import Policies, digest, plan
from quantd.engine.orders import LiveOrder

PLAN_S = 300
"""How long a plan may be confirmed."""
_PLANS_MAX = 100


class _Look(msgspec.Struct, frozen=True):
    asked_at_ns: int
    expires_ns: int
    """Monotonic."""


class Decisions:
    """Answers plans and carries decisions out.

    Args:
        daemon: What they are about.
        actions: Puts an action into the inbox and waits for what comes of it.
    """

    def __init__(self, daemon: DaemonAccess, actions: Actions) -> None:
        self._daemon = daemon
        self._actions = actions
        self._looks: dict[tuple[str, str], _Look] = {}
        """By venue and digest, when a plan was first seen."""

    async def reconcile(self, caller: Caller, body: ReconcileRequest) -> ReconcileAnswer:
        """Ask the venue anew and answer the differences; apply them if a policy and the plan's digest are named."""
        daemon = self._daemon
        venue = daemon.venues.get(body.venue)
        if venue is None:
            raise unknown("venue", body.venue, ", ".join(daemon.venues))
        if body.apply is not None and not caller.may("admin"):
            raise Refusal(403, "scope_missing", "to apply differences takes a token with the scope admin")
        if body.apply is not None and body.plan is None:
            raise Refusal(409, "plan_missing", "ask for the plan first, then name its digest as `plan`")
        context = daemon.engine.context
        policies = context.policies.get(body.venue, Policies(ReconcileAction.REFUSE))
        if body.apply is not None:
            policies = Policies(ReconcileAction(body.apply))
        snapshot = await venue.snapshot()
        found = plan(context.state, snapshot, policies)
        shown = tuple(DifferenceView(one.kind, one.subject, one.ours, one.theirs, one.action) for one in found)
        name, looks = digest(found), self._known_looks()
        if body.apply is None:
            if len(looks) >= _PLANS_MAX:
                del looks[next(iter(looks))]
            expires_ns = daemon.clock.monotonic_ns() + PLAN_S * 1_000_000_000
            looks[body.venue, name] = _Look(snapshot.asked_at_ns, expires_ns)
            daemon.emit(snapshot)  # a look like any other: executions that the venue tells once may be in it
            return ReconcileAnswer(body.venue, snapshot.asked_at_ns, shown, "", name, ())
        look = looks.pop((body.venue, body.plan or ""), None)
        if look is None or name != body.plan:
            daemon.emit(snapshot)
            raise Refusal(409, "plan_changed", "the venue and we differ otherwise by now: look at the plan again")
        event = ReconcileOrdered(
            snapshot, ReconcileAction(body.apply), daemon.clock.now_ns(), agreed_at_ns=look.asked_at_ns
        )
        request, facts = await self._actions.act(caller, "reconcile", body, event)
        done = facts is not None and any(isinstance(one, Reconciled) for one in facts)
        still = {(one.kind, one.subject) for one in context.suspicions.of(body.venue)}
        is_repair = done and policies.default is not ReconcileAction.REFUSE
        left = tuple(one for one in shown if (one.kind, one.subject) in still) if is_repair else ()
        return ReconcileAnswer(
            body.venue, snapshot.asked_at_ns, shown, body.apply, name, left, request=request, done=done
        )

    async def resolve(self, caller: Caller, body: ResolveRequest) -> ResolveAnswer:
        """Settle a write of unknown outcome in the caller's name, or in another's."""
        order = self._daemon.engine.state.orders.get(body.order)
        if order is None:
            raise unknown("order", body.order)
        operation = order.operation
        if operation is None or not order.is_unknown:
            raise Refusal(409, "not_unknown", f"no write of {body.order} has an unknown outcome")
        by, now_ns = body.by or caller.name, self._daemon.clock.now_ns()
        event = OperationResolved(order.client_order_id, operation.number, _decided(order, body, now_ns), now_ns, by)
        request, facts = await self._actions.act(caller, "resolve", body, event)
        return ResolveAnswer(request, facts is not None, views.order_view(order), by)

    def _known_looks(self) -> dict[tuple[str, str], _Look]:
        now_ns = self._daemon.clock.monotonic_ns()
        kept: Mapping[tuple[str, str], _Look] = self._looks
        self._looks = {key: one for key, one in kept.items() if one.expires_ns > now_ns}
        return self._looks


def _decided(order: LiveOrder, body: ResolveRequest, now_ns: int) -> Resolution:
    """Return what a person's word means: an accepted write leaves its order working until the venue says more."""
    if body.outcome == "not_executed":
        return NotFound()
    venue_order_id = body.venue_order_id or order.venue_order_id
    operation = order.operation
    if not venue_order_id and operation is not None and operation.kind is OperationKind.SUBMIT:
        raise Refusal(409, "venue_order_id_missing", "an accepted order is followed by its venue's id: name it")
    state = OrderState.PARTIALLY_FILLED if order.filled else OrderState.WORKING
    return Found(OrderReport(order.instrument, venue_order_id, state, order.filled, now_ns, order.client_order_id))
