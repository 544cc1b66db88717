"""Takes over changed strategies from the configuration files: first a plan, then, by its digest, the restart of those that
changed.

What can only change with the whole daemon is named in the plan, and nothing is applied beside it: a daemon never runs on
half of a configuration.
"""

import msgspec

from quantd.control.actions import Actions
from quantd.control.daemon_access import PlannedChange, Reloader
from quantd.control.refusal import Refusal
from quantd.control.requests import ReloadRequest
from quantd.control.tokens import Caller
from quantd.errors import ConfigError


class ReloadAnswer(msgspec.Struct, frozen=True):
    """The plan, and whether it was applied."""

    changes: tuple[PlannedChange, ...]
    plan: str
    """Its digest; to apply it takes it."""
    applied: tuple[str, ...]
    """Strategies that began anew."""
    request: str = ""
    done: bool = False


async def reload(reloader: Reloader | None, actions: Actions, caller: Caller, body: ReloadRequest) -> ReloadAnswer:
    """Answer the plan; apply it if its digest is named.

    Raises:
        Refusal: there are no files, they are broken, the plan is another by now, or it takes a restart of the daemon.
    """
    if reloader is None:
        raise Refusal(409, "no_files", "this daemon was not started from configuration files")
    async with reloader.turn:  # one that is applied twice at once would be replaced by objects that are gone
        return await _reload(reloader, actions, caller, body)


async def _reload(reloader: Reloader, actions: Actions, caller: Caller, body: ReloadRequest) -> ReloadAnswer:
    try:
        plan = await reloader.plan()
    except ConfigError as error:
        raise Refusal(409, "config_broken", str(error)) from None
    if body.plan is None:
        return ReloadAnswer(plan.changes, plan.digest, ())
    if body.plan != plan.digest:
        raise Refusal(409, "plan_changed", "files, strategies or books are not as they were: look at the plan again")
    in_the_way = [f"{one.scope}: {one.what}" for one in plan.changes if one.action != "restart"]
    if in_the_way:
        raise Refusal(409, "restart_needed", "nothing was applied; these take more: " + "; ".join(in_the_way))
    if not plan.changes:
        raise Refusal(409, "nothing_changed", "the files are as they were when the daemon read them")
    event, bars = await reloader.ready(plan, caller.name)
    request, facts = await actions.act(caller, "reload", body, event, then=bars)
    return ReloadAnswer(plan.changes, plan.digest, tuple(event.sources), request, facts is not None)
