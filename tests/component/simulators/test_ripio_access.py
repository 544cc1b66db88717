"""The simulated Ripio Trade lets in what is signed, in time, permitted and within its limits, and nothing else."""

import json
from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.ports import HttpRequest
from quantd.simulators.ripio.options import UNAPPROVED, Credential, RateRules, Setup
from quantd.simulators.ripio.signing import request_message, signature
from quantd.simulators.ripio.venue import RipioVenue
from tests.component.simulators.ripio_desk import LIMIT, MAIN, READER, Desk, compact, order, tree_of

SECRET = "test-secret-abcdef0123456789"
UUID = "0f4a8504-21fb-4be6-9771-25dcf5f68f87"
B2 = (
    b'{"pair":"BTC_BRL","side":"buy","type":"limit","amount":"0.01","price":"300000",'
    b'"external_id":"0f4a8504-21fb-4be6-9771-25dcf5f68f87"}'
)
B3 = b'{"id":"7155ED34-9EC4-4733-8B32-1E4319CB662F"}'
VECTORS = [
    (1718000000000, "GET", "/trade/orders", "?pair=BTC_BRL", b"", "8TI0hdmBk9aWH6fdvy1GLoNwJOOloKZL44rY6Q7JjUE="),
    (1718000000001, "POST", "/trade/orders", "", B2, "CEMmqr/11GXaoLD8UZWzmObIOpDNudP6JUXRMqpuwS8="),
    (1718000000002, "DELETE", "/trade/orders", "", B3, "mbonL8d/LzBagC2a5Ov9L9hmhwWF+8nI8l/kJ00tDaw="),
    (
        1718000000003, "GET", f"/trade/orders/by-external-id/{UUID}", "", b"",
        "0feifUIO7WSpqUGUAfxBzOM937jRj8tkjI7UeutZxfA=",
    ),
    (1718000000004, "POST", "/trade/ticket", "", b"", "cDvx06Dkw6gXsvRPkf3rL7uDE+6BDlmU80QZwJP6iv0="),
]  # fmt: skip
WRONG_SIGNATURE = "Not authorized"


def asked(at_ms: int, request: HttpRequest) -> tuple[int, Any]:
    venue = RipioVenue(Setup(credentials=(Credential("token", SECRET),)), clock=ManualClock(at_ms * 1_000_000))
    response = venue.handle(request)
    return response.status, tree_of(response)


@pytest.mark.parametrize(("at_ms", "method", "path", "query", "body", "expected"), VECTORS)
def test_worked_vectors_are_signed_and_let_in(
    at_ms: int, method: str, path: str, query: str, body: bytes, expected: str
) -> None:
    assert signature(SECRET, request_message(str(at_ms), method, path, body)) == expected
    headers = {"Authorization": "token", "Timestamp": str(at_ms), "Signature": expected}
    if body:
        headers["Content-Type"] = "application/json"
    status, _ = asked(at_ms, HttpRequest(method, path + query, headers, body))
    assert status != 401
    status, tree = asked(at_ms, HttpRequest(method, path + query, {**headers, "Signature": expected[::-1]}, body))
    assert (status, tree["error_code"], tree["message"]) == (401, 40100, WRONG_SIGNATURE)


def test_signature_of_a_spaced_body_does_not_fit_the_compact_one() -> None:
    spaced = "Rftsj8LuvSPrU1bmqOICtMjuX7/ZH71Wmf/Pbr6Gk2k="
    body = json.dumps(json.loads(B2)).encode()
    assert signature(SECRET, request_message("1718000000001", "POST", "/trade/orders", body)) == spaced
    headers = {
        "Authorization": "token", "Timestamp": "1718000000001", "Signature": spaced,
        "Content-Type": "application/json",
    }  # fmt: skip
    assert asked(1718000000001, HttpRequest("POST", "/trade/orders", headers, B2))[0] == 401
    assert asked(1718000000001, HttpRequest("POST", "/trade/orders", headers, body))[0] == 200


@pytest.mark.parametrize("name", ["Authorization", "Timestamp", "Signature"])
def test_each_header_of_the_three_is_required(name: str) -> None:
    desk = Desk()
    request = desk.signed("GET", "/trade/user/balances")
    headers = {key: text for key, text in request.headers.items() if key != name}
    response = desk.venue.handle(HttpRequest(request.method, request.path, headers))
    assert (response.status, tree_of(response)["error_code"]) == (401, 40100)
    lower = {key.lower(): text for key, text in request.headers.items()}
    assert desk.venue.handle(HttpRequest(request.method, request.path, lower)).status == 200


