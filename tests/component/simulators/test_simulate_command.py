"""`quantd simulate ionloop` as a process: starts, answers, ends in order, and says what is wrong."""

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest


async def started(*options: str, venue: str = "ionloop") -> tuple[asyncio.subprocess.Process, str]:
    """Start the command and return it with the address that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quantd", "simulate", venue, "--port", "0", *options,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(30):
        line = (await process.stderr.readline()).decode()
    found = re.search(r"http://[\d.]+:\d+", line)
    assert found is not None, line + (await process.stderr.read()).decode()
    return process, found.group()


async def read(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return json.loads(await answer.text())


@pytest.mark.parametrize("one", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_and_ends_in_order(tmp_path: Path, one: signal.Signals) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("timestamp,open,high,low,close\n2022-01-01,100,120,90,110\n2022-01-01T00:01,110,120,90,100\n")
    faults = tmp_path / "faults.yaml"
    faults.write_text("rules: [{action: error, route: status, status: 500}]\n")
    process, url = await started(
        "--replay", str(bars), "--speed", "600", "--faults", str(faults), "--balance", "EUR=12.5",
        "--symbol", "ETH-EUR", "--switch", "clock_skew_s=5",
    )  # fmt: skip
    markets = await read(f"{url}/v1/markets")
    assert [item["symbol"] for item in markets["data"]["items"]] == ["ETH-EUR"]
    assert (await read(f"{url}/v1/status"))["error"]["code"] == "INTERNAL_ERROR"
    state = await read(f"{url}/__admin/state")
    assert state["balances"] == {"main": {"EUR": {"total": "12.5", "free": "12.5", "locked": "0"}}}
    assert (await read(f"{url}/__admin/switches"))["clock_skew_s"] == 5
    process.send_signal(one)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    assert process.stderr is not None
    assert "stopped: ETH-EUR" in (await process.stderr.read()).decode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--replay", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["--faults", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--symbol", "btcusdt"], "expected BASE-QUOTE"),
        (["--balance", "USDT=lots"], "expected a decimal number"),
        (["--switch", "nonsense=1"], "there are post_status"),
        (["--speed", "0"], "--speed"),
        (["--webhook-url", "https://h.example.com/"], "--webhook-secret-file"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
async def test_a_wrong_option_ends_it_with_exit_code_2_before_it_listens(options: list[str], words: str) -> None:
    code, told = await failed(*options)
    assert (code, words in told) == (2, True), told


async def test_ripio_is_served_to_the_credentials_of_a_file(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials.yaml"
    credentials.write_text("[{token: mine, secret: hidden, account: desk, permissions: [Read]}]\n")
    process, url = await started(
        "--symbol", "ETH-BRL", "--price", "9000", "--balance", "desk:BRL=12.5", "--credentials", str(credentials),
        "--switch", "public_cache_s=0", "--no-approved", venue="ripio",
    )  # fmt: skip
    assert (await read(f"{url}/trade/public/pairs"))["data"][0]["symbol"] == "ETH_BRL"
    assert (await read(f"{url}/trade/user/balances"))["error_code"] == 40100
    state = await read(f"{url}/__admin/state")
    assert state["balances"] == {"desk": {"BRL": {"total": "12.5", "free": "12.5", "locked": "0"}}}
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    assert process.stderr is not None
    told = (await process.stderr.read()).decode()
    assert "stopped: ETH_BRL" in told
    assert "hidden" not in told


async def test_oanda_is_served_to_the_token_of_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hidden-token\n")
    process, url = await started(
        "--symbol", "USD-JPY", "--price", "150", "--balance", "EUR=12.5", "--account", "101-001-7-002", "--hedging",
        "--token-file", str(token), "--switch", "heartbeat_s=0.5", venue="oanda",
    )  # fmt: skip
    assert (await read(f"{url}/v3/accounts"))["errorMessage"] == "Insufficient authorization to perform request."
    headers = {"Authorization": "Bearer hidden-token"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{url}/v3/accounts/101-001-7-002/summary") as answer:
            account = (await answer.json())["account"]
        async with session.get(f"{url}/v3/accounts/101-001-7-002/transactions/stream") as stream, asyncio.timeout(5):
            beat = json.loads(await stream.content.readline())
    assert (account["currency"], account["balance"], account["hedgingEnabled"]) == ("EUR", "12.5000", True)
    assert (beat["type"], beat["lastTransactionID"]) == ("HEARTBEAT", "3")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    assert process.stderr is not None
    told = (await process.stderr.read()).decode()
    assert "stopped: USD_JPY" in told
    assert "hidden" not in told


async def failed(*options: str) -> tuple[int, str]:
    """Run the command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quantd", "simulate", "ionloop", "--port", "0", *options,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        _, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_a_port_that_is_taken_is_named() -> None:
    process, url = await started()
    port = url.rpartition(":")[2]
    code, told = await failed("--port", port)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in told
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
