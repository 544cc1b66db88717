"""An account that cannot be, as a venue tells it: the daemon believes none of it, says so, and goes on once it can.

Method: the real daemon in real time on a paper venue, whose balances are no numbers for a while.
"""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantd.app import Daemon
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import AccountSnapshot, CashMoved
from quantd.runtime.accounts import AccountFollower
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.paper.connector import PaperConnector
from tests.component.shop import shop

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]
NAN = Decimal("NaN")
ODD_FLOW = CashFlow("shop", "odd", CashFlowKind.DEPOSIT, "USD", Decimal("1E+999999"), 1)


async def test_an_account_that_cannot_be_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q.yaml").write_text(shop(tmp_path))
    daemon = Daemon(load([tmp_path / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
    daemon.build()
    told, seen, is_odd = PaperConnector.snapshot, list[list[str]](), False

    async def snapshot(connector: PaperConnector) -> AccountSnapshot:
        shown = await told(connector)
        odd: Any = tuple(msgspec.structs.replace(one, total=NAN) for one in shown.balances)
        return msgspec.structs.replace(shown, balances=odd) if is_odd else shown

    async def follow(follower: AccountFollower) -> None:
        nonlocal is_odd
        for number in range(3):
            is_odd = number == 1
            while bool(reasons := list(daemon.engine.context.venue_reasons.get("shop", {}).values())) is not is_odd:
                follower.look_soon()
                await asyncio.sleep(0.05)
            seen.append(reasons)
        daemon.emit(CashMoved(ODD_FLOW, daemon.clock.now_ns()))
        await asyncio.sleep(0.1)
        daemon.stop("seen")
        await asyncio.Event().wait()

    monkeypatch.setattr(PaperConnector, "snapshot", snapshot)
    monkeypatch.setattr(AccountFollower, "follow_orders", follow)
    assert await daemon.run() == 0
    wrong = "shop: snapshot: the answer cannot be: balance of USD: total: no number to reckon with, NaN"
    assert seen == [[], [wrong], []]
    account = daemon.engine.state.portfolio.account("shop")
    assert all(amount.is_finite() for amount in account.totals.values())
    assert not account.flows