@pytest.mark.parametrize(
    ("off_ms", "tolerance", "expected"),
    [
        (-5000, None, 200), (-5001, None, 401), (5000, None, 200), (5001, None, 401), (-60_000, "60000", 200),
        (-60_001, "60000", 401), (-3, "2", 401), (-1, "2", 200), (0, "60001", 400), (0, "soon", 400), (0, "-1", 400),
    ],
)  # fmt: skip
def test_timestamps_hold_within_the_tolerance_either_way(off_ms: int, tolerance: str | None, expected: int) -> None:
    desk = Desk()
    stamp = str(desk.clock.now_ns() // 1_000_000 + 1 + off_ms)  # a request comes a millisecond later
    more = {} if tolerance is None else {"timestamp_tolerance": tolerance}
    status, tree = desk.ask("GET", "/user/balances", timestamp=stamp, **more)
    assert status == expected
    assert tree["error_code"] == {200: None, 401: 40100, 400: 40000}[expected]


@pytest.mark.parametrize("stamp", ["", "now", "1.5", "1780000000"])
def test_timestamps_are_whole_milliseconds(stamp: str) -> None:
    assert Desk().code("GET", "/user/balances", timestamp=stamp) == (401, 40100)


def test_misspelt_tolerance_of_the_reference_pages_counts_only_by_switch() -> None:
    desk = Desk()
    old = str(desk.clock.now_ns() // 1_000_000 - 20_000)
    assert desk.ask("GET", "/user/balances", timestamp=old, timstamp_tolerance="60000")[0] == 401
    desk.switches.misspelt_tolerance = True
    assert desk.ask("GET", "/user/balances", timestamp=old, timstamp_tolerance="60000")[0] == 200


def test_repeated_signature_is_refused_unless_the_switch_lets_it_in() -> None:
    desk = Desk()
    request = desk.signed("POST", "/trade/orders", compact(LIMIT))
    assert desk.venue.handle(request).status == 200
    again = desk.venue.handle(request)
    assert (again.status, tree_of(again)["error_code"]) == (401, 40100)
    assert desk.venue.counters()["unauthorized"] == {"replay": 1}
    desk.switches.refuse_replays = False
    assert desk.venue.handle(request).status == 200
    assert desk.venue.counters()["orders"]["created"] == 2


def test_query_is_not_signed_and_the_concrete_path_is() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    right = desk.signed("GET", f"/trade/orders/{order_id}")
    assert desk.venue.handle(HttpRequest("GET", right.path + "?x=1", right.headers)).status == 200
    template = desk.signed("GET", "/trade/orders/{id}")
    wrong = HttpRequest("GET", f"/trade/orders/{order_id}", template.headers)
    assert desk.venue.handle(wrong).status == 401
    desk.switches.template_paths = True
    assert desk.venue.handle(wrong).status == 200


def test_prefix_is_part_of_the_path() -> None:
    desk = Desk(prefix="/v4")
    assert desk.venue.handle(desk.signed("GET", "/v4/user/balances")).status == 200
    assert desk.venue.handle(desk.signed("GET", "/trade/user/balances")).status == 404


def test_reader_may_read_and_not_trade() -> None:
    desk = Desk()
    assert desk.ask("GET", "/user/balances", who=READER)[0] == 200
    assert desk.code("POST", "/orders", order(), who=READER) == (403, 40300)
    assert not desk.venue.desk.orders


def test_blocked_token_is_told_40100() -> None:
    desk = Desk()
    desk.venue.command("block", {"token": MAIN.token})
    assert desk.code("GET", "/user/balances") == (401, 40100)
    desk.venue.command("block", {"token": MAIN.token, "blocked": False})
    assert desk.ask("GET", "/user/balances")[0] == 200


def test_user_has_three_and_a_half_requests_a_second_whatever_token_he_uses() -> None:
    second = Credential("second-token", "second-secret", "main")
    desk = Desk(credentials=(MAIN, second), rates=RateRules())
    answers = [desk.ask("GET", "/user/balances", who=(MAIN, second)[number % 2]) for number in range(6)]
    assert [status for status, _ in answers] == [200, 200, 200, 200, 429, 429]
    assert answers[-1][1] == {"message": "Too many requests"}, "no error_code"
    assert desk.venue.counters()["rate_limited"] == {"total": 2, "second": 2}
    desk.wait(2 / 3.5)
    assert [desk.ask("GET", "/user/balances")[0] for _ in range(3)] == [200, 200, 429]
    let_in = 0
    for _ in range(100):
        desk.wait(0.1)
        let_in += desk.ask("GET", "/user/balances")[0] == 200
    assert 34 <= let_in <= 36, "3.5 a second over ten seconds"


def test_user_without_approved_documents_has_one_a_second() -> None:
    desk = Desk(rates=UNAPPROVED)
    assert [desk.ask("GET", "/user/balances")[0] for _ in range(2)] == [200, 429]
    desk.wait(1)
    assert desk.ask("GET", "/user/balances")[0] == 200
    assert UNAPPROVED.per_day == 86_400


def test_daily_cap_ends_with_the_utc_day_and_has_words_of_its_own() -> None:
    desk = Desk(rates=RateRules(per_second=1000, burst=1000, per_day=3))
    assert [desk.ask("GET", "/user/balances")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert desk.ask("GET", "/user/balances")[1] == {"message": "Limit Exceeded"}
    desk.switches.numbered_429 = True
    assert desk.ask("GET", "/user/balances")[1]["error_code"] == 42900
    day_ns = 86_400 * 10**9
    desk.clock.set((desk.clock.now_ns() // day_ns + 1) * day_ns)
    assert desk.ask("GET", "/user/balances")[0] == 200


def test_what_is_one_too_many_is_not_done() -> None:
    desk = Desk(rates=RateRules(burst=1))
    desk.create()
    assert desk.ask("POST", "/orders", order())[0] == 429
    assert len(desk.venue.desk.orders) == 1


def test_public_routes_count_by_address() -> None:
    desk = Desk(rates=RateRules(public_burst=2))
    assert [desk.public("/public/server-time")[0] for _ in range(3)] == [200, 200, 429]
    assert desk.ask("GET", "/user/balances")[0] == 200
    elsewhere = HttpRequest("GET", "/trade/public/server-time", peer="127.0.0.9")
    assert desk.venue.handle(elsewhere).status == 200


def test_unknown_route_is_40400_in_the_frame() -> None:
    desk = Desk()
    assert desk.code("GET", "/nowhere") == (404, 40400)
    assert desk.venue.operation(HttpRequest("GET", "/trade/nowhere")) == "unknown"
    assert desk.venue.operation(HttpRequest("GET", "/trade/orders/open?pair=BTC_BRL")) == "open_orders"
