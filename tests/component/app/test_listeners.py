"""A port that cannot be had: the message names the key that is wrong, what was found and what it should be."""

import socket
from contextlib import closing

import pytest

from quantd.app.listeners import Listeners
from quantd.errors import ListenFailed
from quantd.telemetry.health import HealthListener
from quantd.telemetry.metrics import PrometheusObserver

pytestmark = [pytest.mark.timeout(30), pytest.mark.asyncio]


async def refused(host: str, port: int) -> str:
    health = HealthListener(host, port, reasons=list, observer=PrometheusObserver())
    listeners = Listeners(health, None, None)
    with pytest.raises(ListenFailed) as failed:
        await listeners.start()
    await listeners.stop()
    return str(failed.value)


async def test_a_host_that_is_not_this_machine_s_is_not_told_as_a_port_that_is_taken() -> None:
    told = await refused("192.0.2.1", 0)  # of a network for documents: nobody's
    assert told.startswith("health.host: cannot listen on port 0: ")
    assert "192.0.2.1" in told
    assert told.endswith("expected a name or address of this machine")


async def test_a_port_that_is_taken_is_told_as_such() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        told = await refused("127.0.0.1", port)
    assert told.startswith(f"health.port: cannot listen on port {port}: ")
    assert told.endswith("expected a free port of this machine: another daemon may hold it")
