"""Cases 40 to 69: identity, lost requests, credentials, refusals, limits, unreadable answers, clocks."""

import asyncio

import pytest

from quantd.domain.capabilities import Echo, Key, NoIdentity
from quantd.domain.commands import Amend, Cancel, Submit
from quantd.domain.orders import OperationKind, OrderState
from quantd.domain.outcomes import Accepted, Found, NotExecuted, NotFound, Resolution, StillUnknown, Unknown
from quantd.errors import AuthFailed, RateLimited, Temporary, Unavailable, VenueError
from quantd.ports import Connector
from quantd.simulators.faults import Action
from tests.contract.conformance.case import case, requests
from tests.contract.conformance.rig import Rig, named_by

_SETTLED = (Found, NotFound)


async def settle(
    rig: Rig, command: Submit | Amend | Cancel, sent_at_ns: int, connector: Connector | None = None
) -> Resolution:
    """Ask what became of a write as the daemon does: again and again, until there is evidence."""
    for _ in range(40):
        resolution = await (connector or rig.connector).resolve(command, sent_at_ns)
        if not isinstance(resolution, StillUnknown):
            return resolution
        await asyncio.sleep(max(resolution.retry_after_s or 0.0, 5.0))
    raise AssertionError("no evidence within 200 s")


@case("40", "identity: after a restart an order is found by what the venue keeps of ours", lambda rig: _keeps(rig))
async def found_after_restart(rig: Rig) -> None:
    command = rig.submit()
    sent_at_ns = rig.clock.now_ns()
    venue_order_id, _ = await rig.place(command)
    other = rig.connect()
    await other.start()
    resolution = await settle(rig, command, sent_at_ns, other)
    assert isinstance(resolution, Found), resolution
    assert resolution.report.venue_order_id == venue_order_id


def _keeps(rig: Rig) -> str:
    identity = rig.connector.capabilities.identity
    return "the venue keeps nothing of ours: case 42 finds it by its terms" if isinstance(identity, NoIdentity) else ""


@case("41", "a submit lost before it was processed: unknown, and after the quiet period not found", requests("submit"))
async def submit_lost_before(rig: Rig) -> None:
    rig.fault(Action.DROP_BEFORE, "submit")
    command = rig.submit()
    sent_at_ns = rig.clock.now_ns()
    outcome = await rig.connector.submit(command)
    assert isinstance(outcome, Unknown), outcome
    resolution = await settle(rig, command, sent_at_ns)
    if isinstance(rig.connector.capabilities.identity, Key) and isinstance(resolution, Found):
        assert rig.truth().working == {resolution.report.venue_order_id}, "sent again under its key, once"
        return
    assert isinstance(resolution, NotFound), resolution
    waited_s = (rig.clock.now_ns() - sent_at_ns) / 1e9
    assert waited_s >= rig.connector.capabilities.quiet_period_s, "an absence proves nothing within the quiet period"
    assert not rig.truth().working


@case("42", "a submit whose answer was lost: unknown, then found, and there is one order", requests("submit"))
async def submit_lost_after(rig: Rig) -> None:
    rig.fault(Action.DROP_AFTER, "submit")
    command = rig.submit()
    sent_at_ns = rig.clock.now_ns()
    outcome = await rig.connector.submit(command)
    assert isinstance(outcome, Unknown), outcome
    resolution = await settle(rig, command, sent_at_ns)
    assert isinstance(resolution, Found), resolution
    await asyncio.sleep(0.1)
    assert rig.truth().working == {resolution.report.venue_order_id}


