"""VenueHttp over a simulated network in virtual time: budget, last look, outcomes, corrections, metrics."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import TypeVar

import pytest

from quantd.clock import LoopClock
from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Temporary, Unavailable, VenueError
from quantd.ports import HttpRequest, HttpResponse
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.testing.transport import Faults, SimulatorTransport
from quantd.venues.budget import Bucket, Lane, Limit, RateBudget, Window
from quantd.venues.http import RetryPolicy, VenueHttp, retry_after_s, retry_read

SECOND = 1_000_000_000
TICKER = HttpRequest("GET", "/ticker")
ORDER = HttpRequest("POST", "/orders", {}, b"{}")
_T = TypeVar("_T")


class Bench:
    """A VenueHttp, the venue it talks to, and all that can be asked about both."""

    def __init__(self, clock: LoopClock, *answers: HttpResponse, limit: Bucket | Window | None = None) -> None:
        self.clock = clock
        self.answers = list(answers) or [HttpResponse(200)]
        self.observer = RecordingObserver()
        self.faults = Faults()
        self.transport = SimulatorTransport(self.answer, clock=clock, rng=random.Random(7), faults=self.faults)
        self.budget = RateBudget("v", [Limit("all", limit or Bucket(1000, 100))], clock=clock, observer=self.observer)
        self.http = VenueHttp("v", self.transport, self.budget, clock, self.observer, timeout_s=2.0)

    def answer(self, request: HttpRequest) -> HttpResponse:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def write(self, good_for_s: float = 2.0, lane: Lane = Lane.SUBMIT) -> Outcome:
        deadline_at_ns = self.clock.now_ns() + round(good_for_s * SECOND)
        return await self.http.write("submit", ORDER, lane, deadline_at_ns, classify)

    def outcomes(self) -> dict[str, int]:
        names = ("ok", "refused", "rate_limited", "unavailable", "timeout", "not_sent", "auth_failed", "unreadable")
        seen = {n: len(self.observer.observed("quantd_venue_request_seconds", outcome=n)) for n in names}
        return {n: count for n, count in seen.items() if count}


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    if status == 200:
        return Accepted()
    if status == 403:
        return NotExecuted("firewall", 60.0)
    return Rejected("code", body.decode("ascii")) if status == 422 else Unknown(f"http_{status}")


def run(test: Callable[[LoopClock], Awaitable[_T]]) -> _T:
    async def main(clock: LoopClock) -> _T:
        return await test(clock)

    return run_virtual(main)


@pytest.mark.parametrize(
    ("answer", "outcome", "name"),
    [
        (HttpResponse(200), Accepted(), "ok"),
        (HttpResponse(422, {}, b"tick"), Rejected("code", "tick"), "refused"),
        (HttpResponse(500), Unknown("http_500"), "unavailable"),
        (HttpResponse(422, {}, b"\xff"), Unknown("unreadable_422: UnicodeDecodeError"), "unreadable"),
        (HttpResponse(429, {"retry-after": "3"}), NotExecuted("rate_limited", 3.0), "rate_limited"),
        (HttpResponse(429, {}, b"\xff"), NotExecuted("rate_limited", 1.0), "rate_limited"),
        (HttpResponse(429, {"retry-after": "1e300"}), NotExecuted("rate_limited", 1.0), "rate_limited"),
        (HttpResponse(418, {"retry-after": "1600000000"}), NotExecuted("banned", 120.0), "rate_limited"),
        (HttpResponse(418), NotExecuted("banned", 120.0), "rate_limited"),
        (HttpResponse(403), NotExecuted("firewall", 60.0), "rate_limited"),
    ],
)
def test_an_answer_to_a_write_becomes_an_outcome(answer: HttpResponse, outcome: Outcome, name: str) -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, answer)
        assert await bench.write() == outcome
        assert bench.outcomes() == {name: 1}
        limited, banned = (0 if name != "rate_limited" else 1, int(answer.status == 418))
        assert bench.observer.counted("quantd_rate_limited_total") == limited - banned
        assert bench.observer.counted("quantd_rate_bans_total") == banned

    run(test)


def test_a_secret_that_the_venue_quotes_goes_no_further() -> None:
    def refused(venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> VenueError:
        return AuthFailed(venue, operation, body.decode())

    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, HttpResponse(422, {}, b"the key kn0wn-value is not allowed to trade"))
        bench.http.classify_read = refused
        bench.http.clean = lambda text: text.replace("kn0wn-value", "[redacted]")
        assert await bench.write() == Rejected("code", "the key [redacted] is not allowed to trade")
        with pytest.raises(AuthFailed) as caught:
            await bench.http.read("ticker", TICKER)
        assert caught.value.detail == "the key [redacted] is not allowed to trade"
        assert str(caught.value) == "v: ticker: the key [redacted] is not allowed to trade"

    run(test)


def test_after_a_429_nothing_leaves_until_the_venue_wants_it() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, HttpResponse(429, {"retry-after": "3"}), HttpResponse(200))
        await bench.write()
        refused = await bench.write()
        assert isinstance(refused, NotExecuted)
        assert refused.retry_after_s == pytest.approx(3.0)
        assert len(bench.transport.carried) == 1
        assert await bench.write(good_for_s=4) == Accepted()
        assert clock.monotonic_ns() == 3 * SECOND

    run(test)


@pytest.mark.parametrize(
    ("faults", "kind", "seen"),
    [
        (Faults(refuse=1), NotExecuted, 0),
        (Faults(drop_before=1), Unknown, 0),
        (Faults(drop_after=1), Unknown, 1),
        (Faults(stall=1), Unknown, 1),
        (Faults(duplicate=1), Accepted, 2),
    ],
)
def test_a_network_fault_becomes_the_outcome_that_is_true(faults: Faults, kind: type[object], seen: int) -> None:
    async def test(clock: LoopClock) -> None:
        for _ in range(10):
            bench = Bench(clock)
            bench.transport.faults = faults
            assert type(await bench.write()) is kind
            await asyncio.sleep(10)
            assert len(bench.transport.carried) == seen

    run(test)


def test_a_write_that_never_left_costs_no_budget_and_a_lost_one_does() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, limit=Window(1, 60))
        bench.transport.faults = Faults(refuse=1)
        for _ in range(3):
            assert await bench.write() == NotExecuted("not_connected")
        bench.transport.faults = Faults(drop_after=1)
        assert isinstance(await bench.write(), Unknown)
        refused = await bench.write()
        assert isinstance(refused, NotExecuted)
        assert refused.retry_after_s == pytest.approx(60, abs=2.2)
        assert bench.outcomes()["not_sent"] == 3

    run(test)


def test_the_last_look_comes_after_the_wait_and_stops_a_write_without_cost() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, limit=Bucket(1, 1))
        looks: list[tuple[Lane, int]] = []

        def look(lane: Lane) -> str | None:
            looks.append((lane, clock.monotonic_ns() // 10_000_000))
            return "halted" if lane > Lane.CANCEL else None

        assert await bench.write() == Accepted()
        bench.http.last_look = look
        assert await bench.write() == NotExecuted("halted")
        assert await bench.write(lane=Lane.CANCEL) == Accepted()
        assert looks == [(Lane.SUBMIT, 100), (Lane.CANCEL, 100)]
        assert len(bench.transport.carried) == 2

    run(test)


def test_a_write_past_its_deadline_is_not_sent() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock)
        assert await bench.write(good_for_s=-0.001) == NotExecuted("deadline")
        assert bench.transport.carried == []

    run(test)


def test_a_request_is_made_after_the_wait_so_that_its_signature_is_fresh() -> None:
    async def test(clock: LoopClock) -> list[str]:
        bench = Bench(clock, limit=Bucket(1, 1))

        def signed() -> HttpRequest:
            return HttpRequest("GET", f"/?at={clock.monotonic_ns() // 10_000_000}")

        for _ in range(2):
            await bench.http.read("ticker", signed)
        return [carried.request.path for carried in bench.transport.carried]

    assert run(test) == ["/?at=0", "/?at=100"]


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (401, AuthFailed, "auth_failed"),
        (404, Refused, "refused"),
        (429, RateLimited, "rate_limited"),
        (418, RateLimited, "rate_limited"),
        (503, Unavailable, "unavailable"),
        (302, Unavailable, "unavailable"),
    ],
)
def test_a_bad_answer_to_a_read_raises(status: int, error: type[VenueError], name: str) -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, HttpResponse(status))
        with pytest.raises(error):
            await bench.http.read("ticker", TICKER)
        assert bench.outcomes() == {name: 1}

    run(test)


def test_lost_and_unreadable_reads_are_outages() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock)
        for faults in (Faults(refuse=1), Faults(drop_after=1)):
            bench.transport.faults = faults
            with pytest.raises(Unavailable):
                await bench.http.read("ticker", TICKER)
        bench.transport.faults = Faults()

        def broken(venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
            raise KeyError("data")

        bench.http.classify_read = broken
        with pytest.raises(Unavailable, match="KeyError"):
            await bench.http.read("ticker", TICKER)

    run(test)


def test_a_read_gives_up_when_the_budget_has_nothing_within_its_patience() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, limit=Window(1, 600))
        await bench.http.read("ticker", TICKER)
        with pytest.raises(RateLimited) as limited:
            await bench.http.read("ticker", TICKER)
        assert limited.value.retry_after_s == pytest.approx(600, abs=1)

    run(test)


def test_every_answer_is_shown_to_the_connector() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock, HttpResponse(200, {"x-left": "4"}))
        bench.http.on_response = lambda _, __, answer: bench.budget.learn("all", float(answer.headers["x-left"]))
        await bench.http.read("ticker", TICKER)
        assert bench.budget.left()["all"] == pytest.approx(0.04)
        bench.answers = [HttpResponse(200, {"x-left": "0"})]
        await bench.write()
        assert bench.budget.left()["all"] == 0

    run(test)


def test_a_retried_read_waits_longer_each_time_and_never_in_step() -> None:
    async def test(clock: LoopClock) -> list[list[float]]:
        runs = []
        for seed in range(2):
            times: list[float] = []

            async def fail(times: list[float] = times) -> None:
                times.append(clock.monotonic_ns() / SECOND)
                raise Unavailable("v", "ticker", "down")

            with pytest.raises(Unavailable):
                await retry_read(fail, RetryPolicy(attempts=4, first_s=1.0), random.Random(seed))
            runs.append([b - a for a, b in pairwise(times)])
        return runs

    one, two = run(test)
    assert one != two
    for pauses in (one, two):
        assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, (1, 2, 4), strict=True))


def test_a_retried_read_heeds_the_venue_and_stops_at_a_definite_no() -> None:
    async def test(clock: LoopClock) -> None:
        answers: list[VenueError] = [RateLimited("v", "t", "429", retry_after_s=5.0), Refused("v", "t", "404", "gone")]
        asked: list[int] = []

        async def read() -> None:
            asked.append(clock.monotonic_ns())
            raise answers[len(asked) - 1]

        with pytest.raises(Refused):
            await retry_read(read, RetryPolicy(first_s=0.25), random.Random(1))
        assert 5.125 <= (asked[1] - asked[0]) / SECOND <= 5.25
        answers[:] = [Temporary("v", "t", "maintenance", retry_after_s=3600.0)]
        asked.clear()
        with pytest.raises(Temporary):
            await retry_read(read, RetryPolicy(), random.Random(1))
        assert len(asked) == 1

    run(test)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "604800"}, 604_800.0),
        ({"retry-after": "1600000060"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "Sun, 13 Sep 2048 12:27:40 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 13 Sep 2020 12:27:40 GMT"}, 60.0),
        ({"retry-after": "Sun, 13 Sep 2020 12:27:40 GMT", "date": "Sun, 13 Sep 2020 12:27:10 GMT"}, 30.0),
        ({"retry-after": "Sun, 13 Sep 2020 12:20:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: Mapping[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, 1_600_000_000 * SECOND) == seconds


def test_a_closed_transport_sends_nothing() -> None:
    async def test(clock: LoopClock) -> None:
        bench = Bench(clock)
        bench.transport.faults = Faults(stall=1)
        await bench.write()
        await bench.http.close()
        bench.transport.faults = Faults()
        assert await bench.write() == NotExecuted("not_connected")
        await asyncio.sleep(10)
        assert bench.transport.carried == []

    run(test)


def test_a_simulated_network_repeats_itself_for_a_seed() -> None:
    def once(seed: int) -> list[str]:
        async def main(clock: LoopClock) -> list[str]:
            bench = Bench(clock)
            faults = Faults((0.01, 0.2), refuse=0.1, drop_before=0.1, drop_after=0.1, duplicate=0.2, stall=0.1)
            transport = SimulatorTransport(bench.answer, clock=clock, rng=random.Random(seed), faults=faults)
            http = VenueHttp("v", transport, bench.budget, clock, bench.observer, timeout_s=2.0)
            story = []
            for _ in range(50):
                outcome = await http.write("submit", ORDER, Lane.SUBMIT, clock.now_ns() + SECOND, classify)
                story.append(f"{clock.now_ns()} {outcome} {len(transport.carried)}")
            return story

        return run_virtual(main)

    assert once(1) == once(1)
    assert once(1) != once(2)
