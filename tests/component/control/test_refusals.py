"""What the control API refuses: strangers, browsers, slow and greedy clients, and paths that lead nowhere."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from quantd.control.routes import ROUTES
from tests.component.control.house import TOKENS, House

ADMIN = TOKENS["ann"][0]
HEAD = f"Host: localhost\r\nAuthorization: Bearer {ADMIN}\r\n".encode()
POSTS = [route for route in ROUTES if route.method == "POST"]
BODIES = {
    "/v1/halt": {"why": "drill"},
    "/v1/resume": {"scope": "all", "why": "over"},
    "/v1/cancel": {"scope": "all"},
    "/v1/flatten": {"scope": "all", "why": "drill"},
    "/v1/orders": {"instrument": "paper:BTC-USD", "side": "buy", "quantity": "1", "why": "drill", "kind": "market"},
    "/v1/reconcile": {"venue": "paper"},
    "/v1/resolve": {"order": "q0test-1-1", "outcome": "not_executed", "why": "drill"},
    "/v1/heartbeat": {},
    "/v1/reload": {},
}


async def become(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_refuses_a_caller_without_a_token(house: House, route: object) -> None:
    method, path = route.method, route.path.replace("{id}", "s1")  # type: ignore[attr-defined]  # a Route
    status, problem = await house.ask(method, path, BODIES.get(path), by=None)
    assert (status, problem["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer planted-reader-tokem",
        "Bearer ",
        f"Basic {ADMIN}",
        ADMIN,
        f"Bearer  {ADMIN}",
        f"Bearer {ADMIN}x",
        "Bearer \xff",
    ],
)
async def test_a_wrong_token_is_refused_and_not_repeated(house: House, header: str) -> None:
    status, problem = await house.ask("GET", "/v1/status", by=None, headers={"Authorization": header})
    assert (status, problem["code"]) == (401, "unauthorized")
    assert not house.audit, "a stranger writes nothing into the journal"


async def test_two_tokens_at_once_are_refused(house: House) -> None:
    told = await house.raw(b"GET /v1/status HTTP/1.1\r\n" + HEAD + HEAD[17:] + b"\r\n")
    assert b" 401 " in told.splitlines()[0]


@pytest.mark.parametrize(
    ("by", "opens"),
    [
        ("reader", set()),
        ("trader", {"/v1/cancel", "/v1/flatten", "/v1/orders", "/v1/reconcile", "/v1/heartbeat"}),
        ("halter", {"/v1/halt", "/v1/resume", "/v1/cancel", "/v1/heartbeat"}),
        ("ann", {route.path for route in POSTS}),
    ],
)
async def test_each_scope_opens_its_actions_and_no_other(house: House, by: str, opens: set[str]) -> None:
    for route in POSTS:
        status, answer = await house.ask("POST", route.path, BODIES[route.path], by=by)
        refused = status == 403 and answer["code"] == "scope_missing"
        assert refused is (route.path not in opens), f"{by} {route.path}: {status} {answer}"
        if refused:
            assert house.audit[-1].by == by
            assert house.audit[-1].result == "scope_missing"
    status, _ = await house.ask("GET", "/v1/status", by=by)
    assert status == 200, "whoever has a token may look"


async def test_a_token_that_may_only_look_fills_neither_journal_nor_log(house: House) -> None:
    with capture_logs() as lines:
        for _ in range(70):
            assert (await house.ask("POST", "/v1/halt", BODIES["/v1/halt"], by="reader"))[0] == 403
        assert (await house.ask("POST", "/v1/halt", {}))[0] == 422
    assert [sum(fact.by == name for fact in house.audit) for name in ("reader", "ann")] == [60, 1]
    assert len([line for line in lines if line["event"] == "control_request"]) == 61


@pytest.mark.parametrize(
    "path",
    [
        "/page", "/page/", "/page/nothing.js", "/page/../page/page.js", "/index.html", "/v1", "/v1/", "/v1/statu", "/v1/status/", "//v1/status", "/v1//status", "/v1/./status", "/v1/../v1/status",
        "/v1/%73tatus", "/v1/%2e%2e/v1/status", "/v1%2fstatus", "/v1/status%00", "/v1/status;x", "/V1/status", "/v1\\status",
        "/v1/why/order/..", "/v1/why/order/%2e%2e", "/v1/why/order/a/b", "/v1/why/order/", "/" + "a" * 300,
        "/../../etc/passwd", "/page/../../../etc/passwd", "*", "http://localhost/v1/nothing",
    ],
)  # fmt: skip
async def test_a_path_that_is_not_a_route_leads_nowhere(house: House, path: str) -> None:
    told = await house.raw(f"GET {path} HTTP/1.1\r\n".encode() + HEAD + b"Connection: close\r\n\r\n")
    assert told.split(b" ")[1] in (b"404", b"400"), told
    assert ADMIN.encode() not in told


async def test_a_path_that_is_very_long_is_refused(house: House) -> None:
    told = await house.raw(b"GET /v1/status?" + b"a=1&" * 500 + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert told.split(b" ")[1] in (b"414", b"400")


async def test_another_method_is_told_which_ones_there_are(house: House) -> None:
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
        told = await house.raw(f"{method} /v1/orders HTTP/1.1\r\n".encode() + HEAD + b"Connection: close\r\n\r\n")
        assert told.split(b" ")[1] == b"405", told
        assert b"Allow: GET, POST" in told


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9466", "127.0.0.1.evil.example", "[::2]", "", "0.0.0.0"]
)
async def test_another_host_name_is_refused(house: House, host: str) -> None:
    status, problem = await house.ask("GET", "/v1/status", headers={"Host": host})
    assert (status, problem["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"])
async def test_a_browser_is_refused_and_told_of_no_sharing(house: House, header: str) -> None:
    told = await house.raw(b"GET /v1/status HTTP/1.1\r\n" + HEAD + f"{header}: null\r\n\r\n".encode())
    assert b" 403 " in told.splitlines()[0]
    assert b"access-control" not in told.lower()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "bad_json")),
        (b"{", (400, "bad_json")),
        (b"\xff\xfe", (400, "bad_json")),
        (b"[" * 2000, (422, "bad_body")),
        (b"[]", (422, "bad_body")),
        (b"null", (422, "bad_body")),
        (b"{}", (422, "bad_body")),
        (b'{"scope": "all", "why": "x", "extra": 1}', (422, "bad_body")),
        (b'{"scope": "everything", "why": "x"}', (422, "bad_body")),
        (b'{"scope": "all\\n", "why": "x"}', (422, "bad_body")),
        (b'{"scope": "all", "why": ""}', (422, "bad_body")),
        (b'{"scope": "all", "why": "\\u0000"}', (422, "bad_body")),
        (b'{"scope": "strategy:nobody", "why": "x"}', (404, "unknown_strategy")),
        (b'{"scope": "venue:nowhere", "why": "x"}', (404, "unknown_venue")),
        (b'{"scope": "instrument:paper:NOTHING", "why": "x"}', (404, "unknown_instrument")),
        (b'{"why": "' + b"x" * 2100 + b'"}', (413, "too_large")),
    ],
)
async def test_a_body_that_does_not_fit_changes_nothing_and_is_recorded(
    house: House, body: bytes, expected: tuple[int, str]
) -> None:
    status, problem = await house.ask("POST", "/v1/halt", body)
    assert (status, problem["code"]) == expected
    assert not house.rig.state.latches
    assert not house.latch.read().halts
    assert [(fact.by, fact.action, fact.result) for fact in house.audit] == [("ann", "halt", expected[1])]


async def test_an_order_nested_without_an_end_is_no_json(house: House) -> None:
    status, problem = await house.ask("POST", "/v1/orders", b'{"a":' + b"[" * 2000)
    assert (status, problem["code"]) == (400, "bad_json")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_is_refused(house: House, media_type: str) -> None:
    status, problem = await house.ask("POST", "/v1/halt", {"why": "x"}, headers={"Content-Type": media_type})
    assert (status, problem["code"]) == (415, "bad_media_type")


async def test_a_compressed_body_is_refused_unread(house: House) -> None:
    status, _ = await house.ask("POST", "/v1/halt", b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert status == 415


async def test_a_body_in_pieces_is_cut_off_at_the_limit(house: House) -> None:
    head = (
        b"POST /v1/halt HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    told = await house.raw(head + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"800\r\n" + b"x" * 2048 + b"\r\n")
    assert b" 413 " in told.splitlines()[0]


@pytest.mark.parametrize(
    "query",
    [
        "?extra=1",
        "?limit=0",
        "?limit=501",
        "?limit=x",
        "?limit=1&limit=2",
        "?all=perhaps",
        "?strategy=%00",
        "?before=x&all=true",
    ],
)
async def test_a_parameter_that_does_not_fit_is_refused(house: House, query: str) -> None:
    status, problem = await house.ask("GET", f"/v1/orders{query}")
    assert status == 400
    assert problem["code"] in ("bad_parameters", "bad_cursor")


async def test_a_client_that_never_finishes_its_headers_is_cut_off(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.listener.port)
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: loc")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_client_that_never_finishes_its_body_is_cut_off(house: House) -> None:
    head = b"POST /v1/halt HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    told = await house.raw(head)
    assert b" 408 " in told.splitlines()[0]


async def test_a_client_that_goes_away_in_the_middle_is_no_fault_of_ours(house: House) -> None:
    head = b"POST /v1/halt HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    with capture_logs() as lines:
        _, writer = await asyncio.open_connection("127.0.0.1", house.listener.port)
        writer.write(head)
        await writer.drain()
        await become(lambda: house.listener._connections._deadlines._busy)
        writer.close()
        await become(lambda: lines)
    assert [(line["event"], line["status"], line["reason"]) for line in lines] == [("control_request", 400, "bad_body")]


async def test_there_are_only_so_many_connections_and_idle_ones_keep_nobody_out(house: House) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", house.listener.port) for _ in range(64)]
    assert (await house.ask("POST", "/v1/halt", {"why": "drill"}))[0] == 200
    async with asyncio.timeout(0.9):  # before any of them would have been cut off for being idle
        assert await opened[0][0].read() == b"", "the oldest has made room"
    for _, writer in opened:
        writer.close()


async def test_headers_that_no_server_understands_show_no_token(house: House, caplog: pytest.LogCaptureFixture) -> None:
    told = await house.raw(
        b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + ADMIN.encode() + b"\x00\r\n\r\n"
    )
    assert b" 400 " in told.splitlines()[0]
    assert ADMIN.encode() not in told
    assert b"application/problem+json" in told
    assert not caplog.records, "nor does the library log them"


async def test_a_secret_in_an_error_is_masked(house: House) -> None:
    status, problem = await house.ask("POST", "/v1/reconcile", {"venue": "paper"})
    assert (status, problem["code"]) == (502, "venue_failing")
    assert "[redacted]" in problem["detail"]


async def test_a_daemon_without_files_has_nothing_to_reload(house: House) -> None:
    status, problem = await house.ask("POST", "/v1/reload", {})
    assert (status, problem["code"]) == (409, "no_files")


async def test_the_document_takes_no_token_but_no_browser_either(house: House) -> None:
    status, told = await house.ask("GET", "/openapi.json", by=None)
    assert status == 200
    assert set(told["paths"]) == {route.path for route in ROUTES}
    assert (await house.ask("GET", "/openapi.json", by=None, headers={"Origin": "null"}))[0] == 403
