"""The web page's files, and which of a browser's requests are answered: those of that page, and no others."""

import re
from importlib.resources import files

import aiohttp
from structlog.testing import capture_logs

from quantd.control.web_page import page_files
from tests.component.control.house import TOKENS, House

TOKEN = {"Authorization": f"Bearer {TOKENS['ann'][0]}"}

BOUND = [
    "evil.example", "127.0.0.1.evil.example", "evil.example:80", "127.0.0.1@evil.example", "localhost.", "localhost.evil.example",
    "[::1", "[::1]x", "::1", "127.0.0.1:x", "127.0.0.1:", "127.1", "2130706433", "0.0.0.0",
]  # fmt: skip
"""Names under which another site's page may reach a port of this machine, and ones that only look like ours."""


def own(house: House, mode: str = "same-origin", site: str = "same-origin", **more: str) -> dict[str, str]:
    """The headers of a browser that shows the page of this house."""
    return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, **{name.replace("_", "-"): more[name] for name in more}}


async def asked(house: House, path: str, headers: dict[str, str], method: str = "GET", body: str = "") -> int:
    """Send a request; its status."""
    data = body.encode() or None
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{house.address}{path}", headers=headers, data=data) as answer,
    ):
        assert "access-control" not in str(answer.headers).lower(), "nothing is shared with other origins"
        await answer.read()
        return answer.status


async def test_the_pages_files_take_no_token_and_hold_the_browser_to_themselves(house: House) -> None:
    for path in page_files():
        async with aiohttp.ClientSession() as session, session.get(f"{house.address}{path}") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


async def test_what_another_page_asks_over_and_over_does_not_fill_the_log(house: House) -> None:
    with capture_logs() as lines:
        async with aiohttp.ClientSession() as session:
            for _ in range(70):
                foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
                async with session.get(f"{house.address}/v1/status", headers=foreign) as answer:
                    assert answer.status == 403
        assert len([line for line in lines if line["event"] == "control_request"]) == 60
        assert await asked(house, "/v1/halt", TOKEN | {"Content-Type": "application/json"}, "POST", "{}") == 422
    assert lines[-1]["by"] == "ann", "whoever has a token is told of in any case"


