"""Lost requests, clocks that differ, refused credentials, limits: what leaves, what does not, what is concluded."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted, Ambiguous, Found, NotExecuted, NotFound, Rejected, StillUnknown, Unknown
from quantd.errors import AuthFailed, RateLimited, Unavailable
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import Action
from quantd.simulators.ripio.options import RateRules
from quantd.venues.ripio.classify import DAILY_PAUSE_S
from tests.component.ripio.bench import BACK, SECOND_NS, TOKEN, Bench, on_bench

# -- lost creates --------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_is_found_by_our_id_and_never_sent_again() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.look_up_lag_s = 2.0
        bench.fault(Action.DROP_AFTER, "create_order")
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        resolution = await bench.settle(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert resolution.report.client_order_id == command.client_order_id
        assert bench.paths("POST").count("/orders") == 1
        assert set(bench.venue.desk.open) == {resolution.report.venue_order_id}

    on_bench(act)


def test_a_lost_create_that_has_filled_is_found_with_its_fills() -> None:
    async def act(bench: Bench) -> None:
        bench.fault(Action.DROP_AFTER, "create_order")
        command = bench.submit("350060", quantity="0.003")
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        resolution = await bench.settle(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert resolution.report.state is OrderState.FILLED
        assert sum(fill.quantity for fill in resolution.report.fills) == Decimal("0.003")

    on_bench(act)


def test_several_orders_under_our_id_are_for_a_person() -> None:
    async def act(bench: Bench) -> None:
        bench.fault(Action.DROP_AFTER, "create_order")
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        other = bench.foreign(command.client_order_id)
        (ours,) = set(bench.venue.desk.open) - {other}
        assert await bench.settle(command, sent_at_ns) == Ambiguous(tuple(sorted((ours, other))))

    on_bench(act)


def test_one_order_under_our_id_with_other_terms_is_for_a_person_too() -> None:
    async def act(bench: Bench) -> None:
        bench.fault(Action.DROP_BEFORE, "create_order")
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        other = bench.foreign(command.client_order_id, price="339000")
        assert await bench.settle(command, sent_at_ns) == Ambiguous((other,))
        assert bench.anomalies("reply_contradicts") == 1

    on_bench(act)


@pytest.mark.parametrize("path", ["/orders", "/orders/open"])
def test_a_list_that_is_not_whole_proves_no_absence(path: str) -> None:
    async def act(bench: Bench) -> None:
        bench.fault(Action.DROP_BEFORE, "create_order")
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        bench.tampers.append(("GET", path, lambda data: {**data, "nc": BACK}))
        await asyncio.sleep(60)
        for _ in range(4):
            assert await bench.connector.resolve(command, sent_at_ns) == StillUnknown("list_not_complete", 2.0)
            await asyncio.sleep(6)
        bench.tampers.clear()
        assert isinstance(await bench.settle(command, sent_at_ns), NotFound)

    on_bench(act)


def test_a_clock_that_jumps_ahead_does_not_shorten_the_quiet_period() -> None:
    async def act(bench: Bench) -> None:
        bench.fault(Action.DROP_BEFORE, "create_order")
        command = bench.submit()
        assert isinstance(await bench.connector.submit(command), Unknown)
        began_ns = bench.clock.monotonic_ns()
        long_ago_ns = bench.clock.now_ns() - 3600 * SECOND_NS
        assert isinstance(await bench.settle(command, long_ago_ns), NotFound)
        assert bench.clock.monotonic_ns() - began_ns >= 15 * SECOND_NS

    on_bench(act)


@pytest.mark.parametrize("action", [Action.DROP_BEFORE, Action.DROP_AFTER])
def test_a_cancel_without_an_answer_is_judged_by_the_order_once_it_can_arrive_no_more(action: Action) -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit()
        report = await bench.place(command)
        bench.fault(action, "cancel_order")
        cancel = bench.cancel(command, report)
        sent_at_ns = bench.clock.now_ns()
        assert isinstance(await bench.connector.cancel(cancel), Unknown)
        resolution = await bench.settle(cancel, sent_at_ns)
        if action is Action.DROP_AFTER:
            assert isinstance(resolution, Found)
            assert resolution.report.state is OrderState.CANCELLED
        else:
            assert isinstance(resolution, NotFound), "the engine may send the next one"
            assert bench.clock.now_ns() - sent_at_ns >= 7 * SECOND_NS

    on_bench(act)


# -- clocks and credentials ----------------------------------------------------------------------------------------


def test_each_request_is_signed_when_it_leaves_and_no_timestamp_comes_twice() -> None:
    async def act(bench: Bench) -> None:
        bench.sent.clear()
        bench.sent_at_ns.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(12):  # four seconds' worth of the budget
                group.create_task(bench.connector.book(bench.instrument, 1))
        stamps = [int(one.headers["Timestamp"]) for one in bench.sent]
        assert len(set(stamps)) == 12
        assert stamps == sorted(stamps)
        assert max(abs(ms - at_ns // 1_000_000) for ms, at_ns in zip(stamps, bench.sent_at_ns, strict=True)) <= 12
        assert stamps[-1] - stamps[0] > 2_000

    on_bench(act)


@pytest.mark.parametrize("skew_s", [30.0, -30.0])
@pytest.mark.parametrize("bare", [False, True])
def test_after_a_jump_of_the_venue_s_clock_reads_are_tried_again_and_a_write_is_asked_after(
    skew_s: float, bare: bool
) -> None:
    async def act(bench: Bench) -> None:
        bench.switches.clock_skew_s, bench.switches.bare_envelope = skew_s, bare
        assert await bench.connector.quotes([bench.instrument])
        bench.switches.clock_skew_s = 0.0
        await asyncio.sleep(31)  # the time, a public route, may be half a minute old
        command, sent_at_ns = bench.submit(), bench.clock.now_ns()
        assert await bench.connector.submit(command) == Unknown("refused_once")
        assert await bench.settle(command, sent_at_ns) == NotFound()
        assert isinstance(await bench.connector.submit(bench.submit()), Accepted)
        assert not bench.auth_failures

    on_bench(act)


@pytest.mark.parametrize("skew_s", [30.0, -30.0])
def test_a_jump_of_the_clock_that_only_the_second_refusal_tells_is_none_of_the_credentials(skew_s: float) -> None:
    async def act(bench: Bench) -> None:
        real, unreadable = bench.venue.handle, [b"\x00\xff"]

        def by_a_proxy_that_spoils_one(request: HttpRequest) -> HttpResponse:
            answer = real(request)
            return msgspec.structs.replace(answer, body=unreadable.pop()) if unreadable else answer

        bench.venue.handle = by_a_proxy_that_spoils_one  # type: ignore[method-assign]  # what stands in between
        bench.switches.clock_skew_s = skew_s
        assert await bench.connector.quotes([bench.instrument])
        assert bench.paths()[-3:] == ["/ticker/BTC_BRL"] * 3

    on_bench(act)


def test_a_refused_token_stops_trading_and_is_no_matter_of_the_clock() -> None:
    async def act(bench: Bench) -> None:
        bench.venue.command("block", {"token": TOKEN, "blocked": True})
        outcome = await bench.connector.submit(bench.submit())
        assert isinstance(outcome, Rejected)
        assert outcome.code == "unauthorized"
        assert len(bench.auth_failures) == 1
        with pytest.raises(AuthFailed):
            await bench.connector.snapshot()
        assert TOKEN not in bench.auth_failures[0]

    on_bench(act)


def test_a_refusal_that_a_second_look_does_not_confirm_leaves_a_write_unknown() -> None:
    async def act(bench: Bench) -> None:
        real = bench.venue.handle

        def by_a_proxy_that_repeats(request: HttpRequest) -> HttpResponse:
            answer = real(request)
            return real(request) if request.method == "POST" else answer

        bench.venue.handle = by_a_proxy_that_repeats  # type: ignore[method-assign]  # what stands in between
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert await bench.connector.submit(command) == Unknown("refused_once")
        resolution = await bench.settle(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert set(bench.venue.desk.open) == {resolution.report.venue_order_id}
        assert not bench.auth_failures

    on_bench(act)


@pytest.mark.parametrize(
    ("tells_time", "late_s", "stale_s"), [(True, 0, 0), (True, 3, 0), (False, 0, 0), (False, 0, 10)]
)
def test_a_create_that_was_carried_out_is_never_taken_for_refused_by_the_clock(
    tells_time: bool, late_s: int, stale_s: int
) -> None:
    async def act(bench: Bench) -> None:
        real = bench.venue.handle

        def repeated(request: HttpRequest) -> HttpResponse:
            answer = real(request)
            told: dict[str, Any] = {"error_code": None, "message": None, "data": None}
            now_ms = bench.clock.now_ns() // 1_000_000
            if request.path.endswith("/server-time"):
                told |= {"data": {"timestamp": now_ms - stale_s * 1_000}}
                return HttpResponse(200, {}, json.dumps(told).encode())
            if request.method != "POST":
                return answer
            assert answer.status == 200
            time = {"timestamp": now_ms} if tells_time else {}
            return HttpResponse(401, {}, json.dumps({**told, "error_code": 40100, **time}).encode())

        bench.venue.handle = repeated  # type: ignore[method-assign]  # what stands in between
        if late_s:
            bench.fault(Action.DELAY_AFTER, "create_order", delay_s=late_s)
        command, sent_at_ns = bench.submit(), bench.clock.now_ns()
        assert await bench.connector.submit(command) == Unknown("refused_once")
        assert bench.signer.offset_ms == 0, "a time that came late or stale does not spoil a clock that was right"
        assert isinstance(await bench.settle(command, sent_at_ns), Found)
        assert not bench.auth_failures

    on_bench(act)


def test_an_order_that_its_id_leads_to_is_found_though_no_answer_repeats_the_id() -> None:
    async def act(bench: Bench) -> None:
        def nameless(order: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in order.items() if name != "external_id"}

        bench.tampers += [
            ("GET", "/orders/by-external-id/.*", nameless),
            ("GET", "/orders(/open)?", lambda data: {**data, "orders": [nameless(one) for one in data["orders"]]}),
        ]
        bench.fault(Action.DROP_AFTER, "create_order")
        command, sent_at_ns = bench.submit(), bench.clock.now_ns()
        assert isinstance(await bench.connector.submit(command), Unknown)
        resolution = await bench.settle(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert set(bench.venue.desk.open) == {resolution.report.venue_order_id}

    on_bench(act)


def test_a_user_who_may_not_trade_stops_trading() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.trading_blocked = True
        outcome = await bench.connector.submit(bench.submit())
        assert isinstance(outcome, Rejected)
        assert outcome.code == "forbidden"
        assert len(bench.auth_failures) == 1

    on_bench(act)


# -- limits --------------------------------------------------------------------------------------------------------


async def _eagerly(bench: Bench) -> None:
    while True:
        await bench.connector.quotes([bench.instrument])


def test_at_the_day_s_cap_nothing_leaves_for_a_quarter_of_an_hour() -> None:
    async def act(bench: Bench) -> None:
        with pytest.raises(RateLimited):
            await asyncio.wait_for(_eagerly(bench), 60)
        bench.sent.clear()
        with pytest.raises(RateLimited):
            await bench.connector.quotes([bench.instrument])
        outcome = await bench.connector.submit(bench.submit())
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason == "rate_limited"
        assert not bench.sent
        await asyncio.sleep(DAILY_PAUSE_S)
        with pytest.raises(RateLimited):
            await bench.connector.quotes([bench.instrument])
        assert len(bench.sent) == 1, "then it is tried again, once"

    on_bench(act, rates=RateRules(per_day=15))


def test_a_refusal_of_the_second_pauses_for_one_second_and_then_for_two() -> None:
    async def act(bench: Bench) -> None:
        waits = []
        for _ in range(2):
            bench.fault(Action.THROTTLE, "ticker")
            with pytest.raises(RateLimited):
                await bench.connector.quotes([bench.instrument])
            began_ns = bench.clock.monotonic_ns()
            await bench.connector.book(bench.instrument, 1)
            waits.append((bench.clock.monotonic_ns() - began_ns) / SECOND_NS)
        assert waits[0] == pytest.approx(1.0, abs=0.2)
        assert waits[1] == pytest.approx(2.0, abs=0.2)

    on_bench(act)


# -- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"nested_balances": True},
        {"bare_envelope": True},
        {"code_key": "code"},
        {"numbered_429": True},
        {"pending_creation_s": 3.0},
        {"trade_pagination": True},
        {"default_status": "executed_completely"},
    ],
)
def test_every_shape_that_older_documents_show_is_read(switches: dict[str, Any]) -> None:
    async def act(bench: Bench) -> None:
        bench.venue.adjust(switches)
        command = bench.submit()
        report = await bench.place(command)
        assert [one.venue_order_id for one in (await bench.connector.snapshot()).orders] == [report.venue_order_id]
        too_dear = await bench.connector.submit(bench.submit(quantity="100"))
        assert isinstance(too_dear, Rejected)
        assert too_dear.code == "insufficient_funds"
        bench.move(Decimal(339_990), Decimal(340_000))
        (told,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert told.state is OrderState.FILLED
        late = await bench.connector.cancel(bench.cancel(command, report))
        assert isinstance(late, Accepted)
        assert late.reports[0].filled_quantity == command.spec.quantity

    on_bench(act)


@pytest.mark.parametrize("number", [50000, 50001, 50002, 50003])
def test_a_500_after_the_order_was_taken_is_unknown_whatever_its_number(number: int) -> None:
    async def act(bench: Bench) -> None:
        bench.venue.adjust({"internal_error": number})
        bench.fault(Action.ERROR_AFTER, "create_order", status=500)
        command = bench.submit()
        sent_at_ns = bench.clock.now_ns()
        assert await bench.connector.submit(command) == Unknown("http_500")
        assert isinstance(await bench.settle(command, sent_at_ns), Found)

    on_bench(act)


def test_maintenance_is_an_outage_for_reads_and_unknown_for_writes() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.maintenance = True
        with pytest.raises(Unavailable):
            await bench.connector.snapshot()
        assert await bench.connector.submit(bench.submit()) == Unknown("http_503")

    on_bench(act)


def test_a_401_that_does_not_tell_the_time_condemns_the_credentials_only_after_a_while() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.bare_envelope = True
        bench.venue.command("block", {"token": TOKEN, "blocked": True})
        with pytest.raises(Unavailable, match="perhaps for the clock"):
            await bench.connector.snapshot()
        assert await bench.connector.submit(bench.submit()) == Unknown("refused_once")
        assert not bench.auth_failures
        await asyncio.sleep(91)
        with pytest.raises(AuthFailed):
            await bench.connector.snapshot()
        outcome = await bench.connector.submit(bench.submit())
        assert isinstance(outcome, Rejected)
        assert len(bench.auth_failures) == 1
        bench.venue.command("block", {"token": TOKEN, "blocked": False})
        await bench.connector.snapshot()

    on_bench(act)
