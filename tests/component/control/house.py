"""A small daemon behind a real control listener: the engine, a journal on disk and the latch's file, stepped by its loop.

Everything is real but the venue, which says what the test tells it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from pydantic import SecretStr

from quantd.clock import ManualClock
from quantd.control.actions import Actions
from quantd.control.api import ControlListener
from quantd.control.daemon_access import DaemonAccess, VenueAccess
from quantd.control.dead_man import DeadMan
from quantd.control.decisions import Decisions
from quantd.control.receipts import Receipts
from quantd.control.recent import Recent
from quantd.control.routes import Services
from quantd.control.settings import ControlSettings, TokenSettings
from quantd.control.trail import Trail
from quantd.domain.events import Event
from quantd.domain.facts import Fact, OperatorActionRecorded, RunStarted
from quantd.domain.reports import AccountSnapshot
from quantd.errors import Unavailable
from quantd.journal.latch import HaltLatch
from quantd.journal.projections import projections
from quantd.journal.records import RecordCodec
from quantd.journal.store import Append, JournalStore
from quantd.telemetry.redaction import Redactor
from quantd.testing.builders import STARTED_AT_NS, Rig
from quantd.testing.observer import RecordingObserver

TOKENS = {
    "reader": ("planted-reader-token", ["read"]),
    "trader": ("planted-trader-token", ["trade"]),
    "halter": ("planted-halter-token", ["halt"]),
    "ann": ("planted-admin-token", ["admin"]),
}
PLANTED_KEY = "planted-venue-key"


class House:
    """See the module."""

    def __init__(self, folder: Path, *, event_every_s: float = 0.05, **settings: Any) -> None:
        self.rig = Rig()
        self.clock = ManualClock(STARTED_AT_NS)
        self.rig.engine.begin(RunStarted("1.0", "c0ffee", {"s1": "5eed"}, "0test", 1, self.rig.now_ns))
        self.snapshot: AccountSnapshot | None = None
        """What the venue answers; without one it cannot be reached."""
        self.is_stalled = False
        """Whether the engine leaves events alone."""
        self.reasons: list[str] = []
        self.codec = RecordCodec[Fact](Fact)
        self.path = folder / "j.db"
        self.store = JournalStore.create(self.path, self.codec, journal_id="0test", epoch=1, projections=projections())
        self.latch = HaltLatch(folder / "state" / "halt.json")
        self.receipts = Receipts()
        self._events: list[Event] = []
        self._written = 0
        self._confirmations = 0
        tokens = {
            name: TokenSettings.model_validate({"token": SecretStr(token), "scopes": scopes})
            for name, (token, scopes) in TOKENS.items()
        }
        told = {"request_timeout_s": 2.0, "body_limit": 2048, "port": 0} | settings
        self.settings = ControlSettings(tokens=tokens, **told)
        self.redactor = Redactor()
        self.redactor.register(PLANTED_KEY)
        self.redactor.register_all(self.settings)
        paper = VenueAccess(
            kind="paper", readiness=lambda: (True, ""), snapshot=self._ask, budget_left=lambda: {"orders": 0.5}
        )
        self.access = DaemonAccess(
            engine=self.rig.engine,
            emit=self.emit,
            clock=self.clock,
            latch=self.latch,
            journal=self.path,
            codec=self.codec,
            version="1.0",
            risk=lambda: self.rig.risk,
            strategy_limits=lambda: {name: self.rig.risk.strategy for name in self.rig.strategies},
            venues={"paper": paper},
            failures=(),
            reasons=lambda: self.reasons,
            draw=self._draw,
        )
        actions = Actions(self.access, self.receipts, wait_s=0.3)
        limit_s = self.settings.dead_man_s
        self.observer = RecordingObserver()
        self.recent = Recent(self.access)
        self.services = Services(
            self.access,
            Trail(self.path, self.codec),
            actions,
            Decisions(self.access, actions),
            None if limit_s is None else DeadMan(self.access, limit_s, self.observer),
            self.recent,
        )
        self.step()
        self.listener = ControlListener(
            self.settings, self.services, clean=self.redactor.clean, idle_s=1.0, event_every_s=event_every_s
        )

    def _draw(self) -> str:
        self._confirmations += 1
        return f"confirm-{self._confirmations}"

    async def _ask(self) -> AccountSnapshot:
        if self.snapshot is None:
            raise Unavailable("paper", "snapshot", f"no connection with {PLANTED_KEY}")
        return self.snapshot

    def emit(self, event: Event) -> None:
        """Put an event into the inbox; the batch is handled once the loop turns."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self.step)
        self._events.append(event)

    def step(self) -> None:
        """Handle what waits, write its facts, tell who waits for them."""
        if self.is_stalled:
            return
        batch, self._events = self._events, []
        for event in batch:
            self.rig.handle(msgspec.structs.replace(event, received_at_ns=max(event.received_at_ns, self.rig.now_ns)))
        facts = self.rig.engine.take_facts()
        self.rig.facts += facts
        new = self.rig.facts[self._written :]
        self._written = len(self.rig.facts)
        if new:
            self.store.write([Append([self.codec.encode(fact) for fact in new], new)])
            self.receipts.told(new)
            self.recent.told(new)

    @property
    def audit(self) -> list[OperatorActionRecorded]:
        """Who asked for what, as the journal has it."""
        return [fact for fact in self.rig.facts if isinstance(fact, OperatorActionRecorded)]

    @property
    def address(self) -> str:
        """Of the listener."""
        return f"http://127.0.0.1:{self.listener.port}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = "ann",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send one request; the status, and the answer read as JSON. No answer ever shows a planted secret."""
        sent = dict(headers or {})
        if by is not None:
            sent.setdefault("Authorization", f"Bearer {TOKENS[by][0]}")
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, f"{self.address}{path}", data=data, headers=sent) as answer,
        ):
            text = await answer.text()
            assert "planted" not in text + str(answer.headers), f"a secret leaves: {text}"
            assert answer.content_type in ("application/json", "application/problem+json")
            return answer.status, msgspec.json.decode(text)

    async def raw(self, request: bytes, *, wait_s: float = 5.0) -> bytes:
        """Send bytes and return everything that comes until the listener closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        writer.write(request)
        try:
            async with asyncio.timeout(wait_s):
                return await reader.read()
        finally:
            writer.close()
