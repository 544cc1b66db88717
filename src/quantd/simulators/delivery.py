"""Carries one request to a simulated venue through what the fault script decides.

The shell and the in-memory transport share it, so that a mishap means the same on a socket and in virtual time.
"""

import asyncio

import msgspec

from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.venue import SimulatedVenue

GARBAGE = b"\x00\xff<<not what you asked for>>\x00"


class Delivered(msgspec.Struct, frozen=True):
    """What goes back to the client."""

    response: HttpResponse
    cut: bool = False
    """Half of the body arrives, then the connection breaks."""


async def deliver(venue: SimulatedVenue, request: HttpRequest, faults: FaultScript) -> Delivered | None:
    """Process `request` and return the answer; None when the connection breaks without one."""
    rule = faults.decide(venue.operation(request))
    if rule is None:
        return Delivered(venue.handle(request))
    if rule.action is Action.DROP_BEFORE:
        return None
    if rule.action is Action.ERROR:
        return Delivered(venue.failure(rule.status, rule.retry_after_s))
    if rule.action is Action.THROTTLE:
        return Delivered(venue.failure(429, 1.0 if rule.retry_after_s is None else rule.retry_after_s))
    response = await _later(venue, request, rule.delay_s) if rule.action is Action.DELAY else venue.handle(request)
    return await _spoilt(venue, request, rule, response)


async def _spoilt(
    venue: SimulatedVenue, request: HttpRequest, rule: FaultRule, response: HttpResponse
) -> Delivered | None:
    """Return what is left of an answer on its way back."""
    match rule.action:
        case Action.DROP_AFTER:
            return None
        case Action.DELAY_AFTER:
            await asyncio.sleep(rule.delay_s)
        case Action.ERROR_AFTER:
            return Delivered(venue.failure(rule.status, rule.retry_after_s))
        case Action.TRUNCATE:
            return Delivered(response, cut=True)
        case Action.GARBAGE:
            return Delivered(msgspec.structs.replace(response, body=GARBAGE))
        case Action.DUPLICATE:
            venue.handle(request)
    return Delivered(response)


async def _later(venue: SimulatedVenue, request: HttpRequest, delay_s: float) -> HttpResponse:
    """Process after a while, even if the client has given up by then: that is what makes a delay dangerous."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[HttpResponse] = loop.create_future()

    def process() -> None:
        response = venue.handle(request)
        if not answered.done():
            answered.set_result(response)

    loop.call_later(delay_s, process)
    return await answered
