"""A simulated TradeLocker on a socket, and its official client in a process of its own environment.

The client pins packages that quantd is released with to old versions, so it lives in `.venv-tradelocker`
(`make tradelocker-client`), or where TRADELOCKER_VENV says; what is named there must be there, and for the whole form in any case.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantd.clock import SystemClock
from quantd.domain.cash import PositionMode
from quantd.domain.market import Quote
from quantd.simulators.faults import FaultScript
from quantd.simulators.server import SimulatorServer
from quantd.simulators.tradelocker.options import AccountRules, Setup, Switches, numbered
from quantd.simulators.tradelocker.venue import TradeLockerVenue

ROOT = Path(__file__).parents[3]
NAMED = os.environ.get("TRADELOCKER_VENV", "")
FOLDER = Path(NAMED or ROOT / ".venv-tradelocker")
BTC, ETH = 206, 207
"""Tradable ids."""
HEDGING, OTHER, NETTING = 60, 61, 62
"""What the header ``accNum`` says of each account."""
ITS_OWN = "Missing type specification for column status"
"""What the client complains of at real servers too: it has no type for the status of an account."""
_PROGRAM = Path(__file__).with_name("client_process.py")
_ANSWER_S = 45.0
_LINE_MAX = 1 << 24


def require_client() -> None:
    """Skip a test where the client is not installed; fail it where somebody said that it is."""
    if (FOLDER / ".client-installed").exists():
        return
    if NAMED or os.environ.get("QUANTD_WHOLE_CLIENT"):
        pytest.fail(f"{FOLDER} holds no client; make tradelocker-client installs it there")
    pytest.skip("TradeLocker's client has an environment of its own, which is not there: make tradelocker-client")


class WoundBack(SystemClock):
    """The system's time, less what a test has wound it back, for prices of earlier minutes."""

    back_ns = 0

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC."""
        return super().now_ns() - self.back_ns


class Desk:
    """A server with two hedging accounts and a netting one, and how to move its market."""

    def __init__(self, setup: Setup | None = None, **switches: Any) -> None:
        self.clock = WoundBack()
        self.setup = setup or standard_setup()
        self.clock.back_ns = 10 * 60_000_000_000
        self.venue = TradeLockerVenue(self.setup, clock=self.clock, switches=Switches(**switches))
        self.faults = FaultScript(clock=self.clock)
        self.server = SimulatorServer(self.venue, self.faults)
        for minutes in (3, 2, 1, 0):
            self.clock.back_ns = minutes * 60_000_000_000
            self.move(bid=60_000.0 - minutes)
        self.move("ETH-USD", bid=3_000.0)

    def move(self, symbol: str = "BTC-USD", *, bid: float) -> None:
        """Quote an instrument, ten units wide."""
        rules = next(one for one in self.setup.instruments if f"{one.base}-{one.quote}" == symbol)
        self.venue.on_market(Quote(rules.instrument().id, bid, bid + 10.0, 0))

    def counted(self, group: str) -> Any:
        """Return a group of the server's counters."""
        return self.venue.counters()[group]


def standard_setup(**changes: Any) -> Setup:
    """Return two instruments and three accounts."""
    accounts = (
        AccountRules(),
        AccountRules(id="1000002", acc_num=OTHER),
        AccountRules(id="1000003", acc_num=NETTING, mode=PositionMode.NETTING, balance=Decimal(50_000)),
    )
    return Setup(**{"accounts": accounts, "instruments": numbered(("BTC-USD", "ETH-USD")), **changes})


class Raised(Exception):
    """What the client raised; the text begins with the name of its class."""


class Client:
    """One process with one client in it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, url: str) -> None:
        self._process = process
        self._log = log
        self._url = url

    async def ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the client; a table comes back as a list of its rows.

        Raises:
            Raised: what the client raised.
        """
        assert self._process.stdin is not None, "a pipe was asked for"
        assert self._process.stdout is not None, "a pipe was asked for"
        self._process.stdin.write(json.dumps([method, arguments]).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            line = await self._process.stdout.readline()
        assert line, f"the client's process ended: {self._log.read_text()}"
        answer = json.loads(line)
        if "raised" in answer:
            raise Raised(f"{answer['raised']}: {answer['words']}")
        return answer["returned"]

    async def log_in(self, acc_num: int = 0, **changes: Any) -> Any:
        """Make the client log in as the server's user; return the account that it took."""
        wanted = {"username": "quant@example.com", "password": "simulated", "server": "SIM", "acc_num": acc_num}
        return await self.ask("TLAPI", environment=self._url, log_level="warning", **{**wanted, **changes})

    def complaints(self) -> list[str]:
        """Return what the client has logged as a warning or worse, save the one that real servers cause too."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(("[WARN", "[ERR", "[CRIT")) and ITS_OWN not in line]


@asynccontextmanager
async def client_of(desk: Desk, folder: Path, acc_num: int | None = HEDGING) -> AsyncIterator[Client]:
    """Start the client's process and log it in (None: not yet); it ends with the block."""
    log = folder / f"client-{acc_num}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            FOLDER / "bin" / "python", "-I", _PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=errors, limit=_LINE_MAX, env={"NO_PROXY": "*"},
        )  # fmt: skip
    try:
        client = Client(process, log, desk.server.url)
        if acc_num is not None:
            await client.log_in(acc_num)
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
