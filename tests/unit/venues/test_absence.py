"""The rule by which a lost write counts as not done: two whole looks, apart, after a quiet period by both clocks."""

from typing import NamedTuple

import pytest

from quantd.clock import ManualClock
from quantd.domain.outcomes import Ambiguous, NotFound, Resolution, StillUnknown
from quantd.errors import Refused, Unavailable
from quantd.venues.absence import Progress, Searches

SECOND = 1_000_000_000


class Lost(NamedTuple):
    client_order_id: str = "q-1"
    operation: int = 1


LOST = Lost()


class Scene:
    """Looks that find nothing, at times that a test sets."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000 * SECOND)
        self.searches = Searches(self.clock, quiet_period_s=30.0, look_every_s=5.0, retry_s=2.0)
        self.sent_at_ns = self.clock.now_ns()

    def pass_time(self, seconds: float) -> None:
        self.clock.set(self.clock.now_ns() + round(seconds * SECOND))

    async def fail(self, error: Exception) -> Resolution:
        async def fails(progress: Progress) -> Resolution:
            raise error

        return await self.searches.step(LOST, fails)

    async def look(self, write: Lost = LOST) -> Resolution:
        async def nothing(progress: Progress) -> Resolution:
            return self.searches.missed(progress, self.searches.now(), self.sent_at_ns)

        return await self.searches.step(write, nothing)

    async def after(self, seconds: float) -> Resolution:
        self.pass_time(seconds)
        return await self.look()


async def test_one_look_proves_nothing_however_late_it_comes() -> None:
    scene = Scene()
    await scene.fail(Unavailable("v", "orders", "no answer"))
    assert isinstance(await scene.after(3_600), StillUnknown)
    assert await scene.after(5) == NotFound()


async def test_two_looks_within_the_quiet_period_prove_nothing_and_the_first_after_it_does() -> None:
    scene = Scene()
    await scene.look()
    for _ in range(5):
        assert isinstance(await scene.after(5.9), StillUnknown)
    assert await scene.after(5.9) == NotFound()


async def test_looks_that_follow_each_other_closely_count_once() -> None:
    scene = Scene()
    await scene.look()
    scene.pass_time(40)
    assert await scene.look() == NotFound()
    again = Scene()
    await again.fail(Unavailable("v", "orders", "no answer"))
    again.pass_time(40)
    for _ in range(10):
        assert isinstance(await again.after(0.5), StillUnknown)
    assert await again.after(0.5) == NotFound()


async def test_a_clock_that_is_set_forward_shortens_no_quiet_period() -> None:
    scene = Scene()
    await scene.look()
    scene.pass_time(6)
    scene.sent_at_ns -= 3_600 * SECOND  # the wall says that an hour went by
    assert isinstance(await scene.look(), StillUnknown)
    assert await scene.after(30) == NotFound()


@pytest.mark.parametrize(
    ("error", "cause", "retry_after_s"),
    [
        (Unavailable("v", "orders", "no answer"), "Unavailable", 2.0),
        (Unavailable("v", "orders", "later", retry_after_s=7.0), "Unavailable", 7.0),
        (Refused("v", "orders", "x", "no"), "Refused", 2.0),
    ],
)
async def test_a_look_that_fails_leaves_it_unknown_and_counts_for_nothing(
    error: Exception, cause: str, retry_after_s: float
) -> None:
    scene = Scene()
    await scene.look()
    assert await scene.fail(error) == StillUnknown(cause, retry_after_s)
    assert isinstance(await scene.after(29), StillUnknown)


async def test_each_write_is_searched_for_by_itself_and_a_decided_one_begins_anew() -> None:
    scene = Scene()
    await scene.look()
    scene.pass_time(31)
    assert isinstance(await scene.look(Lost(operation=2)), StillUnknown)

    async def several(progress: Progress) -> Resolution:
        return Ambiguous(("a", "b"))

    assert await scene.searches.step(LOST, several) == Ambiguous(("a", "b"))
    assert isinstance(await scene.after(40), StillUnknown), "the looks before it are forgotten"
