"""What became of a write is asked after until it is known, whoever says it, and not a question longer."""

import asyncio
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.capabilities import Support
from quantd.domain.commands import Amend
from quantd.domain.events import OperationResolved
from quantd.domain.orders import Limit, OrderState
from quantd.domain.outcomes import NotFound, Resolution, StillUnknown, Unknown
from quantd.runtime.writes import write_of
from quantd.testing.builders import BTC, Rig, make_capabilities
from quantd.testing.loop import run_virtual
from tests.unit.runtime.watched_account import Desk, Resolvable


async def lose(desk: Desk, seconds: float) -> Any:
    """Place an order whose answer is lost, and let it be looked for; return it."""
    order = desk.rig.do(lambda s: s.buy(BTC, 2, Limit(100)))
    desk.rig.answer(order, Unknown("timeout"))
    write = write_of(desk.rig.live(order), desk.rig.engine)
    assert write is not None
    async with asyncio.TaskGroup() as tasks:
        writes = tasks.create_task(desk.write())
        await asyncio.sleep(0)
        desk.executor.resolve(write, 0)
        await asyncio.sleep(seconds)
        writes.cancel()
    return order


def test_a_write_that_a_person_has_settled_is_neither_asked_after_nor_sent_again() -> None:
    """The order was never executed, a person says, and the strategy orders anew: the first must not come to life then."""

    async def scene(clock: LoopClock) -> None:
        desk, looks, refusals = Desk(clock), list[float](), list[str | None]()

        async def resolve(command: Resolvable, sent_at_ns: int) -> Resolution:
            looks.append(clock.monotonic_ns() / 1e9)
            refusals.append(desk.executor.last_look())
            if len(looks) == 2:  # a person answers while this question is under way, before the resend leaves
                desk.emit(
                    OperationResolved(command.client_order_id, command.operation, NotFound(), desk.rig.now_ns, "ann")
                )
                refusals.append(desk.executor.last_look())
            return StillUnknown("not_seen")

        desk.connector.resolve = resolve  # type: ignore[method-assign]  # the scene answers itself
        order = await lose(desk, 120)
        assert desk.rig.live(order).state is OrderState.DENIED
        assert len(looks) == 2
        assert refusals == [None, None, "settled"]

    run_virtual(scene)


def test_a_venue_that_names_a_day_is_asked_again_within_a_minute() -> None:
    """What is unknown keeps its instrument shut: a page of maintenance must not do so until tomorrow."""

    async def scene(clock: LoopClock) -> None:
        desk, looks = Desk(clock), list[float]()

        async def resolve(command: Resolvable, sent_at_ns: int) -> Resolution:
            looks.append(clock.monotonic_ns() / 1e9)
            return StillUnknown("Unavailable", 86_400.0) if len(looks) < 3 else NotFound()

        desk.connector.resolve = resolve  # type: ignore[method-assign]  # the scene answers itself
        await lose(desk, 200)
        assert looks == [0.5, 60.5, 120.5]

    run_virtual(scene)


def test_a_lost_amendment_is_asked_for_as_it_was_sent() -> None:
    """By the terms from before it a venue that shows the new ones would seem not to have made it."""
    rig = Rig(capabilities=make_capabilities(amend=Support.NATIVE))
    order = rig.do(lambda s: s.buy(BTC, 2, Limit(100)))
    rig.accept(order)
    rig.do(lambda s: s.amend(order, quantity=3, price=99))
    (sent,) = rig.sent(Amend)
    rig.answer(order, Unknown("timeout"))
    again = write_of(rig.live(order), rig.engine)
    assert isinstance(again, Amend)
    assert (again.spec, again.quantity, again.price) == (sent.spec, sent.quantity, sent.price)
    assert again.spec.quantity == 3
