"""Two operators who apply one plan at once: the first gets it, the second hears that it is another plan by now."""

import asyncio
from collections.abc import Sequence
from typing import Any

from quantd.control.daemon_access import PlannedChange, ReloadPlan
from quantd.control.refusal import Refusal
from quantd.control.reloading import ReloadAnswer, reload
from quantd.control.requests import ReloadRequest
from quantd.control.tokens import Caller
from quantd.domain.events import Event, StrategiesReplaced
from quantd.testing.builders import Puppet, Rig

ANN = Caller("ann", frozenset({"admin"}))
DIGEST = "0123456789abcdef"


class Files:
    """Files in which one strategy changed, until that is applied."""

    def __init__(self, rig: Rig) -> None:
        self.turn = asyncio.Lock()
        self._rig = rig
        self._is_changed = True

    async def plan(self) -> ReloadPlan:
        await asyncio.sleep(0)
        if not self._is_changed:
            return ReloadPlan((), "0" * 16)
        return ReloadPlan((PlannedChange("strategy:s1", "source", "restart"),), DIGEST)

    async def ready(self, plan: ReloadPlan, by: str) -> tuple[StrategiesReplaced, Sequence[Event]]:
        await asyncio.sleep(0)
        self._is_changed = False
        self._rig.engine.replacements.offer(self._rig.engine.desks["s1"].setup, Puppet())
        return StrategiesReplaced({"s1": "f00d"}, {"s1": "source"}, "beef", by, self._rig.now_ns), ()


class Inbox:
    """Hands an event to the engine a moment later, as the runner does, and waits for it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def act(self, caller: Caller, action: str, body: Any, event: Event, *, then: Any) -> tuple[str, list[Any]]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._rig.handle(event)
        return "r1", []


async def test_a_plan_that_two_apply_at_once_is_applied_once() -> None:
    rig = Rig()
    files, actions, body = Files(rig), Inbox(rig), ReloadRequest(plan=DIGEST)
    answers: list[ReloadAnswer | Refusal] = []

    async def apply() -> None:
        try:
            answers.append(await reload(files, actions, ANN, body))  # type: ignore[arg-type]  # as `Actions` acts
        except Refusal as refusal:
            answers.append(refusal)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(apply(), name="apply")
    first, second = answers
    assert isinstance(first, ReloadAnswer)
    assert first.applied == ("s1",)
    assert isinstance(second, Refusal)
    assert "look at the plan again" in str(second)