def test_the_pages_files_name_no_host_and_make_no_text_into_markup() -> None:
    for path, file in page_files().items():
        text = file.body.decode()
        hosts = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org"}  # the name of SVG, never asked
        assert not hosts, path
        markup = r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|eval\(|localStorage|\.cookie\b"
        assert not re.search(markup, text), path


def test_nothing_in_the_page_stands_inline() -> None:
    text = page_files()["/"].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    assert set(re.findall(r'(?:src|href)="([^"]+)"', text)) <= set(page_files())


def test_every_file_of_the_page_is_served() -> None:
    folder = files("quantd.control").joinpath("page")
    served = {path.rpartition("/")[2] or "index.html" for path in page_files()}
    assert served == {file.name for file in folder.iterdir()}


async def test_a_person_may_go_to_the_page_and_the_page_may_ask(house: House) -> None:
    origin = {"Origin": house.address, "Content-Type": "application/json"}
    assert await asked(house, "/", own(house, "navigate", "none")) == 200
    assert await asked(house, "/", own(house, "navigate")) == 200
    assert await asked(house, "/page/page.css", own(house, "no-cors")) == 200
    assert await asked(house, "/page/page.js", own(house, "cors", Origin=house.address)) == 200
    assert await asked(house, "/v1/status", own(house) | TOKEN) == 200
    assert (
        await asked(house, "/v1/status", own(house) | TOKEN | {"Host": "LOCALHOST:1", "Origin": "http://localhost:1"})
        == 200
    )
    assert await asked(house, "/v1/status", own(house)) == 401, "the page too shows a token"
    assert await asked(house, "/v1/halt", own(house) | TOKEN | origin, "POST", '{"why": "drill"}') == 200


async def test_what_another_page_asks_is_refused(house: House) -> None:
    for site in ("cross-site", "same-site", "none", "", "Same-Origin", "same-origin, cross-site"):
        for mode in ("cors", "no-cors", "same-origin", "websocket"):
            for path in ("/", "/page/page.js", "/v1/status", "/v1/stream", "/openapi.json", "/v1/nothing"):
                assert await asked(house, path, own(house, mode, site) | TOKEN) == 403, f"{site} {mode} {path}"
        headers = own(house, "same-origin", site, Origin=house.address) | TOKEN | {"Content-Type": "application/json"}
        assert await asked(house, "/v1/halt", headers, "POST", '{"why": "x"}') == 403, site
    assert not house.rig.state.latches


async def test_a_link_or_a_frame_on_another_page_does_not_lead_here(house: House) -> None:
    for site in ("cross-site", "same-site", "", "None"):
        assert await asked(house, "/", own(house, "navigate", site)) == 403, site


async def test_each_path_is_asked_only_as_the_page_asks_it(house: House) -> None:
    for path, modes in {
        "/": ["cors", "no-cors", "same-origin", "websocket"],
        "/page/page.js": ["navigate", "same-origin", "websocket"],
        "/v1/status": ["navigate", "cors", "no-cors", "websocket", ""],
        "/v1/stream": ["navigate", "cors", "no-cors", "websocket"],
        "/openapi.json": ["navigate", "cors", "no-cors", "websocket"],
    }.items():
        for mode in modes:
            assert await asked(house, path, own(house, mode) | TOKEN) == 403, f"{path} {mode}"


async def test_a_form_does_not_lead_here(house: House) -> None:
    for site in ("none", "same-origin", "cross-site"):
        for origin in ({}, {"Origin": house.address}, {"Origin": "null"}):
            for path in ("/", "/v1/halt"):
                headers = own(house, "navigate", site) | origin | {"Content-Type": "text/plain"}
                assert await asked(house, path, headers, "POST", "why=x") == 403


async def test_another_origin_is_refused_whatever_else_is_said(house: House) -> None:
    port = house.listener.port
    for origin in (
        "null",
        "",
        "http://evil.example",
        f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port + 1}",
        f"http://localhost:{port}",  # another origin than the Host that is asked
        "http://127.0.0.1",
    ):
        assert await asked(house, "/v1/status", own(house, Origin=origin) | TOKEN) == 403, origin
        assert await asked(house, "/v1/status", {"Origin": origin} | TOKEN) == 403, origin


async def test_an_origin_alone_is_refused_even_the_own_one(house: House) -> None:
    assert await asked(house, "/v1/status", {"Origin": house.address} | TOKEN) == 403


async def test_a_change_from_a_browser_names_its_origin(house: House) -> None:
    headers = own(house) | TOKEN | {"Content-Type": "application/json"}
    assert await asked(house, "/v1/halt", headers, "POST", '{"why": "drill"}') == 403
    assert not house.rig.state.latches


async def test_a_browsers_headers_count_once_each(house: House) -> None:
    head = f"Host: 127.0.0.1:{house.listener.port}\r\nAuthorization: {TOKEN['Authorization']}\r\n"
    site, mode = "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Mode: same-origin\r\n"
    origin = f"Origin: {house.address}\r\n"
    for more, status in ((site + mode, 200), (site + site + mode, 403), (site + mode + mode, 403), (site, 403)):
        told = await house.raw(f"GET /v1/status HTTP/1.1\r\n{head}{more}Connection: close\r\n\r\n".encode())
        assert told.split(b" ")[1] == str(status).encode(), more
    told = await house.raw(f"GET /v1/status HTTP/1.1\r\n{head}{site}{mode}{origin}{origin}\r\n".encode())
    assert told.split(b" ")[1] == b"403"


async def test_a_name_that_was_bound_to_this_machine_is_refused(house: House) -> None:
    """DNS rebinding: the browser believes that it speaks to the other site, and says so as of its own origin."""
    for host in BOUND:
        for path, mode in (("/", "navigate"), ("/page/page.js", "cors"), ("/v1/status", "same-origin")):
            assert await asked(house, path, own(house, mode, Host=host) | TOKEN) == 421, f"{host} {path}"


async def test_two_names_at_once_are_refused(house: House) -> None:
    head = f"Host: 127.0.0.1\r\nHost: evil.example\r\nAuthorization: {TOKEN['Authorization']}\r\n"
    told = await house.raw(f"GET /v1/status HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    assert told.split(b" ")[1] in (b"400", b"421")