@case("43", "a cancel whose answer was lost: unknown, then the order's end", requests("cancel"))
async def cancel_lost_after(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, _ = await rig.place(command)
    rig.fault(Action.DROP_AFTER, "cancel")
    cancel = rig.cancel(command, venue_order_id)
    sent_at_ns = rig.clock.now_ns()
    outcome = await rig.connector.cancel(cancel)
    assert isinstance(outcome, Unknown), outcome
    resolution = await settle(rig, cancel, sent_at_ns)
    assert isinstance(resolution, Found), resolution
    assert resolution.report.state is OrderState.CANCELLED
    assert not rig.truth().working


@case("44", "a cancel lost before it was processed leaves the order working, and may be sent again", requests("cancel"))
async def cancel_lost_before(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, _ = await rig.place(command)
    rig.fault(Action.DROP_BEFORE, "cancel")
    cancel = rig.cancel(command, venue_order_id)
    assert isinstance(await rig.connector.cancel(cancel), Unknown)
    assert rig.truth().working == {venue_order_id}
    assert OperationKind.CANCEL in rig.connector.capabilities.repeat_safe
    assert isinstance(await rig.connector.cancel(cancel), Accepted)
    assert not rig.truth().working


@case("45", "an amendment whose answer was lost: unknown, then the order's true terms", requests("amend"))
async def amend_lost_after(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, _ = await rig.place(command)
    rig.fault(Action.DROP_AFTER, "amend")
    change = rig.amend(command, venue_order_id, quantity=rig.quantity * 2, price=rig.price(-150))
    sent_at_ns = rig.clock.now_ns()
    assert isinstance(await rig.connector.amend(change), Unknown)
    resolution = await settle(rig, change, sent_at_ns)
    assert isinstance(resolution, Found), resolution
    assert (resolution.report.quantity, resolution.report.price) == (rig.quantity * 2, rig.price(-150))
    assert rig.truth().working == {resolution.report.venue_order_id}


@case("46", "orders under one id of ours: the venue's echo shows it", lambda rig: _echoes(rig))
async def echoes_our_id(rig: Rig) -> None:
    command = rig.submit()
    await rig.place(command)
    (shown,) = (await rig.connector.snapshot()).orders
    assert shown.client_order_id == command.client_order_id


def _echoes(rig: Rig) -> str:
    return "" if isinstance(rig.connector.capabilities.identity, Echo) else "our id is not echoed by the venue"


@case("50", "wrong credentials are named at the start", lambda rig: requests("snapshot")(rig))
async def wrong_credentials(rig: Rig) -> None:
    with pytest.raises(AuthFailed):
        await rig.connect(wrong_credentials=True).start()


@case("51", "a session that ends in mid-flight is renewed, or named; no write is doubled by it", requests("submit"))
async def session_ends(rig: Rig) -> None:
    rig.expire_credentials()
    command = rig.submit()
    outcome = await rig.connector.submit(command)
    if isinstance(outcome, NotExecuted):
        assert not rig.truth().working
        return
    assert rig.truth().working == {named_by(outcome)}


@case("52", "429 on a write: nothing happened, and how long to wait", requests("submit"))
async def write_throttled(rig: Rig) -> None:
    rig.fault(Action.THROTTLE, "submit", retry_after_s=3.0)
    outcome = await rig.connector.submit(rig.submit())
    assert isinstance(outcome, NotExecuted), outcome
    assert not rig.truth().working


@case("53", "429 on a read is said to be one", requests("quotes"))
async def read_throttled(rig: Rig) -> None:
    rig.fault(Action.THROTTLE, "quotes", retry_after_s=3.0)
    with pytest.raises(RateLimited):
        await rig.connector.quotes([rig.instrument])


@case("54", "5xx on a write: unknown, never a refusal", requests("submit"))
async def write_fails(rig: Rig) -> None:
    for status in (500, 502, 503, 504):
        rig.fault(Action.ERROR, "submit", status=status)
        outcome = await rig.connector.submit(rig.submit())
        assert isinstance(outcome, Unknown), (status, outcome)
    assert not rig.truth().working


@case("55", "5xx on a read can be asked again", requests("quotes"))
async def read_fails(rig: Rig) -> None:
    rig.fault(Action.ERROR, "quotes", status=503)
    with pytest.raises(Temporary):
        await rig.connector.quotes([rig.instrument])
    await asyncio.sleep(5)
    assert await rig.connector.quotes([rig.instrument])


@case("56", "an unreadable or broken answer to a write: unknown", requests("submit"))
async def write_unreadable(rig: Rig) -> None:
    for action in (Action.GARBAGE, Action.TRUNCATE):
        rig.fault(action, "submit")
        outcome = await rig.connector.submit(rig.submit())
        assert isinstance(outcome, Unknown), (action, outcome)


@case("57", "an unreadable or broken answer to a read is an outage, never data", requests("snapshot"))
async def read_unreadable(rig: Rig) -> None:
    for action in (Action.GARBAGE, Action.TRUNCATE):
        rig.fault(action, "snapshot")
        with pytest.raises(VenueError):
            await rig.connector.snapshot()
        await asyncio.sleep(5)


@case("58", "a read that is lost is an outage, and the next one is good", requests("snapshot"))
async def read_lost(rig: Rig) -> None:
    for action in (Action.DROP_BEFORE, Action.DROP_AFTER):
        rig.fault(action, "snapshot")
        with pytest.raises(Unavailable):
            await rig.connector.snapshot()
        await asyncio.sleep(5)
        await rig.connector.snapshot()


@case("60", "the rate budget: many eager reads and writes, and the venue refuses none", requests("quotes"))
async def keeps_the_budget(rig: Rig) -> None:
    before = rig.refusals()

    async def read() -> None:
        for _ in range(5):
            await rig.connector.quotes([rig.instrument])

    async def write() -> None:
        for _ in range(5):
            command = rig.submit()
            outcome = await rig.connector.submit(command)
            if isinstance(outcome, NotExecuted):
                continue  # its deadline passed while it waited for the budget: nothing was sent
            await rig.connector.cancel(rig.cancel(command, named_by(outcome)))

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(read(), name=f"read {number}")
            group.create_task(write(), name=f"write {number}")
    assert rig.refusals() == before


@case("61", "a clock that is wrong at the venue by two seconds harms neither orders nor reads", requests("submit"))
async def clock_skew(rig: Rig) -> None:
    for seconds in (2.0, -2.0):
        rig.skew(seconds)
        command = rig.submit()
        venue_order_id, _ = await rig.place(command)
        assert venue_order_id in await rig.open_ids()
        assert isinstance(await rig.connector.cancel(rig.cancel(command, venue_order_id)), Accepted)
    assert not rig.truth().working
