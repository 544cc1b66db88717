"""A part of a venue that failed once by a fault of its own lets the venue take entries again, once it runs.

Method: the real daemon in real time on a paper venue, whose look at our orders fails the first time.
"""

import asyncio
from pathlib import Path

import pytest

from quantd.app import Daemon
from quantd.clock import SystemClock
from quantd.config import load
from quantd.runtime import supervisor
from quantd.runtime.accounts import AccountFollower
from quantd.telemetry.metrics import PrometheusObserver
from tests.component.shop import shop

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]


async def test_a_venue_takes_entries_again_once_what_failed_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.yaml").write_text(shop(tmp_path))
    daemon = Daemon(load([tmp_path / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
    daemon.build()
    monkeypatch.setattr(supervisor, "_PAUSE_FIRST_S", 0.5)
    monkeypatch.setattr(supervisor, "_CALM_S", 0.4)
    seen: list[dict[str, str]] = []
    reasons = daemon.engine.context.venue_reasons

    async def follow(_follower: AccountFollower) -> None:
        if not seen:
            seen.append({})
            raise KeyError("of a poller")
        seen.append(dict(reasons.get("shop", {})))
        await asyncio.sleep(1.5)
        seen.append(dict(reasons.get("shop", {})))
        daemon.stop("seen")
        await asyncio.Event().wait()

    monkeypatch.setattr(AccountFollower, "follow_orders", follow)
    assert await daemon.run() == 0
    assert seen[1:] == [{"task orders shop": "orders shop: KeyError: 'of a poller'"}, {}]
