"""The web page in a real Chromium, over a real daemon that trades on the paper venue and at a simulated one."""

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.process.chromium import PROGRAM, REBOUND, Page, chromium
from tests.process.harness import SIGTERM, quantd
from tests.process.page_scene import TOKEN, a_fill_of, daemon_with_a_page, enter

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")

NUMBERS = {
    "exact('1234567.8900')": "1\u202f234\u202f567.89",
    "exact('-0.05')": "\u22120.05",
    "exact('-0.00')": "0",
    "exact('0E-8')": "0",
    "exact('1.5E+3')": "1\u202f500",
    "exact('-12E-5')": "\u22120.00012",
    "exact('0.123456789012345678901234567890')": "0.12345678901234567890123456789",
    "exact('3.1', 2)": "3.10",
    "exact(null)": "\u2013",
    "rounded('-27.746412800000000000000005')": "\u221227.75",
    "rounded('-0.004')": "0.00",
    "signed('4.7')": "+4.70",
    "signed('0.001')": "0.00",
    "clock(1795876694168118594)": "14:38:14",
    "clock(1795876694168118594, 1795976694168118594)": "11-28 14:38:14",
}
VIEWS = ((1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light"), (390, 844, "dark"))


async def status(address: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session, session.get(f"{address}/v1/status", headers=headers) as answer:
        told: dict[str, Any] = await answer.json()
        return told


async def tell(address: str, path: str, body: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{address}{path}", json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def steps(page: Page) -> list[str]:
    """What the dialog of an order shows."""
    shown: list[str] = await page.run("[...document.querySelectorAll('#steps li')].map((one) => one.innerText)")
    return shown


@pytest.mark.timeout(120)
async def test_a_person_looks_follows_an_order_halts_and_resumes_and_nothing_leaves_this_machine(
    tmp_path: Path,
) -> None:
    with daemon_with_a_page(tmp_path) as (daemon, address):
        async with chromium(tmp_path / "profile") as page:
            await page.go(f"{address}/")
            await page.until("document.getElementById('enter')?.checkVisibility()")
            await _a_wrong_token_sees_nothing(page)
            await enter(page, TOKEN)
            await page.until("document.getElementById('link').textContent === 'live'")
            await _everything_is_shown(page)
            await _numbers_are_shown_to_the_last_digit_or_as_rounded(page)
            await _an_order_at_work_is_followed(page, address)
            await _no_width_and_no_scheme_breaks_it(page)
            await _a_fill_leads_back_to_its_signal(page)
            await _a_halt_is_unmistakable_and_ends_with_a_reason(page, address)
            await _a_scope_that_is_chosen_never_becomes_another_by_itself(page)

            await page.reload()
            await page.until("document.getElementById('link')?.textContent === 'live'")
            await page.run("document.getElementById('leave').click()")
            await page.until("document.getElementById('enter')?.checkVisibility()")
            assert await page.run("sessionStorage.length") == 0
            assert not await page.run("document.getElementById('state').textContent")
            await enter(page, TOKEN)
            await page.until("document.getElementById('link')?.textContent === 'live'")
            assert daemon.signal(SIGTERM) == 0
            await page.until("document.body.classList.contains('stale')")
            assert "no news for" in await page.run("document.getElementById('link').textContent")
            with quantd(["run", "q.yaml"], tmp_path):  # it comes back, and so does the page
                await page.until("document.getElementById('link').textContent === 'live'", 30)
                assert not await page.run("document.body.classList.contains('stale')")
            said = [one for one in page.complaints if "ERR_CONNECTION_REFUSED" not in one]
            assert said == [], "the page broke its own policy, or failed"
            strange = [one for one in page.requests if not one.startswith(f"{address}/") and one != "about:blank"]
            assert strange == []
            assert not [one for one in page.requests if TOKEN in one]
    assert TOKEN not in daemon.text()


async def _a_wrong_token_sees_nothing(page: Page) -> None:
    await enter(page, "not-a-token-of-this-daemon")
    await page.until("document.getElementById('refused').textContent.includes('opens nothing')")
    assert not await page.run("document.getElementById('shown').checkVisibility()")
    assert not await page.run("document.getElementById('state').textContent")
    assert await page.run("sessionStorage.length") == 0, "it is not kept"
    await page.complained("401")
    assert page.complaints == []
    assert {status for url, status in page.answers if "/v1/" in url} == {401}


async def _everything_is_shown(page: Page) -> None:
    await page.until("document.getElementById('state').textContent === 'active'", 40)
    assert await page.run("document.body.dataset.level") == "good"
    for table, rows in {
        "strategies": 4, "venues": 2, "feeds": 4, "budgets": 1, "denials": 1, "orders": 1, "positions": 1, "fills": 3,
    }.items():  # fmt: skip
        await page.until(f"document.querySelectorAll('#{table} tbody tr').length >= {rows}", 40)
    await page.sees("#equity svg path.line")
    told = await page.run("document.querySelector('#equity svg').getAttribute('aria-label')")
    assert re.search(r"between (199|200)\u202f\d{3}\.\d{2} and (199|200)\u202f", told), told  # and not from 0
    await page.sees("#price svg polygon")  # the instrument of the latest fill was chosen
    reasons = await page.run("[...document.querySelectorAll('#denials tbody td')].map((one) => one.innerText)")
    assert reasons[:1] == ["position"]


async def _numbers_are_shown_to_the_last_digit_or_as_rounded(page: Page) -> None:
    for code, shown in NUMBERS.items():
        assert await page.run(f"import('/page/numbers.js').then((numbers) => numbers.{code})") == shown, code


async def _an_order_at_work_is_followed(page: Page, address: str) -> None:
    # It rests far from the market; what comes next shows by itself.
    await page.run(
        "[...document.querySelectorAll('#orders tr')].find((one) => one.innerText.includes('far-grid')).click()"
    )
    await page.until("document.getElementById('steps').innerText.includes('acknowledged')")
    before = await steps(page)
    await tell(address, "/v1/cancel", {"scope": "strategy:far-grid"})
    await page.until("document.getElementById('steps').innerText.includes('cancel was accepted')")
    after = await steps(page)
    assert after[: len(before)] == before
    await page.press("Escape", 27)


async def _a_fill_leads_back_to_its_signal(page: Page) -> None:
    fill = a_fill_of("btc-cross")
    await page.until(f"{fill} !== undefined", 40)
    await page.run(f"{fill}.querySelector('button').focus()")
    await page.press("Enter", 13, "\r")
    told = await page.until("[...document.querySelectorAll('#steps li')].map((one) => one.innerText)")
    for stage, sentence in (
        ("signal", "wants its book"),
        ("checked", "the gate let it pass"),
        ("sent", "left for the venue"),
        ("acknowledged", "the venue calls it"),
        ("fill", "filled "),
    ):
        assert any(stage in one and sentence in one for one in told), f"{stage} is not among {told}"
    facts = await page.run("document.getElementById('chain-facts').innerText")
    assert re.search(r"Signal\n+cross (up|down) \(bar .*\)", facts), facts
    # The browser tells that a dialog was closed later than it closes it: the next one, opened at once, stays.
    await page.run("document.getElementById('chain').close(); document.querySelector('#fills button').click()")
    await page.until("document.getElementById('steps').innerText.includes('checked')")
    await page.press("Escape", 27)
    await page.until("!document.getElementById('chain').open")


async def _no_width_and_no_scheme_breaks_it(page: Page) -> None:
    for width, height, scheme in VIEWS:
        await page.look(width, height, scheme)
        where = f"{width} {scheme}"
        assert await page.run("document.documentElement.scrollWidth") <= width, f"{where} scrolls sideways"
        ground = await page.run("getComputedStyle(document.body).backgroundColor")
        assert (int(ground.split("(")[1].split(",")[0]) < 128) is (scheme == "dark"), f"{where}: {ground}"
    await page.look(1280, 900, "light")


async def _a_halt_is_unmistakable_and_ends_with_a_reason(page: Page, address: str) -> None:
    # By the keyboard alone: scope, reason and button.
    await page.run("document.activeElement.blur()")
    await page.tab_to("scope")
    await page.tab_to("why")
    await page.type("drill <b>&")
    await page.tab_to("halt")
    await page.press("Enter", 13, "\r")
    await page.until("document.getElementById('state').textContent === 'halted'")
    assert await page.run("document.body.dataset.level") == "bad"
    assert (await page.run("document.title")).startswith("halted")
    assert await page.run("getComputedStyle(document.querySelector('header')).backgroundColor") == "rgb(179, 38, 30)"
    latch = await page.run("[...document.querySelectorAll('#latches li > *')].map((one) => one.textContent)")
    assert latch[:3] == ["halted", "all", "drill <b>&"], "text stays text"
    assert latch[3].startswith("by ann, since ")
    told = await status(address)
    assert [(one["scope"], one["state"], one["by"]) for one in told["latches"]] == [("all", "halted", "ann")]
    for ident in ("leave", "reduce", "resume", "instrument"):
        await page.tab_to(ident)

    # Nobody resumes without a reason.
    await page.run("document.getElementById('resume').click()")
    await page.until("document.getElementById('answer').textContent.includes('Say why')")
    assert (await status(address))["latches"]
    assert await page.run("document.activeElement.id") == "why"
    await page.type("the drill is over")
    await page.run("document.getElementById('resume').click()")
    await page.until("document.getElementById('state').textContent === 'active'")
    assert not await page.run("document.querySelectorAll('#latches li').length")
    assert not (await status(address))["latches"]


async def _a_scope_that_is_chosen_never_becomes_another_by_itself(page: Page) -> None:
    # Somebody else resumes the scope, and nothing offers it any more: the button must not mean "all" then.
    offers = "offer(it, ['all', 'venue:a', 'strategy:gone']); it.value = 'strategy:gone'; offer(it, ['all', 'venue:b'])"
    shown = "({ chosen: it.value, offered: [...it.options].map((one) => one.value) })"
    code = f"const it = document.createElement('select'); {offers}; return {shown};"
    told = await page.run(f"import('/page/trading.js').then(({{ offer }}) => {{ {code} }})")
    assert told == {"chosen": "strategy:gone", "offered": ["all", "venue:b", "strategy:gone"]}


@pytest.mark.timeout(120)
async def test_no_other_page_in_the_browser_reaches_the_daemon(tmp_path: Path) -> None:
    with daemon_with_a_page(tmp_path) as (daemon, address):
        asked = f"{address}/v1/status"
        ask = f"fetch('{asked}', {{mode: 'no-cors'}}).then((one) => one.type, String)"
        async with chromium(tmp_path / "profile") as page:
            await page.run(ask)
            assert await page.answered(asked) == 403, "another site"
            await page.go(f"http://127.0.0.1:{daemon.port()}/livez")
            await page.until("location.pathname === '/livez' && document.readyState === 'complete'")
            await page.run(ask)
            assert await page.answered(asked) == 403, "another port of this machine"
            await page.run(f"location.href = '{address}/'")
            assert await page.answered(f"{address}/") == 403, "a link from there"
            rebound = f"http://{REBOUND}:{address.rpartition(':')[2]}/"
            await page.go(rebound)
            assert await page.answered(rebound) == 421, "another site's name that leads here"

            await page.go(address.replace("127.0.0.1", "localhost"))
            await page.until("location.hostname === 'localhost' && document.getElementById('enter')?.checkVisibility()")
            await page.run(ask)
            await page.complained("Content Security Policy")  # the page asks its own origin only
