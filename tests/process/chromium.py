"""A real Chromium without a screen, driven over its own debugging protocol; it resolves no name but this machine's."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.process.harness import until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REBOUND = "rebound.example"
"""Another site's name, which this browser takes for this machine: what DNS rebinding does."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-extensions",
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-port=0",
)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requests: list[str] = []
        """Every address that the tab asked for."""
        self.answers: list[tuple[str, int]] = []
        """What answered, with its status."""
        self.complaints: list[str] = []
        """What the browser wrote on its console: errors, and what the policy forbade."""

    async def listen(self) -> None:
        """Take in what the browser says, until it is gone."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                waiting = self._waiting.pop(told["id"])
                if not waiting.done():
                    waiting.set_result(told)
                continue
            given = told["params"]
            if told["method"] == "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            elif told["method"] == "Network.responseReceived":
                self.answers.append((given["response"]["url"], given["response"]["status"]))
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(given["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
                self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    async def tell(self, method: str, **given: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": given})
        async with asyncio.timeout(20):
            told = await self._waiting[number]
        assert "error" not in told, f"{method}: {told}"
        return dict(told["result"])

    async def run(self, code: str) -> Any:
        """Evaluate an expression in the page."""
        told = await self.tell("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, f"{code}: {told}"
        return told["result"].get("value")

    async def until(self, code: str, timeout_s: float = 15.0) -> Any:
        """Wait until an expression is true; its value. Asked again while another document is on its way."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (found := await self._value(code)):
            if asyncio.get_running_loop().time() > deadline:
                shown = await self.run("document.body.innerText")
                raise AssertionError(f"not within {timeout_s} s: {code}\n{shown}\n{self.complaints}")
            await asyncio.sleep(0.05)
        return found

    async def _value(self, code: str) -> Any:
        try:
            return await self.run(code)
        except AssertionError as error:
            if "navigated" not in str(error) and "context" not in str(error):
                raise
            return None

    async def answered(self, address: str) -> int:
        """Wait until an address has answered since this was asked last; its status."""
        found = await _soon(lambda: [status for url, status in self.answers if url == address], f"answer of {address}")
        self.answers.clear()
        return int(found[-1])

    async def complained(self, text: str) -> None:
        """Wait until the browser wrote such a text on its console, and forget it."""
        found = await _soon(lambda: [one for one in self.complaints if text in one], f"a complaint of {text}")
        self.complaints = [one for one in self.complaints if one not in found]

    async def reload(self) -> None:
        """Load the page anew, and wait for it."""
        await self.run("window.isOld = true")
        await self.tell("Page.reload")
        await self.until("window.isOld === undefined && document.readyState === 'complete'")

    async def sees(self, selector: str) -> None:
        """Wait until there is such an element."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")

    async def go(self, address: str) -> None:
        """Open an address."""
        await self.tell("Page.navigate", url=address)

    async def type(self, text: str) -> None:
        """Type text where the focus is."""
        await self.tell("Input.insertText", text=text)

    async def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key, by its name and its number in Windows."""
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **known)
        await self.tell("Input.dispatchKeyEvent", type="keyUp", **known)

    async def tab_to(self, ident: str) -> None:
        """Go with the Tab key alone to an element, seeing each focus; fails when the keyboard does not lead there."""
        for _ in range(80):
            await self.press("Tab", 9)
            focus, outline = await self.run(
                "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
            )
            assert focus == "" or outline == "solid", f"the focus on {focus} cannot be seen"
            if focus == ident:
                return
        raise AssertionError(f"the Tab key does not lead to {ident}")

    async def look(self, width: int, height: int, scheme: str) -> None:
        """Make the window so large, and the person like `light` or `dark`."""
        sized = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.tell("Emulation.setDeviceMetricsOverride", **sized)
        await self.tell("Emulation.setScrollbarsHidden", hidden=True)
        await self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self) -> bytes:
        """Return what the window shows as a PNG."""
        told = await self.tell("Page.captureScreenshot")
        return base64.b64decode(told["data"])


async def _soon(condition: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
    """Return the first true answer of `condition`, which what the browser says changes."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not (found := condition()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """Start a browser whose profile lies in a folder, and end it."""
    browser, port = await asyncio.to_thread(_start, folder)
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
            async with (
                session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket,
                asyncio.TaskGroup() as tasks,
            ):
                page = Page(socket)
                listening = tasks.create_task(page.listen(), name="chromium")
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.tell(f"{domain}.enable")
                yield page
                listening.cancel()
    finally:
        browser.kill()
        browser.wait(10)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the browser and wait for the port that it chose."""
    assert PROGRAM is not None
    with (folder.parent / "chromium.log").open("wb") as log:
        command = [PROGRAM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    said = folder / "DevToolsActivePort"
    try:
        lines = until(lambda: said.exists() and said.read_text().splitlines(), 20, "Chromium's port")
    except AssertionError:
        browser.kill()
        browser.wait(10)
        raise
    return browser, int(lines[0])
