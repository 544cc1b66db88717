"""The health listener over real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text

from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.health import HealthListener
from quantd.telemetry.metrics import PrometheusObserver
from quantd.telemetry.redaction import Redactor

parse_open_metrics: Any = text_string_to_metric_families  # the library leaves it untyped


class Daemon:
    """What the listener asks: the reasons that a test sets, or an error."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.error: Exception | None = None

    def __call__(self) -> list[str]:
        if self.error is not None:
            raise self.error
        return self.reasons


@pytest.fixture
def observer() -> PrometheusObserver:
    return PrometheusObserver()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def session(daemon: Daemon, observer: PrometheusObserver) -> AsyncIterator[aiohttp.ClientSession]:
    redactor = Redactor()
    redactor.register("planted-secret")
    listener = HealthListener("127.0.0.1", 0, reasons=daemon, observer=observer, clean=redactor.clean)
    await listener.start()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}", timeout=timeout) as session:
        yield session
    await listener.stop()


async def test_livez_answers_while_the_loop_turns_whatever_the_daemons_state(
    session: aiohttp.ClientSession, daemon: Daemon
) -> None:
    daemon.reasons = ["halted"]
    async with session.get("/livez") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")
        assert answer.headers["Server"] == "quantd"
        assert answer.headers["Cache-Control"] == "no-store"
    async with session.head("/livez") as answer:
        assert answer.status == 200


async def test_readyz_says_why_not_and_then_that_it_is(session: aiohttp.ClientSession, daemon: Daemon) -> None:
    daemon.reasons = ["venue oanda: planted-secret refused", "strategy trend: warming up 3/30"]
    async with session.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {
            "ready": False,
            "reasons": ["venue oanda: [redacted] refused", "strategy trend: warming up 3/30"],
        }
    daemon.reasons = []
    async with session.get("/readyz") as answer:
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "reasons": []}


async def test_a_fault_in_the_question_means_not_ready_and_tells_no_details(
    session: aiohttp.ClientSession, daemon: Daemon
) -> None:
    daemon.error = RuntimeError("details")
    async with session.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": ["readiness cannot be told: RuntimeError"]}


async def test_one_scrape_holds_every_metric_of_the_catalogue(
    session: aiohttp.ClientSession, observer: PrometheusObserver
) -> None:
    observer.count("quantd_events_total", 3)
    async with session.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        families = {family.name: family for family in parse_text(await answer.text())}
    assert {name.removesuffix("_total") for name in CATALOGUE} <= families.keys()
    assert families["quantd_events"].samples[0].value == 3
    assert "process_cpu_seconds" in families


async def test_open_metrics_are_served_to_those_who_ask(session: aiohttp.ClientSession) -> None:
    async with session.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
        assert answer.content_type == "application/openmetrics-text"
        families = {family.name: family for family in parse_open_metrics(await answer.text())}
    assert families["quantd_gate_seconds"].unit == "seconds"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/livez/x", "/admin", "/..%2fetc", "/metrics%00"])
async def test_every_other_path_is_not_found(session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_there_are_no_actions(session: aiohttp.ClientSession, method: str) -> None:
    async with session.request(method, "/readyz") as answer:
        assert answer.status == 405


@pytest.mark.parametrize("path", ["/metrics", "/nowhere"])
async def test_large_and_unmeasured_bodies_are_refused_unread(session: aiohttp.ClientSession, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    async with session.get(path, data=b"x" * 2000) as answer:
        assert answer.status == 413
    async with session.get(path, data=endless()) as answer:
        assert answer.status == 413


async def test_many_scrapers_at_once_are_all_served(session: aiohttp.ClientSession) -> None:
    statuses: list[int] = []

    async def scrape() -> None:
        async with session.get("/metrics") as answer:
            await answer.read()
            statuses.append(answer.status)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(scrape())
    assert statuses == [200] * 20


async def test_a_port_in_use_raises_and_leaves_nothing_open(observer: PrometheusObserver) -> None:
    first = HealthListener("127.0.0.1", 0, reasons=list, observer=observer)
    await first.start()
    second = HealthListener("127.0.0.1", first.port, reasons=list, observer=observer)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
    await first.stop()
    await first.stop()
    third = HealthListener("127.0.0.1", first.port, reasons=list, observer=observer)
    await third.start()
    await third.stop()
